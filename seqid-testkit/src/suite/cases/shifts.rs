//! Moving a counter: what is jumped over is in the audit, and nothing repeats unless that was accepted.

use super::super::backend::Backend;
use super::super::commands::{draw, reset, restart, sync};
use super::super::sequence::{Sequence, format};

use seqid_core::command::{Act, Command};
use seqid_core::event::EventKind;
use seqid_core::line::Line;
use seqid_core::names::Reason;
use seqid_core::{DefinitionSpec, Number};

/// The events of a counter as kinds with their numbers: `issued 1..3`.
async fn audit(backend: &Backend, line: &Line) -> Vec<String> {
    let events = backend.events_of(line).await;
    events
        .iter()
        .map(|recorded| match recorded.event.run {
            Some(run) => format!("{} {}..{}", recorded.event.kind.as_str(), run.first, run.last()),
            None => recorded.event.kind.as_str().into(),
        })
        .collect()
}

pub async fn a_forward_reset_skips_numbers(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [draw(&line, 3), reset(&line, 1_000), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["1..3", "4 -> 1000", "1000"]);
    assert_eq!(
        audit(&backend, &line).await,
        ["issued 1..3", "skipped 4..999", "issued 1000..1000"]
    );
}

pub async fn a_reset_opens_a_counter(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(reset(&line, 5)).await, "1 -> 5");
    let state = backend.state(&line).await;
    assert_eq!((state.next, state.last), (5, None));
    assert_eq!(audit(&backend, &line).await, ["skipped 1..4"]);
}

pub async fn a_reset_to_where_the_counter_stands_changes_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(reset(&line, 1)).await, "1 -> 1");
    assert_eq!(
        backend
            .tell([draw(&line, 1), reset(&line, 2), draw(&line, 1)])
            .await,
        ["1", "2 -> 2", "2"]
    );
    assert_eq!(audit(&backend, &line).await, ["issued 1..1", "issued 2..2"]);
}

pub async fn a_backward_reset_over_numbers_that_nobody_was_offered_gives_them_back(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(
        backend.tell([draw(&line, 2), reset(&line, 100)]).await,
        ["1..2", "3 -> 100"]
    );
    assert_eq!(
        backend.tell([reset(&line, 10), draw(&line, 1)]).await,
        ["100 -> 10", "10"]
    );
    let expected = ["issued 1..2", "skipped 3..99", "returned 10..99", "issued 10..10"];
    assert_eq!(audit(&backend, &line).await, expected);
    assert_eq!(backend.state(&line).await.generation, 1);
}

pub async fn a_backward_reset_over_issued_numbers_is_refused(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(draw(&line, 5)).await, "1..5");
    for next in [1, 4, 5] {
        assert_eq!(backend.tell_one(reset(&line, next)).await, "would repeat up to 5");
    }
    assert_eq!(
        backend.tell([reset(&line, 6), draw(&line, 1)]).await,
        ["6 -> 6", "6"]
    );
}

pub async fn numbers_repeat_only_in_a_new_generation(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [draw(&line, 5), restart(&line, 1), draw(&line, 2)];
    assert_eq!(backend.tell(batch).await, ["1..5", "6 -> 1 g2", "1..2 g2"]);
    assert_eq!(backend.tell_one(reset(&line, 1)).await, "would repeat up to 2");
    assert_eq!(
        backend.tell([restart(&line, 2), draw(&line, 1)]).await,
        ["3 -> 2 g3", "2 g3"]
    );
    let expected = [
        "issued 1..5",
        "restarted",
        "issued 1..2",
        "restarted 1..1",
        "issued 2..2",
    ];
    assert_eq!(audit(&backend, &line).await, expected);
    let state = backend.state(&line).await;
    assert_eq!((state.generation, state.last.map(Number::get)), (3, Some(2)));
}

pub async fn accepting_repeats_raises_no_generation_where_nothing_repeats(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 2),
        restart(&line, 50),
        restart(&line, 40),
        restart(&line, 40),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1..2", "3 -> 50", "50 -> 40", "40 -> 40", "40"]
    );
}

pub async fn an_ended_counter_can_be_restarted(backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            max: Some(2),
            ..format("{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    let batch = [draw(&line, 2), draw(&line, 1), restart(&line, 1), draw(&line, 1)];
    assert_eq!(
        backend.tell(batch).await,
        ["1..2", "exhausted at 2", "3 -> 1 g2", "1 g2"]
    );
}

pub async fn a_reset_goes_to_members_of_the_line_alone(backend: Backend) {
    let spec = DefinitionSpec {
        start: Some(10),
        step: Some(5),
        max: Some(50),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    for next in [0, 5, 12, 51, 55] {
        assert_eq!(
            backend.tell_one(reset(&line, next)).await,
            format!("{next} is no member")
        );
        assert_eq!(
            backend.tell_one(restart(&line, next)).await,
            format!("{next} is no member")
        );
    }
    let batch = [reset(&line, 50), draw(&line, 2), draw(&line, 1), draw(&line, 1)];
    assert_eq!(
        backend.tell(batch).await,
        ["10 -> 50", "1 left", "50", "exhausted at 50"]
    );
}

pub async fn a_sync_takes_every_number_up_to_the_last_used(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [draw(&line, 1), sync(&line, 1_234), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["1", "2 -> 1235", "1235"]);
    assert_eq!(
        audit(&backend, &line).await,
        ["issued 1..1", "external 2..1234", "issued 1235..1235"]
    );
}

pub async fn a_repeated_sync_changes_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(
        backend.tell([sync(&line, 9), sync(&line, 9)]).await,
        ["1 -> 10", "10 -> 10"]
    );
    assert_eq!(
        backend
            .tell([sync(&line, 9), sync(&line, 3), draw(&line, 1)])
            .await,
        ["10 -> 10", "10 -> 10", "10"]
    );
    assert_eq!(audit(&backend, &line).await, ["external 1..9", "issued 10..10"]);
}

pub async fn a_sync_below_the_start_does_not_open_a_counter(backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            start: Some(100),
            ..format("{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(backend.tell_one(sync(&line, 99)).await, "100 -> 100");
    assert_eq!(backend.ledger.counter(line.key()).await.expect("a state"), None);
}

pub async fn a_sync_between_members_goes_to_the_next_one(backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            step: Some(10),
            ..format("{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(
        backend.tell([sync(&line, 25), draw(&line, 1)]).await,
        ["1 -> 31", "31"]
    );
    assert_eq!(audit(&backend, &line).await, ["external 1..21", "issued 31..31"]);
}

pub async fn a_sync_may_end_a_counter(backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            max: Some(10),
            ..format("{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(
        backend.tell([sync(&line, 10), draw(&line, 1)]).await,
        ["1 -> 11", "exhausted at 10"]
    );
    let line = backend.sequence("ORD").await.line();
    let last = Number::MAX.get();
    assert_eq!(
        backend.tell_one(sync(&line, last)).await,
        format!("1 -> {}", last + 1)
    );
    assert!(backend.tell_one(draw(&line, 1)).await.starts_with("exhausted"));
}

pub async fn synced_numbers_are_not_given_back(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        sync(&line, 9),
        reset(&line, 5),
        reset(&line, 20),
        reset(&line, 10),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1 -> 10", "would repeat up to 9", "10 -> 20", "20 -> 10"]
    );
}

pub async fn the_reason_is_kept(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let mut commands: Vec<Command> = vec![reset(&line, 5), sync(&line, 7), restart(&line, 2)];
    for (at, command) in commands.iter_mut().enumerate() {
        let Act::Shift(shift) = &mut command.act else {
            panic!("a shift")
        };
        shift.reason = Some(Reason::new(&format!("because of {at}")).expect("a reason"));
    }
    backend.tell(commands).await;
    let events = backend.events_of(&line).await;
    let reasons = events
        .iter()
        .map(|recorded| recorded.event.reason.as_ref().map(Reason::as_str));
    assert!(reasons.eq([Some("because of 0"), Some("because of 1"), Some("because of 2")]));
    let kinds = events.iter().map(|recorded| recorded.event.kind);
    assert!(kinds.eq([EventKind::Skipped, EventKind::External, EventKind::Restarted]));
}
