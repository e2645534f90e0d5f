use std::sync::Arc;

use super::{Refusal, SequenceState, Snapshot};
use crate::chain::Link;
use crate::command::{Command, Define, Defined, Expected, Implicit};
use crate::counter::SequenceKey;
use crate::event::{Event, EventKind, Subject};
use crate::field::FieldValues;
use crate::refusal::DefinitionRefused;
use crate::time::Timestamp;

/// The most definitions that draws may make in one tenant, so that a client with a typing error in a loop fills
/// a bounded list.
pub(super) const IMPLICIT_LIMIT: u64 = 1_000;

impl Snapshot {
    /// Saves a definition as the next version, unless the newest says the same.
    pub(super) fn define(
        &mut self,
        command: &Command,
        define: &Define,
        now: Timestamp,
    ) -> Result<Defined, Refusal> {
        let spec: Arc<str> = define.definition.spec().to_json().into();
        let existing = match self.sequence(&define.sequence) {
            Ok(state) => Some(state.clone()),
            Err(Refusal::NotDefined) => None,
            Err(refusal) => return Err(refusal),
        };
        if let Some(state) = existing
            .as_ref()
            .filter(|state| define.implicit.is_some() || state.spec == spec)
        {
            return Ok(Defined {
                version: state.head,
                saved: false,
            });
        }
        self.permit(define, existing.as_ref())?;
        self.require_none_leased(&define.sequence)?;
        let mut state = existing.unwrap_or_else(|| self.fresh(define));
        state.head += 1;
        state.implicit = define.implicit.is_some();
        state.spec = Arc::clone(&spec);
        state.chain = self.append(event(command, define, &state, spec, now), state.chain);
        let version = state.head;
        self.sequences.insert(define.sequence.clone(), Some(state));
        self.mark_sequence(&define.sequence);
        Ok(Defined { version, saved: true })
    }

    fn fresh(&self, define: &Define) -> SequenceState {
        let whole = SequenceKey::whole(define.sequence.tenant.clone());
        SequenceState {
            prefix: define.sequence.prefix.clone(),
            head: 0,
            spec: "".into(),
            implicit: false,
            archived: false,
            opened: false,
            closed_through: None,
            tenant_closed_through: self.sequence_state(&whole).and_then(|all| all.closed_through),
            chain: Link::GENESIS,
        }
    }

    fn permit(&mut self, define: &Define, existing: Option<&SequenceState>) -> Result<(), Refusal> {
        match (existing, define.expected) {
            (None, Expected::Version(_)) => Err(Refusal::NotDefined),
            (None, Expected::Nothing) => self.permit_new(define),
            (Some(state), Expected::Nothing) => Err(Refusal::VersionRequired { head: state.head }),
            (Some(state), Expected::Version(version)) if version != state.head => {
                Err(Refusal::VersionMismatch { head: state.head })
            }
            (Some(state), Expected::Version(_)) if state.opened && !define.objections.is_empty() => Err(
                Refusal::DefinitionRefused(DefinitionRefused::from(define.objections.clone())),
            ),
            (Some(_), Expected::Version(_)) => Ok(()),
        }
    }

    fn permit_new(&mut self, define: &Define) -> Result<(), Refusal> {
        let Some(count) = self.tenants.get_mut(&define.sequence.tenant) else {
            // Counted only for the sake of implicit definitions: when one comes, it is loaded.
            return Ok(());
        };
        match define.implicit {
            None => count.written += 1,
            Some(Implicit::UntilFirstDefinition) if count.written > 0 => return Err(Refusal::ImplicitEnded),
            Some(_) if count.implicit >= IMPLICIT_LIMIT => {
                return Err(Refusal::TooManyImplicit {
                    limit: IMPLICIT_LIMIT,
                });
            }
            Some(_) => count.implicit += 1,
        }
        Ok(())
    }
}

fn event(command: &Command, define: &Define, state: &SequenceState, spec: Arc<str>, now: Timestamp) -> Event {
    Event {
        kind: EventKind::Defined,
        subject: Subject::Sequence(define.sequence.clone()),
        n: state.chain.n + 1,
        generation: 0,
        epoch: 0,
        run: None,
        version: state.head,
        mode: define.definition.mode(),
        date: None,
        fields: FieldValues::default(),
        origin: Arc::clone(&command.origin),
        reference: None,
        relates_to: None,
        reason: None,
        key: command.key.clone(),
        hold: None,
        detail: Some(spec),
        at: now,
    }
}
