//! Numbers in the hands of holders: leased, reported, given back, lost.

use std::sync::Arc;

use seqid_core::DefinitionSpec;
use seqid_core::Mode;
use seqid_core::command::Reply;
use seqid_core::event::EventKind;
use seqid_core::lease::{Lease, LeaseId};
use seqid_core::line::Line;
use seqid_core::verify::Verifier;

use super::super::backend::Backend;
use super::super::begin;
use super::super::commands::{
    CommandExt, archive, because, close, draw, extend, freeze, give_back, history, lease, lease_id, lose,
    process, recover, report, reset, sync, void,
};
use super::super::sequence::{Sequence, format};

/// A sequence of a mode whose numbers can be leased.
async fn of_mode(backend: &Backend, mode: Mode) -> Sequence {
    let spec = DefinitionSpec {
        mode: Some(mode),
        ..format("{prefix}-{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    sequence
}

/// Takes the first lease of so many numbers by a history.
async fn first(backend: &Backend, line: &Arc<Line>, count: u64) -> Lease {
    taken(backend, lease(line, 1, history("one", 1), count, None)).await
}

async fn taken(backend: &Backend, command: seqid_core::command::Command) -> Lease {
    match backend.apply([command]).await.remove(0) {
        Ok(Reply::Leased(lease)) => *lease,
        other => panic!("{other:?}"),
    }
}

/// The open leases of a sequence.
async fn open(backend: &Backend, sequence: &Sequence) -> Vec<LeaseId> {
    let page = backend.ledger.leases(sequence.key(), None, 10).await;
    let page = page.expect("the leases can be read");
    page.into_iter().map(|record| record.lease.id).collect()
}

/// The events of the store lead to the state that it keeps.
async fn require_sound(backend: &Backend, line: &Line) {
    let mut verifier = Verifier::new().ids();
    verifier.expect_counter(line.key().clone(), backend.state(line).await);
    for recorded in backend.events().await {
        verifier.event(&recorded);
    }
    let report = verifier.finish();
    assert_eq!((report.faults, report.remarks), (vec![], vec![]));
}

pub async fn a_lease_moves_its_counter_and_its_numbers_are_pending(backend: Backend) {
    let sequence = of_mode(&backend, Mode::Ordered).await;
    let line = sequence.line();
    let taken = first(&backend, &line, 10).await;
    assert_eq!(
        (taken.epoch, taken.run.map(|run| run.last().get())),
        (2, Some(10))
    );
    let state = backend.state(&line).await;
    assert_eq!((state.next, state.epoch, state.leases), (11, 2, 1));
    assert_eq!(backend.marked(&line).await, ["pending 1..10"]);
    let events = backend.events_of(&line).await;
    let event = &events[0].event;
    assert_eq!((event.kind, event.epoch), (EventKind::Leased, 2));
    assert_eq!(event.detail.as_deref(), Some(&*taken.to_json()));
    assert_eq!(open(&backend, &sequence).await, [lease_id(1)]);
    require_sound(&backend, &line).await;
}

pub async fn asking_again_leases_nothing_twice(backend: Backend) {
    let line = of_mode(&backend, Mode::Ordered).await.line();
    let taken = first(&backend, &line, 10).await;
    let batch = [
        lease(&line, 1, history("one", 1), 10, None),
        lease(&line, 1, history("other", 1), 10, None),
        extend(&line, 1, 10, 5),
        extend(&line, 1, 10, 5),
        give_back(&line, &taken, 1),
        lease(&line, 1, history("one", 1), 10, None),
    ];
    let told = [
        "open 1..10 e2",
        "lease of another",
        "open 1..15 e2",
        "open 1..15 e2",
        "lease is e2",
        "open 1..15 e2",
    ];
    assert_eq!(backend.tell(batch).await, told);
    assert_eq!(backend.next(&line).await, 16);
    assert_eq!(backend.marked(&line).await, ["pending 1..15"]);
    require_sound(&backend, &line).await;
}

pub async fn what_a_holder_reports_is_issued(backend: Backend) {
    let sequence = of_mode(&backend, Mode::Ordered).await;
    let line = sequence.line();
    first(&backend, &line, 10).await;
    backend.at(60);
    let batch = [
        report(&line, 1, 1, 2, begin()),
        report(&line, 1, 3, 1, begin()).under("k"),
        report(&line, 1, 7, 1, begin()),
    ];
    assert_eq!(backend.tell(batch).await, ["1..2", "3", "7"]);
    assert_eq!(backend.marked(&line).await, ["pending 4..6", "pending 8..10"]);
    let events = backend.events_of(&line).await;
    let reported = &events[1];
    assert_eq!(
        (reported.event.kind, reported.event.at),
        (EventKind::Reported, begin())
    );
    assert_eq!(reported.event.epoch, 2);
    let ids = reported.ids.clone();
    assert_eq!(ids, Some(("INV-1".into(), "INV-2".into())));
    // Each of them is reported once.
    let batch = [
        report(&line, 1, 2, 1, begin()),
        report(&line, 1, 3, 2, begin()),
        report(&line, 1, 10, 2, begin()),
        report(&line, 2, 4, 1, begin()),
    ];
    let told = [
        "2 is not pending",
        "3 is not pending",
        "10 is not pending",
        "no lease",
    ];
    assert_eq!(backend.tell(batch).await, told);
    require_sound(&backend, &line).await;
}

pub async fn the_number_of_a_call_that_came_twice_is_void(backend: Backend) {
    let line = of_mode(&backend, Mode::Ordered).await.line();
    first(&backend, &line, 10).await;
    let batch = [
        report(&line, 1, 1, 1, begin()).under("k"),
        report(&line, 1, 2, 1, begin()).under("k"),
        report(&line, 1, 3, 1, begin()),
    ];
    assert_eq!(backend.tell(batch).await, ["1", "2", "3"]);
    assert_eq!(
        backend.tell_one(report(&line, 1, 4, 1, begin()).under("k")).await,
        "4"
    );
    assert_eq!(
        backend.marked(&line).await,
        ["voided 2", "voided 4", "pending 5..10"]
    );
    let events = backend.events_of(&line).await;
    assert_eq!(events[2].event.reason, Some(because("superseded by key")));
    assert_eq!(backend.figures(&line).await, [0, 2, 0]);
    require_sound(&backend, &line).await;
}

pub async fn a_lease_goes_on_with_the_numbers_behind_it(backend: Backend) {
    let line = of_mode(&backend, Mode::Leased).await.line();
    let one = taken(&backend, lease(&line, 1, process("one"), 3, None)).await;
    let batch = [report(&line, 1, 1, 3, begin()), extend(&line, 1, 3, 2)];
    assert_eq!(backend.tell(batch).await, ["1..3", "open 1..5 e2"]);
    assert_eq!(backend.marked(&line).await, ["pending 4..5"]);
    let batch = [
        report(&line, 1, 4, 1, begin()),
        extend(&line, 1, 5, 2),
        // One draw may cross where the lease ended before.
        report(&line, 1, 5, 2, begin()),
        lease(&line, 2, process("two"), 1, None),
        extend(&line, 1, 7, 2),
        extend(&line, 3, 7, 2),
    ];
    let told = [
        "4",
        "open 1..7 e2",
        "5..6",
        "open 8 e3",
        "lease is behind",
        "no lease",
    ];
    assert_eq!(backend.tell(batch).await, told);
    let one = Lease {
        run: one.run.map(|run| seqid_core::counter::Run { count: 7, ..run }),
        ..one
    };
    let batch = [give_back(&line, &one, 7), extend(&line, 1, 7, 2)];
    assert_eq!(
        backend.tell(batch).await,
        ["closed 1..7 e2", "lease ended before"]
    );
    assert_eq!(backend.marked(&line).await, ["skipped 7", "pending 8"]);
    require_sound(&backend, &line).await;
}

pub async fn what_is_given_back_on_top_is_given_out_again(backend: Backend) {
    let sequence = of_mode(&backend, Mode::Ordered).await;
    let line = sequence.line();
    let taken = first(&backend, &line, 10).await;
    let batch = [
        report(&line, 1, 1, 3, begin()),
        give_back(&line, &taken, 3),
        give_back(&line, &taken, 11),
    ];
    // All three were issued: a holder that says otherwise contradicts itself.
    let told = ["1..3", "3 is not pending", "closed 1..10 e2"];
    assert_eq!(backend.tell(batch).await, told);
    assert_eq!(backend.marked(&line).await, ["pending 4..10"]);
    assert_eq!(open(&backend, &sequence).await, []);
    let line = of_mode_named(&backend, "ORD").await.line();
    // Leases of two counters may have one name.
    let taken = first(&backend, &line, 10).await;
    let batch = [
        report(&line, 1, 1, 3, begin()),
        give_back(&line, &taken, 5),
        give_back(&line, &taken, 5),
        report(&line, 1, 4, 1, begin()),
        // Under a key, since a store may lease what it gives out without one.
        draw(&line, 1).under("k"),
    ];
    let told = ["1..3", "closed 1..4 e2", "closed 1..4 e2", "4", "5"];
    assert_eq!(backend.tell(batch).await, told);
    assert!(backend.marked(&line).await.is_empty());
    require_sound(&backend, &line).await;
}

async fn of_mode_named(backend: &Backend, prefix: &str) -> Sequence {
    let spec = DefinitionSpec {
        mode: Some(Mode::Ordered),
        ..format("{prefix}-{seq}")
    };
    let sequence = Sequence::new(prefix, spec);
    backend.define(&sequence).await;
    sequence
}

pub async fn a_lease_that_was_not_needed_leaves_no_trace_of_its_numbers(backend: Backend) {
    let line = of_mode(&backend, Mode::Ordered).await.line();
    let before = first(&backend, &line, 10).await;
    assert_eq!(
        backend.tell_one(give_back(&line, &before, 1)).await,
        "closed nothing e2"
    );
    let state = backend.state(&line).await;
    assert_eq!((state.next, state.last, state.leases), (1, None, 0));
    assert!(backend.marked(&line).await.is_empty());
    let batch = [
        lease(&line, 2, history("one", 1), 4, None),
        // Asked for again late: it gives out nothing.
        lease(&line, 1, history("one", 1), 10, None),
    ];
    assert_eq!(backend.tell(batch).await, ["open 1..4 e3", "closed nothing e2"]);
    require_sound(&backend, &line).await;
}

pub async fn a_history_takes_over_and_what_was_left_is_unknown(backend: Backend) {
    let sequence = of_mode(&backend, Mode::Ordered).await;
    let line = sequence.line();
    let one = first(&backend, &line, 10).await;
    let batch = [
        report(&line, 1, 1, 2, begin()),
        report(&line, 1, 5, 1, begin()),
        lease(&line, 2, history("two", 2), 5, None),
        lease(&line, 2, history("two", 2), 5, Some(&one)),
    ];
    let told = ["1..2", "5", "lease is e2", "open 11..15 e3"];
    assert_eq!(backend.tell(batch).await, told);
    let marked = ["unknown 3..4", "unknown 6..10", "pending 11..15"];
    assert_eq!(backend.marked(&line).await, marked);
    assert_eq!(backend.state(&line).await.leases, 1);
    assert_eq!(open(&backend, &sequence).await, [lease_id(2)]);
    // What comes to light later is issued, and what its history proves unissued is skipped.
    let batch = [
        report(&line, 1, 3, 2, begin()),
        report(&line, 1, 6, 1, begin()),
        give_back(&line, &one, 8),
    ];
    assert_eq!(backend.tell(batch).await, ["3..4", "6", "closed 1..10 e2"]);
    let marked = ["unknown 7", "skipped 8..10", "pending 11..15"];
    assert_eq!(backend.marked(&line).await, marked);
    assert_eq!(backend.state(&line).await.leases, 1);
    require_sound(&backend, &line).await;
}

pub async fn a_history_that_was_taken_over_from_comes_back_only_if_it_is_chosen_anew(backend: Backend) {
    let line = of_mode(&backend, Mode::Ordered).await.line();
    let one = first(&backend, &line, 10).await;
    let two = taken(&backend, lease(&line, 2, history("two", 3), 10, Some(&one))).await;
    let batch = [
        lease(&line, 3, history("one", 3), 10, Some(&two)),
        lease(&line, 3, history("three", 2), 10, Some(&two)),
        lease(&line, 3, history("three", 3), 10, Some(&one)),
        lease(&line, 3, history("three", 3), 10, Some(&two)),
    ];
    let told = ["one is gone", "topology is 3", "lease is e3", "open 21..30 e4"];
    assert_eq!(backend.tell(batch).await, told);
    // One that goes on with its own takes over from nobody, however often it loses it.
    let three = taken(&backend, lease(&line, 3, history("three", 3), 10, None)).await;
    let six = taken(&backend, lease(&line, 6, history("three", 3), 10, Some(&three))).await;
    let seven = taken(&backend, lease(&line, 7, history("three", 3), 10, Some(&six))).await;
    let batch = [
        lose(&line, &seven),
        lease(&line, 8, history("one", 3), 10, None),
        lease(&line, 8, history("three", 3), 10, None),
    ];
    let told = ["lost 41..50 e6", "one is gone", "open 51..60 e7"];
    assert_eq!(backend.tell(batch).await, told);
    // One that closed its lease may have another; one that it followed may not, though nobody holds anything.
    let eight = taken(&backend, lease(&line, 8, history("three", 3), 10, None)).await;
    let batch = [
        give_back(&line, &eight, 55),
        lease(&line, 4, history("one", 3), 10, None),
        lease(&line, 4, history("three", 3), 10, None),
    ];
    let told = ["closed 51..54 e7", "one is gone", "open 55..64 e8"];
    assert_eq!(backend.tell(batch).await, told);
    let four = taken(&backend, lease(&line, 4, history("three", 3), 10, None)).await;
    let anew = lease(&line, 5, history("one", 4), 10, Some(&four));
    assert_eq!(backend.tell_one(anew).await, "open 65..74 e9");
    require_sound(&backend, &line).await;
}

pub async fn two_histories_cannot_take_over_from_one(backend: Backend) {
    let line = of_mode(&backend, Mode::Ordered).await.line();
    let one = first(&backend, &line, 10).await;
    let batch = [
        lease(&line, 2, history("two", 2), 10, Some(&one)),
        lease(&line, 3, history("three", 2), 10, Some(&one)),
    ];
    assert_eq!(backend.tell(batch).await, ["open 11..20 e3", "lease is e3"]);
    require_sound(&backend, &line).await;
}

pub async fn nothing_changes_what_a_holder_relies_on(backend: Backend) {
    let sequence = of_mode(&backend, Mode::Ordered).await;
    let line = sequence.line();
    let taken = first(&backend, &line, 10).await;
    let changed = sequence.changed(DefinitionSpec {
        description: Some("changed".into()),
        ..sequence.definition().spec().clone()
    });
    let whole = seqid_core::counter::SequenceKey::whole(sequence.key().tenant.clone());
    let refused = || {
        [
            draw(&line, 1),
            reset(&line, 100),
            sync(&line, 100),
            void(&line, 11, 1),
            changed.define(),
            archive(sequence.key()),
            close(sequence.key(), "2026-03-07"),
            close(&whole, "2026-03-07"),
        ]
    };
    assert_eq!(backend.tell(refused()).await, ["1 leased"; 8]);
    // Each on its own as well: then the counter is not loaded for its neighbours.
    for command in refused() {
        assert_eq!(backend.tell_one(command).await, "1 leased");
    }
    let batch = [give_back(&line, &taken, 1), changed.define()];
    assert_eq!(backend.tell(batch).await, ["closed nothing e2", "v2 saved"]);
    assert_eq!(
        backend.tell_one(close(&whole, "2026-03-07")).await,
        "closed through 2026-03-07"
    );
    require_sound(&backend, &line).await;
}

pub async fn processes_lease_beside_the_store(backend: Backend) {
    let line = of_mode(&backend, Mode::Leased).await.line();
    let one = taken(&backend, lease(&line, 1, process("one"), 10, None)).await;
    let batch = [
        lease(&line, 2, process("two"), 10, None),
        draw(&line, 1).under("k"),
        report(&line, 2, 11, 1, begin()),
        report(&line, 1, 1, 4, begin()),
        lose(&line, &one),
        lose(&line, &one),
        draw(&line, 1).under("l"),
    ];
    let told = [
        "open 11..20 e3",
        "21",
        "11",
        "1..4",
        "lost 1..10 e2",
        "lost 1..10 e2",
        "22",
    ];
    assert_eq!(backend.tell(batch).await, told);
    let marked = ["unknown 5..10", "pending 12..20"];
    assert_eq!(backend.marked(&line).await, marked);
    require_sound(&backend, &line).await;
}

pub async fn a_lease_is_of_a_mode_that_has_leases(backend: Backend) {
    let line = backend.sequence("GAP").await.line();
    let ordered = of_mode(&backend, Mode::Ordered).await.line();
    let batch = [
        lease(&line, 1, history("one", 1), 1, None),
        lease(&line, 1, process("one"), 1, None),
        lease(&ordered, 1, process("one"), 1, None),
    ];
    let told = [
        "gapless is not leased so",
        "gapless is not leased so",
        "ordered is not leased so",
    ];
    assert_eq!(backend.tell(batch).await, told);
}

pub async fn the_last_numbers_are_leased_and_none_after_them(backend: Backend) {
    let spec = DefinitionSpec {
        mode: Some(Mode::Ordered),
        max: Some(12),
        step: Some(5),
        ..format("{prefix}-{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    let one = first(&backend, &line, 2).await;
    let batch = [
        extend(&line, 1, 6, 10),
        extend(&line, 1, 11, 10),
        report(&line, 1, 6, 2, begin()),
        lease(&line, 2, history("one", 1), 1, Some(&one)),
    ];
    let told = ["open 1..11 e2", "exhausted at 12", "6..11", "exhausted at 12"];
    assert_eq!(backend.tell(batch).await, told);
    assert_eq!(
        backend.state(&line).await.leases,
        1,
        "it was not lost for nothing"
    );
    assert_eq!(backend.marked(&line).await, ["pending 1"]);
    require_sound(&backend, &line).await;
}

pub async fn a_recovery_loses_every_lease(backend: Backend) {
    let sequence = of_mode(&backend, Mode::Leased).await;
    let line = sequence.line();
    let batch = [
        lease(&line, 1, process("one"), 10, None),
        lease(&line, 2, process("two"), 10, None),
        report(&line, 1, 1, 4, begin()),
    ];
    backend.tell(batch).await;
    assert_eq!(backend.tell_one(recover(&line, 5)).await, "21 -> 26");
    assert_eq!(open(&backend, &sequence).await, []);
    let marked = ["unknown 5..10", "unknown 11..20", "unknown 21..25"];
    assert_eq!(backend.marked(&line).await, marked);
    require_sound(&backend, &line).await;
}

pub async fn open_leases_are_listed(backend: Backend) {
    let (one, two) = (
        of_mode(&backend, Mode::Leased).await,
        of_mode_named(&backend, "ORD").await,
    );
    let (line, other) = (one.line(), two.line());
    let third = taken(&backend, lease(&line, 3, process("three"), 1, None)).await;
    let batch = [
        lease(&line, 1, process("one"), 1, None),
        lease(&other, 2, history("two", 1), 1, None),
        give_back(&line, &third, 2),
        lease(&line, 4, process("four"), 1, None),
    ];
    backend.tell(batch).await;
    assert_eq!(open(&backend, &one).await, [1, 4].map(lease_id));
    let whole = seqid_core::counter::SequenceKey::whole(one.key().tenant.clone());
    let page = |after, limit| backend.ledger.leases(&whole, after, limit);
    let first = page(None, 2).await.expect("the leases can be read");
    let names: Vec<_> = first.iter().map(|record| record.lease.id).collect();
    assert_eq!(names, [1, 2].map(lease_id));
    assert_eq!(first[1].counter, *other.key());
    assert_eq!(first[1].lease.holder, history("two", 1));
    let rest = page(Some(lease_id(2)), 2).await.expect("the leases can be read");
    let names: Vec<_> = rest.iter().map(|record| record.lease.id).collect();
    assert_eq!(names, [lease_id(4)]);
}

pub async fn a_frozen_counter_gives_nothing(backend: Backend) {
    let line = of_mode(&backend, Mode::Ordered).await.line();
    let taken = first(&backend, &line, 10).await;
    let batch = [
        freeze(&line),
        freeze(&line),
        report(&line, 1, 1, 1, begin()),
        extend(&line, 1, 10, 1),
        give_back(&line, &taken, 1),
        draw(&line, 1),
    ];
    let told = [
        "frozen",
        "frozen",
        "frozen before",
        "frozen before",
        "frozen before",
        "frozen before",
    ];
    assert_eq!(backend.tell(batch).await, told);
    // An operator looked.
    let batch = [recover(&line, 5), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["11 -> 16", "16"]);
    require_sound(&backend, &line).await;
}
