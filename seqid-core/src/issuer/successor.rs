//! Chains of successors: sequences that go on where another has ended.
//!
//! A draw under an idempotency key may have been carried out by any sequence of its chain, and its repetition must find it
//! whatever happened since. So each command names the key in all sequences of the chain, and the versions that make
//! the chain: the ledger looks for all of these names, and refuses when the chain is not the one that holds.

use std::sync::Arc;

use super::Issuer;
use super::definitions::names;
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

/// A request's idempotency key, as it was sent.
pub(super) type SentKey = (IdempotencyKey, Fingerprint);

impl Issuer {
    /// A sequence with those that go on after it, in order; none at all when nothing goes on.
    pub(super) async fn chain(&self, first: &Arc<Loaded>) -> Result<Vec<Arc<Loaded>>, Error> {
        let mut chain = Vec::new();
        let mut last = Arc::clone(first);
        while let Some(prefix) = last.head().definition.successor().cloned()
            && chain.len() < MOST_SUCCESSORS
        {
            let key = SequenceKey::new(first.key.tenant.clone(), prefix);
            let successor = self.require(&key).await?;
            chain.push(std::mem::replace(&mut last, successor));
        }
        if !chain.is_empty() {
            chain.push(last);
        }
        Ok(chain)
    }

    /// The same, with every sequence as the store has it now.
    pub(super) async fn reload_chain(&self, first: &SequenceKey) -> Result<Vec<Arc<Loaded>>, Error> {
        let mut next = Some(first.clone());
        for _ in 0..=MOST_SUCCESSORS {
            let Some(key) = next.take() else { break };
            let sequence = self.reload(&key).await?;
            let successor = sequence.and_then(|sequence| sequence.head().definition.successor().cloned());
            next = successor.map(|prefix| SequenceKey::new(key.tenant.clone(), prefix));
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
}

/// Why draws of a definition cannot be carried out by another sequence.
fn unfit(definition: &Definition, successor: &Loaded) -> Option<String> {
    let other = &successor.head().definition;
    let differs = if names(definition.scope()) != names(other.scope()) {
        "scope"
    } else if names(definition.fields()) != names(other.fields()) {
        "fields"
    } else if definition.mode() != other.mode() {
        "mode"
    } else {
        return None;
    };
    Some(format!(
        "the successor {} has another {differs}, so that draws of this sequence do not fit it",
        successor.key.prefix
    ))
}

fn common_id(definition: &Definition, successor: &Loaded) -> Option<String> {
    successor
        .newest_first()
        .find_map(|version| overlap::common_id(definition.template(), version.definition.template()))
}

/// The other sequences of a chain, with the names that a key has in them.
pub(super) fn kin(chain: &[Arc<Loaded>], at: usize, key: Option<&SentKey>) -> Vec<Kin> {
    let others = chain.iter().enumerate().filter(|(place, _)| *place != at);
    others
        .map(|(_, other)| Kin {
            sequence: other.key.clone(),
            head: other.head().number,
            key: key.map(|(key, _)| KeyName::of(&other.key, key)),
        })
        .collect()
}

/// The key as it is named in a sequence.
pub(super) fn keyed(sequence: &SequenceKey, key: Option<&SentKey>) -> Option<Keyed> {
    key.map(|(key, fingerprint)| Keyed::new(sequence, key.clone(), *fingerprint))
}
