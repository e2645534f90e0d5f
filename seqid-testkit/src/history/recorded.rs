//! P8, and of P10 what one call and its row say about a batch.

use super::audit::Row;
use super::call::Outcome;
use super::draw::{Draws, Issue, issued};
use super::violation::{Fault, Report};

pub(super) fn check(draws: &Draws<'_>, issues: &[Issue<'_>], rows: &[Row], report: &mut Report) {
    let granted = Granted::of(rows);
    for issue in issues {
        check_issue(issue, &granted, report);
    }
    for attempts in draws.iter() {
        for (call, grant) in issued(attempts) {
            if grant.count != call.count {
                let fault = Fault::OtherCount {
                    asked: call.count,
                    granted: grant.count,
                };
                report.add(fault, &[call], &[]);
            }
            if grant.ids.len() as u64 != u64::from(grant.count) {
                let fault = Fault::OtherIds {
                    granted: grant.count,
                    ids: grant.ids.len(),
                };
                report.add(fault, &[call], &[]);
            }
        }
    }
    check_refused(draws, rows, report);
}

fn check_issue(issue: &Issue<'_>, granted: &Granted<'_>, report: &mut Report) {
    let Issue { call, grant, .. } = *issue;
    let line = issue.line_name();
    let Some(row) = granted.row_of(issue) else {
        let fault = match granted.first_lost(issue) {
            Some(number) => Fault::Lost { line, number },
            None => Fault::NotOneRow {
                line,
                first: grant.first,
                count: grant.count,
            },
        };
        report.add(fault, &[call], &[]);
        return;
    };
    if row.epoch != grant.epoch {
        let (acknowledged, recorded) = (grant.epoch, row.epoch);
        let fault = Fault::OtherEpoch {
            line: line.clone(),
            first: grant.first,
            acknowledged,
            recorded,
        };
        report.add(fault, &[call], &[row]);
    }
    if row.key != call.key {
        let (acknowledged, recorded) = (call.key.clone(), row.key.clone());
        report.add(
            Fault::OtherKey {
                line,
                first: grant.first,
                acknowledged,
                recorded,
            },
            &[call],
            &[row],
        );
    }
}

/// A key that was never issued, and never may have been, has no row.
fn check_refused(draws: &Draws<'_>, rows: &[Row], report: &mut Report) {
    let mut keyed: Vec<(&str, &Row)> = rows
        .iter()
        .filter(|row| row.kind.grants())
        .filter_map(|row| Some((row.key.as_deref()?, row)))
        .collect();
    keyed.sort_unstable_by_key(|&(key, row)| (key, row.n));
    for attempts in draws.iter() {
        let Some(key) = &attempts[0].key else { continue };
        if attempts.iter().any(|call| call.outcome != Outcome::NotIssued) {
            continue;
        }
        let from = keyed.partition_point(|&(other, _)| other < key.as_str());
        if let Some(&(_, row)) = keyed.get(from).filter(|&&(other, _)| other == key) {
            report.add(Fault::IssuedAfterAll { key: key.clone() }, attempts, &[row]);
        }
    }
}

/// The rows that grant, by line and first number.
struct Granted<'a> {
    rows: Vec<&'a Row>,
}

impl<'a> Granted<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut rows: Vec<&Row> = rows.iter().filter(|row| row.kind.grants()).collect();
        rows.sort_unstable_by_key(|row| (line(row), row.first, row.n));
        Self { rows }
    }

    /// The row with exactly the numbers of an issue; of several the one that is most like it.
    fn row_of(&self, issue: &Issue<'_>) -> Option<&'a Row> {
        let place = (issue.line(), issue.grant.first);
        let from = self.rows.partition_point(|row| (line(row), row.first) < place);
        let here = self.rows[from..]
            .iter()
            .copied()
            .take_while(|row| (line(row), row.first) == place);
        here.filter(|row| row.run() == issue.run())
            .max_by_key(|row| (row.key == issue.call.key, row.epoch == issue.grant.epoch))
    }

    /// The first number of an issue that no row grants, for rows that do not overlap.
    fn first_lost(&self, issue: &Issue<'_>) -> Option<u128> {
        let run = issue.run();
        let mut sought = u128::from(run.first);
        let after = self
            .rows
            .partition_point(|row| (line(row), row.first) <= (issue.line(), run.first));
        let (below, above) = self.rows.split_at(after);
        let here = |row: &&&Row| line(row) == issue.line() && u128::from(row.first) <= run.last();
        let lowest = below.last().into_iter().filter(here);
        for row in lowest.chain(above.iter().take_while(here)) {
            let granted = row.run();
            while sought <= run.last() && granted.contains(sought) {
                let same_rails = granted.rails() == run.rails();
                sought = if same_rails { granted.last() } else { sought } + u128::from(run.step.max(1));
            }
        }
        (sought <= run.last()).then_some(sought)
    }
}

fn line(row: &Row) -> (&str, u32) {
    (&row.counter, row.generation)
}
