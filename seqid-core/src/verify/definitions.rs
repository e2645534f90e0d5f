//! The definitions that the log has brought so far.

use std::collections::HashMap;

use super::report::{FaultKind, Wrong, require};
use crate::counter::SequenceKey;
use crate::definition::{Defaults, Definition, DefinitionSpec};
use crate::event::{Event, EventKind, Subject};
use crate::names::Number;

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub(super) struct Definitions {
    sequences: HashMap<SequenceKey, Versions>,
    saved: u64,
}

#[derive(Debug, Clone, Default)]
struct Versions {
    /// Version 1 first.
    saved: Vec<Definition>,
    distrusted: bool,
}

impl Definitions {
    /// Takes in the definition that an event saved.
    pub(super) fn save(&mut self, key: &SequenceKey, event: &Event) -> Result<(), Wrong> {
        let versions = self.sequences.entry(key.clone()).or_default();
        require(
            FaultKind::Numbers,
            "the kind",
            &EventKind::Defined.as_str(),
            &event.kind.as_str(),
        )?;
        require(
            FaultKind::Numbers,
            "the definition's version",
            &(versions.saved.len() + 1),
            &(event.version as usize),
        )?;
        require(FaultKind::Numbers, "the generation", &0, &event.generation)?;
        require(FaultKind::Numbers, "the epoch", &0, &event.epoch)?;
        let definition = compiled(key, event.detail.as_deref())?;
        let mode = definition.mode();
        versions.saved.push(definition);
        self.saved += 1;
        require(
            FaultKind::Numbers,
            "the mode",
            &mode.as_str(),
            &event.mode.as_str(),
        )
    }

    /// How many definitions were saved.
    pub(super) const fn saved(&self) -> u64 {
        self.saved
    }

    /// What an event of this subject should have saved is not known: nothing is held against the sequence's definitions
    /// any more.
    pub(super) fn distrust(&mut self, subject: &Subject) {
        if let Subject::Sequence(key) = subject {
            self.sequences.entry(key.clone()).or_default().distrusted = true;
        }
    }

    pub(super) fn distrusted(&self, key: &SequenceKey) -> bool {
        self.sequences
            .get(key)
            .is_some_and(|versions| versions.distrusted)
    }

    /// A version that was saved before.
    pub(super) fn version(&self, key: &SequenceKey, version: u32) -> Result<&Definition, Wrong> {
        let saved = self
            .sequences
            .get(key)
            .map_or(&[][..], |versions| &versions.saved);
        let at = (version as usize).checked_sub(1);
        at.and_then(|at| saved.get(at)).ok_or_else(|| Wrong {
            kind: FaultKind::Numbers,
            expected: format!(
                "a version of the definition that was saved before: 1 to {}",
                saved.len()
            ),
            found: format!("version {version}"),
        })
    }

    /// The largest number of a counter that opened with a version: the newest may have raised it.
    pub(super) fn max(&self, key: &SequenceKey, opened: &Definition) -> Number {
        let newest = self.sequences.get(key).and_then(|versions| versions.saved.last());
        let raised = newest.filter(|newest| newest.max() > opened.max());
        raised.map_or(opened.max(), |newest| {
            opened.max().max(newest.max().min(opened.largest_printable()))
        })
    }
}

fn compiled(key: &SequenceKey, json: Option<&str>) -> Result<Definition, Wrong> {
    let wrong = |found: String| Wrong {
        kind: FaultKind::Numbers,
        expected: "a definition".to_owned(),
        found,
    };
    let json = json.ok_or_else(|| wrong("none".to_owned()))?;
    let spec = DefinitionSpec::from_json(json).map_err(|error| wrong(format!("{json}: {error}")))?;
    Definition::check(&key.tenant, &key.prefix, spec, &Defaults::default())
        .map_err(|error| wrong(format!("{json}: {error}")))
}
