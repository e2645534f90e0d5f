//! P1, and of P10 that nothing of another draw lies between the numbers of a batch.

use super::draw::Issue;
use super::violation::{Fault, Report};

/// Expects the issues by line and first number.
pub(super) fn check(issues: &[Issue<'_>], report: &mut Report) {
    for line in issues.chunk_by(|a, b| a.line() == b.line()) {
        sweep(line, report);
    }
}

/// Goes up the line with the runs that are not over yet, of each rails only the one that reaches
/// furthest. That misses no duplicate entirely: where a run is hidden by another on the same rails
/// and not over yet, those two share an integer themselves, which has been reported.
fn sweep(line: &[Issue<'_>], report: &mut Report) {
    let mut open: Vec<&Issue<'_>> = Vec::new();
    for issue in line {
        let run = issue.run();
        open.retain(|other| other.run().last() >= run.first.into());
        for other in &open {
            compare(other, issue, report);
        }
        match open.iter_mut().find(|other| other.run().rails() == run.rails()) {
            Some(other) if other.run().last() < run.last() => *other = issue,
            Some(_) => {}
            None => open.push(issue),
        }
    }
}

fn compare(a: &Issue<'_>, b: &Issue<'_>, report: &mut Report) {
    let line = a.line_name();
    let fault = match a.run().shared_with(b.run()) {
        Some(number) => Fault::SharedNumber { line, number },
        None => Fault::Interleaved {
            line,
            first: a.grant.first,
        },
    };
    report.add(fault, &[a.call, b.call], &[]);
}
