//! Sequences and lines that were used before, kept ready. Both caches are bounded; what is thrown out is read again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Issuer;
use crate::command::{Act, Command, Define, Expected};
use crate::counter::{CounterKey, SequenceKey};
use crate::definition::{Definition, DefinitionSpec, Mode};
use crate::error::Error;
use crate::event::Origin;
use crate::field::RawValues;
use crate::ledger::Refusal;
use crate::line::{Line, LineParts, Version};
use crate::names::Prefix;
use crate::refusal::{DefinitionRefused, Refusal as DefinitionRefusal, RefusalCode};
use crate::store::{SequenceRecord, StoreError};
use crate::time::Date;

/// The most sequences, and the most lines, that are kept.
const KEPT: usize = 10_000;

/// The sequences that were used.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    loaded: RwLock<HashMap<SequenceKey, Arc<Loaded>>>,
    /// How many lines all of them keep.
    lines: AtomicUsize,
}

/// A sequence with its definitions compiled.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) key: SequenceKey,
    pub(super) implicit: bool,
    /// Whether the store lets its numbers repeat, and has no audit of them.
    pub(super) unfenced: bool,
    /// The sequences that any version lets go on after this one.
    pub(super) successors: Vec<Prefix>,
    /// All versions, the newest last; never empty.
    versions: Vec<Version>,
    /// Lines without free fields, by the scope as it was asked for and the date.
    lines: RwLock<HashMap<(RawValues, Date), Arc<Line>>>,
}

impl Loaded {
    pub(super) fn new(record: &SequenceRecord, issuer: &Issuer) -> Result<Self, Error> {
        let key = record.key.clone();
        let mut versions = Vec::with_capacity(record.versions.len());
        for (number, version) in (1..).zip(&record.versions) {
            let definition = issuer.compile(&key, version.spec.clone())?;
            versions.push(Version { number, definition });
        }
        if versions.is_empty() {
            return Err(StoreError::Corrupt(Arc::new(NoVersion)).into());
        }
        Ok(Self {
            key,
            implicit: record.implicit,
            unfenced: issuer.store.capabilities().unfenced,
            successors: versions
                .iter()
                .filter_map(|version| version.definition.successor().cloned())
                .collect(),
            versions,
            lines: RwLock::default(),
        })
    }

    /// The newest version.
    pub(super) fn head(&self) -> &Version {
        &self.versions[self.versions.len() - 1]
    }

    /// The definition of a version.
    pub(super) fn version(&self, number: u32) -> Option<&Version> {
        self.versions.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// All versions, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().rev()
    }

    fn kept_line(&self, name: &(RawValues, Date)) -> Option<Arc<Line>> {
        self.lines
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }
}

/// What a draw asks of its sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) scope: &'a RawValues,
    pub(super) fields: &'a RawValues,
    pub(super) date: Date,
}

impl Issuer {
    /// Checks a definition that was checked before it was stored.
    pub(super) fn compile(&self, key: &SequenceKey, spec: DefinitionSpec) -> Result<Definition, Error> {
        Ok(Definition::check(&key.tenant, &key.prefix, spec, &self.defaults)?)
    }

    /// A sequence from the cache.
    pub(super) fn kept(&self, key: &SequenceKey) -> Option<Arc<Loaded>> {
        self.sequences
            .loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// A sequence, from the cache or the store.
    pub(super) async fn find(&self, key: &SequenceKey) -> Result<Option<Arc<Loaded>>, Error> {
        match self.kept(key) {
            Some(sequence) => Ok(Some(sequence)),
            None => self.reload(key).await,
        }
    }

    /// A sequence as the store has it now.
    pub(super) async fn reload(&self, key: &SequenceKey) -> Result<Option<Arc<Loaded>>, Error> {
        let Some(record) = self.store.sequence(key).await? else {
            return Ok(None);
        };
        let loaded = Arc::new(Loaded::new(&record, self)?);
        let mut kept = self
            .sequences
            .loaded
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
            self.sequences.lines.store(0, Ordering::Relaxed);
        }
        kept.insert(key.clone(), Arc::clone(&loaded));
        Ok(Some(loaded))
    }

    /// A sequence that must be there.
    pub(super) async fn require(&self, key: &SequenceKey) -> Result<Arc<Loaded>, Error> {
        self.find(key).await?.ok_or_else(|| Error::SequenceNotFound {
            prefix: key.prefix.to_string(),
        })
    }

    /// A sequence to draw from: one that is not there is defined, where the policy allows it.
    pub(super) async fn find_or_define(
        &self,
        key: &SequenceKey,
        origin: &Arc<Origin>,
    ) -> Result<Arc<Loaded>, Error> {
        if let Some(sequence) = self.find(key).await? {
            return Ok(sequence);
        }
        let not_found = || Error::SequenceNotFound {
            prefix: key.prefix.to_string(),
        };
        let implicit = self.implicit.act().ok_or_else(not_found)?;
        let define = Define {
            sequence: key.clone(),
            definition: self.compile(key, DefinitionSpec::implicit())?,
            expected: Expected::Nothing,
            objections: Vec::new(),
            implicit: Some(implicit),
        };
        self.apply(Command::new(Act::Define(define), Arc::clone(origin)))
            .await?;
        self.reload(key).await?.ok_or_else(not_found)
    }

    /// Refuses a mode that the store does not serve.
    pub(super) fn require_mode(&self, mode: Mode) -> Result<(), Error> {
        let capabilities = self.store.capabilities();
        if capabilities.serves(mode) {
            return Ok(());
        }
        let detail = format!(
            "the store {} cannot serve mode {}",
            capabilities.name,
            mode.as_str()
        );
        Err(DefinitionRefused::from(DefinitionRefusal::new(
            RefusalCode::ModeUnavailable,
            "/mode",
            detail,
        ))
        .into())
    }

    /// The line of a draw. Until the store says otherwise, the counter is taken to have opened with the newest
    /// version.
    pub(super) fn line(&self, sequence: &Loaded, asked: Asked<'_>) -> Result<Arc<Line>, Error> {
        if asked.fields.is_empty() {
            // The name would be borrowed if a map of pairs could be asked for a pair of references.
            let name = (asked.scope.clone(), asked.date);
            if let Some(line) = sequence.kept_line(&name) {
                return Ok(line);
            }
        }
        self.make_line(sequence, asked, sequence.head().number)
    }

    /// A line by the newest older version that takes what is asked: the counter, or the first use of the key,
    /// may be as old. The store says so if it is not.
    pub(super) fn older_line(&self, sequence: &Loaded, asked: Asked<'_>) -> Option<Arc<Line>> {
        let mut older = sequence.newest_first().skip(1);
        older.find_map(|version| self.make_line(sequence, asked, version.number).ok())
    }

    /// The line of a draw from a counter that opened with a certain version.
    pub(super) fn make_line(
        &self,
        sequence: &Loaded,
        asked: Asked<'_>,
        opened: u32,
    ) -> Result<Arc<Line>, Error> {
        let head = sequence.head().clone();
        self.require_mode(head.definition.mode())?;
        let opened = sequence
            .version(opened)
            .cloned()
            .ok_or_else(|| corrupt_version(opened))?;
        let definition = &opened.definition;
        let period = definition.period(asked.date)?;
        let (scope, fields) = definition.resolve(asked.scope, asked.fields)?;
        let key = CounterKey::new(sequence.key.clone(), scope, period);
        let line = Arc::new(Line::new(LineParts {
            key,
            head,
            opened,
            date: asked.date,
            fields,
        })?);
        if asked.fields.is_empty() {
            self.keep_line(sequence, (asked.scope.clone(), asked.date), Arc::clone(&line));
        }
        Ok(line)
    }

    fn keep_line(&self, sequence: &Loaded, name: (RawValues, Date), line: Arc<Line>) {
        let total = self.sequences.lines.fetch_add(1, Ordering::Relaxed);
        let mut lines = sequence.lines.write().unwrap_or_else(PoisonError::into_inner);
        if total >= KEPT {
            // Whose lines are many fills the bound, and begins anew; the others' count is kept.
            self.sequences.lines.fetch_sub(lines.len(), Ordering::Relaxed);
            lines.clear();
        }
        lines.insert(name, line);
    }

    /// Brings the sequence up to the version that the store refused an older one for.
    pub(super) async fn catch_up(&self, sequence: Arc<Loaded>, head: u32) -> Result<Arc<Loaded>, Error> {
        if sequence.head().number == head {
            return Ok(sequence);
        }
        let key = sequence.key.clone();
        self.reload(&key).await?.ok_or_else(|| Error::SequenceNotFound {
            prefix: key.prefix.to_string(),
        })
    }

    /// Loads every sequence of the store and checks that the store serves its mode.
    ///
    /// # Errors
    /// The first sequence that cannot be served.
    pub async fn verify_modes(&self, tenant: &crate::names::Tenant) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.sequences(tenant, after.as_deref(), 1_000).await?;
            for record in &page {
                if let Some(version) = record.versions.last() {
                    self.require_mode(version.spec.mode.unwrap_or_default())?;
                }
            }
            match page.last() {
                Some(last) => after = Some(last.key.prefix.to_string()),
                None => return Ok(()),
            }
        }
    }
}

fn corrupt_version(version: u32) -> Error {
    StoreError::Corrupt(Arc::new(MissingVersion(version))).into()
}

#[derive(Debug, thiserror::Error)]
#[error("a counter opened with definition version {0}, which is not there")]
struct MissingVersion(u32);

#[derive(Debug, thiserror::Error)]
#[error("a sequence has no definition")]
struct NoVersion;

/// What the ledger says when the caller's lines are out of date.
pub(super) fn changed(error: &StoreError) -> Option<(u32, u32)> {
    match error {
        StoreError::Refused(Refusal::DefinitionChanged { head, opened }) => Some((*head, *opened)),
        _ => None,
    }
}
