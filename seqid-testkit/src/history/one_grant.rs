//! P9, but for the key of the row of a grant, which is looked at where the row is found.

use super::audit::Row;
use super::call::Call;
use super::draw::{Draws, issued};
use super::violation::{Fault, Report};

pub(super) fn check(draws: &Draws<'_>, rows: &[Row], report: &mut Report) {
    for attempts in draws.iter() {
        if let Some(key) = &attempts[0].key {
            check_answers(key, attempts, report);
        }
    }
    check_rows(rows, report);
}

fn check_answers(key: &str, attempts: &[&Call], report: &mut Report) {
    let mut answers = issued(attempts);
    let Some((first, grant)) = answers.next() else {
        return;
    };
    for (call, other) in answers {
        if (&call.counter, other) != (&first.counter, grant) {
            report.add(Fault::TwoGrants { key: key.to_owned() }, &[first, call], &[]);
        }
        if call.request != first.request {
            report.add(Fault::TwoRequests { key: key.to_owned() }, &[first, call], &[]);
        }
    }
}

fn check_rows(rows: &[Row], report: &mut Report) {
    let mut keyed: Vec<&Row> = rows
        .iter()
        .filter(|row| row.kind.grants() && row.key.is_some())
        .collect();
    keyed.sort_unstable_by(|a, b| (&a.key, &a.counter, a.n).cmp(&(&b.key, &b.counter, b.n)));
    for same in keyed
        .chunk_by(|a, b| a.key == b.key)
        .filter(|same| same.len() > 1)
    {
        let key = same[0].key.clone().unwrap_or_default();
        report.add(Fault::TwoRows { key }, &[], &same[..2]);
    }
}
