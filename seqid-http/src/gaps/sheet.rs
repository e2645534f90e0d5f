use seqid_core::gap_report::{GapSummary, Head};
use seqid_core::numbering::Gap;

/// A report in some format, written from its beginning to its end.
pub(crate) trait Sheet: Send {
    fn begin(&mut self, out: &mut String, head: &Head);
    fn gap(&mut self, out: &mut String, head: &Head, gap: &Gap);
    fn end(&mut self, out: &mut String, head: &Head, summary: &GapSummary);
}
