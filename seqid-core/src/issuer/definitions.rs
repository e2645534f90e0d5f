use std::collections::BTreeSet;
use std::sync::Arc;

use super::Issuer;
use super::draw::WrongReply;
use super::sequences::Loaded;
use crate::command::{Act, Command, Define, Expected, Reply};
use crate::counter::SequenceKey;
use crate::definition::{Definition, DefinitionSpec};
use crate::error::{Error, InvalidRequest};
use crate::field::FieldDeclaration;
use crate::ledger::Refusal;
use crate::names::{Prefix, Tenant};
use crate::numbering::{DefineRequest, Defined, DefinitionVersion, Listing, MemberChange, Page, Sequence};
use crate::refusal::{DefinitionRefused, Refusal as DefinitionRefusal, RefusalCode};
use crate::store::{SequenceRecord, StoreError};
use crate::template::overlap;
use crate::time::Timestamp;

/// How many sequences of a page are read at a time.
pub(super) const PAGE: usize = 200;

/// Members that say what a counter's numbers mean: they hold for ever once a counter has opened.
const FOR_EVER: [&str; 2] = ["reset", "fiscal_year_start"];

impl Issuer {
    pub(super) async fn define_sequence(&self, request: DefineRequest) -> Result<Defined, Error> {
        let key = SequenceKey::new(request.tenant, request.prefix);
        let definition = self.compile(&key, request.definition)?;
        self.require_mode(definition.mode())?;
        self.require_successor(&key, &definition).await?;
        let existing = self.store.sequence(&key).await?;
        let remarks = self.remarks(&key, &definition).await?;
        let objections = match &existing {
            Some(record) => {
                self.require_predecessors(&key, &definition).await?;
                self.objections(record, &definition)?
            }
            None => Vec::new(),
        };
        if request.dry_run {
            if existing.as_ref().is_some_and(|record| record.archived) {
                return Err(Refusal::Archived.into());
            }
            if !objections.is_empty() && !self.store.counters(&key, 0, 1).await?.is_empty() {
                return Err(DefinitionRefused::from(objections).into());
            }
            return Ok(self.would_define(&key, definition, existing.as_ref(), remarks));
        }
        let define = Define {
            sequence: key.clone(),
            definition,
            expected: request.if_version.map_or(Expected::Nothing, Expected::Version),
            objections,
            implicit: None,
        };
        let created = existing.is_none();
        let reply = self
            .apply(Command::new(Act::Define(define), self.origin(request.origin)))
            .await?;
        let Reply::Defined(defined) = reply else {
            return Err(StoreError::Unknown(Arc::new(WrongReply)).into());
        };
        let record = self.record(&key).await?;
        self.reload(&key).await?;
        Ok(Defined {
            sequence: self.shown(&record)?,
            created: created && defined.saved,
            saved: defined.saved,
            remarks,
        })
    }

    fn would_define(
        &self,
        key: &SequenceKey,
        definition: Definition,
        existing: Option<&SequenceRecord>,
        remarks: Vec<String>,
    ) -> Defined {
        let version = existing.map_or(0, SequenceRecord::head) + 1;
        let sequence = self.described(key, version, definition);
        Defined {
            sequence,
            created: existing.is_none(),
            saved: false,
            remarks,
        }
    }

    /// What stands against a change once a counter of the sequence has opened.
    fn objections(
        &self,
        record: &SequenceRecord,
        definition: &Definition,
    ) -> Result<Vec<DefinitionRefusal>, Error> {
        let loaded = Loaded::new(record, self)?;
        let before = &loaded.head().definition;
        let mut changed = definition.spec().changes(before.spec());
        changed.retain(|member| FOR_EVER.contains(member));
        if names(definition.scope()) != names(before.scope()) {
            changed.push("scope");
        }
        let mut objections: Vec<DefinitionRefusal> = changed
            .iter()
            .map(|member| {
                let detail = format!("{member} cannot change after the first number of the sequence");
                DefinitionRefusal::new(RefusalCode::InvalidValue, format!("/{member}"), detail)
            })
            .collect();
        objections.extend(moved_ranges(before, definition));
        objections.extend(moved_end(before, definition));
        for version in loaded.newest_first() {
            if let Some(id) = common_id(definition, &version.definition) {
                let detail = format!(
                    "{id:?} could be an id of this format and of version {}, whose ids were given out",
                    version.number
                );
                objections.push(DefinitionRefusal::new(RefusalCode::Overlaps, "/format", detail));
            }
        }
        Ok(objections)
    }

    /// Ids that other sequences of the tenant can print too.
    async fn remarks(&self, key: &SequenceKey, definition: &Definition) -> Result<Vec<String>, Error> {
        let mut remarks = definition.warnings().to_vec();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.sequences(&key.tenant, after.as_deref(), PAGE).await?;
            for record in page.iter().filter(|record| record.key != *key) {
                let Some(other) = self.find(&record.key).await? else {
                    continue;
                };
                if let Some(id) =
                    overlap::common_id(definition.template(), other.head().definition.template())
                {
                    remarks.push(format!(
                        "{id:?} could be an id of sequence {} too",
                        record.key.prefix
                    ));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.prefix.to_string()),
                _ => return Ok(remarks),
            }
        }
    }

    pub(super) async fn show_sequence(&self, tenant: Tenant, prefix: Prefix) -> Result<Sequence, Error> {
        let key = SequenceKey::new(tenant, prefix);
        self.shown(&self.record(&key).await?)
    }

    pub(super) async fn list_sequences(
        &self,
        tenant: Tenant,
        page: Page,
    ) -> Result<Listing<Sequence>, Error> {
        require_limit(&page)?;
        let records = self
            .store
            .sequences(&tenant, page.after.as_deref(), page.limit)
            .await?;
        let next =
            (records.len() == page.limit).then(|| records.last().map(|last| last.key.prefix.to_string()));
        let items = records
            .iter()
            .map(|record| self.shown(record))
            .collect::<Result<_, _>>()?;
        Ok(Listing {
            items,
            next: next.flatten(),
        })
    }

    pub(super) async fn list_versions(
        &self,
        tenant: Tenant,
        prefix: Prefix,
        page: Page,
    ) -> Result<Listing<DefinitionVersion>, Error> {
        require_limit(&page)?;
        let after = match page.after.as_deref().map(str::parse::<usize>) {
            None => 0,
            Some(Ok(version)) => version,
            Some(Err(_)) => {
                let reason = InvalidRequest::Contradiction("after must be the `next` of the page before");
                return Err(Error::Invalid {
                    pointer: "/after",
                    reason,
                });
            }
        };
        let key = SequenceKey::new(tenant, prefix);
        let record = self.record(&key).await?;
        let versions = &record.versions;
        let before = |at: usize| at.checked_sub(1).and_then(|at| versions.get(at));
        let shown = (1..).zip(versions).enumerate().skip(after).take(page.limit);
        let items: Vec<_> = shown
            .map(|(at, (version, saved))| DefinitionVersion {
                version,
                changed_at: saved.at,
                changed_by: saved.actor.clone(),
                definition: saved.spec.clone(),
                changes: before(at).map_or_else(Vec::new, |before| changes(&before.spec, &saved.spec)),
            })
            .collect();
        let last = after.saturating_add(items.len());
        Ok(Listing {
            next: (last < versions.len() && !items.is_empty()).then(|| last.to_string()),
            items,
        })
    }

    /// What the store has of a sequence, which must be there.
    pub(super) async fn record(&self, key: &SequenceKey) -> Result<SequenceRecord, Error> {
        let record = self.store.sequence(key).await?;
        record.ok_or_else(|| Error::SequenceNotFound {
            prefix: key.prefix.to_string(),
        })
    }

    pub(super) fn shown(&self, record: &SequenceRecord) -> Result<Sequence, Error> {
        let loaded = Loaded::new(record, self)?;
        let head = loaded.head();
        let mut sequence = self.described(&record.key, head.number, head.definition.clone());
        if let Some(version) = record.versions.last() {
            sequence.changed_at = version.at;
            sequence.changed_by = version.actor.clone();
        }
        sequence.implicit = record.implicit;
        sequence.archived = record.archived;
        sequence.closed_through = record.last_closed();
        Ok(sequence)
    }

    fn described(&self, key: &SequenceKey, version: u32, definition: Definition) -> Sequence {
        let today = self.today(definition.zone());
        Sequence {
            prefix: key.prefix.clone(),
            version,
            implicit: false,
            archived: false,
            closed_through: None,
            changed_at: self.now(),
            changed_by: None,
            first_id: definition.first_id(today).ok(),
            last_id: definition.last_id(today).ok(),
            definition,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(super) fn names(declarations: &[FieldDeclaration]) -> BTreeSet<&str> {
    declarations
        .iter()
        .map(|declaration| declaration.name.as_str())
        .collect()
}

/// Ranges may be added behind the others, and their dates may change: a counter may have drawn from them.
fn moved_ranges(before: &Definition, definition: &Definition) -> Vec<DefinitionRefusal> {
    let refusal =
        |pointer: String, detail: String| DefinitionRefusal::new(RefusalCode::InvalidValue, pointer, detail);
    let mut moved = Vec::new();
    for (index, old) in before.ranges().iter().enumerate() {
        let Some(new) = definition.ranges().get(index) else {
            let detail = format!("the range {old} cannot be removed after the first number of the sequence");
            moved.push(refusal("/ranges".to_owned(), detail));
            break;
        };
        for (member, old_end, new_end) in [("first", old.first, new.first), ("last", old.last, new.last)] {
            if old_end != new_end {
                let detail = format!(
                    "the range {old} cannot move after the first number of the sequence; add another behind it"
                );
                moved.push(refusal(format!("/ranges/{index}/{member}"), detail));
            }
        }
    }
    moved
}

/// Where a successor goes on, the end of the sequence stays where it is: numbers of an ended counter would otherwise be
/// given out after those of the successor.
fn moved_end(before: &Definition, definition: &Definition) -> Vec<DefinitionRefusal> {
    let Some(successor) = before.successor() else {
        return Vec::new();
    };
    let ends = |definition: &Definition| -> Vec<_> {
        let of_ranges = definition.ranges().iter();
        of_ranges.map(|range| (range.last, range.valid_until)).collect()
    };
    let moved = [
        ("successor", definition.successor() != Some(successor)),
        ("max", definition.max() > before.max()),
        ("ranges", ends(definition) != ends(before)),
    ];
    let moved = moved.into_iter().filter(|(_, moved)| *moved);
    moved
        .map(|(member, _)| {
            let detail = format!(
                "{member} cannot change any more: sequence {successor} goes on where a counter of this one ends"
            );
            DefinitionRefusal::new(RefusalCode::InvalidValue, format!("/{member}"), detail)
        })
        .collect()
}

/// An id that two versions of one sequence could give to two counters.
fn common_id(one: &Definition, other: &Definition) -> Option<String> {
    if overlap::same_counter(one.template(), other.template()) {
        return None;
    }
    overlap::common_id(one.template(), other.template())
}

/// The members that differ, as JSON.
fn changes(before: &DefinitionSpec, after: &DefinitionSpec) -> Vec<MemberChange> {
    let members = |spec| serde_json::to_value(spec).unwrap_or_default();
    let (old, new) = (members(before), members(after));
    let value = |of: &serde_json::Value, member| of.get(member).cloned().unwrap_or_default();
    let changed = after.changes(before).into_iter();
    changed
        .map(|member| MemberChange {
            member: member.to_owned(),
            before: value(&old, member),
            after: value(&new, member),
        })
        .collect()
}

impl DefinitionSpec {
    /// The members as one JSON object. Equal definitions have equal text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// When the text is not a definition.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

pub(super) fn require_limit(page: &Page) -> Result<(), Error> {
    if (1..=Page::LARGEST).contains(&page.limit) {
        return Ok(());
    }
    Err(Error::range("/limit", 1, Page::LARGEST as u64, page.limit as u64))
}
