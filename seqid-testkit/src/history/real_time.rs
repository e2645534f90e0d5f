//! P2.

use super::Order;
use super::draw::Issue;
use super::violation::{Fault, Report};

pub(super) fn check(issues: &[Issue<'_>], order: Order, report: &mut Report) {
    let by_epoch = match order {
        Order::Generation => false,
        Order::Epoch => true,
        Order::Nowhere => return,
    };
    let line = |issue: &Issue<'_>| if by_epoch { issue.grant.epoch } else { 0 };
    let mut issues: Vec<&Issue<'_>> = issues.iter().collect();
    issues.sort_unstable_by_key(|issue| (issue.line(), line(issue), issue.began));
    for line in issues.chunk_by(|a, b| (a.line(), line(a)) == (b.line(), line(b))) {
        sweep(line, report);
    }
}

/// Goes through the draws as they began, and knows the largest number that was answered before.
fn sweep(by_begin: &[&Issue<'_>], report: &mut Report) {
    let mut by_end: Vec<(u64, &Issue<'_>)> = by_begin
        .iter()
        .filter_map(|&issue| Some((issue.ended?, issue)))
        .collect();
    by_end.sort_unstable_by_key(|&(ended, _)| ended);

    let mut answered = by_end.into_iter().peekable();
    let mut largest: Option<(u64, &Issue<'_>)> = None;
    for later in by_begin {
        while let Some((ended, issue)) = answered.next_if(|&(ended, _)| ended < later.began) {
            if largest.is_none_or(|(_, other)| other.run().last() < issue.run().last()) {
                largest = Some((ended, issue));
            }
        }
        if let Some((ended, earlier)) = largest.filter(|(_, it)| it.run().last() >= later.grant.first.into())
        {
            let fault = Fault::OutOfOrder {
                line: later.line_name(),
                earlier: earlier.run().last(),
                ended,
                later: later.grant.first,
                began: later.began,
            };
            report.add(fault, &[earlier.call, later.call], &[]);
        }
    }
}
