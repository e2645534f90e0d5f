//! What a stream says of a draw: all that the durable store must be told of it, so that anybody can who finds it there.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seqid_core::command::{Act, Command, Report};
use seqid_core::counter::{CounterKey, Run, SequenceKey};
use seqid_core::event::{Fingerprint, Keyed, Origin};
use seqid_core::field::FieldValues;
use seqid_core::lease::{Lease, LeaseId};
use seqid_core::line::Line;
use seqid_core::names::{IdempotencyKey, Label, Reference};
use seqid_core::period::Period;
use seqid_core::time::{Date, Timestamp};
use seqid_core::{Number, Prefix, Tenant};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::counter_id::Bucket;
use crate::history::History;
use crate::stream::Entry;

/// Where a stream has an entry, and how many of its records are not in the durable store yet.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) bucket: Bucket,
    pub(super) history: History,
    pub(super) entry: String,
    left: AtomicUsize,
}

impl Place {
    pub(super) fn new(bucket: Bucket, history: History, entry: String, records: usize) -> Arc<Self> {
        Arc::new(Self {
            bucket,
            history,
            entry,
            left: AtomicUsize::new(records),
        })
    }

    /// One more of its records is in the durable store. Answers whether that was the last.
    pub(super) fn is_done_with_one(&self) -> bool {
        self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether all of its records are in the durable store.
    pub(super) fn is_done(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }
}

/// Numbers that were drawn, on their way to the durable store.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) line: Arc<Line>,
    pub(super) lease: LeaseId,
    pub(super) generation: u32,
    pub(super) epoch: u32,
    pub(super) run: Run,
    pub(super) said: Said,
    pub(super) place: Arc<Place>,
}

/// What a caller said of its draw, and when it was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) at: Timestamp,
    pub(super) origin: Arc<Origin>,
    pub(super) key: Option<Keyed>,
    pub(super) reference: Option<Reference>,
    pub(super) relates_to: Option<Reference>,
}

impl Said {
    /// Whether one event may tell of this draw and of others like it: it names no document and no request of its own.
    fn may_be_one_of_many(&self) -> bool {
        self.key.is_none() && self.reference.is_none() && self.relates_to.is_none()
    }
}

impl Record {
    /// What the durable store is told.
    pub(super) fn command(&self) -> Command {
        let report = Report {
            line: Arc::clone(&self.line),
            lease: self.lease,
            run: self.run,
            at: self.said.at,
            reference: self.said.reference.clone(),
            relates_to: self.said.relates_to.clone(),
        };
        Command::new(Act::Report(report), Arc::clone(&self.said.origin)).with_key(self.said.key.clone())
    }
}

/// Draws of one counter that go out together.
#[derive(Debug)]
pub(super) struct Written {
    draws: Vec<WrittenDraw>,
}

/// A draw, or several that one event may tell of.
#[derive(Debug)]
struct WrittenDraw {
    line: Arc<Line>,
    count: u64,
    said: Said,
}

impl WrittenDraw {
    /// Whether both were made at one moment, on one line and by one caller.
    fn is_like(&self, other: &Self) -> bool {
        let (origin, others) = (&self.said.origin, &other.said.origin);
        Arc::ptr_eq(&self.line, &other.line)
            && self.said.at == other.said.at
            && origin.actor == others.actor
            && origin.client == others.client
    }
}

impl Written {
    pub(super) const fn new() -> Self {
        Self { draws: Vec::new() }
    }

    /// Puts in a draw of so many numbers. Answers which of the records it is part of.
    pub(super) fn add(&mut self, line: &Arc<Line>, count: u64, said: Said) -> usize {
        if let Some(last) = self.draws.last_mut()
            && Arc::ptr_eq(&last.line, line)
            && said.may_be_one_of_many()
            && last.said == said
        {
            last.count += count;
        } else {
            let line = Arc::clone(line);
            self.draws.push(WrittenDraw { line, count, said });
        }
        self.draws.len() - 1
    }

    /// The content of the entry.
    pub(super) fn encode(&self, counter: &CounterKey, lease: &Lease, step: u64) -> Vec<u8> {
        let sequence = counter.sequence();
        let days = counter.period().first().zip(counter.period().last());
        let content = Content {
            tenant: sequence.tenant.as_str().into(),
            prefix: sequence.prefix.as_str().into(),
            scope: counter.scope().clone(),
            period: counter.period().to_string(),
            days: days.map(|(first, last)| (first.to_string(), last.to_string())),
            generation: lease.generation,
            lease: lease.id.to_string(),
            step,
            bunches: self.draws.chunk_by(WrittenDraw::is_like).map(Bunch::of).collect(),
        };
        serde_json::to_vec(&content).unwrap_or_default()
    }

    /// The records, once it is known which numbers they are.
    pub(super) fn records(self, lease: &Lease, first: Number, step: u64, place: &Arc<Place>) -> Vec<Record> {
        let mut next = first.get();
        let mut records = Vec::with_capacity(self.draws.len());
        for WrittenDraw { line, count, said } in self.draws {
            let first = Number::new(next).unwrap_or(Number::MAX);
            next = next.saturating_add(step.saturating_mul(count));
            records.push(Record {
                line,
                lease: lease.id,
                generation: lease.generation,
                epoch: lease.epoch,
                run: Run { first, step, count },
                said,
                place: Arc::clone(place),
            });
        }
        records
    }

    pub(super) fn len(&self) -> usize {
        self.draws.len()
    }
}

/// A draw as it was found in a stream.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) counter: CounterKey,
    pub(super) lease: LeaseId,
    pub(super) generation: u32,
    pub(super) draws: Vec<FoundDraw>,
}

#[derive(Debug)]
pub(super) struct FoundDraw {
    pub(super) date: Date,
    pub(super) fields: FieldValues,
    pub(super) run: Run,
    pub(super) said: Said,
}

/// What is not in an entry as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// It is no JSON of this form.
    #[error("it is not what seqid writes")]
    Form(#[from] serde_json::Error),
    /// One of its values is not what it should be.
    #[error("its {0} is none")]
    Value(&'static str),
}

impl Found {
    /// Reads an entry.
    pub(super) fn read(entry: &Entry) -> Result<Self, Unreadable> {
        let content: Content<'_> = serde_json::from_slice(&entry.events)?;
        let sequence = SequenceKey::new(
            Tenant::new(&content.tenant).map_err(|_| Unreadable::Value("tenant"))?,
            Prefix::new(&content.prefix).map_err(|_| Unreadable::Value("prefix"))?,
        );
        let days = match &content.days {
            Some((first, last)) => Some((date(first)?, date(last)?)),
            None => None,
        };
        let period = Period::named(&content.period, days).ok_or(Unreadable::Value("period"))?;
        let mut next = entry.first.get();
        let mut draws = Vec::new();
        for Bunch {
            at,
            date,
            fields,
            actor,
            client,
            items,
        } in content.bunches
        {
            for item in items {
                let first = Number::new(next).map_err(|_| Unreadable::Value("number"))?;
                let (step, count) = (content.step, item.count);
                next = step
                    .checked_mul(count)
                    .and_then(|all| next.checked_add(all))
                    .filter(|_| count > 0)
                    .ok_or(Unreadable::Value("count"))?;
                let origin = Origin {
                    actor: actor.as_deref().cloned(),
                    client: client.as_deref().cloned(),
                    request: item.request.map(Cow::into_owned),
                };
                draws.push(FoundDraw {
                    date,
                    fields: fields.as_ref().clone(),
                    run: Run { first, step, count },
                    said: Said {
                        at: Timestamp::from_micros(at),
                        origin: Arc::new(origin),
                        key: item.key.map(|key| keyed(&sequence, key)).transpose()?,
                        reference: item.reference.map(Cow::into_owned),
                        relates_to: item.relates_to.map(Cow::into_owned),
                    },
                });
            }
        }
        if next - entry.first.get() != entry.advance {
            return Err(Unreadable::Value("count"));
        }
        Ok(Self {
            counter: CounterKey::new(sequence, content.scope, period),
            lease: LeaseId(bytes(&content.lease).ok_or(Unreadable::Value("lease"))?),
            generation: content.generation,
            draws,
        })
    }
}

fn keyed(
    sequence: &SequenceKey,
    (key, digits): (Cow<'_, IdempotencyKey>, String),
) -> Result<Keyed, Unreadable> {
    let digest = bytes(&digits).ok_or(Unreadable::Value("fingerprint"))?;
    Ok(Keyed::new(sequence, key.into_owned(), Fingerprint(digest)))
}

fn date(text: &str) -> Result<Date, Unreadable> {
    text.parse().map_err(|_| Unreadable::Value("date"))
}

/// The bytes that 32 hex digits stand for.
fn bytes(digits: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(digits, 16).ok()?;
    (digits.len() == 32).then(|| number.to_be_bytes())
}

/// The content of an entry. What it is called is short, for there are many of them.
#[derive(Debug, Serialize, Deserialize)]
struct Content<'a> {
    #[serde(rename = "t")]
    tenant: Cow<'a, str>,
    #[serde(rename = "p")]
    prefix: Cow<'a, str>,
    #[serde(rename = "s", default, skip_serializing_if = "FieldValues::is_empty")]
    scope: FieldValues,
    #[serde(rename = "r")]
    period: String,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    days: Option<(String, String)>,
    #[serde(rename = "g")]
    generation: u32,
    #[serde(rename = "l")]
    lease: String,
    #[serde(rename = "k")]
    step: u64,
    #[serde(rename = "b", borrow)]
    bunches: Vec<Bunch<'a>>,
}

/// Draws of one moment that were made on one line and by one caller.
#[derive(Debug, Serialize, Deserialize)]
struct Bunch<'a> {
    /// Microseconds.
    at: i64,
    #[serde(rename = "d", with = "text")]
    date: Date,
    #[serde(rename = "f", default, skip_serializing_if = "FieldValues::is_empty")]
    fields: Cow<'a, FieldValues>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    actor: Option<Cow<'a, Label>>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    client: Option<Cow<'a, Label>>,
    #[serde(rename = "i")]
    items: Vec<Item<'a>>,
}

/// One draw.
#[derive(Debug, Serialize, Deserialize)]
struct Item<'a> {
    #[serde(rename = "n", default = "one", skip_serializing_if = "is_one")]
    count: u64,
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    request: Option<Cow<'a, Label>>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    reference: Option<Cow<'a, Reference>>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    relates_to: Option<Cow<'a, Reference>>,
    /// The key, and the digest of its request.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    key: Option<(Cow<'a, IdempotencyKey>, String)>,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_one(count: &u64) -> bool {
    *count == 1
}

/// Dates as text.
mod text {
    use serde::de::Error;

    use super::{Cow, Date, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(date)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl<'a> Bunch<'a> {
    /// Draws that are alike, of which there is at least one.
    fn of(alike: &'a [WrittenDraw]) -> Self {
        let WrittenDraw { line, said, .. } = &alike[0];
        Self {
            at: said.at.as_micros(),
            date: line.date(),
            fields: Cow::Borrowed(line.fields()),
            actor: said.origin.actor.as_ref().map(Cow::Borrowed),
            client: said.origin.client.as_ref().map(Cow::Borrowed),
            items: alike.iter().map(Item::of).collect(),
        }
    }
}

impl<'a> Item<'a> {
    fn of(WrittenDraw { count, said, .. }: &'a WrittenDraw) -> Self {
        let key = said.key.as_ref().map(|keyed| {
            let digits = LeaseId(keyed.fingerprint().0).to_string();
            (Cow::Borrowed(keyed.key()), digits)
        });
        Self {
            count: *count,
            request: said.origin.request.as_ref().map(Cow::Borrowed),
            reference: said.reference.as_ref().map(Cow::Borrowed),
            relates_to: said.relates_to.as_ref().map(Cow::Borrowed),
            key,
        }
    }
}
