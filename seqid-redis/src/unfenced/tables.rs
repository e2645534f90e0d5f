//! Where sequences and counters are: hashes that are written if they are as they were read.

use std::collections::HashMap;

use redis::cmd;
use seqid_core::command::Command;
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::EventKind;
use seqid_core::ledger::{Found, HeldCount, Linked, SequenceState, Snapshot};
use seqid_core::names::{Prefix, Tenant};
use seqid_core::store::{CounterRecord, SequenceRecord, StoreError};
use serde::Serialize;

use super::forms::{CounterForm, DefinitionForm, SequenceForm, read};
use crate::connection::Connections;
use crate::counter_id::{Bucket, CounterId};
use crate::error::Fault;

const READ: &str = concat!("#!lua\n", include_str!("read.lua"));
const WRITE: &str = concat!("#!lua\n", include_str!("write.lua"));

/// How many counters are read at a time.
const PAGE: usize = 1_000;

/// The keys of a server.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    pub(super) connections: &'a Connections,
    pub(super) namespace: &'a str,
}

/// The revision of each hash that was read, with its bucket; empty of one that was not there.
pub(super) type Revisions = HashMap<String, (Bucket, String)>;

/// What was read of a hash.
#[derive(Debug)]
struct Row {
    revision: String,
    state: String,
    field: String,
}

/// Commands of one script, with the keys that they write.
#[derive(Debug, Default)]
struct Writes {
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Tables<'_> {
    /// Loads what commands need. Answers the revisions of what was read.
    pub(super) async fn load(
        &self,
        snapshot: &mut Snapshot,
        commands: &[&Command],
    ) -> Result<Revisions, StoreError> {
        let needs = snapshot.needs(commands.iter().copied());
        let mut revisions = Revisions::new();
        for sequence in needs.sequences {
            // Dates are never closed here.
            if sequence.is_whole() {
                snapshot.load_sequence(sequence, None);
                continue;
            }
            let bucket = Bucket::of(&sequence);
            let place = self.sequence_key(&sequence);
            let of_sequence = needs.counters.iter().filter(|key| *key.sequence() == sequence);
            let counters: Vec<&CounterKey> = of_sequence.collect();
            let mut asked = vec![(place.clone(), String::new())];
            for counter in &counters {
                asked.push((place.clone(), scope_field(counter)));
                asked.push((self.counter_key(counter), String::new()));
            }
            let rows = self.read(bucket, &asked).await?;
            if let Some(row) = rows.first() {
                revisions.insert(place.clone(), (bucket, row.revision.clone()));
                let state = match row.state.as_str() {
                    "" => None,
                    text => Some(read(&place, text, SequenceForm::state)?),
                };
                snapshot.load_sequence(sequence, state);
            }
            for (counter, rows) in counters.into_iter().zip(rows[1..].chunks_exact(2)) {
                let place = self.counter_key(counter);
                let found = found(&place, counter, &rows[0].field, &rows[1].state)?;
                revisions.insert(place, (bucket, rows[1].revision.clone()));
                snapshot.load_counter(counter.clone(), found);
            }
        }
        for sequence in needs.held {
            snapshot.load_held(sequence, HeldCount::default());
        }
        Ok(revisions)
    }

    /// Writes what commands on sequences of one bucket changed, if what they read is as it was. Answers whether it is.
    pub(super) async fn write(
        &self,
        bucket: Bucket,
        mut snapshot: Snapshot,
        read: &Revisions,
    ) -> Result<bool, StoreError> {
        let changes = snapshot.take_changes();
        if changes.sequences.is_empty() && changes.counters.is_empty() {
            return Ok(true);
        }
        let of_bucket = read.iter().filter(|(_, (of, _))| *of == bucket);
        let (mut keys, mut arguments) = (Vec::new(), Vec::new());
        for (key, (_, revision)) in of_bucket {
            keys.push(key.clone());
            arguments.push(revision.clone());
        }
        arguments.insert(0, keys.len().to_string());
        let mut writes = Writes { keys, arguments };
        for sequence in &changes.sequences {
            if let Some(state) = snapshot.sequence_state(sequence) {
                self.put_sequence(&mut writes, sequence, state, &changes.events, read);
            }
        }
        for counter in &changes.counters {
            if let Some(state) = snapshot.counter_state(counter) {
                self.put_counter(&mut writes, counter, state, read);
            }
        }
        let mut command = cmd("EVAL");
        command
            .arg(WRITE)
            .arg(writes.keys.len())
            .arg(&writes.keys)
            .arg(&writes.arguments);
        let written: u8 = self.connections.of(bucket).get()?.send(&command).await?;
        Ok(written == 1)
    }

    fn put_sequence(
        &self,
        writes: &mut Writes,
        sequence: &SequenceKey,
        state: &SequenceState,
        events: &[Linked],
        read: &Revisions,
    ) {
        let place = self.sequence_key(sequence);
        let mut fields = vec![
            "r".to_owned(),
            next(read, &place),
            "s".to_owned(),
            json(&SequenceForm::of(state)),
        ];
        let saved = events
            .iter()
            .map(|linked| &linked.event)
            .filter(|event| event.kind == EventKind::Defined && event.subject.sequence() == sequence);
        for event in saved {
            if let Some(form) = DefinitionForm::of(event) {
                fields.extend([version_field(event.version), json(&form)]);
            }
        }
        writes.add("HSET", place, fields);
        let tenant = self.tenant_key(Bucket::of(sequence), &sequence.tenant);
        writes.add("SADD", tenant, vec![sequence.prefix.to_string()]);
    }

    fn put_counter(&self, writes: &mut Writes, counter: &CounterKey, state: &CounterState, read: &Revisions) {
        let place = self.counter_key(counter);
        let is_new = read.get(&place).is_none_or(|(_, revision)| revision.is_empty());
        let form = json(&CounterForm::of(counter, state));
        let fields = vec!["r".to_owned(), next(read, &place), "s".to_owned(), form];
        writes.add("HSET", place.clone(), fields);
        if !is_new {
            return;
        }
        writes.add("RPUSH", self.opened_key(counter.sequence()), vec![place]);
        if !counter.scope().is_empty() {
            // With a revision: of two that differ by letter case one is decided anew.
            let sequence = self.sequence_key(counter.sequence());
            let revision = next(read, &sequence);
            let scope = counter.scope().to_string();
            writes.add(
                "HSET",
                sequence,
                vec!["r".to_owned(), revision, scope_field(counter), scope],
            );
        }
    }

    async fn read(&self, bucket: Bucket, asked: &[(String, String)]) -> Result<Vec<Row>, StoreError> {
        let mut command = cmd("EVAL");
        command.arg(READ).arg(asked.len());
        for (key, _) in asked {
            command.arg(key);
        }
        for (_, field) in asked {
            command.arg(field);
        }
        let found: Vec<String> = self.connections.of(bucket).get()?.send(&command).await?;
        if found.len() != 3 * asked.len() {
            return Err(Fault::unreadable(&found).into());
        }
        let row = |fields: &[String]| Row {
            revision: fields[0].clone(),
            state: fields[1].clone(),
            field: fields[2].clone(),
        };
        Ok(found.chunks_exact(3).map(row).collect())
    }

    /// The state of a counter.
    pub(super) async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        let place = self.counter_key(key);
        let asked = [(place.clone(), String::new())];
        let rows = self.read(Bucket::of(key.sequence()), &asked).await?;
        match rows.first().map(|row| row.state.as_str()) {
            None | Some("") => Ok(None),
            Some(text) => read(&place, text, |form: CounterForm| form.state()).map(Some),
        }
    }

    /// The counters of a sequence in the order in which they opened.
    pub(super) async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let bucket = Bucket::of(sequence);
        let mut command = cmd("LRANGE");
        let last = after.saturating_add(limit.min(PAGE) as u64) - 1;
        command.arg(self.opened_key(sequence)).arg(after).arg(last);
        let places: Vec<String> = self.connections.of(bucket).get()?.send(&command).await?;
        let asked: Vec<_> = places.into_iter().map(|place| (place, String::new())).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.read(bucket, &asked).await?;
        let mut records = Vec::with_capacity(rows.len());
        for ((position, (place, _)), row) in (after + 1..).zip(&asked).zip(rows) {
            let record = |form: CounterForm| {
                Some(CounterRecord {
                    position,
                    key: form.key(sequence)?,
                    state: form.state()?,
                })
            };
            // One that was evicted is gone.
            if !row.state.is_empty() {
                records.push(read(place, &row.state, record)?);
            }
        }
        Ok(records)
    }

    /// The sequence that has the folded prefix.
    pub(super) async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        let place = self.sequence_key(key);
        let mut command = cmd("HGETALL");
        command.arg(&place);
        let connection = self.connections.of(Bucket::of(key)).get()?;
        let fields: HashMap<String, String> = connection.send(&command).await?;
        let Some(text) = fields.get("s") else {
            return Ok(None);
        };
        let state = read(&place, text, SequenceForm::state)?;
        let mut versions = Vec::with_capacity(state.head as usize);
        for version in 1..=state.head {
            let text = fields.get(&version_field(version)).map_or("", String::as_str);
            versions.push(read(&place, text, DefinitionForm::record)?);
        }
        Ok(Some(SequenceRecord {
            key: SequenceKey::new(key.tenant.clone(), state.prefix),
            archived: state.archived,
            implicit: state.implicit,
            closed_through: None,
            tenant_closed_through: None,
            versions,
        }))
    }

    /// The sequences of a tenant in the order of their prefixes.
    pub(super) async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        let mut prefixes: Vec<Prefix> = Vec::new();
        for bucket in Bucket::all() {
            let mut command = cmd("SMEMBERS");
            command.arg(self.tenant_key(bucket, tenant));
            let found: Vec<String> = self.connections.of(bucket).get()?.send(&command).await?;
            let named = found.iter().filter_map(|prefix| Prefix::new(prefix).ok());
            prefixes.extend(named.filter(|prefix| after.is_none_or(|after| prefix.as_str() > after)));
        }
        prefixes.sort_unstable();
        let mut records = Vec::new();
        for prefix in prefixes.into_iter().take(limit) {
            let key = SequenceKey::new(tenant.clone(), prefix);
            records.extend(self.sequence(&key).await?);
        }
        Ok(records)
    }

    fn key(&self, bucket: Bucket, rest: &str) -> String {
        format!("{}:{{{bucket}}}:u:{rest}", self.namespace)
    }

    fn sequence_key(&self, sequence: &SequenceKey) -> String {
        self.named("s", sequence)
    }

    fn opened_key(&self, sequence: &SequenceKey) -> String {
        self.named("o", sequence)
    }

    fn named(&self, kind: &str, sequence: &SequenceKey) -> String {
        let (tenant, prefix) = (sequence.tenant.as_str(), sequence.folded_prefix());
        // With its length, so that no two pairs are one text.
        self.key(
            Bucket::of(sequence),
            &format!("{kind}:{}:{tenant}/{prefix}", tenant.len()),
        )
    }

    fn tenant_key(&self, bucket: Bucket, tenant: &Tenant) -> String {
        self.key(bucket, &format!("t:{tenant}"))
    }

    fn counter_key(&self, counter: &CounterKey) -> String {
        // Generations share it.
        let id = CounterId::new(counter, 0);
        self.key(id.bucket(), &format!("c:{}", id.name()))
    }
}

impl Writes {
    fn add(&mut self, command: &str, key: String, arguments: Vec<String>) {
        let at = match self.keys.iter().position(|other| *other == key) {
            Some(at) => at,
            None => {
                self.keys.push(key);
                self.keys.len() - 1
            }
        };
        let (number, count) = ((at + 1).to_string(), arguments.len().to_string());
        self.arguments.extend([command.to_owned(), number, count]);
        self.arguments.extend(arguments);
    }
}

fn found(place: &str, counter: &CounterKey, scope: &str, state: &str) -> Result<Found, StoreError> {
    if !state.is_empty() {
        return read(place, state, |form: CounterForm| form.state()).map(Found::Counter);
    }
    Ok(match scope {
        "" => Found::Nothing,
        scope if scope == counter.scope().to_string() => Found::Nothing,
        other => Found::CaseVariant(other.to_owned()),
    })
}

/// The field of a sequence that says which scope a folded one is taken by.
fn scope_field(counter: &CounterKey) -> String {
    format!("v:{}", counter.scope().to_string().to_lowercase())
}

fn version_field(version: u32) -> String {
    format!("d{version}")
}

/// The revision behind the one that was read.
fn next(read: &Revisions, place: &str) -> String {
    let before = read
        .get(place)
        .and_then(|(_, revision)| revision.parse::<u64>().ok());
    before.unwrap_or_default().saturating_add(1).to_string()
}

fn json(form: &impl Serialize) -> String {
    serde_json::to_string(form).unwrap_or_default()
}
