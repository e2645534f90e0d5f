//! Hashes that SQL computes are those that Rust computes.

use std::sync::Arc;

use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use seqid_core::chain::{Authority, Link};
use seqid_core::counter::{CounterKey, Run, SequenceKey};
use seqid_core::definition::{Mode, OnExpiry};
use seqid_core::event::{Event, EventKind, Fingerprint, Keyed, Origin, Subject};
use seqid_core::field::FieldValues;
use seqid_core::names::{Label, Number, Prefix, Reason, Reference, Tenant};
use seqid_core::period::{Calendar, MonthDay, Reset};
use seqid_core::reservation::{Hold, ReservationId};
use seqid_core::time::{Date, Timestamp};
use serde_json::json;

use crate::desk::{Desk, Session};

const AUTHORITY: Authority = Authority([7; 16]);

fn sequence() -> SequenceKey {
    SequenceKey::new(Tenant::default(), Prefix::new("INV").unwrap())
}

fn any_subject() -> impl Strategy<Value = Subject> {
    option::of(("[A-Za-zäß%&=]{0,9}", -100_000..100_000i32)).prop_map(|counter| match counter {
        None => Subject::Sequence(sequence()),
        Some((value, days)) => {
            let period = Calendar::new(Reset::Week, MonthDay::JANUARY_1).period(day(days));
            Subject::Counter(CounterKey::new(
                sequence(),
                FieldValues::new([("b", value)]),
                period,
            ))
        }
    })
}

fn day(days: i32) -> Date {
    Date::from_days_since_epoch(days).unwrap()
}

fn any_event() -> impl Strategy<Value = Event> {
    let label = || option::of("[ -~]{1,20}".prop_map(|text: String| Label::new(&text).unwrap()));
    let reference =
        || option::of("[a-zäß漢🙂]{1,20}".prop_map(|text: String| Reference::new(&text).unwrap()));
    let number = 0..=i64::MAX.unsigned_abs();
    let run = option::of((number, 1..=1_000u64, 1..=1_000u64));
    let instant = || -62_000_000_000_000_000..250_000_000_000_000_000i64;
    let what = (
        any_subject(),
        1..=14u8,
        1..=i64::MAX.unsigned_abs(),
        0..=100u32,
        0..=100u32,
        run,
    );
    let texts = (
        label(),
        label(),
        label(),
        reference(),
        reference(),
        option::of("[a-zé]{1,9}"),
    );
    let rest = (
        instant(),
        option::of(-719_162..2_932_896i32),
        option::of("[a-z%&=ü]{0,9}"),
        option::of(("[!-~]{1,30}", any::<[u8; 16]>())),
        option::of("[ -~漢]{0,40}"),
        option::of((any::<[u8; 16]>(), instant(), 1..=2u8)),
    );
    (what, texts, rest).prop_map(|(what, texts, rest)| {
        let (subject, kind, n, generation, epoch, run) = what;
        let (actor, client, request, reference, relates_to, reason) = texts;
        let (at, date, field, key, detail, hold) = rest;
        Event {
            kind: EventKind::from_code(kind).unwrap(),
            key: key
                .map(|(key, print)| Keyed::new(subject.sequence(), key.parse().unwrap(), Fingerprint(print))),
            subject,
            n,
            generation,
            epoch,
            run: run.map(|(first, step, count)| Run {
                first: Number::new(first).unwrap(),
                step,
                count,
            }),
            version: generation + 1,
            mode: Mode::Gapless,
            date: date.map(day),
            fields: field
                .map(|value| FieldValues::new([("f", value)]))
                .unwrap_or_default(),
            origin: Arc::new(Origin {
                actor,
                client,
                request,
            }),
            reference,
            relates_to,
            reason: reason.map(|text| Reason::new(&text).unwrap()),
            hold: hold.map(|(id, at, policy)| {
                Box::new(Hold {
                    id: ReservationId(id),
                    expires_at: Timestamp::from_micros(at),
                    on_expiry: OnExpiry::from_code(policy).unwrap(),
                })
            }),
            detail: detail.map(|text: String| text.into()),
            at: Timestamp::from_micros(at),
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An event as PostgreSQL reads a row of `seqid.event`.
fn row(event: &Event) -> String {
    let bytes = |bytes: &[u8]| format!("\\x{}", hex(bytes));
    let instant = |at: Timestamp| {
        let (seconds, micros) = (
            at.as_micros().div_euclid(1_000_000),
            at.as_micros().rem_euclid(1_000_000),
        );
        json!([seconds, micros])
    };
    let fields = event.fields.to_string();
    json!({
        "kind": event.kind as u8,
        "n": event.n,
        "generation": event.generation,
        "epoch": event.epoch,
        "first": event.run.map(|run| run.first.get()),
        "step": event.run.map(|run| run.step),
        "count": event.run.map(|run| run.count),
        "version": event.version,
        "instant": instant(event.at),
        "date": event.date.map(|date| date.to_string()),
        "fields": Some(fields).filter(|text| !text.is_empty()),
        "actor": event.origin.actor,
        "client": event.origin.client,
        "request": event.origin.request,
        "reference": event.reference,
        "relates_to": event.relates_to,
        "reason": event.reason,
        "key": event.key.as_ref().map(|keyed| keyed.key().as_str()),
        "fingerprint": event.key.as_ref().map(|keyed| bytes(&keyed.fingerprint().0)),
        "detail": event.detail.as_deref(),
        "reservation": event.hold.as_ref().map(|hold| bytes(&hold.id.0)),
        "ends": event.hold.as_ref().map(|hold| instant(hold.expires_at)),
        "on_expiry": event.hold.as_ref().map(|hold| hold.on_expiry as u8),
    })
    .to_string()
}

/// The hash of an event behind `before`, an expression of bytes.
async fn link_in_sql(session: &mut Session, before: &str, event: &Event) -> String {
    let json = row(event);
    let instant = |member: &str| {
        format!(
            "to_jsonb('1970-01-01 00:00:00+00'::timestamptz + (j -> '{member}' ->> 0)::bigint * interval '1 s' \
             + (j -> '{member}' ->> 1)::bigint * interval '1 us')"
        )
    };
    session
        .one(&format!(
            "SET timezone = 'UTC'; SELECT encode(seqid.link_hash({before}, jsonb_populate_record(NULL::seqid.event, \
             j || jsonb_build_object('at', {}, 'expires_at', {}))), 'hex') FROM (SELECT $json${json}$json$::jsonb AS j) x",
            instant("instant"),
            instant("ends"),
        ))
        .await
}

#[test]
fn random_links_have_the_hashes_that_rust_computes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let desk = runtime.block_on(Desk::new());
    let mut session = runtime.block_on(desk.session());
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..200 {
        let event = any_event().new_tree(&mut runner).unwrap().current();
        let (scope, period) = match event.subject.counter() {
            Some(key) => (
                format!("$scope${}$scope$", key.scope()),
                format!("'{}'", key.period()),
            ),
            None => ("NULL".to_owned(), "NULL".to_owned()),
        };
        let name =
            format!("seqid.chain_name(decode(repeat('07', 16), 'hex'), 'default', 'INV', {scope}, {period})");
        let first = Link::GENESIS.follow(&AUTHORITY, &event);
        let later = Link {
            n: 9,
            hash: first.hash,
        };
        let behind = format!("decode('{}', 'hex')", hex(&first.hash));
        runtime.block_on(async {
            assert_eq!(
                link_in_sql(&mut session, &name, &event).await,
                hex(&first.hash),
                "{event:?}"
            );
            let second = later.follow(&AUTHORITY, &event);
            assert_eq!(
                link_in_sql(&mut session, &behind, &event).await,
                hex(&second.hash),
                "{event:?}"
            );
        });
    }
}
