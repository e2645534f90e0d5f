//! The index of events over crashes.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use seqid_core::field::FieldValues;
use seqid_core::numbering::{DrawRequest, ReserveRequest, SettleRequest};
use seqid_core::query::{EventQuery, Order};
use seqid_core::store::{AuditLog, CounterStore};
use seqid_core::{Number, Numbering, Tenant};

use crate::child::killed_after;
use crate::keys::Keys;
use crate::office::{Office, block_on, name};

/// How many entries a segment has.
const SEGMENT: u64 = 65_536;

/// Draws from two counters in turn, so many from each, under keys from `first` on.
#[track_caller]
fn draw_in_turn(office: &Office, first: u64, count: u64) {
    let both = ["INV", "ORD"].map(|prefix| Keys::of(office, prefix));
    let keys: Vec<u64> = (first..first + count).collect();
    for part in keys.chunks(500) {
        let commands = part
            .iter()
            .flat_map(|key| both.iter().map(|keys| keys.command(*key)));
        for reply in block_on(office.store.apply(commands.collect())) {
            reply.unwrap();
        }
    }
}

/// Every event of a sequence is found once, in order, by its sequence and by its counter.
#[track_caller]
fn all_are_found(office: &Office, prefix: &str, drawn: u64) {
    let mut query = EventQuery::new(Tenant::default());
    query.prefix = Some(name(prefix));
    (query.order, query.limit) = (Order::OldestFirst, EventQuery::LARGEST);
    let found = |query: &EventQuery| -> Vec<u64> {
        let (mut query, mut chained) = (query.clone(), Vec::new());
        loop {
            let page = block_on(office.store.query(&query)).unwrap();
            chained.extend(page.events.iter().map(|recorded| recorded.event.n));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return chained,
            }
        }
    };
    let of_sequence = found(&query);
    assert_eq!(of_sequence[0], 1, "the definition");
    assert!(
        of_sequence.into_iter().skip(1).eq(1..=drawn),
        "{prefix} by sequence"
    );
    query.period = Some("all".into());
    query.scope = Some(FieldValues::default());
    assert!(found(&query).into_iter().eq(1..=drawn), "{prefix} by counter");
}

fn segments(file: &Path) -> (i64, i64) {
    let count = "SELECT (SELECT count(*) FROM counter_segment), (SELECT count(*) FROM counter_segment_part)";
    let connection = Connection::open(file).unwrap();
    connection
        .query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

/// One test, for it takes many events: a crash in the middle of sealing, then sealed segments.
#[test]
fn events_are_found_whether_they_are_in_memory_half_sealed_or_sealed() {
    let folder = killed_after(|folder| {
        let office = Office::open(&folder.join("seqid.db"));
        office.draw("INV").unwrap();
        office.draw("ORD").unwrap();
        draw_in_turn(&office, 2, SEGMENT / 2 + 2_000);
        office
    });
    let file = folder.path().join("seqid.db");
    let (whole, half) = segments(&file);
    assert!(whole == 0 && half > 0, "sealing had begun: {half}");
    let office = Office::open(&file);
    let drawn = SEGMENT / 2 + 2_001;
    assert_eq!(segments(&file), (0, 0), "what was half sealed is begun anew");
    all_are_found(&office, "INV", drawn);
    all_are_found(&office, "ORD", drawn);
    draw_in_turn(&office, drawn + 1, SEGMENT / 2);
    let drawn = drawn + SEGMENT / 2;
    assert_eq!(segments(&file).0, 1);
    all_are_found(&office, "INV", drawn);
    office.close();
    let office = Office::open(&file);
    all_are_found(&office, "INV", drawn);
    all_are_found(&office, "ORD", drawn);
}

/// The kinds of the events of a number.
fn kinds_of(office: &Office, number: u64) -> Vec<&'static str> {
    let number = Number::new(number).unwrap();
    let mut query = EventQuery::new(Tenant::default());
    query.prefix = Some(name("INV"));
    query.period = Some("all".into());
    query.scope = Some(FieldValues::default());
    query.numbers = Some((number, number));
    query.order = Order::OldestFirst;
    let page = block_on(office.store.query(&query)).unwrap();
    assert_eq!(page.next, None, "so few events are one page");
    let kinds = page.events.iter().map(|recorded| recorded.event.kind.as_str());
    kinds.collect()
}

/// Ends of reservations stand behind larger numbers: few of them are kept in mind, and with more all events are read.
#[test]
fn a_number_has_all_of_its_events_however_many_reservations_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let mut office = Office::open(&file);
    let reserve = || ReserveRequest::new(DrawRequest::new(name("INV")), Duration::from_secs(600));
    let held: Vec<_> = (0..160)
        .map(|_| block_on(office.issuer.reserve(reserve())).unwrap().reservation)
        .collect();
    for (ended, reservation) in (1..).zip(&held) {
        block_on(office.issuer.settle(SettleRequest::confirm(*reservation))).unwrap();
        if [1, 99, 100, 101, 102, 159].contains(&ended) {
            for number in 1..=160 {
                let expected: &[_] = if number <= ended {
                    &["reserved", "confirmed"]
                } else {
                    &["reserved"]
                };
                assert_eq!(
                    kinds_of(&office, number),
                    expected,
                    "{number} when {ended} had ended"
                );
            }
            office.close();
            office = Office::open(&file);
        }
    }
    office.close();
    let kept = "SELECT count(*) FROM turn";
    let kept: i64 = Connection::open(&file)
        .unwrap()
        .query_row(kept, [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 101);
}
