use serde_json::Value;

use crate::definition::{Definition, DefinitionSpec};
use crate::event::Origin;
use crate::names::{Label, Prefix, Tenant};
use crate::time::{Date, Timestamp};

/// A definition to be saved.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DefineRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// The whole definition.
    pub definition: DefinitionSpec,
    /// The version that is changed; `None` for a sequence that is not defined yet.
    pub if_version: Option<u32>,
    /// Whether to check only and save nothing.
    pub dry_run: bool,
    /// Who asks.
    pub origin: Origin,
}

impl DefineRequest {
    /// A new sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix, definition: DefinitionSpec) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            definition,
            if_version: None,
            dry_run: false,
            origin: Origin::default(),
        }
    }
}

/// A definition after [`define`](super::Numbering::define).
#[derive(Debug, Clone)]
pub struct Defined {
    /// The sequence as it is now, or would be.
    pub sequence: Sequence,
    /// Whether the sequence is new.
    pub created: bool,
    /// Whether a version was saved; false when an equal one was there, or for a dry run.
    pub saved: bool,
    /// What a reader should know: ids that other sequences of the tenant can print too, say.
    pub remarks: Vec<String>,
}

/// A sequence with its newest definition.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// The name.
    pub prefix: Prefix,
    /// The version of the definition.
    pub version: u32,
    /// The definition.
    pub definition: Definition,
    /// Whether a draw made it.
    pub implicit: bool,
    /// Whether it was archived: it gives no numbers any more.
    pub archived: bool,
    /// The last document date that is closed, in this sequence or in all; `None` when all are open.
    pub closed_through: Option<Date>,
    /// When the version was saved.
    pub changed_at: Timestamp,
    /// Who saved it.
    pub changed_by: Option<Label>,
    /// The first id of today's counter; `None` when a field without a default decides it.
    pub first_id: Option<String>,
    /// The last id of today's counter.
    pub last_id: Option<String>,
}

/// A version of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionVersion {
    /// The version, from 1.
    pub version: u32,
    /// When it was saved.
    pub changed_at: Timestamp,
    /// Who saved it.
    pub changed_by: Option<Label>,
    /// The definition with every default made explicit.
    pub definition: DefinitionSpec,
    /// How it differs from the version before; nothing for the first.
    pub changes: Vec<MemberChange>,
}

/// A member of a definition that differs between two versions.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberChange {
    /// Its name.
    pub member: String,
    /// Its value in the version before; null where it was absent.
    pub before: Value,
    /// Its value now; null where it is absent.
    pub after: Value,
}
