//! Chains of successors: sequences that go on where another has ended.
//!
//! A draw under an idempotency key may have been carried out by any sequence of its chain, and its repetition must find it
//! whatever happened since. So each command names the key in all sequences of the chain, and the versions that make
//! the chain: the ledger looks for all of these names, and refuses when the chain is not the one that holds.

use std::sync::Arc;

use super::Issuer;
use super::definitions::{PAGE, names};
use super::sequences::Loaded;
use crate::command::Kin;
use crate::counter::SequenceKey;
use crate::definition::Definition;
use crate::error::Error;
use crate::event::{Fingerprint, KeyName, Keyed};
use crate::names::IdempotencyKey;
use crate::refusal::{DefinitionRefused, Refusal as DefinitionRefusal, RefusalCode};
use crate::template::overlap;

/// The most sequences that go on after one.
const MOST_SUCCESSORS: usize = 8;

/// The most sequences that older definitions let go on and that a key is looked for in.
const MOST_FORMER: usize = 32;

/// A request's idempotency key, as it was sent.
pub(super) type SentKey = (IdempotencyKey, Fingerprint);

/// A sequence and those that go on after it.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// In order; none at all when nothing goes on.
    along: Vec<Arc<Loaded>>,
    /// Those that an older definition let go on: a key may have been used there.
    former: Vec<Arc<Loaded>>,
}

impl Chain {
    /// The sequence at a place, from 0.
    pub(super) fn get(&self, at: usize) -> Option<&Arc<Loaded>> {
        self.along.get(at)
    }

    /// The other sequences, with the names that a key has in them.
    pub(super) fn kin(&self, at: usize, key: Option<&SentKey>) -> Vec<Kin> {
        let others = self.along.iter().enumerate().filter(|(place, _)| *place != at);
        others
            .map(|(_, other)| other)
            .chain(&self.former)
            .map(|other| Kin {
                sequence: other.key.clone(),
                head: other.head().number,
                key: key.map(|(key, _)| KeyName::of(&other.key, key)),
            })
            .collect()
    }
}

impl Issuer {
    /// A sequence with those that go on after it.
    pub(super) async fn chain(&self, first: &Arc<Loaded>) -> Result<Chain, Error> {
        let along = self.along(first).await?;
        let mut former: Vec<Arc<Loaded>> = Vec::new();
        let members = if along.is_empty() {
            vec![Arc::clone(first)]
        } else {
            along.clone()
        };
        let mut prefixes: Vec<_> = members
            .iter()
            .flat_map(|member| member.successors.clone())
            .collect();
        while let Some(prefix) = prefixes.pop() {
            let mut known = members.iter().chain(&former);
            if known.any(|known| known.key.prefix == prefix) || former.len() == MOST_FORMER {
                continue;
            }
            let key = SequenceKey::new(first.key.tenant.clone(), prefix);
            let sequence = self.require(&key).await?;
            prefixes.extend(sequence.successors.clone());
            former.push(sequence);
        }
        Ok(Chain { along, former })
    }

    async fn along(&self, first: &Arc<Loaded>) -> Result<Vec<Arc<Loaded>>, Error> {
        let mut along = Vec::new();
        let mut last = Arc::clone(first);
        while let Some(prefix) = last.head().definition.successor().cloned()
            && along.len() < MOST_SUCCESSORS
        {
            let key = SequenceKey::new(first.key.tenant.clone(), prefix);
            let successor = self.require(&key).await?;
            along.push(std::mem::replace(&mut last, successor));
        }
        if !along.is_empty() {
            along.push(last);
        }
        Ok(along)
    }

    /// The same, with every sequence as the store has it now.
    pub(super) async fn reload_chain(&self, first: &SequenceKey) -> Result<Chain, Error> {
        let mut reloaded: Vec<SequenceKey> = Vec::new();
        let mut next = vec![first.clone()];
        while let Some(key) = next.pop() {
            if reloaded.contains(&key) || reloaded.len() > MOST_SUCCESSORS + MOST_FORMER {
                continue;
            }
            if let Some(sequence) = self.reload(&key).await? {
                let tenant = &key.tenant;
                let successors = sequence.successors.iter().cloned();
                next.extend(successors.map(|prefix| SequenceKey::new(tenant.clone(), prefix)));
            }
            reloaded.push(key);
        }
        self.chain(&self.require(first).await?).await
    }

    /// Refuses a successor that cannot take over.
    pub(super) async fn require_successor(
        &self,
        key: &SequenceKey,
        definition: &Definition,
    ) -> Result<(), Error> {
        let Some(mut prefix) = definition.successor().cloned() else {
            return Ok(());
        };
        let refused = |code, detail: String| {
            Err(DefinitionRefused::from(DefinitionRefusal::new(code, "/successor", detail)).into())
        };
        for _ in 0..MOST_SUCCESSORS {
            if prefix.as_str().eq_ignore_ascii_case(key.prefix.as_str()) {
                let detail = format!("the successors of {} lead back to it", key.prefix);
                return refused(RefusalCode::SuccessorCycle, detail);
            }
            let other = SequenceKey::new(key.tenant.clone(), prefix.clone());
            let Some(successor) = self.reload(&other).await? else {
                let detail = format!("sequence {prefix} is not defined; define the successor first");
                return refused(RefusalCode::InvalidValue, detail);
            };
            if let Some(detail) = unfit(definition, &successor) {
                return refused(RefusalCode::InvalidValue, detail);
            }
            if let Some(id) = common_id(definition, &successor) {
                let detail = format!("{id:?} could be an id of this sequence and of its successor {prefix}");
                return refused(RefusalCode::Overlaps, detail);
            }
            match successor.head().definition.successor() {
                Some(next) => prefix = next.clone(),
                None => return Ok(()),
            }
        }
        let detail = format!("at most {MOST_SUCCESSORS} sequences go on after one");
        refused(RefusalCode::InvalidValue, detail)
    }

    /// Refuses a change after which a sequence cannot go on any more where others have ended.
    pub(super) async fn require_predecessors(
        &self,
        key: &SequenceKey,
        definition: &Definition,
    ) -> Result<(), Error> {
        let beyond = match definition.successor() {
            Some(prefix) => {
                let next = SequenceKey::new(key.tenant.clone(), prefix.clone());
                let next = self.require(&next).await?;
                let along = self.along(&next).await?;
                if along.is_empty() { vec![next] } else { along }
            }
            None => Vec::new(),
        };
        let mut after: Option<String> = None;
        loop {
            let page = self.store.sequences(&key.tenant, after.as_deref(), PAGE).await?;
            for record in page.iter().filter(|record| record.key != *key) {
                let Some(other) = self.find(&record.key).await? else {
                    continue;
                };
                let along = self.along(&other).await?;
                if !record.archived && along.iter().any(|later| later.key == *key) {
                    require_fit(&other, definition)?;
                    beyond
                        .iter()
                        .try_for_each(|later| require_fit_beyond(&other, later))?;
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.prefix.to_string()),
                _ => return Ok(()),
            }
        }
    }
}

/// Refuses a definition that cannot take over from a sequence.
fn require_fit(predecessor: &Loaded, definition: &Definition) -> Result<(), Error> {
    let prefix = &predecessor.key.prefix;
    let refusal = if let Some(differs) = difference(&predecessor.head().definition, definition) {
        let detail = format!("{differs} must stay as it is in {prefix}, where this sequence goes on");
        DefinitionRefusal::new(RefusalCode::InvalidValue, format!("/{differs}"), detail)
    } else if let Some(id) = common_id(definition, predecessor) {
        let detail = format!("{id:?} could be an id of {prefix} too, where this sequence goes on");
        DefinitionRefusal::new(RefusalCode::Overlaps, "/format", detail)
    } else {
        return Ok(());
    };
    Err(DefinitionRefused::from(refusal).into())
}

/// Refuses a successor that cannot take over from a sequence further up.
fn require_fit_beyond(predecessor: &Loaded, later: &Loaded) -> Result<(), Error> {
    let (prefix, later_prefix) = (&predecessor.key.prefix, &later.key.prefix);
    let mut versions = later.newest_first();
    let (code, detail) = if let Some(differs) =
        difference(&predecessor.head().definition, &later.head().definition)
    {
        let detail =
            format!("{later_prefix} has another {differs} than {prefix}, which comes before this sequence");
        (RefusalCode::InvalidValue, detail)
    } else if let Some(id) = versions.find_map(|version| common_id(&version.definition, predecessor)) {
        let detail = format!(
            "{id:?} could be an id of {later_prefix} and of {prefix}, which comes before this sequence"
        );
        (RefusalCode::Overlaps, detail)
    } else {
        return Ok(());
    };
    Err(DefinitionRefused::from(DefinitionRefusal::new(code, "/successor", detail)).into())
}

/// The member by which draws of a definition do not fit another.
fn difference(definition: &Definition, other: &Definition) -> Option<&'static str> {
    if names(definition.scope()) != names(other.scope()) {
        Some("scope")
    } else if names(definition.fields()) != names(other.fields()) {
        Some("fields")
    } else if definition.mode() != other.mode() {
        Some("mode")
    } else {
        None
    }
}

/// Why draws of a definition cannot be carried out by another sequence.
fn unfit(definition: &Definition, successor: &Loaded) -> Option<String> {
    let differs = difference(definition, &successor.head().definition)?;
    Some(format!(
        "the successor {} has another {differs}, so that draws of this sequence do not fit it",
        successor.key.prefix
    ))
}

/// An id that a definition and some version of another sequence could give.
fn common_id(definition: &Definition, other: &Loaded) -> Option<String> {
    other
        .newest_first()
        .find_map(|version| overlap::common_id(definition.template(), version.definition.template()))
}

/// The key as it is named in a sequence.
pub(super) fn keyed(sequence: &SequenceKey, key: Option<&SentKey>) -> Option<Keyed> {
    key.map(|(key, fingerprint)| Keyed::new(sequence, key.clone(), *fingerprint))
}
