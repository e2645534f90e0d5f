//! A chronological sequence gives later dates larger numbers.

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw};
use super::super::sequence::{Sequence, by_year, day, format};

use seqid_core::DefinitionSpec;

async fn chronological(backend: &Backend, prefix: &str) -> Sequence {
    let spec = DefinitionSpec {
        chronological: Some(true),
        ..format("{prefix}-{seq}")
    };
    let sequence = Sequence::new(prefix, spec);
    backend.define(&sequence).await;
    sequence
}

pub async fn an_earlier_date_than_the_last_is_refused(backend: Backend) {
    let sequence = chronological(&backend, "INV").await;
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-03-02"), 1)).await, "1");
    assert_eq!(
        backend.tell_one(draw(&sequence.on("2026-03-01"), 1)).await,
        "before 2026-03-02"
    );
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-03-02"), 1)).await, "2");
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-03-04"), 1)).await, "3");
    assert_eq!(
        backend.tell_one(draw(&sequence.on("2026-03-03"), 1)).await,
        "before 2026-03-04"
    );
    assert_eq!(
        backend.state(&sequence.line()).await.last_date,
        Some(day("2026-03-04"))
    );
}

pub async fn draws_of_a_batch_are_taken_in_the_order_of_their_dates(backend: Backend) {
    let sequence = chronological(&backend, "INV").await;
    let dates = ["2026-03-05", "2026-03-01", "2026-03-03", "2026-03-01"];
    let replies = backend.tell(dates.map(|date| draw(&sequence.on(date), 1))).await;
    assert_eq!(replies, ["4", "1", "3", "2"]);
    let events = backend.events_of(&sequence.line()).await;
    assert!(events.is_sorted_by_key(|recorded| recorded.event.date));
}

pub async fn twins_of_a_batch_draw_once_in_any_order_of_dates(backend: Backend) {
    let sequence = chronological(&backend, "INV").await;
    let [late, early] = [sequence.on("2026-03-05"), sequence.on("2026-03-01")];
    let batch = [
        draw(&late, 1).under("k"),
        draw(&early, 1),
        draw(&late, 1).under("k"),
    ];
    assert_eq!(backend.tell(batch).await, ["2", "1", "again 2"]);
}

pub async fn a_refused_draw_leaves_the_last_date(backend: Backend) {
    let spec = DefinitionSpec {
        chronological: Some(true),
        max: Some(3),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-03-01"), 1)).await, "1");
    assert_eq!(
        backend.tell_one(draw(&sequence.on("2026-03-05"), 3)).await,
        "2 left"
    );
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-03-02"), 1)).await, "2");
}

pub async fn a_replay_needs_no_later_date(backend: Backend) {
    let sequence = chronological(&backend, "INV").await;
    assert_eq!(
        backend
            .tell_one(draw(&sequence.on("2026-03-01"), 1).under("k"))
            .await,
        "1"
    );
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-03-05"), 1)).await, "2");
    assert_eq!(
        backend
            .tell_one(draw(&sequence.on("2026-03-01"), 1).under("k"))
            .await,
        "again 1"
    );
}

pub async fn counters_have_last_dates_of_their_own(backend: Backend) {
    let spec = DefinitionSpec {
        chronological: Some(true),
        ..by_year()
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let batch = [
        draw(&sequence.on("2027-01-05"), 1),
        draw(&sequence.on("2026-12-31"), 1),
    ];
    assert_eq!(backend.tell(batch).await, ["1", "1"]);
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-12-31"), 1)).await, "2");
}

pub async fn other_sequences_take_any_date(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let dates = ["2026-03-05", "2026-03-01", "2026-03-03"];
    assert_eq!(
        backend.tell(dates.map(|date| draw(&sequence.on(date), 1))).await,
        ["1", "2", "3"]
    );
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-01-01"), 1)).await, "4");
    assert_eq!(backend.state(&sequence.line()).await.last_date, None);
}
