//! What numbers a counter gives out, up to its last.

use seqid_core::command::Reply;
use seqid_core::{DefinitionSpec, Number};

use super::super::backend::Backend;
use super::super::commands::draw;
use super::super::sequence::{Sequence, by_branch, by_year, format};

async fn defined(backend: &Backend, spec: DefinitionSpec) -> Sequence {
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    sequence
}

pub async fn numbers_begin_at_1_and_follow_one_another(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    for expected in ["1", "2", "3"] {
        assert_eq!(backend.tell_one(draw(&line, 1)).await, expected);
    }
    assert_eq!(backend.tell_one(draw(&line, 10)).await, "4..13");
    assert_eq!(backend.next(&line).await, 14);
}

pub async fn a_counter_may_start_at_0(backend: Backend) {
    let line = defined(
        &backend,
        DefinitionSpec {
            start: Some(0),
            ..format("{seq}")
        },
    )
    .await
    .line();
    assert_eq!(
        backend.tell([draw(&line, 1), draw(&line, 2)]).await,
        ["0", "1..2"]
    );
}

pub async fn a_counter_may_take_larger_steps(backend: Backend) {
    let spec = DefinitionSpec {
        start: Some(7),
        step: Some(5),
        max: Some(30),
        ..format("{seq}")
    };
    let line = defined(&backend, spec).await.line();
    assert_eq!(
        backend.tell([draw(&line, 1), draw(&line, 2)]).await,
        ["7", "12..17"]
    );
    // 22 and 27 are members, 30 is not.
    assert_eq!(
        backend.tell([draw(&line, 3), draw(&line, 2)]).await,
        ["2 left", "22..27"]
    );
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "exhausted at 30");
}

pub async fn the_last_number_is_given_out_and_none_after_it(backend: Backend) {
    let line = defined(
        &backend,
        DefinitionSpec {
            max: Some(3),
            ..format("{seq}")
        },
    )
    .await
    .line();
    assert_eq!(
        backend.tell([draw(&line, 2), draw(&line, 1)]).await,
        ["1..2", "3"]
    );
    assert_eq!(
        backend.tell([draw(&line, 1), draw(&line, 2)]).await,
        ["exhausted at 3", "exhausted at 3"]
    );
}

pub async fn a_batch_that_just_fits_is_given_out(backend: Backend) {
    let line = defined(
        &backend,
        DefinitionSpec {
            max: Some(5),
            ..format("{seq}")
        },
    )
    .await
    .line();
    assert_eq!(
        backend.tell([draw(&line, 6), draw(&line, 5)]).await,
        ["5 left", "1..5"]
    );
}

pub async fn numbers_go_up_to_2_to_the_63_minus_1(backend: Backend) {
    let last = Number::MAX.get();
    let spec = DefinitionSpec {
        start: Some(last - 2),
        max: Some(last),
        ..format("{seq}")
    };
    let line = defined(&backend, spec).await.line();
    let batch = [
        draw(&line, 4),
        draw(&line, 1),
        draw(&line, 3),
        draw(&line, 2),
        draw(&line, 1),
    ];
    let expected = [
        "3 left".to_owned(),
        format!("{}", last - 2),
        "2 left".to_owned(),
        format!("{}..{last}", last - 1),
        format!("exhausted at {last}"),
    ];
    assert_eq!(backend.tell(batch).await, expected);
    assert_eq!(
        backend.tell_one(draw(&line, 1)).await,
        format!("exhausted at {last}")
    );
    assert_eq!(backend.state(&line).await.last, Some(Number::MAX));
}

pub async fn large_steps_do_not_overflow(backend: Backend) {
    let step = Number::MAX.get() - 1;
    let spec = DefinitionSpec {
        step: Some(step),
        max: Some(Number::MAX.get()),
        ..format("{seq}")
    };
    let line = defined(&backend, spec).await.line();
    let expected = [
        "2 left".to_owned(),
        format!("1..{}", step + 1),
        format!("exhausted at {}", step + 1),
    ];
    assert_eq!(
        backend
            .tell([draw(&line, u32::MAX), draw(&line, 2), draw(&line, 1)])
            .await,
        expected
    );
}

pub async fn a_refused_draw_leaves_no_trace(backend: Backend) {
    let line = defined(
        &backend,
        DefinitionSpec {
            max: Some(2),
            ..format("{seq}")
        },
    )
    .await
    .line();
    assert_eq!(backend.tell_one(draw(&line, 3)).await, "2 left");
    assert_eq!(
        backend.ledger.counter(line.key()).await.expect("a state"),
        None,
        "the counter did not open"
    );
    assert_eq!(backend.tell_one(draw(&line, 2)).await, "1..2");
    let (state, events) = (backend.state(&line).await, backend.events().await);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "exhausted at 2");
    assert_eq!(backend.state(&line).await, state);
    assert_eq!(backend.events().await, events);
}

pub async fn a_grant_tells_its_place_in_the_chain_and_its_time(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    for n in 1..=3 {
        backend.set_clock(&format!("2026-03-07T11:00:00.00000{n}Z"));
        let replies = backend.apply([draw(&line, 2)]).await;
        let Ok(Reply::Granted(granted)) = &replies[0] else {
            panic!("{replies:?}")
        };
        assert_eq!((granted.n, granted.generation, granted.epoch), (n, 1, 1));
        assert_eq!(granted.at.to_string(), format!("2026-03-07T11:00:00.00000{n}Z"));
    }
}

pub async fn each_scope_has_a_counter_of_its_own(backend: Backend) {
    let sequence = defined(&backend, by_branch()).await;
    let [jkt, sub] = [sequence.of_branch("JKT"), sequence.of_branch("SUB")];
    let batch = [draw(&jkt, 2), draw(&sub, 1), draw(&jkt, 1), draw(&sub, 2)];
    assert_eq!(backend.tell(batch).await, ["1..2", "1", "3", "2..3"]);
}

pub async fn each_period_has_a_counter_of_its_own(backend: Backend) {
    let sequence = defined(&backend, by_year()).await;
    let [old, new] = [sequence.on("2026-12-31"), sequence.on("2027-01-01")];
    let batch = [
        draw(&old, 2),
        draw(&new, 1),
        draw(&old, 1),
        draw(&sequence.on("2026-01-01"), 1),
    ];
    assert_eq!(backend.tell(batch).await, ["1..2", "1", "3", "4"]);
}

pub async fn the_state_says_what_is_next_and_what_was_last(backend: Backend) {
    let sequence = defined(
        &backend,
        DefinitionSpec {
            step: Some(10),
            ..format("{seq}")
        },
    )
    .await;
    let line = sequence.line();
    assert_eq!(backend.ledger.counter(line.key()).await.expect("a state"), None);
    backend.tell_one(draw(&line, 3)).await;
    let state = backend.state(&line).await;
    assert_eq!((state.next, state.last.map(Number::get)), (31, Some(21)));
    assert_eq!(
        (state.version, state.generation, state.epoch, state.chain.n),
        (1, 1, 1, 1)
    );
}
