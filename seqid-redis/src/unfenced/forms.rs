//! What is kept of sequences and counters, as JSON. Redis has no events of them, so there are no chains either.

use std::sync::Arc;

use seqid_core::chain::Link;
use seqid_core::counter::{CounterKey, CounterState, CounterStatus, SequenceKey};
use seqid_core::definition::DefinitionSpec;
use seqid_core::event::Event;
use seqid_core::field::FieldValues;
use seqid_core::ledger::SequenceState;
use seqid_core::names::{Label, Number, Prefix};
use seqid_core::period::Period;
use seqid_core::store::DefinitionRecord;
use seqid_core::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};

/// A sequence.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SequenceForm {
    prefix: String,
    head: u32,
    spec: String,
    archived: bool,
    opened: bool,
}

impl SequenceForm {
    pub(super) fn of(state: &SequenceState) -> Self {
        Self {
            prefix: state.prefix.to_string(),
            head: state.head,
            spec: state.spec.to_string(),
            archived: state.archived,
            opened: state.opened,
        }
    }

    pub(super) fn state(self) -> Option<SequenceState> {
        Some(SequenceState {
            prefix: Prefix::new(&self.prefix).ok()?,
            head: self.head,
            spec: self.spec.into(),
            implicit: false,
            archived: self.archived,
            opened: self.opened,
            closed_through: None,
            tenant_closed_through: None,
            chain: Link::GENESIS,
        })
    }
}

/// A version of a definition.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DefinitionForm {
    spec: String,
    /// Microseconds.
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Label>,
}

impl DefinitionForm {
    /// What an event by which a definition was saved says of it.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(Self {
            spec: event.detail.as_deref()?.to_owned(),
            at: event.at.as_micros(),
            actor: event.origin.actor.clone(),
        })
    }

    pub(super) fn record(self) -> Option<DefinitionRecord> {
        Some(DefinitionRecord {
            spec: DefinitionSpec::from_json(&self.spec).ok()?,
            at: Timestamp::from_micros(self.at),
            actor: self.actor,
        })
    }
}

/// A counter.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CounterForm {
    scope: FieldValues,
    period: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    days: Option<(String, String)>,
    version: u32,
    generation: u32,
    epoch: u32,
    next: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_date: Option<String>,
}

impl CounterForm {
    pub(super) fn of(key: &CounterKey, state: &CounterState) -> Self {
        let days = key.period().first().zip(key.period().last());
        Self {
            scope: key.scope().clone(),
            period: key.period().to_string(),
            days: days.map(|(first, last)| (first.to_string(), last.to_string())),
            version: state.version,
            generation: state.generation,
            epoch: state.epoch,
            next: state.next,
            last: state.last,
            last_date: state.last_date.map(|date| date.to_string()),
        }
    }

    pub(super) fn key(&self, sequence: &SequenceKey) -> Option<CounterKey> {
        let days = match &self.days {
            Some((first, last)) => Some((first.parse::<Date>().ok()?, last.parse::<Date>().ok()?)),
            None => None,
        };
        let period = Period::named(&self.period, days)?;
        Some(CounterKey::new(sequence.clone(), self.scope.clone(), period))
    }

    pub(super) fn state(&self) -> Option<CounterState> {
        let last_date = match &self.last_date {
            Some(date) => Some(date.parse().ok()?),
            None => None,
        };
        Some(CounterState {
            version: self.version,
            generation: self.generation,
            epoch: self.epoch,
            next: self.next,
            last: self.last,
            last_date,
            status: CounterStatus::Open,
            reserved: 0,
            voided: 0,
            free: 0,
            next_expiry: None,
            leases: 0,
            chain: Link::GENESIS,
        })
    }
}

/// Something that Redis has is not what seqid writes.
#[derive(Debug, thiserror::Error)]
#[error("{key} of Redis is not what seqid writes")]
pub(super) struct Unreadable {
    pub(super) key: String,
}

/// Reads a form, and makes of it what it stands for.
pub(super) fn read<'a, F: Deserialize<'a>, T>(
    key: &str,
    text: &'a str,
    make: impl FnOnce(F) -> Option<T>,
) -> Result<T, seqid_core::store::StoreError> {
    let made = serde_json::from_str(text).ok().and_then(make);
    made.ok_or_else(|| {
        let key = key.to_owned();
        seqid_core::store::StoreError::Corrupt(Arc::new(Unreadable { key }))
    })
}
