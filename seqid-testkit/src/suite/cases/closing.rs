//! Closed dates: what is refused in them, and what is not.

use super::super::backend::Backend;
use super::super::commands::{
    CommandExt, archive, close, confirm, draw, give_up, recover, reopen, reserve, reset, sync, void,
};
use super::super::sequence::{Sequence, by_year, format};
use super::chain::verify;

use seqid_core::counter::SequenceKey;
use seqid_core::event::{EventKind, Subject};
use seqid_core::period::Reset;
use seqid_core::{DefinitionSpec, Tenant};

/// All sequences of the default tenant.
fn all() -> SequenceKey {
    SequenceKey::whole(Tenant::default())
}

async fn by_month(backend: &Backend, prefix: &str) -> Sequence {
    let spec = DefinitionSpec {
        reset: Some(Reset::Month),
        ..format("{prefix}-{yyyy}{mm}-{seq}")
    };
    let sequence = Sequence::new(prefix, spec);
    backend.define(&sequence).await;
    sequence
}

pub async fn a_date_is_closed_up_to_its_last_day(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let batch = [
        close(sequence.key(), "2026-03-31"),
        draw(&sequence.on("2026-03-30"), 1),
        draw(&sequence.on("2026-03-31"), 1),
        reserve(&sequence.on("2026-03-31"), 1, 1, 60),
        draw(&sequence.on("2026-04-01"), 1),
        reserve(&sequence.on("2026-04-01"), 1, 2, 60),
    ];
    let refused = "closed through 2026-03-31";
    assert_eq!(
        backend.tell(batch).await,
        [refused, refused, refused, refused, "1", "held 2"]
    );
    verify(&backend.events().await);
}

pub async fn closing_goes_forward_and_reopening_back(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let key = sequence.key();
    let batch = [
        reopen(key, "2026-01-01"),
        close(key, "2026-03-31"),
        close(key, "2026-03-31"),
        close(key, "2026-02-28"),
        reopen(key, "2026-04-01"),
        reopen(key, "2026-03-31"),
        close(key, "2026-04-30"),
        reopen(key, "2026-03-01"),
        reopen(key, "0001-01-01"),
        draw(&sequence.on("2026-01-01"), 1),
    ];
    let told = [
        "still open",
        "closed through 2026-03-31",
        "still closed through 2026-03-31",
        "still closed through 2026-03-31",
        "still closed through 2026-03-31",
        "closed through 2026-03-30",
        "closed through 2026-04-30",
        "closed through 2026-02-28",
        "open",
        "1",
    ];
    assert_eq!(backend.tell(batch).await, told);
    let events = backend.events().await;
    let shut = events
        .iter()
        .filter(|recorded| recorded.event.subject == Subject::Sequence(key.clone()))
        .map(|recorded| {
            (
                recorded.event.kind,
                recorded.event.date.map(|date| date.to_string()),
            )
        });
    let day = |text: &str| Some(text.to_owned());
    assert_eq!(
        shut.collect::<Vec<_>>(),
        [
            (EventKind::Defined, None),
            (EventKind::Closed, day("2026-03-31")),
            (EventKind::Reopened, day("2026-03-31")),
            (EventKind::Closed, day("2026-04-30")),
            (EventKind::Reopened, day("2026-03-01")),
            (EventKind::Reopened, day("0001-01-01")),
        ]
    );
    verify(&events);
}

pub async fn what_is_closed_can_be_opened_and_drawn_from_again(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.on("2026-03-31");
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "1");
    backend.tell_one(close(sequence.key(), "2026-03-31")).await;
    assert_eq!(
        backend.tell_one(draw(&line, 1)).await,
        "closed through 2026-03-31"
    );
    backend.tell_one(reopen(sequence.key(), "2026-03-31")).await;
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "2");
    let earlier = sequence.on("2026-03-30");
    assert_eq!(
        backend.tell_one(draw(&earlier, 1)).await,
        "closed through 2026-03-30"
    );
}

pub async fn what_closes_all_closes_each_present_and_future(backend: Backend) {
    let [inv, ord] = [backend.sequence("INV").await, backend.sequence("ORD").await];
    let other = Sequence::of_tenant("acme", "INV", format("{seq}"));
    backend.define(&other).await;
    assert_eq!(
        backend.tell_one(close(&all(), "2026-03-31")).await,
        "closed through 2026-03-31"
    );
    let new = Sequence::plain("NEW");
    let line = |sequence: &Sequence| sequence.on("2026-03-31");
    let batch = [
        draw(&line(&inv), 1),
        draw(&line(&ord), 1),
        new.define(),
        draw(&line(&new), 1),
        draw(&line(&other), 1),
        draw(&new.on("2026-04-01"), 1),
    ];
    let refused = "closed through 2026-03-31 for all";
    assert_eq!(
        backend.tell(batch).await,
        [refused, refused, "v1 saved", refused, "1", "1"]
    );
    backend.tell_one(reopen(&all(), "2026-03-31")).await;
    let batch = [draw(&line(&inv), 1), draw(&line(&ord), 1), draw(&line(&new), 1)];
    assert_eq!(backend.tell(batch).await, ["1", "1", "2"]);
    verify(&backend.events().await);
}

pub async fn each_command_of_a_batch_sees_what_was_closed_before_it(backend: Backend) {
    let [inv, ord] = [backend.sequence("INV").await, backend.sequence("ORD").await];
    let new = Sequence::plain("NEW");
    let line = |sequence: &Sequence| sequence.on("2026-03-31");
    let batch = [
        draw(&line(&inv), 1),
        close(&all(), "2026-03-31"),
        draw(&line(&inv), 1),
        draw(&line(&ord), 1),
        new.define(),
        draw(&line(&new), 1),
        reopen(&all(), "2026-03-01"),
        draw(&line(&inv), 1),
        draw(&line(&new), 1),
    ];
    let refused = "closed through 2026-03-31 for all";
    let told = [
        "1",
        "closed through 2026-03-31",
        refused,
        refused,
        "v1 saved",
        refused,
        "closed through 2026-02-28",
        "2",
        "1",
    ];
    assert_eq!(backend.tell(batch).await, told);
    verify(&backend.events().await);
}

pub async fn the_later_of_both_dates_holds(backend: Backend) {
    let [inv, ord] = [backend.sequence("INV").await, backend.sequence("ORD").await];
    let batch = [
        close(&all(), "2026-02-28"),
        close(inv.key(), "2026-03-31"),
        draw(&inv.on("2026-03-31"), 1),
        draw(&ord.on("2026-02-28"), 1),
        draw(&ord.on("2026-03-01"), 1),
        close(&all(), "2026-04-30"),
        draw(&inv.on("2026-04-30"), 1),
        reopen(inv.key(), "2026-03-01"),
        reopen(inv.key(), "2026-04-30"),
        reopen(inv.key(), "2026-05-01"),
        reopen(&all(), "2026-03-01"),
        draw(&inv.on("2026-03-31"), 1),
        draw(&inv.on("2026-04-01"), 1),
        reopen(inv.key(), "2026-03-01"),
        draw(&inv.on("2026-03-01"), 1),
        draw(&inv.on("2026-02-28"), 1),
    ];
    let told = [
        "closed through 2026-02-28",
        "closed through 2026-03-31",
        "closed through 2026-03-31",
        "closed through 2026-02-28 for all",
        "1",
        "closed through 2026-04-30",
        "closed through 2026-04-30 for all",
        "all closed through 2026-04-30",
        "all closed through 2026-04-30",
        "still closed through 2026-04-30",
        "closed through 2026-02-28",
        "closed through 2026-03-31",
        "1",
        "closed through 2026-02-28",
        "2",
        "closed through 2026-02-28 for all",
    ];
    assert_eq!(backend.tell(batch).await, told);
    verify(&backend.events().await);
}

pub async fn a_reservation_of_a_closed_date_is_voided_and_not_confirmed(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.on("2026-03-31");
    let batch = [
        reserve(&line, 1, 1, 60),
        reserve(&line, 1, 2, 60),
        reserve(&line, 1, 3, 10),
        reserve(&sequence.on("2026-04-01"), 1, 4, 60),
        confirm(&line, 1, 1),
        close(sequence.key(), "2026-03-31"),
        confirm(&line, 1, 1),
        confirm(&line, 2, 2),
        give_up(&line, 2, 2),
        give_up(&line, 2, 2),
        confirm(&line, 4, 4),
    ];
    let told = [
        "held 1",
        "held 2",
        "held 3",
        "held 4",
        "confirmed 1",
        "closed through 2026-03-31",
        "again confirmed 1",
        "closed through 2026-03-31",
        "given up 2",
        "again given up 2",
        "confirmed 4",
    ];
    assert_eq!(backend.tell(batch).await, told);
    backend.at(10);
    assert_eq!(backend.tell_one(confirm(&line, 3, 3)).await, "expired before");
    assert_eq!(backend.figures(&line).await, [0, 2, 0]);
    verify(&backend.events().await);
}

pub async fn a_counter_of_a_closed_period_is_not_moved(backend: Backend) {
    let sequence = by_month(&backend, "INV").await;
    let line = sequence.on("2026-03-07");
    let moves = || {
        [
            reset(&line, 9),
            sync(&line, 9),
            void(&line, 1, 1),
            void(&line, 4, 1),
        ]
    };
    backend.tell([draw(&line, 3), void(&line, 2, 1)]).await;
    backend.tell_one(close(sequence.key(), "2026-03-30")).await;
    assert_eq!(
        backend.tell(moves()).await,
        ["4 -> 9", "9 -> 10", "void 1", "4 is skipped"]
    );
    backend.tell_one(close(sequence.key(), "2026-03-31")).await;
    let before = backend.state(&line).await;
    let refused = "closed through 2026-03-31";
    let batch = [
        reset(&line, 20),
        sync(&line, 20),
        void(&line, 3, 1),
        void(&line, 10, 1),
        void(&line, 2, 1),
        reset(&sequence.on("2026-04-01"), 5),
    ];
    assert_eq!(
        backend.tell(batch).await,
        [refused, refused, refused, refused, "again void 2", "1 -> 5"]
    );
    assert_eq!(backend.state(&line).await, before);
    // A restored store must not repeat numbers, whatever is closed.
    assert_eq!(backend.tell_one(recover(&line, 5)).await, "10 -> 15");
    verify(&backend.events().await);
}

pub async fn a_counter_without_end_can_be_moved_whatever_is_closed(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    backend.tell_one(close(sequence.key(), "2026-12-31")).await;
    assert_eq!(backend.tell_one(sync(&sequence.line(), 9)).await, "1 -> 10");
}

pub async fn a_key_is_answered_although_its_date_was_closed(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.on("2026-03-31");
    let batch = [
        draw(&line, 1).under("k"),
        close(sequence.key(), "2026-03-31"),
        draw(&line, 1).under("k"),
        draw(&line, 1).under("other"),
    ];
    assert_eq!(
        backend.tell(batch).await,
        [
            "1",
            "closed through 2026-03-31",
            "again 1",
            "closed through 2026-03-31"
        ]
    );
}

pub async fn closing_under_a_key_is_done_once(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    for key in [sequence.key().clone(), all()] {
        let batch = [
            close(&key, "2026-03-31").under("k"),
            reopen(&key, "2026-03-01").under("l"),
            close(&key, "2026-03-31").under("k"),
            close(&key, "2026-04-30").under("k"),
            draw(&sequence.on("2026-03-31"), 1),
        ];
        let told = backend.tell(batch).await;
        assert_eq!(
            told[..4],
            [
                "closed through 2026-03-31",
                "closed through 2026-02-28",
                "again",
                "key mismatch"
            ]
        );
        assert!(told[4].parse::<u64>().is_ok(), "{}", told[4]);
    }
}

pub async fn only_what_is_defined_is_closed(backend: Backend) {
    let sequence = Sequence::plain("INV");
    let batch = [
        close(sequence.key(), "2026-03-31"),
        reopen(sequence.key(), "2026-03-01"),
    ];
    assert_eq!(backend.tell(batch).await, ["not defined"; 2]);
    backend.sequence("ORD").await;
    let variant = Sequence::plain("ord");
    assert_eq!(
        backend.tell_one(close(variant.key(), "2026-03-31")).await,
        "case variant of ORD"
    );
    // Nothing is closed of a tenant without sequences, and then it is.
    assert_eq!(backend.tell_one(reopen(&all(), "2026-03-01")).await, "still open");
    assert_eq!(backend.events().await.len(), 1);
}

pub async fn all_sequences_together_are_in_no_list(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.tell_one(close(&all(), "2026-03-31")).await;
    backend.define(&sequence).await;
    backend.tell_one(close(sequence.key(), "2026-01-31")).await;
    let listed = backend.ledger.sequences(&Tenant::default(), None, 10).await;
    let listed = listed.expect("a list");
    assert_eq!(listed.len(), 1);
    let shown = backend.ledger.sequence(sequence.key()).await.expect("a record");
    assert_eq!(shown.as_ref(), listed.first());
    let shown = shown.expect("it is defined");
    let text = |date: Option<seqid_core::time::Date>| date.map(|date| date.to_string());
    assert_eq!(
        (
            text(shown.closed_through).as_deref(),
            text(shown.tenant_closed_through).as_deref()
        ),
        (Some("2026-01-31"), Some("2026-03-31"))
    );
    assert_eq!(backend.ledger.sequence(&all()).await.expect("none"), None);
    assert_eq!(backend.ledger.counters(&all(), 0, 10).await.expect("none"), []);
    let events = backend.events().await;
    assert_eq!(events[0].event.subject, Subject::Sequence(all()));
    assert_eq!(events[0].event.version, 0);
    verify(&events);
}

pub async fn an_archived_sequence_is_neither_closed_nor_opened(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let batch = [
        close(sequence.key(), "2026-03-31"),
        archive(sequence.key()),
        close(sequence.key(), "2026-04-30"),
        reopen(sequence.key(), "2026-03-01"),
        close(&all(), "2026-04-30"),
    ];
    assert_eq!(
        backend.tell(batch).await,
        [
            "closed through 2026-03-31",
            "archived",
            "archived before",
            "archived before",
            "closed through 2026-04-30"
        ]
    );
    verify(&backend.events().await);
}
