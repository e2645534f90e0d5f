//! P8, P9 and P10.

use super::*;
use Property::*;

#[test]
fn what_was_acknowledged_is_in_the_audit() {
    let mut history = recorded([issued(1, 0, 1, 1), issued(2, 2, 3, 2)]);
    history.rows.pop();
    assert_eq!(
        broken(&history, &[Recorded]),
        ["P8 recorded: number 2 of INV (generation 1) was acknowledged and is not in the audit (call 2)"]
    );
    history.ends = vec![end(3)];
    broken(&history, &[AccountedFor, Recorded]);
    history.rows.push(row(2, RowKind::Skipped, 2, 1));
    broken(&history, &[Recorded]);
    history.rows[1].kind = RowKind::Issued;
    sound(&history);
    history.rows.push(row(3, RowKind::Voided, 2, 1));
    sound(&history);
}

#[test]
fn another_generation_or_epoch_is_not_what_was_acknowledged() {
    let history = recorded([issued(1, 0, 1, 1)]);
    let call = |change: fn(&mut Grant)| History {
        calls: vec![regranted(issued(1, 0, 1, 1), change)],
        ..history.clone()
    };
    broken(&call(|grant| grant.generation = 2), &[Recorded]);
    broken(&call(|grant| grant.epoch = 2), &[Recorded]);
}

#[test]
fn a_key_that_was_refused_in_every_attempt_has_no_row() {
    let refused = |id, began| keyed("k", unissued(id, began, began + 1, Outcome::NotIssued));
    let mut history = audit([keyed_row("k", row(1, RowKind::Issued, 1, 1))], 2);
    history.calls = vec![refused(1, 0), refused(2, 2)];
    broken(&history, &[Recorded]);
    history.rows[0].key = Some("other".into());
    sound(&history);
    history.rows[0] = keyed_row("k", row(1, RowKind::Voided, 1, 1));
    sound(&history);
}

#[test]
fn one_unknown_attempt_excuses_a_row() {
    let refused = |id, began| keyed("k", unissued(id, began, began + 1, Outcome::NotIssued));
    let unknown = |id, began| keyed("k", unissued(id, began, began + 1, Outcome::Unknown));
    let mut history = audit([keyed_row("k", row(1, RowKind::Issued, 1, 1))], 2);
    history.calls = vec![refused(1, 0), unknown(2, 2)];
    sound(&history);
    history.calls = vec![unknown(1, 0), refused(2, 2)];
    sound(&history);
    history.calls = vec![refused(1, 0), keyed("k", issued(2, 2, 3, 1)), refused(3, 4)];
    sound(&history);
}

#[test]
fn the_number_that_lost_to_a_twin_is_voided_and_no_second_grant() {
    let twins = [keyed("k", issued(1, 0, 3, 1)), keyed("k", issued(2, 1, 2, 1))];
    let mut history = recorded(twins);
    history.rows.push(keyed_row("k", row(2, RowKind::Voided, 2, 1)));
    history.ends = vec![end(3)];
    sound(&history);
}

#[test]
fn all_answers_of_a_key_are_equal() {
    let first = keyed("k", issued(1, 0, 1, 1));
    let replay = keyed("k", issued(2, 2, 3, 1));
    let texts = |grant: &mut Grant| grant.ids = vec!["INV-0001".into()];
    broken(
        &recorded([first.clone(), regranted(replay.clone(), texts)]),
        &[OneGrant],
    );
    broken(
        &recorded([first.clone(), regranted(replay.clone(), |grant| grant.epoch = 2)]),
        &[OneGrant],
    );

    let next_day = Call {
        counter: "INV/2".into(),
        ..replay
    };
    broken(&recorded([first.clone(), next_day]), &[Recorded, OneGrant]);

    let mut drawn_twice = recorded([first, keyed("k", issued(2, 2, 3, 2))]);
    assert_eq!(broken(&drawn_twice, &[OneGrant]).len(), 2);
    drawn_twice.rows[1].key = None;
    broken(&drawn_twice, &[OneGrant]);
}

#[test]
fn a_key_is_issued_for_one_request() {
    let first = keyed("k", issued(1, 0, 1, 1));
    let other = Call {
        request: "next CN".into(),
        ..keyed("k", issued(2, 2, 3, 1))
    };
    broken(&recorded([first.clone(), other.clone()]), &[OneGrant]);
    let refused = Call {
        outcome: Outcome::NotIssued,
        ..other
    };
    sound(&recorded([first, refused]));
}

#[test]
fn a_key_has_one_row() {
    let mut history = audit([], 3);
    history.rows = [1, 2]
        .map(|n| keyed_row("k", row(n, RowKind::Issued, n, 1)))
        .into();
    assert_eq!(
        broken(&history, &[OneGrant]),
        [r#"P9 one grant: the audit grants numbers to key "k" twice (row INV#1, row INV#2)"#]
    );
    history.rows[1].counter = "CN".into();
    history.rows[1].n = 1;
    history.ends = vec![];
    broken(&history, &[OneGrant]);
}

#[test]
fn the_row_bears_the_key_of_the_call() {
    let mut history = recorded([keyed("k", issued(1, 0, 1, 1)), issued(2, 2, 3, 2)]);
    history.rows[0].key = None;
    broken(&history, &[OneGrant]);
    history.rows[0].key = Some("k".into());
    history.rows[1].key = Some("other".into());
    broken(&history, &[OneGrant]);
}

#[test]
fn of_several_rows_with_one_number_the_call_has_its_own() {
    let mut history = recorded([keyed("k", issued(1, 0, 1, 1))]);
    for (n, key) in [(2, "other"), (3, "another")] {
        history.rows.push(keyed_row(key, row(n, RowKind::Issued, 1, 1)));
    }
    broken(&history, &[AccountedFor]);
}

#[test]
fn a_batch_has_as_many_numbers_as_were_asked_for_and_as_many_ids() {
    let batch = issued_batch(1, 0, 1, 1, 3);
    sound(&recorded([batch.clone()]));
    broken(
        &recorded([Call {
            count: 4,
            ..batch.clone()
        }]),
        &[WholeBatch],
    );
    broken(
        &recorded([regranted(batch, |grant| grant.ids.truncate(2))]),
        &[WholeBatch],
    );
}

#[test]
fn a_batch_is_one_row() {
    let mut history = recorded([issued_batch(1, 0, 1, 1, 3)]);
    history.rows = vec![row(1, RowKind::Issued, 1, 2), row(2, RowKind::Issued, 3, 1)];
    broken(&history, &[WholeBatch]);
    history.rows = vec![row(1, RowKind::Issued, 1, 4)];
    broken(&history, &[WholeBatch]);
    history.rows = vec![row(1, RowKind::Issued, 1, 2)];
    assert!(broken(&history, &[Recorded])[0].contains("number 3 of INV"));

    let by_two = regranted(issued_batch(1, 0, 1, 1, 3), |grant| grant.step = 2);
    let history = History {
        calls: vec![by_two],
        ..audit([row(1, RowKind::Issued, 1, 4)], 5)
    };
    assert!(broken(&history, &[Recorded])[0].contains("number 5 of INV"));
}

#[test]
fn nothing_of_another_draw_lies_within_a_batch() {
    let batch = regranted(issued_batch(1, 0, 9, 1, 3), |grant| grant.step = 2);
    let history = recorded([batch, issued(2, 1, 8, 2)]);
    let sentences = broken(&history, &[AccountedFor, WholeBatch]);
    assert!(
        sentences
            .iter()
            .any(|it| it.contains("numbers of another draw lie between those from 1"))
    );
}
