//! What was answered is still there after the store ended, whether it was closed or not.

use super::super::backend::{Backend, End};
use super::super::commands::{
    CommandExt, archive, close, confirm, draw, give_up, hold, reopen, reserve, reset, restart, sync, void,
};
use super::super::sequence::{Sequence, by_branch, by_year, day, format};
use super::chain::{live, verify};
use super::kin::with_kin;

use seqid_core::counter::SequenceKey;
use seqid_core::definition::{OnExpiry, RangeSpec};
use seqid_core::{DefinitionSpec, Tenant};

const ENDS: [End; 2] = [End::Closed, End::Crashed];

pub async fn durability_is_claimed(backend: Backend) {
    assert!(backend.ledger.capabilities().durable);
}

pub async fn numbers_go_on_where_they_ended(mut backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let mut numbers = 1_u64..;
    for end in [ENDS, ENDS, ENDS].concat() {
        for number in numbers.by_ref().take(2) {
            assert_eq!(backend.tell_one(draw(&line, 1)).await, number.to_string());
        }
        backend = backend.end(end).await;
    }
}

pub async fn the_last_draw_before_a_crash_is_kept(mut backend: Backend) {
    let line = backend.sequence("INV").await.line();
    for number in 1..=5_u64 {
        let command = || draw(&line, 1).under(&format!("call {number}"));
        assert_eq!(backend.tell_one(command()).await, number.to_string());
        backend = backend.end(End::Crashed).await;
        assert_eq!(backend.tell_one(command()).await, format!("again {number}"));
    }
}

pub async fn the_last_definition_before_a_crash_is_kept(backend: Backend) {
    let first = backend.sequence("INV").await;
    let second = first.changed(format("INV/{seq}"));
    backend.define(&second).await;
    let backend = backend.end(End::Crashed).await;
    assert_eq!(backend.tell_one(draw(&second.line(), 1)).await, "1");
    let backend = backend.end(End::Crashed).await;
    assert_eq!(
        backend.tell_one(draw(&first.line(), 1)).await,
        "changed to v2, opened with v2"
    );
}

pub async fn events_are_kept_and_their_chains_go_on(mut backend: Backend) {
    let [years, _] = live(&backend).await;
    for end in ENDS {
        let before = backend.events().await;
        backend = backend.end(end).await;
        let after = backend.events().await;
        assert_eq!(after, before);
        backend
            .tell([
                draw(&years.on("2026-05-01"), 1),
                sync(&years.on("2027-05-01"), 500),
            ])
            .await;
        verify(&backend.events().await);
        assert!(backend.events().await.len() > after.len());
    }
}

pub async fn states_and_listings_are_kept(mut backend: Backend) {
    let [years, plain] = live(&backend).await;
    for end in ENDS {
        let sequences = backend
            .ledger
            .sequences(&Tenant::default(), None, 10)
            .await
            .expect("a list");
        let counters = backend.ledger.counters(years.key(), 0, 10).await.expect("a list");
        let state = backend.state(&plain.line()).await;
        backend = backend.end(end).await;
        assert_eq!(
            backend
                .ledger
                .sequences(&Tenant::default(), None, 10)
                .await
                .expect("a list"),
            sequences
        );
        assert_eq!(
            backend.ledger.counters(years.key(), 0, 10).await.expect("a list"),
            counters
        );
        assert_eq!(backend.state(&plain.line()).await, state);
    }
}

pub async fn keys_are_kept(mut backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    let [old, new] = [sequence.on("2026-05-01"), sequence.on("2027-05-01")];
    let batch: Vec<_> = (1..=300)
        .map(|at| draw(&old, 1).under(&format!("key {at}")))
        .collect();
    backend.tell(batch.clone()).await;
    for end in ENDS {
        backend = backend.end(end).await;
        let expected: Vec<String> = (1..=300).map(|number| format!("again {number}")).collect();
        assert_eq!(backend.tell(batch.clone()).await, expected);
        assert_eq!(backend.tell_one(draw(&new, 1).under("key 7")).await, "again 7");
        assert_eq!(
            backend.tell_one(draw(&old, 2).under("key 7")).await,
            "key mismatch"
        );
    }
}

pub async fn generations_are_kept(mut backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend
        .tell([draw(&line, 5), restart(&line, 1), draw(&line, 2)])
        .await;
    for end in ENDS {
        backend = backend.end(end).await;
        assert_eq!(backend.tell_one(reset(&line, 2)).await, "would repeat up to 2");
    }
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "3 g2");
}

pub async fn names_are_kept_with_their_case(mut backend: Backend) {
    let sequence = Sequence::new("Inv", by_branch());
    backend.define(&sequence).await;
    backend.tell_one(draw(&sequence.of_branch("Jkt"), 1)).await;
    for end in ENDS {
        backend = backend.end(end).await;
        assert_eq!(
            backend.tell_one(Sequence::plain("INV").define()).await,
            "case variant of Inv"
        );
        let variant = draw(&sequence.of_branch("JKT"), 1);
        assert_eq!(backend.tell_one(variant).await, "case variant of branch=Jkt");
    }
}

pub async fn last_dates_are_kept(mut backend: Backend) {
    let spec = DefinitionSpec {
        chronological: Some(true),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    backend.tell_one(draw(&sequence.on("2026-03-05"), 1)).await;
    for end in ENDS {
        backend = backend.end(end).await;
        assert_eq!(
            backend.tell_one(draw(&sequence.on("2026-03-04"), 1)).await,
            "before 2026-03-05"
        );
    }
}

pub async fn the_end_of_a_counter_is_kept(mut backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            max: Some(3),
            ..format("{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    backend.tell_one(draw(&line, 3)).await;
    for end in ENDS {
        backend = backend.end(end).await;
        assert_eq!(backend.tell_one(draw(&line, 1)).await, "exhausted at 3");
    }
}

pub async fn a_refused_command_leaves_nothing_behind(mut backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            max: Some(3),
            ..format("{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    for end in ENDS {
        assert_eq!(backend.tell_one(draw(&line, 4).under("k")).await, "3 left");
        backend = backend.end(end).await;
        assert_eq!(backend.ledger.counter(line.key()).await.expect("a state"), None);
        assert_eq!(backend.events().await.len(), 1);
    }
}

pub async fn acknowledged_events_are_not_taken_again(mut backend: Backend) {
    live(&backend).await;
    let all = backend.events().await;
    for (at, end) in ENDS.into_iter().enumerate() {
        let acknowledged = 2 * at + 2;
        let position = all[acknowledged - 1].position;
        backend
            .events_source()
            .acknowledge(position)
            .await
            .expect("it is acknowledged");
        backend = backend.end(end).await;
        let taken = backend.events_source().take(100).await.expect("events");
        assert_eq!(taken, all[acknowledged..]);
    }
}

pub async fn reservations_are_kept(mut backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        reserve(&line, 2, 1, 60),
        reserve(&line, 1, 2, 60).under("k"),
        reserve(&line, 1, 3, 60),
        reserve(&line, 1, 4, 600),
        confirm(&line, 1, 1),
        give_up(&line, 3, 2),
    ];
    backend.tell(batch).await;
    for end in ENDS {
        let (state, marks) = (backend.state(&line).await, backend.marks(&line).await);
        let mut records = Vec::new();
        for n in 1..=5 {
            records.push(backend.ledger.reservation(&hold(n)).await.expect("a record"));
        }
        backend = backend.end(end).await;
        assert_eq!(backend.state(&line).await, state);
        assert_eq!(backend.marks(&line).await, marks);
        for (n, record) in (1..).zip(records) {
            assert_eq!(
                backend.ledger.reservation(&hold(n)).await.expect("a record"),
                record
            );
        }
        let batch = [
            confirm(&line, 1, 1),
            give_up(&line, 3, 2),
            confirm(&line, 3, 2),
            reserve(&line, 1, 9, 60).under("k"),
            confirm(&line, 6, 5),
        ];
        let told = [
            "again confirmed 1..2",
            "again given up 3",
            "given up before",
            "again held 3",
            "no reservation",
        ];
        assert_eq!(backend.tell(batch).await, told);
        assert_eq!(backend.state(&line).await, state);
    }
    let batch = [confirm(&line, 4, 3), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["confirmed 4", "6"]);
    assert_eq!(backend.marked(&line).await, ["voided 3", "reserved 5"]);
    verify(&backend.events().await);
}

pub async fn the_last_confirmation_before_a_crash_is_kept(mut backend: Backend) {
    let line = backend.sequence("INV").await.line();
    for n in 1..=5_u64 {
        assert_eq!(
            backend.tell_one(reserve(&line, 1, n, 60)).await,
            format!("held {n}")
        );
        backend = backend.end(End::Crashed).await;
        assert_eq!(
            backend.tell_one(confirm(&line, n, n)).await,
            format!("confirmed {n}")
        );
        backend = backend.end(End::Crashed).await;
        assert_eq!(
            backend.tell_one(confirm(&line, n, n)).await,
            format!("again confirmed {n}")
        );
    }
}

pub async fn holds_that_ended_while_the_store_was_down_are_let_go(mut backend: Backend) {
    let kept = backend.sequence("KEPT").await.line();
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..format("{prefix}-{seq}")
    };
    let reused = Sequence::new("REUSED", spec);
    backend.define(&reused).await;
    let reused = reused.line();
    for (round, end) in (0_u64..).zip(ENDS) {
        let now = 100 * round;
        backend.at(now);
        let [kept_next, reused_next] = [3 * round + 1, 2 * round + 1];
        let holds = [
            reserve(&kept, 1, 10 * round, 10),
            reserve(&reused, 1, 10 * round + 1, 10),
            reserve(&kept, 1, 10 * round + 2, 90),
            reserve(&reused, 1, 10 * round + 3, 90),
        ];
        backend.tell(holds).await;
        backend = backend.end(end).await;
        backend.at(now + 9);
        assert_eq!(
            backend.tell_one(sync(&kept, 0)).await,
            format!("{0} -> {0}", kept_next + 2)
        );
        assert_eq!(backend.state(&kept).await.reserved, 2, "not early");
        backend = backend.end(end).await;
        backend.at(now + 50);
        assert_eq!(backend.state(&kept).await.reserved, 2, "not by itself");
        let batch = [
            confirm(&kept, kept_next, 10 * round),
            confirm(&reused, reused_next, 10 * round + 1),
            draw(&kept, 1),
            draw(&reused, 1),
            confirm(&kept, kept_next + 1, 10 * round + 2),
            confirm(&reused, reused_next + 1, 10 * round + 3),
        ];
        let told = [
            "expired before".to_owned(),
            "expired before".to_owned(),
            (kept_next + 2).to_string(),
            reused_next.to_string(),
            format!("confirmed {}", kept_next + 1),
            format!("confirmed {}", reused_next + 1),
        ];
        assert_eq!(backend.tell(batch).await, told);
    }
    assert_eq!(backend.marked(&kept).await, ["expired 1", "expired 4"]);
    assert!(backend.marked(&reused).await.is_empty());
    verify(&backend.events().await);
}

pub async fn free_numbers_are_kept(mut backend: Backend) {
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    backend.tell([reserve(&line, 5, 1, 10), draw(&line, 1)]).await;
    backend.at(10);
    for (number, end) in [1, 2].into_iter().zip(ENDS) {
        assert_eq!(backend.tell_one(draw(&line, 1)).await, number.to_string());
        backend = backend.end(end).await;
        assert_eq!(backend.marked(&line).await, [format!("free {}..5", number + 1)]);
    }
    let batch = [draw(&line, 3), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["3..5", "7"]);
}

pub async fn voids_are_kept(mut backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 3),
        void(&line, 2, 1),
        void(&line, 4, 2),
        reset(&line, 9),
    ];
    backend.tell(batch).await;
    for end in ENDS {
        backend = backend.end(end).await;
        assert_eq!(
            backend.marked(&line).await,
            ["voided 2", "voided 4..5", "skipped 6..8"]
        );
        let batch = [void(&line, 2, 1), void(&line, 4, 2), void(&line, 6, 1)];
        assert_eq!(
            backend.tell(batch).await,
            ["again void 2", "again void 4..5", "6 is skipped"]
        );
    }
    assert_eq!(backend.tell_one(reset(&line, 7)).await, "9 -> 7");
    backend = backend.end(End::Crashed).await;
    assert_eq!(
        backend.marked(&line).await,
        ["voided 2", "voided 4..5", "skipped 6"]
    );
}

pub async fn closed_dates_are_kept(mut backend: Backend) {
    let all = SequenceKey::whole(Tenant::default());
    let [inv, ord] = [backend.sequence("INV").await, backend.sequence("ORD").await];
    let held = inv.on("2026-03-01");
    let batch = [
        reserve(&held, 1, 1, 60),
        close(inv.key(), "2026-03-31"),
        close(&all, "2026-02-28").under("k"),
    ];
    backend.tell(batch).await;
    for end in ENDS {
        backend = backend.end(end).await;
        let batch = [
            draw(&inv.on("2026-03-31"), 1),
            draw(&ord.on("2026-02-28"), 1),
            confirm(&held, 1, 1),
            reopen(inv.key(), "2026-02-01"),
            close(&all, "2026-02-28").under("k"),
            close(&all, "2026-01-31"),
        ];
        let told = [
            "closed through 2026-03-31",
            "closed through 2026-02-28 for all",
            "closed through 2026-03-31",
            "all closed through 2026-02-28",
            "again",
            "still closed through 2026-02-28",
        ];
        assert_eq!(backend.tell(batch).await, told);
    }
    backend
        .tell([reopen(&all, "2026-01-01"), reopen(inv.key(), "2026-03-01")])
        .await;
    backend = backend.end(End::Crashed).await;
    let batch = [
        confirm(&held, 1, 1),
        draw(&ord.on("2026-01-01"), 1),
        draw(&inv.on("2026-02-28"), 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["confirmed 1", "1", "closed through 2026-02-28"]
    );
    verify(&backend.events().await);
}

pub async fn the_end_of_a_sequence_is_kept(mut backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.line();
    backend.tell([draw(&line, 2), reserve(&line, 1, 1, 60)]).await;
    for end in ENDS {
        backend = backend.end(end).await;
        assert_eq!(backend.tell_one(archive(sequence.key())).await, "1 reserved");
    }
    let batch = [give_up(&line, 3, 1), archive(sequence.key())];
    assert_eq!(backend.tell(batch).await, ["given up 3", "archived"]);
    for end in ENDS {
        backend = backend.end(end).await;
        let batch = [draw(&line, 1), sequence.define(), archive(sequence.key())];
        assert_eq!(
            backend.tell(batch).await,
            ["archived before", "archived before", "again archived"]
        );
        let record = backend.ledger.sequence(sequence.key()).await.expect("a record");
        assert!(record.expect("it is there").archived);
    }
    verify(&backend.events().await);
}

pub async fn a_counter_goes_on_in_its_range(mut backend: Backend) {
    let ended = RangeSpec {
        valid_until: Some(day("2026-03-31")),
        ..RangeSpec::new(1, 5)
    };
    let spec = DefinitionSpec {
        ranges: Some(vec![ended, RangeSpec::new(11, 15)]),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(backend.tell_one(draw(&line, 2)).await, "1..2");
    backend.set_clock("2026-04-01T00:00:00Z");
    let keyed = || draw(&line, 1).under("one");
    assert_eq!(backend.tell_one(keyed()).await, "11");
    for (end, number) in ENDS.into_iter().zip(12..) {
        let events = backend.events().await;
        backend = backend.end(end).await;
        assert_eq!(backend.events().await, events);
        assert_eq!(backend.tell_one(keyed()).await, "again 11");
        assert_eq!(backend.tell_one(draw(&line, 1)).await, number.to_string());
        assert_eq!(backend.marked(&line).await, ["skipped 3..5", "skipped 6..10"]);
        verify(&backend.events().await);
    }
}

pub async fn a_key_is_found_in_another_sequence_of_the_chain(mut backend: Backend) {
    let (first, second) = (backend.sequence("A").await, backend.sequence("B").await);
    let (a, b) = (first.line(), second.line());
    let of_first = || with_kin(draw(&a, 2), &second, "one");
    assert_eq!(
        backend.tell_one(with_kin(draw(&b, 2), &first, "one")).await,
        "1..2"
    );
    for end in ENDS {
        backend = backend.end(end).await;
        assert_eq!(backend.tell_one(of_first()).await, "again 1..2");
        assert_eq!(backend.ledger.counter(a.key()).await.expect("a state"), None);
    }
}
