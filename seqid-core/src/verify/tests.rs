//! Whatever an issuer does over the memory store is found to be in order, and whatever is changed in it is found.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::counter::Run;
use crate::definition::{OnExpiry, RangeSpec};
use crate::event::{EventKind, Origin};
use crate::names::{Label, Number, Reason, Tenant};
use crate::numbering::{
    ArchiveRequest, CloseRequest, CounterSelector, DefineRequest, DrawRequest, ReopenRequest, ReserveRequest,
    ResetRequest, SettleRequest, SyncRequest, VoidRequest, VoidTarget,
};
use crate::reservation::ReservationId;
use crate::store::{AuditLog, CounterRecord};
use crate::{DefinitionSpec, Error, IdempotencyKey, Issuer, MemoryStore, Numbering, Prefix};

/// What is asked of one of three sequences.
#[derive(Debug, Clone)]
enum Ask {
    Draw(u32),
    Keyed(u8),
    Reset(u64),
    Sync(u64),
    Define(u8),
    Reserve(u32, u64),
    Confirm(usize),
    Release(usize),
    Void(u64, u64),
    Wait(u64),
    /// Of the sequence, or of all, through so many days after today.
    Close(bool, i32),
    /// The same from such a day on.
    Reopen(bool, i32),
    /// Seldom.
    Archive(u8),
}

fn ask() -> impl Strategy<Value = (usize, Ask)> {
    let ask = prop_oneof![
        4 => (1..4u32).prop_map(Ask::Draw),
        2 => (0..5u8).prop_map(Ask::Keyed),
        2 => (0..40u64).prop_map(Ask::Reset),
        1 => (0..40u64).prop_map(Ask::Sync),
        1 => (0..5u8).prop_map(Ask::Define),
        4 => (1..4u32, 1..30u64).prop_map(|(count, ttl)| Ask::Reserve(count, ttl)),
        1 => any::<usize>().prop_map(Ask::Confirm),
        1 => any::<usize>().prop_map(Ask::Release),
        2 => (0..40u64, 0..4u64).prop_map(|(first, more)| Ask::Void(first, more)),
        2 => (1..20u64).prop_map(Ask::Wait),
        1 => (any::<bool>(), -2..2i32).prop_map(|(all, days)| Ask::Close(all, days)),
        3 => (any::<bool>(), -2..2i32).prop_map(|(all, days)| Ask::Reopen(all, days)),
        1 => (0..5u8).prop_map(Ask::Archive),
    ];
    (0..3usize, ask)
}

/// Carries out what is asked; much of it is refused.
async fn carry_out(life: &mut Life, sequence: usize, ask: Ask) -> Result<(), Error> {
    let Life { issuer, clock, held } = life;
    let prefix = Prefix::new(["A", "B", "C"][sequence]).unwrap();
    let selector = CounterSelector::new(prefix.clone());
    match ask {
        Ask::Draw(count) => issuer.draw(DrawRequest::new(prefix).count(count)).await.map(drop),
        Ask::Keyed(key) => {
            let key = IdempotencyKey::new(&key.to_string()).unwrap();
            issuer.draw(DrawRequest::new(prefix).key(key)).await.map(drop)
        }
        Ask::Reset(next) => {
            let reason = Reason::new("because").unwrap();
            let mut request = ResetRequest::new(selector, Number::new(next).unwrap(), reason);
            request.repeats_accepted = true;
            issuer.reset(request).await.map(drop)
        }
        Ask::Sync(last) => {
            let request = SyncRequest::new(selector, Number::new(last).unwrap());
            issuer.sync(request).await.map(drop)
        }
        Ask::Define(digits) => {
            let known = issuer.sequence(selector.tenant, prefix.clone()).await.ok();
            let spec = DefinitionSpec {
                step: Some(1 + sequence as u64),
                max: Some(60 + u64::from(digits)),
                ranges: (digits > 1).then(|| ranges(1 + sequence as u64, digits)),
                on_expiry: (sequence > 0).then_some(OnExpiry::Reuse),
                ..DefinitionSpec::of_format("{prefix}-{seq:4}")
            };
            let mut request = DefineRequest::new(prefix, spec);
            request.if_version = known.map(|known| known.version);
            issuer.define(request).await.map(drop)
        }
        Ask::Reserve(count, ttl) => {
            let request =
                ReserveRequest::new(DrawRequest::new(prefix).count(count), Duration::from_secs(ttl));
            held.push(issuer.reserve(request).await?.reservation);
            Ok(())
        }
        Ask::Confirm(which) if !held.is_empty() => {
            let request = SettleRequest::confirm(held[which % held.len()]);
            issuer.settle(request).await.map(drop)
        }
        Ask::Release(which) if !held.is_empty() => {
            let request = SettleRequest::void(held[which % held.len()], Reason::new("because").unwrap());
            issuer.settle(request).await.map(drop)
        }
        Ask::Confirm(_) | Ask::Release(_) => Ok(()),
        Ask::Void(first, more) => {
            let target = VoidTarget::Numbers {
                counter: selector,
                first: Number::new(first).unwrap(),
                last: Number::new(first + more).unwrap(),
            };
            let request = VoidRequest::new(target, Reason::new("because").unwrap());
            issuer.void(request).await.map(drop)
        }
        Ask::Close(all, days) => {
            let reason = Reason::new("because").unwrap();
            let mut request = CloseRequest::new(day_after(clock, days), reason);
            request.prefix = (!all).then_some(prefix);
            issuer.close(request).await.map(drop)
        }
        Ask::Reopen(all, days) => {
            let reason = Reason::new("because").unwrap();
            let mut request = ReopenRequest::new(day_after(clock, days), reason);
            request.prefix = (!all).then_some(prefix);
            issuer.reopen(request).await.map(drop)
        }
        Ask::Archive(0) => {
            let request = ArchiveRequest::new(prefix, Reason::new("because").unwrap());
            issuer.archive(request).await.map(drop)
        }
        Ask::Archive(_) => Ok(()),
        Ask::Wait(seconds) => {
            clock.set(clock.now().saturating_add(Duration::from_secs(seconds)));
            Ok(())
        }
    }
}

fn day_after(clock: &ManualClock, days: i32) -> Date {
    let today = crate::time::Zone::UTC.date_at(clock.now());
    Date::from_days_since_epoch(today.days_since_epoch() + days).unwrap()
}

/// Ranges that a later definition adds to, of which the first may have ended.
fn ranges(step: u64, digits: u8) -> Vec<RangeSpec> {
    let first = |at: u8| 1 + step * 6 * u64::from(at);
    let mut ranges: Vec<_> = (0..digits)
        .map(|at| RangeSpec::new(first(at), first(at) + 3 * step))
        .collect();
    ranges[0].valid_until = (digits == 3).then(|| "2026-03-31".parse().unwrap());
    ranges
}

/// An issuer, with the holds that it began.
struct Life {
    issuer: Issuer,
    clock: Arc<ManualClock>,
    held: Vec<ReservationId>,
}

/// What was recorded, and what the store says of its counters.
#[derive(Debug)]
struct Lived {
    events: Vec<Recorded>,
    heads: Heads,
    counters: Vec<CounterRecord>,
}

async fn lived(asks: Vec<(usize, Ask)>) -> Lived {
    let store = Arc::new(MemoryStore::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_772_841_600_000_000)));
    let issuer = Issuer::builder(Arc::clone(&store) as _).clock(Arc::clone(&clock) as _);
    let mut life = Life {
        issuer: issuer.build(),
        clock,
        held: Vec::new(),
    };
    let first = DrawRequest::new(Prefix::new("A").unwrap());
    life.issuer.draw(first).await.unwrap();
    for (sequence, ask) in asks {
        let _refused = carry_out(&mut life, sequence, ask).await;
    }
    let mut counters = Vec::new();
    for prefix in ["A", "B", "C"] {
        let key = SequenceKey::new(Tenant::default(), Prefix::new(prefix).unwrap());
        counters.extend(store.counters(&key, 0, usize::MAX).await.unwrap());
    }
    Lived {
        events: store.events(0, usize::MAX).await.unwrap(),
        heads: store.heads().await.unwrap(),
        counters,
    }
}

fn verified(events: &[Recorded], heads: Heads) -> Report {
    let checkpoint = Checkpoint::new(heads, Timestamp::from_micros(0));
    let mut verifier = Verifier::new()
        .store(heads.authority)
        .dense()
        .ids()
        .checkpoints([checkpoint]);
    events.iter().for_each(|recorded| verifier.event(recorded));
    verifier.finish()
}

type Edit = fn(&mut Recorded);

const EDITS: [Edit; 12] = [
    |recorded| recorded.id.0[0] ^= 1,
    |recorded| recorded.authority.0[0] ^= 1,
    |recorded| recorded.hash[31] ^= 1,
    |recorded| recorded.ids = Some(("X-1".into(), "X-2".into())),
    |recorded| recorded.event.n += 1,
    |recorded| recorded.event.generation += 1,
    |recorded| recorded.event.version += 1,
    |recorded| recorded.event.at = Timestamp::from_micros(0),
    |recorded| recorded.event.reason = Some(Reason::new("another").unwrap()),
    |recorded| {
        let actor = Label::new("mallory").ok();
        recorded.event.origin = Arc::new(Origin {
            actor,
            ..Origin::default()
        });
    },
    |recorded| {
        recorded.event.kind = match recorded.event.kind {
            EventKind::Issued => EventKind::External,
            _ => EventKind::Issued,
        };
    },
    |recorded| {
        recorded.event.run = recorded.event.run.is_none().then_some(Run {
            first: Number::new(1).unwrap(),
            step: 1,
            count: 1,
        });
    },
];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_an_issuer_does_is_in_order(asks in prop::collection::vec(ask(), 0..60)) {
        let Lived { events, heads, counters } = block_on(lived(asks));
        let report = verified(&events, heads);
        prop_assert_eq!(&report.faults, &[]);
        let mut verifier = Verifier::new();
        for CounterRecord { key, state, .. } in counters {
            verifier.expect_counter(key, state);
        }
        events.iter().for_each(|recorded| verifier.event(recorded));
        prop_assert_eq!(verifier.finish().faults, []);
        prop_assert_eq!((report.heads, report.checkpoints), (heads, 1));
    }

    #[test]
    fn what_is_edited_is_named(asks in prop::collection::vec(ask(), 0..60), at: prop::sample::Index) {
        let Lived { events, heads, .. } = block_on(lived(asks));
        let at = at.index(events.len());
        for (edit, place) in EDITS.iter().zip(1..) {
            let mut edited = events.clone();
            edit(&mut edited[at]);
            let fault = verified(&edited, heads).faults.into_iter().next();
            prop_assert_eq!(fault.and_then(|fault| fault.position), Some(events[at].position), "edit {}", place);
        }
    }

    #[test]
    fn what_is_removed_repeated_or_moved_is_found(
        asks in prop::collection::vec(ask(), 0..60),
        at: prop::sample::Index,
        to: prop::sample::Index,
    ) {
        let Lived { events, heads, .. } = block_on(lived(asks));
        let (at, to) = (at.index(events.len()), to.index(events.len()));
        let numbered = |mut events: Vec<Recorded>| {
            for (recorded, position) in events.iter_mut().zip(1..) {
                recorded.position = position;
            }
            events
        };
        let mut removed = events.clone();
        removed.remove(at);
        prop_assert!(!verified(&numbered(removed), heads).is_clean());
        let mut repeated = events.clone();
        repeated.insert(to, events[at].clone());
        prop_assert!(!verified(&numbered(repeated), heads).is_clean());
        prop_assert!(!verified(&events[..at], heads).is_clean());
        if at != to && events[at].event.subject == events[to].event.subject {
            let mut swapped = events.clone();
            swapped.swap(at, to);
            let fault = verified(&numbered(swapped), heads).faults.into_iter().next();
            prop_assert_eq!(fault.and_then(|fault| fault.position), Some(at.min(to) as u64 + 1));
        }
    }
}

/// An event with a right hash that the ledger would never have made.
#[test]
fn a_number_that_is_issued_twice_is_found_though_every_hash_is_right() {
    let Lived { mut events, .. } = block_on(lived(vec![(0, Ask::Draw(1)), (0, Ask::Draw(1))]));
    let last = events.len() - 1;
    let before = Link {
        n: events[last - 1].event.n,
        hash: events[last - 1].hash,
    };
    let again = &mut events[last];
    again.event.run = Some(Run {
        first: Number::new(2).unwrap(),
        step: 1,
        count: 1,
    });
    again.hash = before.follow(&again.authority, &again.event).hash;
    let mut verifier = Verifier::new();
    events.iter().for_each(|recorded| verifier.event(recorded));
    let report = verifier.finish();
    assert_eq!(report.found, 1);
    let fault = &report.faults[0];
    assert_eq!(
        (fault.kind, fault.position),
        (FaultKind::Numbers, Some(last as u64 + 1))
    );
    assert_eq!(
        (fault.expected.as_str(), fault.found.as_str()),
        ("the first number 3", "2")
    );
}

/// Ends a chain with an event that is linked rightly, and says what the verifier finds in it.
fn found_in_last(mut events: Vec<Recorded>, change: impl FnOnce(&mut Event)) -> Option<(String, String)> {
    let last = events.len() - 1;
    let of_chain = |recorded: &&Recorded| recorded.event.subject == events[last].event.subject;
    let before = events[..last]
        .iter()
        .rfind(of_chain)
        .map_or(Link::GENESIS, |recorded| Link {
            n: recorded.event.n,
            hash: recorded.hash,
        });
    let again = &mut events[last];
    change(&mut again.event);
    again.hash = before.follow(&again.authority, &again.event).hash;
    let mut verifier = Verifier::new();
    events.iter().for_each(|recorded| verifier.event(recorded));
    let fault = verifier.finish().faults.into_iter().next()?;
    assert_eq!(
        (fault.kind, fault.position),
        (FaultKind::Numbers, Some(last as u64 + 1))
    );
    Some((fault.expected, fault.found))
}

#[test]
fn numbers_are_of_a_range_and_its_dates() {
    // In steps of 2: 1..7 and 13..19.
    let asks = vec![(1, Ask::Define(2)), (1, Ask::Draw(1)), (1, Ask::Draw(1))];
    let events = block_on(lived(asks)).events;
    assert_eq!(found_in_last(events.clone(), |_| ()), None);
    let longer = |kind| {
        let change = |event: &mut Event| {
            event.kind = kind;
            event.run.as_mut().unwrap().count = 5;
        };
        found_in_last(events.clone(), change).map(|(expected, _)| expected)
    };
    let across = Some("numbers of one range".to_owned());
    assert_eq!(
        [longer(EventKind::Issued), longer(EventKind::Voided)],
        [across.clone(), across]
    );
    assert_eq!(
        [longer(EventKind::External), longer(EventKind::Skipped)],
        [None, None]
    );

    // The first range ends on 31 March, before the store's clock.
    let asks = vec![(1, Ask::Define(3)), (1, Ask::Void(1, 0)), (1, Ask::Draw(2))];
    let events = block_on(lived(asks)).events;
    let kinds: Vec<_> = events.iter().map(|recorded| recorded.event.kind).collect();
    let skipped = [
        EventKind::Voided,
        EventKind::Skipped,
        EventKind::Skipped,
        EventKind::Issued,
    ];
    assert!(kinds.ends_with(&skipped), "{kinds:?}");
    let issued_on = |date: &str| {
        let change = |event: &mut Event| {
            event.kind = EventKind::Issued;
            event.date = date.parse().ok();
        };
        found_in_last(events[..events.len() - 2].to_vec(), change).map(|(expected, _)| expected)
    };
    assert_eq!(issued_on("2026-03-31"), None);
    let valid = "a date on which the range 1..7 is valid".to_owned();
    assert_eq!(issued_on("2026-04-01"), Some(valid));
}

#[test]
fn a_hold_ends_once_and_as_it_began() {
    let held = [(1, Ask::Define(0)), (1, Ask::Reserve(2, 10))];
    let confirmed = |then: Ask| {
        let confirm = (1, Ask::Confirm(0));
        block_on(lived([&held[..], &[confirm, (1, then)]].concat())).events
    };
    let voided = |asks: &[(usize, Ask)]| block_on(lived([&held[..], asks].concat())).events;
    assert_eq!(found_in_last(confirmed(Ask::Draw(1)), |_| ()), None);
    let last = |events: &[Recorded]| events.last().unwrap().event.clone();

    // What was confirmed is confirmed again.
    let events = confirmed(Ask::Draw(1));
    let confirm = events[events.len() - 2].event.clone();
    let (expected, _) = found_in_last(events, |event| {
        *event = Event {
            n: event.n,
            ..confirm
        };
    })
    .unwrap();
    assert_eq!(expected, "the end of a hold that is open");

    // A hold of other numbers, of another name, and one that ends before its time.
    let release = [(1, Ask::Release(0))];
    let events = voided(&release);
    assert_eq!(last(&events).kind, EventKind::Voided);
    let changes: [fn(&mut Event); 4] = [
        |event| event.run.as_mut().unwrap().count = 1,
        |event| event.hold.as_mut().unwrap().id.0[0] ^= 1,
        |event| event.kind = EventKind::Expired,
        // What is held was not issued.
        |event| event.hold = None,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert!(found_in_last(events.clone(), change).is_some(), "change {at}");
    }

    // Numbers that were let go are offered once.
    let again = [(1, Ask::Wait(20)), (1, Ask::Draw(2)), (1, Ask::Draw(2))];
    let events = voided(&again);
    let [.., first, second] = &events[..] else {
        unreachable!()
    };
    let (first, second) = (first.event.run.unwrap(), second.event.run.unwrap());
    assert!(first.first < second.first);
    assert_eq!(found_in_last(events.clone(), |_| ()), None);
    let (expected, found) = found_in_last(events, |event| event.run = Some(first)).unwrap();
    assert_eq!(
        (expected, found),
        (
            format!("the first number {}", second.first),
            first.first.to_string()
        )
    );
}

#[test]
fn a_number_of_a_closed_date_is_found_though_every_hash_is_right() {
    let draw = (1, Ask::Draw(1));
    for all in [false, true] {
        let opened = [
            draw.clone(),
            (1, Ask::Close(all, 0)),
            (1, Ask::Reopen(all, 0)),
            draw.clone(),
        ];
        let events = block_on(lived(opened.to_vec())).events;
        assert_eq!(found_in_last(events.clone(), |_| ()), None);
        let yesterday = |event: &mut Event| event.date = event.date.and_then(Date::yesterday);
        let (expected, found) = found_in_last(events, yesterday).unwrap();
        assert_eq!(
            (expected.as_str(), found.as_str()),
            (
                "a date after 2026-03-06, through which it is closed",
                "2026-03-06"
            )
        );
    }
}

#[test]
fn what_a_sequence_cannot_do_is_found_though_every_hash_is_right() {
    let closed = [(0, Ask::Close(false, 0))];
    let reopened = [(0, Ask::Close(true, 0)), (0, Ask::Reopen(true, 0))];
    let archived = [(0, Ask::Close(false, 0)), (0, Ask::Archive(0))];
    type Change = fn(&mut Event);
    let cases: [(&[(usize, Ask)], Change); 9] = [
        (&closed, |event| event.date = None),
        (&closed, |event| event.kind = EventKind::Reopened),
        (&closed, |event| event.version = 2),
        (&closed, |event| event.reason = None),
        (&closed, |event| event.mode = crate::Mode::Ordered),
        (&reopened, |event| event.kind = EventKind::Archived),
        (&reopened, |event| event.date = Date::new(2026, 3, 8).ok()),
        (&archived, |event| event.date = Some(Date::MIN)),
        (&archived, |event| event.kind = EventKind::Issued),
    ];
    for (at, (asks, change)) in cases.into_iter().enumerate() {
        let events = block_on(lived(asks.to_vec())).events;
        assert_eq!(found_in_last(events.clone(), |_| ()), None);
        assert!(found_in_last(events, change).is_some(), "change {at}");
    }
}

#[test]
fn an_event_after_the_end_of_its_sequence_is_found() {
    let draw = |events: Vec<Recorded>| {
        // The draw before the end is put behind it.
        let mut events = events;
        let at = events.len() - 2;
        events.swap(at, at + 1);
        for (recorded, position) in events.iter_mut().zip(1..) {
            recorded.position = position;
        }
        found_in_last_of(&events)
    };
    let events = block_on(lived(vec![(0, Ask::Draw(1)), (0, Ask::Archive(0))])).events;
    assert_eq!(found_in_last_of(&events), None);
    assert_eq!(
        draw(events),
        Some("no event of a sequence that was archived".to_owned())
    );
}

/// What the verifier expects in place of the last event.
fn found_in_last_of(events: &[Recorded]) -> Option<String> {
    let mut verifier = Verifier::new();
    events.iter().for_each(|recorded| verifier.event(recorded));
    let fault = verifier.finish().faults.into_iter().next()?;
    assert_eq!(fault.position, Some(events.len() as u64));
    Some(fault.expected)
}
