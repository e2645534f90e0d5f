//! Holds that end by themselves: at the first write after their time, and never before it.

use std::time::Duration;

use super::super::backend::Backend;
use super::super::begin;
use super::super::commands::{
    confirm, draw, expire, give_up, hold, number, recover, reserve, reset, restart, sync, void,
};
use super::super::sequence::{Sequence, format};

use seqid_core::DefinitionSpec;
use seqid_core::command::Command;
use seqid_core::definition::OnExpiry;
use seqid_core::event::EventKind;
use seqid_core::ledger::Refusal;
use seqid_core::mark::NumberState;
use seqid_core::store::StoreError;

/// More than one write lets go.
const MANY: u64 = 200;

/// A sequence whose numbers are offered again.
fn reusing() -> DefinitionSpec {
    DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..format("{prefix}-{seq}")
    }
}

/// The two kinds of sequences.
async fn both(backend: &Backend) -> [Sequence; 2] {
    let kept = backend.sequence("KEPT").await;
    let reused = Sequence::new("REUSED", reusing());
    backend.define(&reused).await;
    [kept, reused]
}

async fn reused(backend: &Backend) -> std::sync::Arc<seqid_core::line::Line> {
    let sequence = Sequence::new("INV", reusing());
    backend.define(&sequence).await;
    sequence.line()
}

/// How many events of a kind the store has.
async fn count(backend: &Backend, kind: EventKind) -> usize {
    let events = backend.events().await;
    events
        .iter()
        .filter(|recorded| recorded.event.kind == kind)
        .count()
}

pub async fn an_expired_number_stays_a_gap(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend
        .tell([reserve(&line, 2, 1, 10), reserve(&line, 1, 2, 60)])
        .await;
    backend.at(10);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "4");
    assert_eq!(backend.marked(&line).await, ["expired 1..2", "reserved 3"]);
    assert_eq!(backend.figures(&line).await, [1, 2, 0]);
    let record = backend.ledger.reservation(&hold(1)).await.expect("a record");
    let ended = record.and_then(|record| record.ended).expect("an end");
    assert_eq!((ended.kind, ended.at), (EventKind::Expired, ten_seconds_later()));
    assert_eq!(ended.origin.actor, None, "nobody asked for it");
    let batch = [draw(&line, 1), confirm(&line, 3, 2)];
    assert_eq!(backend.tell(batch).await, ["5", "confirmed 3"]);
    assert_eq!(count(&backend, EventKind::Expired).await, 1);
}

fn ten_seconds_later() -> seqid_core::time::Timestamp {
    begin().saturating_add(Duration::from_secs(10))
}

pub async fn a_hold_lasts_to_its_last_instant(backend: Backend) {
    let [kept, reused] = both(&backend).await;
    let last = ten_seconds_later().saturating_sub(Duration::from_micros(1));
    for (line, n) in [(kept.line(), 1), (reused.line(), 3)] {
        backend.at(0);
        backend
            .tell([reserve(&line, 1, n, 10), reserve(&line, 1, n + 1, 10)])
            .await;
        backend.clock.set(last);
        assert_eq!(backend.tell_one(confirm(&line, 1, n)).await, "confirmed 1");
        backend.clock.set(ten_seconds_later());
        assert_eq!(backend.tell_one(confirm(&line, 2, n + 1)).await, "expired before");
    }
}

pub async fn the_lowest_free_number_is_given_out_next(backend: Backend) {
    let line = reused(&backend).await;
    let batch = [
        draw(&line, 1),
        reserve(&line, 1, 1, 10),
        reserve(&line, 2, 2, 5),
        draw(&line, 1),
    ];
    assert_eq!(backend.tell(batch).await, ["1", "held 2", "held 3..4", "5"]);
    backend.at(10);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "2");
    assert_eq!(backend.marked(&line).await, ["free 3..4"]);
    assert_eq!(backend.figures(&line).await, [0, 0, 2]);
    let batch = [draw(&line, 1), draw(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["3", "4", "6"]);
    assert!(backend.marked(&line).await.is_empty());
    assert_eq!(backend.figures(&line).await, [0, 0, 0]);
}

pub async fn a_number_is_offered_several_times_and_issued_once(backend: Backend) {
    let line = reused(&backend).await;
    for round in 0..4 {
        backend.at(10 * round);
        assert_eq!(backend.tell_one(reserve(&line, 1, round, 10)).await, "held 1");
        assert_eq!(backend.marked(&line).await, ["reserved 1"]);
    }
    // Those who were offered it before have it no more, whether it is held or issued.
    for issued in [false, true] {
        for earlier in 0..3 {
            assert_eq!(
                backend.tell_one(confirm(&line, 1, earlier)).await,
                "expired before"
            );
        }
        let last = if issued {
            "again confirmed 1"
        } else {
            "confirmed 1"
        };
        assert_eq!(backend.tell_one(confirm(&line, 1, 3)).await, last);
    }
    backend.at(3600);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "2");
    assert_eq!(count(&backend, EventKind::Expired).await, 3);
    assert_eq!(count(&backend, EventKind::Confirmed).await, 1);
}

pub async fn a_confirmed_number_is_not_offered_again(backend: Backend) {
    let line = reused(&backend).await;
    backend
        .tell([reserve(&line, 1, 1, 10), reserve(&line, 1, 2, 10)])
        .await;
    assert_eq!(backend.tell_one(confirm(&line, 1, 1)).await, "confirmed 1");
    backend.at(60);
    let batch = [draw(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["2", "3"]);
    assert_eq!(backend.tell_one(confirm(&line, 1, 1)).await, "again confirmed 1");
}

pub async fn a_voided_number_is_not_offered_again(backend: Backend) {
    let line = reused(&backend).await;
    let batch = [
        reserve(&line, 1, 1, 10),
        give_up(&line, 1, 1),
        draw(&line, 1),
        void(&line, 2, 1),
    ];
    assert_eq!(backend.tell(batch).await, ["held 1", "given up 1", "2", "void 2"]);
    backend.at(60);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "3");
    assert_eq!(backend.marked(&line).await, ["voided 1", "voided 2"]);
}

pub async fn a_late_confirmation_is_refused(backend: Backend) {
    for (line, state) in both(&backend).await.iter().zip(["expired 1", "free 1"]) {
        let line = line.line();
        let n = if state == "free 1" { 1 } else { 2 };
        backend.at(0);
        backend.tell_one(reserve(&line, 1, n, 10)).await;
        backend.at(30);
        // It is the write that lets go, so that the next one finds the hold ended.
        for _ in 0..2 {
            let replies = backend.apply([confirm(&line, 1, n)]).await;
            let [Err(StoreError::Refused(Refusal::HoldExpired { at }))] = replies[..] else {
                panic!("{replies:?}")
            };
            assert_eq!(at, ten_seconds_later(), "when it ended, not when that was seen");
        }
        assert_eq!(backend.tell_one(give_up(&line, 1, n)).await, "expired before");
        assert_eq!(backend.marked(&line).await, [state]);
        assert_eq!(backend.events_of(&line).await.len(), 2);
    }
}

pub async fn every_write_lets_go(backend: Backend) {
    type Write = fn(&std::sync::Arc<seqid_core::line::Line>) -> Command;
    let writes: [(Write, &str); 7] = [
        (|line| draw(line, 1), "2"),
        (|line| reserve(line, 1, 99, 60), "held 2"),
        (|line| confirm(line, 1, 77), "no reservation"),
        (|line| void(line, 1, 1), "1 is expired"),
        (|line| sync(line, 5), "2 -> 6"),
        (|line| reset(line, 2), "2 -> 2"),
        (|line| restart(line, 1), "2 -> 1 g2"),
    ];
    for (n, (write, told)) in (0..).zip(writes) {
        let line = backend.sequence(&format!("INV{n}")).await.line();
        backend.at(0);
        backend.tell_one(reserve(&line, 1, n, 10)).await;
        backend.at(10);
        assert_eq!(backend.tell_one(write(&line)).await, told);
        let marks = backend.marked(&line).await;
        assert_eq!(
            marks.first().map(String::as_str),
            Some("expired 1"),
            "after {told}"
        );
        let record = backend.ledger.reservation(&hold(n)).await.expect("a record");
        let ended = record.and_then(|record| record.ended);
        assert_eq!(ended.map(|ended| ended.kind), Some(EventKind::Expired));
    }
}

pub async fn reading_lets_nothing_go(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell_one(reserve(&line, 1, 1, 10)).await;
    let (state, events) = (backend.state(&line).await, backend.events().await);
    let marks = backend.marks(&line).await;
    backend.at(60);
    let record = backend.ledger.reservation(&hold(1)).await.expect("a record");
    assert_eq!(record.expect("a reservation").ended, None);
    assert_eq!(backend.state(&line).await, state);
    assert_eq!(backend.marks(&line).await, marks);
    assert_eq!(backend.events().await, events);
    // Who reads them computes what they are.
    let now = begin().saturating_add(Duration::from_secs(60));
    assert_eq!(marks[0].state_at(begin()), NumberState::Reserved);
    assert_eq!(marks[0].state_at(now), NumberState::Expired);
}

pub async fn another_counters_holds_are_left_alone(backend: Backend) {
    let [kept, reused] = both(&backend).await;
    let lines = [kept.line(), reused.line()];
    backend
        .tell([reserve(&lines[0], 1, 1, 10), reserve(&lines[1], 1, 2, 10)])
        .await;
    backend.at(10);
    backend.tell_one(draw(&lines[0], 1)).await;
    assert_eq!(backend.marked(&lines[0]).await, ["expired 1"]);
    assert_eq!(backend.marked(&lines[1]).await, ["reserved 1"]);
}

pub async fn many_holds_that_end_at_once_are_let_go_over_several_writes(backend: Backend) {
    for (at, sequence) in (0..).zip(both(&backend).await) {
        let line = sequence.line();
        backend.at(0);
        let holds: Vec<Command> = (0..MANY).map(|n| reserve(&line, 1, 1_000 * at + n, 10)).collect();
        backend.tell(holds).await;
        backend.at(10);
        let mut left = vec![MANY];
        while left[left.len() - 1] > 0 {
            assert!(left.len() < 20, "{left:?}");
            backend.tell_one(reset(&line, MANY + 1)).await;
            left.push(backend.state(&line).await.reserved);
        }
        assert!(left.len() > 2, "one write lets go of some: {left:?}");
        assert!(left.is_sorted_by(|before, after| before > after), "{left:?}");
        assert_eq!(backend.state(&line).await.next_expiry, None);
        let events = backend.events_of(&line).await;
        let mut let_go: Vec<u64> = events
            .iter()
            .filter(|recorded| recorded.event.kind == EventKind::Expired)
            .filter_map(|recorded| Some(recorded.event.run?.first.get()))
            .collect();
        let_go.sort_unstable();
        assert!(let_go.into_iter().eq(1..=MANY), "each once");
        let [_, voided, free] = backend.figures(&line).await;
        assert_eq!([voided, free], if at == 0 { [MANY, 0] } else { [0, MANY] });
    }
}

pub async fn a_late_confirmation_among_many_is_refused(backend: Backend) {
    for (at, sequence) in (0..).zip(both(&backend).await) {
        let line = sequence.line();
        backend.at(0);
        let holds: Vec<Command> = (0..MANY).map(|n| reserve(&line, 1, 1_000 * at + n, 10)).collect();
        backend.tell(holds).await;
        backend.at(10);
        for n in [MANY - 1, MANY - 2, 0] {
            let late = confirm(&line, n + 1, 1_000 * at + n);
            assert_eq!(backend.tell_one(late).await, "expired before");
        }
        while backend.state(&line).await.reserved > 0 {
            backend.tell_one(reset(&line, MANY + 1)).await;
        }
        let expired = count(&backend, EventKind::Expired).await as u64;
        assert_eq!(expired, MANY * (at + 1), "each once");
    }
}

pub async fn holds_end_in_the_order_of_their_time(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        reserve(&line, 1, 1, 30),
        reserve(&line, 1, 2, 10),
        reserve(&line, 1, 3, 20),
    ];
    backend.tell(batch).await;
    let mut marks = ["reserved 1", "reserved 2", "reserved 3"];
    for (seconds, expired) in [
        (10, Some((1, "expired 2"))),
        (15, None),
        (20, Some((2, "expired 3"))),
    ] {
        backend.at(seconds);
        if let Some((at, mark)) = expired {
            marks[at] = mark;
        }
        backend.tell_one(draw(&line, 1)).await;
        assert_eq!(backend.marked(&line).await, marks);
    }
    // One that begins later may end sooner.
    backend.tell_one(reserve(&line, 1, 4, 5)).await;
    backend.at(25);
    backend.tell_one(draw(&line, 1)).await;
    assert_eq!(
        backend.marked(&line).await,
        ["reserved 1", "expired 2", "expired 3", "expired 7"]
    );
}

pub async fn a_clock_that_is_set_back_expires_nothing_early(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.at(100);
    backend
        .tell([reserve(&line, 1, 1, 10), reserve(&line, 1, 2, 60)])
        .await;
    backend.at(0);
    backend.tell([draw(&line, 1), reserve(&line, 1, 3, 5)]).await;
    assert_eq!(
        backend.marked(&line).await,
        ["reserved 1", "reserved 2", "reserved 4"]
    );
    backend.at(109);
    let batch = [confirm(&line, 1, 1), confirm(&line, 4, 3)];
    assert_eq!(backend.tell(batch).await, ["confirmed 1", "expired before"]);
    assert_eq!(backend.tell_one(confirm(&line, 2, 2)).await, "confirmed 2");
}

pub async fn what_was_let_go_stays_so_when_the_clock_is_set_back(backend: Backend) {
    for (at, sequence) in (0..).zip(both(&backend).await) {
        let line = sequence.line();
        backend.at(0);
        backend.tell_one(reserve(&line, 1, at, 10)).await;
        backend.at(10);
        backend.tell_one(reset(&line, 2)).await;
        let marks = backend.marked(&line).await;
        backend.at(0);
        assert_eq!(backend.tell_one(confirm(&line, 1, at)).await, "expired before");
        assert_eq!(backend.marked(&line).await, marks);
    }
}

pub async fn a_batch_takes_free_numbers_that_are_enough_for_all_of_it(backend: Backend) {
    let line = reused(&backend).await;
    backend.tell([reserve(&line, 4, 1, 10), draw(&line, 1)]).await;
    backend.at(10);
    assert_eq!(backend.tell_one(draw(&line, 5)).await, "6..10");
    assert_eq!(backend.marked(&line).await, ["free 1..4"]);
    assert_eq!(backend.tell_one(draw(&line, 2)).await, "1..2");
    assert_eq!(backend.marked(&line).await, ["free 3..4"]);
    let batch = [draw(&line, 3), reserve(&line, 2, 2, 60), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["11..13", "held 3..4", "14"]);
    assert_eq!(backend.marked(&line).await, ["reserved 3..4"]);
    assert_eq!(backend.figures(&line).await, [2, 0, 0]);
}

pub async fn free_numbers_are_given_out_of_a_counter_that_has_ended(backend: Backend) {
    let spec = DefinitionSpec {
        max: Some(2),
        ..reusing()
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    let batch = [reserve(&line, 1, 1, 10), draw(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["held 1", "2", "exhausted at 2"]);
    backend.at(10);
    let batch = [draw(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["1", "exhausted at 2"]);
}

pub async fn a_new_generation_offers_none_of_the_old(backend: Backend) {
    let line = reused(&backend).await;
    backend.tell([reserve(&line, 3, 1, 10), draw(&line, 1)]).await;
    backend.at(10);
    let batch = [restart(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["5 -> 1 g2", "1 g2"]);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "2 g2");
    assert_eq!(backend.figures(&line).await, [0, 0, 0]);
}

pub async fn a_sync_takes_free_numbers_up_to_the_last_used(backend: Backend) {
    let line = reused(&backend).await;
    backend.tell([reserve(&line, 3, 1, 10), draw(&line, 1)]).await;
    backend.at(10);
    assert_eq!(backend.tell_one(sync(&line, 2)).await, "5 -> 5");
    assert_eq!(backend.marked(&line).await, ["external 1..2", "free 3"]);
    assert_eq!(backend.figures(&line).await, [0, 0, 1]);
    let batch = [draw(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["3", "5"]);
}

pub async fn a_sync_beyond_the_counter_takes_all_free_numbers(backend: Backend) {
    let line = reused(&backend).await;
    let batch = [reserve(&line, 1, 1, 10), draw(&line, 1), reserve(&line, 1, 2, 10)];
    backend.tell(batch).await;
    backend.at(10);
    let batch = [sync(&line, 6), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["4 -> 7", "7"]);
    assert_eq!(
        backend.marked(&line).await,
        ["external 1", "external 3", "external 4..6"]
    );
}

pub async fn a_new_epoch_offers_nothing_of_the_one_before(backend: Backend) {
    let line = reused(&backend).await;
    let batch = [reserve(&line, 2, 1, 10), reserve(&line, 1, 2, 20), draw(&line, 1)];
    backend.tell(batch).await;
    backend.at(10);
    assert_eq!(backend.tell_one(recover(&line, 5)).await, "5 -> 10");
    backend.at(20);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "10");
    assert_eq!(
        backend.marked(&line).await,
        ["unknown 1..2", "expired 3", "unknown 5..9"]
    );
    // What begins in the new epoch is offered again as ever.
    backend.tell_one(reserve(&line, 1, 3, 10)).await;
    backend.at(30);
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "11");
}

pub async fn steps_are_kept_among_free_numbers(backend: Backend) {
    let spec = DefinitionSpec {
        start: Some(5),
        step: Some(10),
        ..reusing()
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(backend.tell_one(reserve(&line, 3, 1, 10)).await, "held 5..25");
    backend.at(10);
    let batch = [draw(&line, 1), draw(&line, 1), draw(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["5", "15", "25", "35"]);
    let last = backend.state(&line).await.last;
    assert_eq!(last, Some(number(35)));
}

pub async fn holds_are_let_go_and_nothing_else_is_done(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.line();
    let never = Sequence::plain("NEVER");
    let batch = [expire(&line), expire(&never.line())];
    assert_eq!(backend.tell(batch).await, ["0 let go"; 2]);
    assert_eq!(backend.events().await.len(), 1);
    for n in 0..70 {
        backend.tell_one(reserve(&line, 1, n, 10)).await;
    }
    backend.tell_one(reserve(&line, 1, 70, 60)).await;
    backend.at(9);
    assert_eq!(backend.tell_one(expire(&line)).await, "0 let go");
    backend.at(10);
    let variant = Sequence::plain("inv");
    assert_eq!(backend.tell_one(expire(&variant.line())).await, "0 let go");
    assert_eq!(
        backend.tell([expire(&line), expire(&line)]).await,
        ["64 let go, more left", "0 let go, more left"]
    );
    assert_eq!(backend.figures(&line).await, [7, 64, 0]);
    assert_eq!(backend.tell_one(expire(&line)).await, "6 let go");
    assert_eq!(backend.tell_one(expire(&line)).await, "0 let go");
    assert_eq!(backend.figures(&line).await, [1, 70, 0]);
    assert_eq!(backend.next(&line).await, 72);
    super::chain::verify(&backend.events().await);
}
