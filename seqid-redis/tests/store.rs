//! Ordered numbers that are drawn in Redis and recorded in the durable store.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod office;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use office::{Instance, Office, counter, inv, key_of, reason};
use seqid_core::event::EventKind;
use seqid_core::names::{Reason, Reference};
use seqid_core::numbering::{CloseRequest, CounterSelector, DrawRequest, ResetRequest, SyncRequest};
use seqid_core::store::{AuditLog, Certainty, CounterStore};
use seqid_core::time::Date;
use seqid_core::{Code, Number, Numbering};
use seqid_redis::RedisConfig;
use seqid_testkit::servers::RedisServer;
use tokio::task::JoinSet;

/// An office with one instance, on a server of its own.
async fn office() -> (RedisServer, Office, Instance) {
    let server = RedisServer::start().unwrap();
    let office = Office::new(&server.url());
    let instance = office.instance().await;
    instance.define(|_| ()).await;
    (server, office, instance)
}

fn field(server: &RedisServer, name: &str) -> u64 {
    let key = server.cli(&["KEYS", "seqid:*:c:*"]).unwrap();
    server.cli(&["HGET", &key, name]).unwrap().parse().unwrap()
}

fn waiting(server: &RedisServer) -> u64 {
    let key = server.cli(&["KEYS", "seqid:*:events"]).unwrap();
    server.cli(&["XLEN", &key]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_was_drawn_is_recorded_one_by_one_and_the_rest_is_given_back() {
    let (server, office, instance) = office().await;
    for number in 1..=3 {
        assert_eq!(instance.draw().await, number);
    }
    instance.recorded().await;
    assert_eq!(office.marked().await, ["pending 4..16"]);
    instance.store.close().await.unwrap();
    assert_eq!((office.marked().await, office.next().await), (vec![], 4));
    assert_eq!(waiting(&server), 0);
    let kinds = office.kinds().await;
    let reported = kinds.iter().filter(|kind| **kind == EventKind::Reported);
    assert_eq!(reported.count(), 3);
    assert_eq!(
        (kinds.first(), kinds.last()),
        (Some(&EventKind::Leased), Some(&EventKind::Returned))
    );
    office.require_sound().await;
    let refused = instance.issued(DrawRequest::new(inv())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Draining);
}

#[tokio::test]
async fn an_event_says_all_that_the_caller_did() {
    let (_server, office, instance) = office().await;
    let mut request = DrawRequest::new(inv()).count(2);
    request.reference = Reference::new("SO-1").ok();
    request.origin.actor = Some("anna".parse().unwrap());
    instance.draw().await;
    instance.issued(request).await.unwrap();
    instance.recorded().await;
    let events = office.durable.events(0, 100).await.unwrap();
    let last = &events.last().unwrap().event;
    assert_eq!(last.kind, EventKind::Reported);
    assert_eq!(
        (last.reference.clone(), last.origin.actor.clone()),
        (Reference::new("SO-1").ok(), Some("anna".parse().unwrap()))
    );
    assert!(last.origin.request.is_some());
    assert_eq!((last.run.unwrap().first.get(), last.run.unwrap().count), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_a_counter_and_its_range() {
    let (_server, office, first) = office().await;
    let instances = [first, office.instance().await, office.instance().await];
    let mut callers = JoinSet::new();
    for caller in 0..12 {
        let issuer = Arc::clone(&instances[caller % 3].issuer);
        callers.spawn(async move {
            let mut numbers = Vec::new();
            for draw in 0..100 {
                let count = u32::try_from((caller + draw) % 3 + 1).unwrap();
                let issued = issuer.draw(DrawRequest::new(inv()).count(count)).await.unwrap();
                numbers.extend(issued.run.numbers().map(Number::get));
            }
            numbers
        });
    }
    let (mut all, mut drawn) = (BTreeSet::new(), 0);
    for numbers in callers.join_all().await {
        assert!(numbers.is_sorted());
        drawn += numbers.len();
        all.extend(numbers);
    }
    assert_eq!(all.len(), drawn, "no number twice");
    for instance in &instances {
        instance.recorded().await;
    }
    instances[0].store.give_back().await.unwrap();
    // No fault, so no gap and one epoch after the other.
    assert_eq!(office.marked().await, Vec::<String>::new());
    assert_eq!(office.next().await, drawn as u64 + 1);
    assert_eq!(all.last(), Some(&(drawn as u64)));
    office.require_sound().await;
}

#[tokio::test]
async fn a_draw_of_a_sequence_that_is_not_ordered_never_comes_to_redis() {
    let (server, _, instance) = office().await;
    let issued = instance
        .issued(DrawRequest::new("CN".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(issued.run.first.get(), 1);
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), "0");
}

#[tokio::test]
async fn a_key_has_one_number_and_is_answered_again() {
    let (_server, office, instance) = office().await;
    let other = office.instance().await;
    assert_eq!(instance.keyed("before").await, 1);
    assert_eq!(instance.draw().await, 2);
    assert_eq!(instance.keyed("a").await, 3);
    assert_eq!((instance.keyed("a").await, other.keyed("a").await), (3, 3));
    assert_eq!((other.keyed("before").await, other.keyed("b").await), (1, 4));
    let again = instance
        .issued(DrawRequest::new(inv()).key(key_of("b")))
        .await
        .unwrap();
    assert!(again.replayed);
    let another = DrawRequest::new(inv()).count(2).key(key_of("a"));
    assert_eq!(
        instance.issued(another).await.unwrap_err().code(),
        Code::IdempotencyMismatch
    );
    instance.recorded().await;
    assert_eq!(office.marked().await, ["pending 5..17"], "no number was wasted");
    office.require_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_at_two_instances_have_one_number_and_the_other_is_void() {
    let (_server, office, instance) = office().await;
    let other = office.instance().await;
    instance.draw().await;
    for n in 0..50 {
        let key = format!("key-{n}");
        let (one, two) = tokio::join!(instance.keyed(&key), other.keyed(&key));
        assert_eq!(one, two);
    }
    instance.store.give_back().await.unwrap();
    other.store.give_back().await.unwrap();
    let events = office.durable.events(0, 10_000).await.unwrap();
    let void = events
        .iter()
        .filter(|recorded| recorded.event.kind == EventKind::Voided);
    let reasons: BTreeSet<_> = void
        .filter_map(|recorded| recorded.event.reason.clone())
        .collect();
    let superseded = Reason::new("superseded by key").unwrap();
    assert!(reasons.iter().all(|reason| *reason == superseded), "{reasons:?}");
    office.require_sound().await;
}

#[tokio::test]
async fn what_changes_a_counter_waits_until_no_range_is_lent_by_anybody() {
    let (_server, office, instance) = office().await;
    let other = office.instance().await;
    assert_eq!((instance.draw().await, other.draw().await), (1, 2));
    let number = |n| Number::new(n).unwrap();

    // A definition.
    instance
        .try_define(Some(1), |spec| spec.max = Some(500))
        .await
        .unwrap();
    assert_eq!((other.draw().await, instance.draw().await), (3, 4));
    // A move.
    let reset = ResetRequest::new(CounterSelector::new(inv()), number(100), reason());
    assert_eq!(
        other.issuer.reset(reset).await.unwrap().old_next_number,
        Some(number(5))
    );
    assert_eq!((instance.draw().await, other.draw().await), (100, 101));
    // Numbers of another system.
    let sync = SyncRequest::new(CounterSelector::new(inv()), number(200));
    instance.issuer.sync(sync).await.unwrap();
    assert_eq!((other.draw().await, instance.draw().await), (201, 202));
    // Dates.
    let day: Date = "2026-03-06".parse().unwrap();
    instance
        .issuer
        .close(CloseRequest::new(day, reason()))
        .await
        .unwrap();
    assert_eq!(other.draw().await, 203);
    let late = other.issued(DrawRequest::new(inv()).date(day)).await.unwrap_err();
    assert_eq!(late.code(), Code::PeriodClosed);
    assert_eq!(instance.draw().await, 204);
    instance.recorded().await;
    other.recorded().await;
    office.require_sound().await;
    assert!(
        office
            .marked()
            .await
            .iter()
            .all(|mark| !mark.starts_with("unknown")),
        "{:?}",
        office.marked().await
    );
}

#[tokio::test]
async fn a_counter_ends_where_it_ends() {
    let (_server, office, instance) = office().await;
    instance
        .try_define(Some(1), |spec| spec.max = Some(1_020))
        .await
        .unwrap();
    for number in 1..=1_010 {
        assert_eq!(instance.draw().await, number);
    }
    let batch = |count| DrawRequest::new(inv()).count(count);
    assert_eq!(
        instance.issued(batch(11)).await.unwrap_err().code(),
        Code::BatchDoesNotFit
    );
    assert_eq!(instance.issued(batch(9)).await.unwrap().run.first.get(), 1_011);
    assert_eq!(instance.draw().await, 1_020);
    for _ in 0..2 {
        assert_eq!(
            instance.issued(batch(1)).await.unwrap_err().code(),
            Code::Exhausted
        );
    }
    instance.recorded().await;
    assert_eq!(office.marked().await, Vec::<String>::new());
    office.require_sound().await;
}

#[tokio::test]
async fn never_more_than_the_largest_gap_lies_between_the_next_number_and_the_end() {
    let (server, office, instance) = office().await;
    instance
        .try_define(Some(1), |spec| spec.largest_gap = Some(20))
        .await
        .unwrap();
    let mut drawn = 0;
    for count in (1..=20).chain(1..=20) {
        let issued = instance
            .issued(DrawRequest::new(inv()).count(count))
            .await
            .unwrap();
        drawn = issued.run.last().get();
        let (next, end) = (field(&server, "n"), field(&server, "h"));
        assert!(end - next <= 20, "{next} {end}");
    }
    // More than a range may have is drawn by the durable store.
    let batch = instance.issued(DrawRequest::new(inv()).count(21)).await.unwrap();
    assert_eq!(batch.run.first.get(), drawn + 1);
    assert_eq!(instance.draw().await, drawn + 22);
    instance.recorded().await;
    office.require_sound().await;
}

#[tokio::test]
async fn what_one_who_is_gone_had_drawn_is_recorded_by_another() {
    let (server, office, instance) = office().await;
    instance.draw().await;
    instance.recorded().await;
    // It can draw while the durable store is away, and dies before that is back.
    office.away.set(true);
    assert_eq!((instance.draw().await, instance.draw().await), (2, 3));
    drop(instance);
    office.away.set(false);
    assert_eq!(office.marked().await, ["pending 2..16"]);
    let other = office.instance().await;
    assert_eq!(other.draw().await, 4);
    other.recorded().await;
    while waiting(&server) > 0 {
        other.store.take_over(Duration::ZERO).await.unwrap();
    }
    assert_eq!(office.marked().await, ["pending 5..16"]);
    assert_eq!(other.store.take_over(Duration::ZERO).await.unwrap(), 0);
    office.require_sound().await;
}

#[tokio::test]
async fn the_durable_store_being_away_stops_nothing_until_the_range_ends() {
    let (_server, office, instance) = office().await;
    assert_eq!(instance.draw().await, 1);
    office.away.set(true);
    for number in 2..=16 {
        assert_eq!(instance.draw().await, number);
    }
    let refused = instance.issued(DrawRequest::new(inv())).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.code().certainty()),
        (Code::StoreUnavailable, Certainty::NotIssued)
    );
    office.away.set(false);
    assert_eq!(instance.draw().await, 17);
    instance.recorded().await;
    office.require_sound().await;
}

#[tokio::test]
async fn nothing_is_drawn_beyond_the_bound_of_the_stream() {
    let server = RedisServer::start().unwrap();
    let config: RedisConfig = server.url().parse().unwrap();
    let office = Office::with(config.timeout(Duration::from_secs(60)).largest_stream(3));
    let instance = office.instance().await;
    instance.define(|_| ()).await;
    assert_eq!(instance.draw().await, 1);
    instance.recorded().await;
    while waiting(&server) > 0 {}
    office.away.set(true);
    for number in 2..=4 {
        assert_eq!(instance.draw().await, number);
    }
    let refused = instance.issued(DrawRequest::new(inv())).await.unwrap_err();
    assert_eq!(refused.code().certainty(), Certainty::NotIssued, "{refused:?}");
    assert_eq!(field(&server, "n"), 5);
    office.away.set(false);
    instance.store.give_back().await.unwrap();
    assert_eq!(instance.draw().await, 5);
}

#[tokio::test]
async fn a_number_that_was_given_twice_freezes_its_counter() {
    let (server, office, instance) = office().await;
    assert_eq!(instance.draw().await, 1);
    instance.recorded().await;
    office.away.set(true);
    assert_eq!(instance.draw().await, 2);
    let stream = server.cli(&["KEYS", "seqid:*:events"]).unwrap();
    let entry = server.cli(&["XRANGE", &stream, "-", "+"]).unwrap();
    office.away.set(false);
    instance.recorded().await;
    // What there would be of another draw of the same numbers, if the machine had been put back to an earlier moment.
    let other = entry.replace("\"i\":", "\"a\":\"other\",\"i\":");
    assert_ne!(other, entry);
    let mut command = vec!["XADD", stream.as_str(), "*"];
    command.extend(other.lines().skip(1));
    server.cli(&command).unwrap();
    instance.store.take_over(Duration::ZERO).await.unwrap();
    assert_eq!(office.kinds().await.last(), Some(&EventKind::Frozen));
    let state = office.durable.counter(&counter()).await.unwrap().unwrap();
    assert_eq!(state.status, seqid_core::counter::CounterStatus::Frozen);
}

#[tokio::test]
async fn a_key_that_was_put_back_gives_a_newcomer_a_range_of_its_own() {
    let (server, office, instance) = office().await;
    let key = || server.cli(&["KEYS", "seqid:*:c:*"]).unwrap();
    let mut last = instance.draw().await;
    // More than once: the history loses one range after the other, and has the next.
    for _ in 0..4 {
        server.cli(&["COPY", &key(), "kept", "REPLACE"]).unwrap();
        last = instance.draw().await.max(last);
        instance.recorded().await;
        server
            .cli(&["COPY", "kept", &key().to_string(), "REPLACE"])
            .unwrap();
        for instance in [&office.instance().await, &instance] {
            let number = instance.draw().await;
            assert!(number > last, "{number} is not above {last}");
            last = number;
        }
    }
    office.require_sound().await;
}

#[tokio::test]
async fn an_old_dump_that_the_same_process_loads_gives_nothing_twice() {
    let (server, office, instance) = office().await;
    instance.draw().await;
    server.cli(&["SAVE"]).unwrap();
    let mut last = instance.draw().await;
    instance.recorded().await;
    for _ in 0..3 {
        server.cli(&["DEBUG", "RELOAD", "NOSAVE"]).unwrap();
        for instance in [&office.instance().await, &instance] {
            let number = instance.draw().await;
            assert!(number > last, "{number} is not above {last}");
            last = number;
        }
    }
    // The dump has an entry of what is recorded long since.
    instance.store.take_over(Duration::ZERO).await.unwrap();
    office.require_sound().await;
    assert!(!office.kinds().await.contains(&EventKind::Frozen));
}

#[tokio::test]
async fn a_server_that_is_emptied_again_and_again_goes_on() {
    let (server, office, instance) = office().await;
    let other = office.instance().await;
    let mut last = instance.draw().await;
    for round in 0..6 {
        server.cli(&["FLUSHALL"]).unwrap();
        let number = if round % 2 == 0 {
            instance.draw().await
        } else {
            other.draw().await
        };
        assert!(number > last, "{number} {last}");
        last = number;
        if round == 3 {
            // The range is given back, so that no other one is open.
            instance.store.give_back().await.unwrap();
            other.store.give_back().await.unwrap();
        }
    }
    instance.recorded().await;
    other.recorded().await;
    office.require_sound().await;
}

#[tokio::test]
async fn after_a_clean_stop_numbers_go_on_without_redis() {
    let (server, office, instance) = office().await;
    assert_eq!(instance.draw().await, 1);
    instance.store.give_back().await.unwrap();
    drop(server);
    let direct = seqid_core::Issuer::builder(Arc::clone(&office.durable) as _)
        .clock(office.clock.clone() as _)
        .build();
    assert_eq!(
        direct
            .draw(DrawRequest::new(inv()))
            .await
            .unwrap()
            .run
            .first
            .get(),
        2
    );
    let refused = instance.issued(DrawRequest::new(inv())).await.unwrap_err();
    assert_eq!(refused.code(), Code::StoreUnavailable);
}

#[tokio::test]
async fn the_figures_tell_of_ranges_and_of_events_that_wait() {
    let (_server, office, instance) = office().await;
    let before = instance.store.figures();
    assert_eq!((before.held, before.histories, before.unknown), (0, 0, 0));
    instance.draw().await;
    let drawn = instance.store.figures();
    assert_eq!((drawn.held, drawn.histories, drawn.leased), (1, 1, 1));
    instance.recorded().await;
    // The durable store is away, so events stay in the stream.
    office.away.set(true);
    instance.draw().await;
    while instance.store.figures().entries == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(instance.store.figures().unrecorded, 1);
    office.away.set(false);
    instance.recorded().await;
    while instance.store.figures().entries > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    instance.store.give_back().await.unwrap();
    assert_eq!(instance.store.figures().held, 0);
}

#[tokio::test]
async fn a_lost_range_counts_with_what_is_unknown_of_it() {
    let (mut server, office, instance) = office().await;
    for number in 1..=3 {
        assert_eq!(instance.draw().await, number);
    }
    instance.recorded().await;
    server.kill().unwrap();
    server.start_empty().unwrap();
    // What was drawn is recorded, and what was left of 16 is unknown.
    while instance.issued(DrawRequest::new(inv())).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let figures = instance.store.figures();
    assert_eq!((figures.lost, figures.unknown), (1, 13));
    assert_eq!((figures.held, figures.histories), (1, 1));
    assert_eq!(office.marked().await[0], "unknown 4..16");
}
