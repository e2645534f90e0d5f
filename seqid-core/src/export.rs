//! Reading back what [`JsonLines`](crate::json_lines::JsonLines) wrote: a log of events outside of its store.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::chain::{Authority, EventId};
use crate::counter::{CounterKey, Run, SequenceKey};
use crate::definition::{Mode, OnExpiry};
use crate::event::{Event, EventKind, Fingerprint, Keyed, Origin, Recorded, Subject};
use crate::field::FieldValues;
use crate::hex;
use crate::names::{IdempotencyKey, Label, Number, Prefix, Reason, Reference, Tenant};
use crate::period::Period;
use crate::reservation::{Hold, ReservationId};
use crate::time::{Date, Timestamp};
use crate::verify::Verifier;

/// How many lines are remembered, to know one that was delivered again. A relay delivers at most one batch again.
const REMEMBERED: usize = 10_000;

/// The longest line that is read: an event with the largest definition is far shorter.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What a file of JSON lines held besides its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lines {
    /// How many whole lines there were.
    pub lines: u64,
    /// How many of them were an event that had come before: a relay delivers at least once.
    pub repeated: u64,
    /// Whether the last line has no end: it is being written, or its writer was killed. It is not read.
    pub unfinished: bool,
}

/// Gives all events of a file of JSON lines to a verifier. `progress` is told the bytes of each line.
///
/// # Errors
/// When the file cannot be read. A line that is not an event is a fault in the report.
pub fn read(
    mut from: impl BufRead,
    verifier: &mut Verifier,
    mut progress: impl FnMut(u64),
) -> io::Result<Lines> {
    let mut found = Lines::default();
    let mut remembered: VecDeque<(u64, [u8; 32])> = VecDeque::new();
    let mut last = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = io::Read::take(&mut from, LONGEST).read_until(b'\n', &mut line)?;
        if line.pop_if(|end| *end == b'\n').is_none() {
            found.unfinished = length > 0;
            return Ok(found);
        }
        progress(length as u64);
        found.lines += 1;
        match from_json(&line) {
            Err(error) => verifier.unreadable(
                last + 1,
                None,
                &format!("line {}", found.lines),
                error.to_string(),
            ),
            Ok(recorded) => {
                let seen = (recorded.position, Sha256::digest(&line).into());
                if recorded.position <= last && remembered.contains(&seen) {
                    found.repeated += 1;
                    continue;
                }
                last = last.max(recorded.position);
                if remembered.len() == REMEMBERED {
                    remembered.pop_front();
                }
                remembered.push_back(seen);
                verifier.event(&recorded);
            }
        }
    }
}

/// Why a line is not an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLine {
    /// It is not the JSON of one.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A member is not what seqid writes.
    #[error("the member {0} is not as seqid writes it")]
    Member(&'static str),
}

/// Reads one line. Members that seqid does not write, and values that it writes otherwise, are refused.
///
/// # Errors
/// [`InvalidLine`] says what is not as it is written.
pub fn from_json(line: &[u8]) -> Result<Recorded, InvalidLine> {
    let document: Document = serde_json::from_slice(line)?;
    Ok(document.recorded()?)
}

impl From<&'static str> for InvalidLine {
    fn from(member: &'static str) -> Self {
        Self::Member(member)
    }
}

/// A value that must be there, though it may be null.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

macro_rules! document {
    ($($member:ident: $kind:ty,)* ; $($nullable:ident: $inner:ty,)*) => {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            $($member: $kind,)*
            $(#[serde(deserialize_with = "present")] $nullable: Option<$inner>,)*
        }
    };
}

document! {
    event_id: String,
    authority: String,
    position: u64,
    kind: String,
    tenant: Tenant,
    prefix: String,
    n: u64,
    generation: u32,
    epoch: u32,
    definition_version: u32,
    mode: Mode,
    fields: FieldValues,
    at: String,
    hash: String,
    ;
    scope: FieldValues,
    period: String,
    period_start: String,
    period_end: String,
    first: u64,
    step: u64,
    count: u64,
    first_id: String,
    last_id: String,
    date: String,
    actor: Label,
    client: Label,
    request_id: Label,
    reference: Reference,
    relates_to: Reference,
    reason: Reason,
    idempotency_key: IdempotencyKey,
    fingerprint: String,
    reservation: String,
    expires_at: String,
    on_expiry: OnExpiry,
    definition: String,
    lease: String,
}

impl Document {
    fn recorded(self) -> Result<Recorded, &'static str> {
        let subject = self.subject()?;
        let (run, key) = (self.run()?, self.key(subject.sequence())?);
        let hold = self.hold()?.map(Box::new);
        let ids = both(self.first_id, self.last_id).ok_or("first_id")?;
        let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        let kind = kind.ok_or("kind")?;
        let detail = match (kind, self.definition, self.lease) {
            (EventKind::Defined, definition, None) => definition,
            (EventKind::Defined, ..) => return Err("lease"),
            (_, None, lease) => lease,
            _ => return Err("definition"),
        };
        let event = Event {
            kind,
            subject,
            n: self.n,
            generation: self.generation,
            epoch: self.epoch,
            run,
            version: self.definition_version,
            mode: self.mode,
            date: optional(self.date.as_deref(), day, "date")?,
            fields: self.fields,
            origin: Arc::new(Origin {
                actor: self.actor,
                client: self.client,
                request: self.request_id,
            }),
            reference: self.reference,
            relates_to: self.relates_to,
            reason: self.reason,
            key,
            hold,
            detail: detail.map(Into::into),
            at: instant(&self.at).ok_or("at")?,
        };
        Ok(Recorded {
            id: EventId(hex::decode(&self.event_id).ok_or("event_id")?),
            authority: Authority(hex::decode(&self.authority).ok_or("authority")?),
            position: self.position,
            event,
            hash: hex::decode(&self.hash).ok_or("hash")?,
            ids,
        })
    }

    fn subject(&self) -> Result<Subject, &'static str> {
        let prefix = Prefix::of_event(&self.prefix).map_err(|_| "prefix")?;
        let sequence = SequenceKey::new(self.tenant.clone(), prefix);
        let first = optional(self.period_start.as_deref(), day, "period_start")?;
        let last = optional(self.period_end.as_deref(), day, "period_end")?;
        let days = both(first, last).ok_or("period_end")?;
        match (&self.scope, &self.period) {
            (Some(scope), Some(text)) => {
                let period = Period::named(text, days).ok_or("period")?;
                Ok(Subject::Counter(CounterKey::new(sequence, scope.clone(), period)))
            }
            (None, None) if days.is_none() => Ok(Subject::Sequence(sequence)),
            (None, None) => Err("period_start"),
            (None, _) => Err("scope"),
            (_, None) => Err("period"),
        }
    }

    fn run(&self) -> Result<Option<Run>, &'static str> {
        match (self.first, self.step, self.count) {
            (None, None, None) => Ok(None),
            (Some(first), Some(step @ 1..), Some(count @ 1..)) => Ok(Some(Run {
                first: Number::new(first).map_err(|_| "first")?,
                step,
                count,
            })),
            (None, ..) => Err("first"),
            (_, None | Some(0), _) => Err("step"),
            _ => Err("count"),
        }
    }

    fn key(&self, sequence: &SequenceKey) -> Result<Option<Keyed>, &'static str> {
        match (&self.idempotency_key, &self.fingerprint) {
            (None, None) => Ok(None),
            (Some(key), Some(digest)) => {
                let fingerprint = Fingerprint(hex::decode(digest).ok_or("fingerprint")?);
                Ok(Some(Keyed::new(sequence, key.clone(), fingerprint)))
            }
            (None, _) => Err("idempotency_key"),
            (_, None) => Err("fingerprint"),
        }
    }
}

impl Document {
    fn hold(&self) -> Result<Option<Hold>, &'static str> {
        match (&self.reservation, &self.expires_at, self.on_expiry) {
            (None, None, None) => Ok(None),
            (Some(id), Some(expires_at), Some(on_expiry)) => Ok(Some(Hold {
                id: ReservationId(hex::decode(id).ok_or("reservation")?),
                expires_at: instant(expires_at).ok_or("expires_at")?,
                on_expiry,
            })),
            (None, ..) => Err("reservation"),
            (_, None, _) => Err("expires_at"),
            _ => Err("on_expiry"),
        }
    }
}

/// Both or neither.
#[expect(clippy::option_option, reason = "neither is as good as both")]
fn both<T>(first: Option<T>, second: Option<T>) -> Option<Option<(T, T)>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(Some((first, second))),
        (None, None) => Some(None),
        _ => None,
    }
}

fn optional<T>(
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
    member: &'static str,
) -> Result<Option<T>, &'static str> {
    text.map(|text| parse(text).ok_or(member)).transpose()
}

fn day(text: &str) -> Option<Date> {
    text.parse().ok().filter(|day: &Date| day.to_string() == text)
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|at: &Timestamp| at.to_string() == text)
}
