use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use seqid_core::export::{self, Lines};
use seqid_core::verify::{Report, Verifier};

use crate::error::VerifyError;

/// Verifies a file of JSON lines. `progress` is told the bytes that were read, and all that there are.
///
/// # Errors
/// When the file cannot be read, or holds no line. What is wrong with its content is in the report.
pub fn of_export(
    path: &Path,
    verifier: Verifier,
    mut progress: impl FnMut(u64, u64),
) -> Result<(Report, Lines), VerifyError> {
    let cannot = |source| VerifyError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    let (mut verifier, mut read) = (verifier.ids(), 0);
    let lines = export::read(BufReader::new(file), &mut verifier, |bytes| {
        read += bytes;
        progress(read, size);
    })
    .map_err(cannot)?;
    if lines.lines == 0 && size > 0 && !lines.unfinished {
        return Err(VerifyError::Empty {
            path: path.to_owned(),
            what: "lines",
        });
    }
    Ok((verifier.finish(), lines))
}
