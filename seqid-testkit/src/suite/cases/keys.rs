//! A key has one effect, however often it is used.

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw, reset, sync};
use super::super::sequence::{Sequence, by_branch, by_year, format};

use seqid_core::DefinitionSpec;

pub async fn a_repeated_key_is_answered_with_the_first_grant(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(
        backend.tell([draw(&line, 1), draw(&line, 3).under("k")]).await,
        ["1", "2..4"]
    );
    for _ in 0..3 {
        assert_eq!(backend.tell_one(draw(&line, 3).under("k")).await, "again 2..4");
    }
    assert_eq!(
        backend.tell([draw(&line, 3).under("k"), draw(&line, 1)]).await,
        ["again 2..4", "5"]
    );
}

pub async fn a_replay_leaves_no_event(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell_one(draw(&line, 3).under("k")).await;
    let (state, events) = (backend.state(&line).await, backend.events().await);
    backend.tell_one(draw(&line, 3).under("k")).await;
    assert_eq!(backend.state(&line).await, state);
    assert_eq!(backend.events().await, events);
}

pub async fn twins_in_a_batch_draw_once(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let twin = || draw(&line, 2).under("k");
    let batch = [twin(), draw(&line, 1), twin(), twin(), draw(&line, 1)];
    assert_eq!(
        backend.tell(batch).await,
        ["1..2", "3", "again 1..2", "again 1..2", "4"]
    );
}

pub async fn another_request_under_a_used_key_is_refused(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(draw(&line, 2).under("k")).await, "1..2");
    assert_eq!(backend.tell_one(draw(&line, 3).under("k")).await, "key mismatch");
    assert_eq!(backend.tell_one(sync(&line, 9).under("k")).await, "key mismatch");
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "3");
}

pub async fn another_request_under_a_key_of_the_batch_is_refused(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 2).under("k"),
        draw(&line, 3).under("k"),
        draw(&line, 2).under("k"),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1..2", "key mismatch", "again 1..2", "3"]
    );
}

pub async fn a_key_is_found_in_another_period(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    let [old, new] = [sequence.on("2026-12-31"), sequence.on("2027-01-01")];
    assert_eq!(backend.tell_one(draw(&old, 1).under("k")).await, "1");
    assert_eq!(
        backend.tell([draw(&new, 1).under("k"), draw(&new, 1)]).await,
        ["again 1", "1"]
    );
    assert_eq!(backend.next(&old).await, 2);
}

pub async fn twins_of_two_periods_draw_once(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    let [old, new] = [sequence.on("2026-12-31"), sequence.on("2027-01-01")];
    let replies = backend
        .tell([draw(&old, 1).under("k"), draw(&new, 1).under("k")])
        .await;
    let drawn = replies.iter().filter(|reply| *reply == "1").count();
    assert_eq!(
        (drawn, replies.contains(&"again 1".to_owned())),
        (1, true),
        "{replies:?}"
    );
}

pub async fn a_key_is_found_after_the_definition_changed(backend: Backend) {
    let first = backend.sequence("INV").await;
    assert_eq!(backend.tell_one(draw(&first.line(), 1).under("k")).await, "1");
    let second = first.changed(format("INV/{seq}"));
    backend.define(&second).await;
    assert_eq!(
        backend.tell_one(draw(&first.line(), 1).under("k")).await,
        "again 1"
    );
    assert_eq!(
        backend.tell_one(draw(&second.line(), 1).under("k")).await,
        "again 1"
    );
}

pub async fn a_key_is_found_in_another_scope(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    let [jkt, sub] = [sequence.of_branch("JKT"), sequence.of_branch("SUB")];
    assert_eq!(
        backend.tell([draw(&jkt, 1), draw(&jkt, 1).under("k")]).await,
        ["1", "2"]
    );
    assert_eq!(backend.tell_one(draw(&sub, 1).under("k")).await, "again 2");
}

pub async fn a_key_belongs_to_its_sequence(backend: Backend) {
    let [a, b] = [
        backend.sequence("A").await.line(),
        backend.sequence("B").await.line(),
    ];
    assert_eq!(
        backend
            .tell([draw(&a, 2).under("k"), draw(&b, 1).under("k")])
            .await,
        ["1..2", "1"]
    );
    assert_eq!(
        backend
            .tell([draw(&a, 2).under("k"), draw(&b, 1).under("k")])
            .await,
        ["again 1..2", "again 1"]
    );
}

pub async fn keys_differ_by_letter_case_and_by_blanks(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let keys = ["k", "K", " k", "k ", "k%", "k_", "'", "k\\"];
    for round in ["", "again "] {
        let replies = backend.tell(keys.map(|key| draw(&line, 1).under(key))).await;
        let expected: Vec<String> = (1..=keys.len())
            .map(|number| format!("{round}{number}"))
            .collect();
        assert_eq!(replies, expected);
    }
}

pub async fn a_refused_draw_leaves_its_key_free(backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            max: Some(2),
            ..format("{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(backend.tell_one(draw(&line, 3).under("k")).await, "2 left");
    assert_eq!(
        backend
            .tell([draw(&line, 3).under("l"), draw(&line, 2).under("l")])
            .await,
        ["2 left", "1..2"]
    );
    assert_eq!(
        backend.tell_one(draw(&line, 1).under("k")).await,
        "exhausted at 2"
    );
    assert_eq!(backend.tell_one(draw(&line, 2).under("l")).await, "again 1..2");
}

pub async fn a_move_under_a_key_is_done_once(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(reset(&line, 10).under("k")).await, "1 -> 10");
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "10");
    assert_eq!(backend.tell_one(reset(&line, 10).under("k")).await, "again 1..9");
    assert_eq!(backend.tell_one(draw(&line, 1).under("k")).await, "key mismatch");
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "11");
}

pub async fn old_keys_are_found_among_many(backend: Backend) {
    const KEYS: u64 = 3_000;
    let line = backend.sequence("INV").await.line();
    // In an order in which no index is filled from one end.
    let key = |at: u64| format!("{:016x}", (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let batches = |at: u64| {
        (at..at + 500)
            .map(|at| draw(&line, 1).under(&key(at)))
            .collect::<Vec<_>>()
    };
    for at in (0..KEYS).step_by(500) {
        let expected: Vec<String> = (at + 1..=at + 500).map(|number| number.to_string()).collect();
        assert_eq!(backend.tell(batches(at)).await, expected);
    }
    for at in (0..KEYS).step_by(500) {
        let expected: Vec<String> = (at + 1..=at + 500)
            .map(|number| format!("again {number}"))
            .collect();
        assert_eq!(backend.tell(batches(at)).await, expected);
    }
}

pub async fn the_longest_key_is_kept_whole(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let [one, other] = [format!("{}a", "k".repeat(254)), format!("{}b", "k".repeat(254))];
    assert_eq!(
        backend
            .tell([draw(&line, 1).under(&one), draw(&line, 1).under(&other)])
            .await,
        ["1", "2"]
    );
    assert_eq!(backend.tell_one(draw(&line, 1).under(&other)).await, "again 2");
}
