mod generated;
mod grants;
mod holds;
mod ledger;
mod mutations;
mod order;
mod recording;
mod store;

use super::*;

/// A call for one number of the counter `INV`, without a key, that was issued `first`.
fn issued(id: u64, began: u64, ended: u64, first: u64) -> Call {
    issued_batch(id, began, ended, first, 1)
}

fn issued_batch(id: u64, began: u64, ended: u64, first: u64, count: u32) -> Call {
    let ids = (first..)
        .take(count as usize)
        .map(|number| format!("INV-{number}"))
        .collect();
    let grant = Grant {
        first,
        step: 1,
        count,
        generation: 1,
        epoch: 1,
        ids,
    };
    let (began, ended, outcome) = (began, Some(ended), Outcome::Issued(grant));
    Call {
        id,
        counter: "INV".into(),
        key: None,
        request: "next".into(),
        count,
        began,
        ended,
        outcome,
    }
}

fn unissued(id: u64, began: u64, ended: u64, outcome: Outcome) -> Call {
    Call {
        outcome,
        ..issued(id, began, ended, 0)
    }
}

fn keyed(key: &str, call: Call) -> Call {
    Call {
        key: Some(key.into()),
        ..call
    }
}

/// Changes what a call was granted.
fn regranted(mut call: Call, change: impl FnOnce(&mut Grant)) -> Call {
    if let Outcome::Issued(grant) = &mut call.outcome {
        change(grant);
    }
    call
}

fn row(n: u64, kind: RowKind, first: u64, count: u32) -> Row {
    Row {
        counter: "INV".into(),
        n,
        kind,
        first,
        step: 1,
        count: count.into(),
        generation: 1,
        epoch: 1,
        key: None,
        reservation: matches!(
            kind,
            RowKind::Reserved | RowKind::Confirmed | RowKind::Expired | RowKind::Released
        )
        .then(|| "r".into()),
    }
}

fn named(reservation: &str, row: Row) -> Row {
    Row {
        reservation: Some(reservation.into()),
        ..row
    }
}

fn keyed_row(key: &str, row: Row) -> Row {
    Row {
        key: Some(key.into()),
        ..row
    }
}

fn in_generation(generation: u32, row: Row) -> Row {
    Row { generation, ..row }
}

fn end(next: u64) -> CounterEnd {
    CounterEnd {
        counter: "INV".into(),
        generation: 1,
        start: 1,
        step: 1,
        next,
    }
}

/// The rows alone, with the counter at `next` afterwards.
fn audit(rows: impl Into<Vec<Row>>, next: u64) -> History {
    History {
        rows: rows.into(),
        ends: vec![end(next)],
        ..History::default()
    }
}

/// The calls, with the audit that their grants make if each number is recorded once.
fn recorded(calls: impl Into<Vec<Call>>) -> History {
    let calls: Vec<Call> = calls.into();
    let mut rows: Vec<Row> = calls
        .iter()
        .filter_map(|call| match &call.outcome {
            Outcome::Issued(grant) => Some(Row {
                epoch: grant.epoch,
                generation: grant.generation,
                step: grant.step,
                key: call.key.clone(),
                ..row(0, RowKind::Issued, grant.first, grant.count)
            }),
            _ => None,
        })
        .collect();
    rows.sort_by_key(|row| row.first);
    rows.dedup_by_key(|row| row.first);
    for (n, row) in (1..).zip(&mut rows) {
        row.n = n;
    }
    History {
        calls,
        rows,
        ..History::default()
    }
}

#[track_caller]
fn sound(history: &History) {
    if let Err(violations) = history.check() {
        panic!("{}", sentences(&violations).join("\n"));
    }
}

/// The history breaks these properties and no others.
#[track_caller]
fn broken(history: &History, properties: &[Property]) -> Vec<String> {
    let violations = history.check().expect_err("nothing was found");
    let mut found: Vec<Property> = violations.iter().map(Violation::property).collect();
    found.dedup();
    assert_eq!(found, properties, "{}", sentences(&violations).join("\n"));
    sentences(&violations)
}

fn sentences(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(Violation::to_string).collect()
}

#[test]
fn an_empty_history_is_sound() {
    sound(&History::default());
    sound(&audit([], 1));
}

#[test]
fn a_violation_reads_as_a_sentence_and_names_what_it_concerns() {
    let twice = [issued(3, 0, 9, 1), issued(8, 1, 8, 1)];
    let violations = recorded(twice).check().unwrap_err();
    assert_eq!(violations[0].calls, [3, 8]);
    assert_eq!(
        sentences(&violations),
        ["P1 unique: number 1 of INV (generation 1) was acknowledged to two draws (call 3, call 8)"]
    );

    let beyond = audit([row(1, RowKind::Issued, 1, 3)], 3).check().unwrap_err();
    assert_eq!(
        beyond[0].rows,
        [RowRef {
            counter: "INV".into(),
            n: 1
        }]
    );
    assert_eq!(
        sentences(&beyond),
        [
            "P5 accounted for: number 3 of INV (generation 1) is Issued, but the counter would give out 3 next (row INV#1)"
        ]
    );
}

#[test]
fn a_store_that_is_wrong_throughout_fills_no_screen_for_ever() {
    let calls: Vec<Call> = (0..5_000).map(|id| issued(id, 0, 1 + id, 1)).collect();
    let violations = recorded(calls).check().unwrap_err();
    assert_eq!(violations.len(), Property::MOST_REPORTED);
}

/// In a debug build it is smaller, because it would take longer than all other tests together.
#[test]
fn a_large_history_is_checked_in_seconds() {
    const CALLS: u64 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let calls: Vec<Call> = (0..CALLS)
        .map(|id| {
            let (began, ended) = (3 * id, 3 * id + 50);
            let call = Call {
                counter: format!("INV/{}", id % 3),
                ..issued(id, began, ended, 1 + id / 3)
            };
            keyed(&format!("{id:x}"), call)
        })
        .collect();
    let mut history = recorded(vec![]);
    history.rows = calls
        .iter()
        .map(|call| Row {
            counter: call.counter.clone(),
            key: call.key.clone(),
            ..row(call.id / 3 + 1, RowKind::Issued, call.id / 3 + 1, 1)
        })
        .collect();
    history.calls = calls;
    sound(&history);

    history.rows.swap_remove(history.rows.len() / 2);
    broken(&history, &[Property::AccountedFor, Property::Recorded]);
}
