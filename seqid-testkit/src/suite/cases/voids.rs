//! Numbers that are declared void, and what every other move leaves of the numbers that it passes over.

use super::super::backend::Backend;
use super::super::commands::{
    CommandExt, because, confirm, draw, give_up, reserve, reset, restart, sync, void,
};
use super::super::sequence::{Sequence, format};

use seqid_core::DefinitionSpec;
use seqid_core::command::{Command, Reply, Voided};
use seqid_core::event::EventKind;

pub async fn an_issued_number_stays_taken_when_it_is_void(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [draw(&line, 5), void(&line, 2, 2), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["1..5", "void 2..3", "6"]);
    assert_eq!(backend.marked(&line).await, ["voided 2..3"]);
    assert_eq!(backend.figures(&line).await, [0, 2, 0]);
    let events = backend.events_of(&line).await;
    let event = &events[1].event;
    assert_eq!(
        (event.kind, &event.reason),
        (EventKind::Voided, &Some(because("void")))
    );
    assert_eq!(event.hold, None);
}

pub async fn voiding_again_changes_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell([draw(&line, 5), void(&line, 2, 2)]).await;
    let (state, events) = (backend.state(&line).await, backend.events().await);
    let batch = [void(&line, 2, 2), void(&line, 2, 2)];
    assert_eq!(backend.tell(batch).await, ["again void 2..3"; 2]);
    // A part of it, or more than it, is another request.
    let batch = [void(&line, 3, 1), void(&line, 1, 3), void(&line, 3, 2)];
    assert_eq!(
        backend.tell(batch).await,
        ["3 is voided", "2 is voided", "3 is voided"]
    );
    assert_eq!(backend.state(&line).await, state);
    assert_eq!(backend.events().await, events);
}

pub async fn a_void_sees_what_its_batch_did(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 2),
        void(&line, 1, 1),
        void(&line, 1, 1),
        reserve(&line, 1, 1, 60),
        void(&line, 3, 1),
        reset(&line, 10),
        void(&line, 4, 1),
        confirm(&line, 3, 1),
        void(&line, 3, 1),
    ];
    let told = [
        "1..2",
        "void 1",
        "again void 1",
        "held 3",
        "3 is reserved",
        "4 -> 10",
        "4 is skipped",
        "confirmed 3",
        "void 3",
    ];
    assert_eq!(backend.tell(batch).await, told);
    assert_eq!(
        backend.marked(&line).await,
        ["voided 1", "voided 3", "skipped 4..9"]
    );
    assert_eq!(backend.figures(&line).await, [0, 2, 0]);
}

pub async fn only_issued_numbers_are_voided(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        reserve(&line, 1, 1, 10),
        reserve(&line, 1, 2, 60),
        draw(&line, 1),
        reset(&line, 5),
        sync(&line, 5),
        draw(&line, 2),
    ];
    backend.tell(batch).await;
    backend.at(10);
    let refused = [
        (1, 1, "1 is expired"),
        (2, 1, "2 is reserved"),
        (2, 2, "2 is reserved"),
        (3, 2, "4 is skipped"),
        (5, 2, "5 is external"),
        (7, 2, "8 is not issued yet"),
        (9, 1, "9 is not the next number"),
    ];
    for (first, count, told) in refused {
        assert_eq!(backend.tell_one(void(&line, first, count)).await, told);
    }
    let state = backend.state(&line).await;
    assert_eq!((state.next, state.voided, state.reserved), (8, 1, 1));
    let batch = [void(&line, 6, 2), void(&line, 3, 1)];
    assert_eq!(backend.tell(batch).await, ["void 6..7", "void 3"]);
}

pub async fn a_free_number_is_not_voided(backend: Backend) {
    let spec = DefinitionSpec {
        on_expiry: Some(seqid_core::definition::OnExpiry::Reuse),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    backend.tell([reserve(&line, 1, 1, 10), draw(&line, 1)]).await;
    backend.at(10);
    let batch = [void(&line, 1, 1), draw(&line, 1), void(&line, 1, 1)];
    assert_eq!(backend.tell(batch).await, ["1 is free", "1", "void 1"]);
}

pub async fn a_confirmed_number_is_voided_like_any_other(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        reserve(&line, 2, 1, 60),
        confirm(&line, 1, 1),
        void(&line, 1, 2),
        confirm(&line, 1, 1),
        give_up(&line, 1, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        [
            "held 1..2",
            "confirmed 1..2",
            "void 1..2",
            "again confirmed 1..2",
            "confirmed before"
        ]
    );
    assert_eq!(backend.marked(&line).await, ["voided 1..2"]);
}

pub async fn the_next_numbers_are_jumped_over(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [draw(&line, 1), void(&line, 2, 3), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["1", "void 2..4", "5"]);
    assert_eq!(backend.marked(&line).await, ["voided 2..4"]);
    assert_eq!(backend.figures(&line).await, [0, 3, 0]);
    assert_eq!(backend.tell_one(void(&line, 2, 3)).await, "again void 2..4");
    // Nobody was offered them, and yet they do not come back.
    assert_eq!(backend.tell_one(void(&line, 6, 2)).await, "void 6..7");
    assert_eq!(backend.tell_one(reset(&line, 6)).await, "would repeat up to 7");
}

pub async fn a_void_says_whether_the_numbers_were_issued(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell_one(draw(&line, 1)).await;
    for (command, issued) in [(void(&line, 1, 1), true), (void(&line, 2, 1), false)] {
        let replies = backend.apply([command]).await;
        let [Ok(Reply::Voided(Voided { were_issued, .. }))] = replies[..] else {
            panic!("{replies:?}")
        };
        assert_eq!(were_issued, issued);
    }
}

pub async fn a_void_may_open_a_counter(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(
        backend.tell_one(void(&line, 2, 1)).await,
        "2 is not the next number"
    );
    assert_eq!(backend.ledger.counter(line.key()).await.expect("a state"), None);
    let batch = [void(&line, 1, 2), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["void 1..2", "3"]);
    assert_eq!(backend.marked(&line).await, ["voided 1..2"]);
}

pub async fn a_void_is_of_numbers_of_the_counter(backend: Backend) {
    let spec = DefinitionSpec {
        start: Some(10),
        step: Some(5),
        max: Some(50),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    backend.tell_one(draw(&line, 8)).await;
    for first in [0, 5, 12, 51, 55] {
        let told = backend.tell_one(void(&line, first, 1)).await;
        assert_eq!(told, format!("{first} is no member"));
    }
    let batch = [
        void(&line, 40, 4),
        void(&line, 40, u64::MAX),
        void(&line, 15, 2),
        void(&line, 50, 1),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["3 left", "3 left", "void 15..20", "void 50", "exhausted at 50"]
    );
}

pub async fn a_void_under_a_key_is_done_once(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let jump = || void(&line, 1, 2).under("k");
    assert_eq!(backend.tell([jump(), jump()]).await, ["void 1..2", "again 1..2"]);
    assert_eq!(backend.tell_one(jump()).await, "again 1..2");
    assert_eq!(backend.tell_one(draw(&line, 1).under("k")).await, "key mismatch");
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "3");
}

pub async fn moves_leave_marks(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 2),
        sync(&line, 4),
        draw(&line, 1),
        reset(&line, 10),
        draw(&line, 1),
    ];
    backend.tell(batch).await;
    assert_eq!(backend.marked(&line).await, ["external 3..4", "skipped 6..9"]);
    backend.tell_one(restart(&line, 4)).await;
    assert_eq!(
        backend.marked(&line).await,
        ["external 3..4", "skipped 6..9", "skipped 1..3 g2"]
    );
    assert_eq!(backend.figures(&line).await, [0, 0, 0]);
}

/// The same moves one by one, and in one batch, where each must see the marks of those before it.
pub async fn returned_numbers_lose_their_marks(backend: Backend) {
    let moves = |line| -> [Command; 5] {
        [
            draw(line, 2),
            reset(line, 100),
            reset(line, 10),
            draw(line, 1),
            reset(line, 50),
        ]
    };
    let one_by_one = backend.sequence("ONE").await.line();
    for command in moves(&one_by_one) {
        backend.tell_one(command).await;
    }
    let together = backend.sequence("ALL").await.line();
    backend.tell(moves(&together)).await;
    for line in [one_by_one, together] {
        assert_eq!(backend.marked(&line).await, ["skipped 3..9", "skipped 11..49"]);
        let batch = [reset(&line, 60), reset(&line, 20), reset(&line, 11)];
        assert_eq!(backend.tell(batch).await, ["50 -> 60", "60 -> 20", "20 -> 11"]);
        assert_eq!(backend.marked(&line).await, ["skipped 3..9"]);
        assert_eq!(backend.tell_one(reset(&line, 3)).await, "would repeat up to 10");
    }
}
