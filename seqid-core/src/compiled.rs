//! Compiled definitions, kept for those who render many events.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::counter::SequenceKey;
use crate::definition::{Defaults, Definition, DefinitionSpec};

/// The most definitions that are kept.
const KEPT: usize = 10_000;

/// A bounded cache of definitions by sequence and version. A version never changes, so nothing is ever stale.
#[derive(Debug, Default)]
pub struct CompiledDefinitions(Mutex<HashMap<(SequenceKey, u32), Definition>>);

impl CompiledDefinitions {
    /// The definition of a version, compiled from what `spec` finds if it is not kept.
    ///
    /// # Errors
    /// Those of `spec`.
    pub fn find<E>(
        &self,
        key: &SequenceKey,
        version: u32,
        spec: impl FnOnce() -> Result<Option<DefinitionSpec>, E>,
    ) -> Result<Option<Definition>, E> {
        let name = (key.clone(), version);
        if let Some(definition) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(Some(definition.clone()));
        }
        let Some(spec) = spec()? else { return Ok(None) };
        // It was checked before it was stored.
        let Ok(definition) = Definition::check(&key.tenant, &key.prefix, spec, &Defaults::default()) else {
            return Ok(None);
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(name, definition.clone());
        Ok(Some(definition))
    }
}
