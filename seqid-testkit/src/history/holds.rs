//! P13, apart from what P5 says of each number.

use std::collections::BTreeMap;

use super::audit::{Row, RowKind};
use super::settlement::{Ending, Settlement, Told};
use super::violation::{Fault, Line, Report};

pub(super) fn check(rows: &[Row], settlements: &[Settlement], report: &mut Report) {
    let mut holds = holds(rows);
    for (name, rows) in &mut holds {
        rows.sort_by_key(|row| (row.counter.as_str(), row.n));
        // A row that was delivered twice has been reported and says nothing new.
        rows.dedup();
        check_rows(name, rows, report);
    }
    check_nameless(rows, report);
    check_told(&holds, settlements, report);
}

type Holds<'a> = BTreeMap<&'a str, Vec<&'a Row>>;

fn holds(rows: &[Row]) -> Holds<'_> {
    let mut holds = Holds::new();
    for row in rows {
        if let Some(name) = &row.reservation {
            holds.entry(name).or_default().push(row);
        }
    }
    holds
}

/// A reservation begins once, ends once at the most, and ends with the numbers that it began with.
fn check_rows(name: &str, rows: &[&Row], report: &mut Report) {
    let reservation = name.to_owned();
    let mut begins = rows.iter().filter(|row| row.kind == RowKind::Reserved);
    let mut ends = rows.iter().filter(|row| row.kind.ends_a_hold());
    let (begin, end) = (begins.next(), ends.next());
    if let (Some(first), Some(second)) = (begin, begins.next()) {
        report.add(Fault::ReservedTwice { reservation }, &[], &[first, second]);
        return;
    }
    if let (Some(first), Some(second)) = (end, ends.next()) {
        let (one, other) = (first.kind, second.kind);
        let fault = Fault::EndedTwice {
            reservation,
            one,
            other,
        };
        report.add(fault, &[], &[first, second]);
        return;
    }
    match (begin, end) {
        (None, Some(end)) => report.add(Fault::NeverReserved { reservation }, &[], &[end]),
        (Some(begin), Some(end))
            if (place(begin), begin.run()) != (place(end), end.run()) || end.n < begin.n =>
        {
            report.add(Fault::OtherNumbers { reservation }, &[], &[begin, end]);
        }
        _ => {}
    }
}

fn place(row: &Row) -> (&str, u32) {
    (&row.counter, row.generation)
}

/// Numbers are held, confirmed and let go under the name of a reservation, and issued under none.
fn check_nameless(rows: &[Row], report: &mut Report) {
    for row in rows {
        let of_holds_alone = matches!(
            row.kind,
            RowKind::Reserved | RowKind::Confirmed | RowKind::Expired | RowKind::Released
        );
        let may_be_of_one = of_holds_alone || row.kind == RowKind::Voided;
        if row.reservation.is_some() && !may_be_of_one || row.reservation.is_none() && of_holds_alone {
            let fault = Fault::OtherName {
                line: Line::new(&row.counter, row.generation),
                first: row.first,
                kind: row.kind,
                reservation: row.reservation.clone(),
            };
            report.add(fault, &[], &[row]);
        }
    }
}

/// What clients were told of a reservation is what the audit says, whoever asked and however often.
fn check_told(holds: &Holds<'_>, settlements: &[Settlement], report: &mut Report) {
    for settlement in settlements {
        let Told::Ended(told) = settlement.told else {
            continue;
        };
        let rows = holds.get(settlement.reservation.as_str());
        let mut ends = rows.into_iter().flatten().filter(|row| row.kind.ends_a_hold());
        if ends.clone().any(|row| ending(row.kind) == Some(told)) {
            continue;
        }
        let recorded = ends.next();
        let fault = Fault::ToldOtherwise {
            reservation: settlement.reservation.clone(),
            settlement: settlement.id,
            told,
            recorded: recorded.map(|row| row.kind),
        };
        report.add(fault, &[], recorded.map_or(&[][..], std::slice::from_ref));
    }
}

fn ending(kind: RowKind) -> Option<Ending> {
    match kind {
        RowKind::Confirmed => Some(Ending::Confirmed),
        RowKind::Voided => Some(Ending::Voided),
        RowKind::Expired | RowKind::Released => Some(Ending::Expired),
        _ => None,
    }
}
