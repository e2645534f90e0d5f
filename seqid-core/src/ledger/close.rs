//! The end of sequences and of periods: archived sequences and closed dates.

use std::sync::Arc;

use super::{Closer, Found, HeldCount, Refusal, SequenceState, Snapshot};
use crate::chain::Link;
use crate::command::{Archive, Archived, Close, Closed, Command, Dates};
use crate::counter::SequenceKey;
use crate::definition::{DefinitionSpec, Mode};
use crate::event::{Event, EventKind, Subject};
use crate::field::FieldValues;
use crate::names::{Prefix, Reason};
use crate::time::{Date, Timestamp};

impl SequenceState {
    /// The last document date that is closed: of the sequence by itself or of its tenant, whichever is later.
    #[must_use]
    pub fn last_closed(&self) -> Option<Date> {
        self.closed_through.max(self.tenant_closed_through)
    }

    /// Refuses a document date that is closed.
    pub(super) fn require_open(&self, date: Date) -> Result<(), Refusal> {
        match self.last_closed() {
            Some(through) if date <= through => Err(Refusal::PeriodClosed {
                through,
                by: if self.tenant_closed_through == Some(through) {
                    Closer::Tenant
                } else {
                    Closer::Sequence
                },
            }),
            _ => Ok(()),
        }
    }

    /// Nothing is known of all sequences of a tenant.
    fn whole() -> Self {
        Self {
            prefix: Prefix::whole(),
            head: 0,
            spec: "".into(),
            implicit: false,
            archived: false,
            opened: false,
            closed_through: None,
            tenant_closed_through: None,
            chain: Link::GENESIS,
        }
    }
}

impl Snapshot {
    /// Ends a sequence of which no number is held.
    pub(super) fn archive(
        &mut self,
        command: &Command,
        archive: &Archive,
        now: Timestamp,
    ) -> Result<Archived, Refusal> {
        let mut state = match self.sequence(&archive.sequence) {
            Ok(state) => state.clone(),
            Err(Refusal::Archived) => return Ok(Archived { repeated: true }),
            Err(refusal) => return Err(refusal),
        };
        if archive.expected.is_some_and(|expected| expected != state.head) {
            return Err(Refusal::VersionMismatch { head: state.head });
        }
        match self.held(&archive.sequence).numbers {
            0 => self.require_none_leased(&archive.sequence)?,
            count => return Err(Refusal::OpenReservations { count }),
        }
        let asked = (command, &archive.reason);
        let event = event(EventKind::Archived, &archive.sequence, &state, asked, None, now);
        state.archived = true;
        state.chain = self.append(event, state.chain);
        self.put_sequence(&archive.sequence, state);
        Ok(Archived { repeated: false })
    }

    /// What the counters of a sequence, or of all of a tenant, have in the hands of others.
    fn held(&self, sequence: &SequenceKey) -> HeldCount {
        let mut held = self.held.get(sequence).copied().unwrap_or_default();
        for (key, slot) in &self.counters {
            if let Found::Counter(state) = &slot.found
                && sequence.covers(key.sequence())
            {
                held.add(state);
            }
        }
        held
    }

    /// Refuses to change what the holders of numbers rely on.
    pub(super) fn require_none_leased(&self, sequence: &SequenceKey) -> Result<(), Refusal> {
        match self.held(sequence).leases {
            0 => Ok(()),
            count => Err(Refusal::OpenLeases { count }),
        }
    }

    /// Closes document dates, or opens them again.
    pub(super) fn close(
        &mut self,
        command: &Command,
        close: &Close,
        now: Timestamp,
    ) -> Result<Closed, Refusal> {
        let whole = close.sequence.is_whole();
        let mut state = match self.sequence(&close.sequence) {
            Ok(state) => state.clone(),
            Err(Refusal::NotDefined) if whole => SequenceState::whole(),
            Err(refusal) => return Err(refusal),
        };
        if whole {
            // Nothing stands above it.
            state.tenant_closed_through = None;
        }
        let (kind, date, through) = match close.dates {
            Dates::ClosedThrough(date) if state.closed_through < Some(date) => {
                (EventKind::Closed, date, Some(date))
            }
            Dates::OpenFrom(date) if state.tenant_closed_through >= Some(date) => {
                let through = state.tenant_closed_through.unwrap_or(date);
                return Err(Refusal::AllClosed { through });
            }
            Dates::OpenFrom(date) if state.closed_through >= Some(date) => {
                (EventKind::Reopened, date, date.yesterday())
            }
            _ => {
                let through = state.last_closed();
                return Ok(Closed {
                    through,
                    changed: false,
                });
            }
        };
        if kind == EventKind::Closed {
            self.require_none_leased(&close.sequence)?;
        }
        let asked = (command, &close.reason);
        let event = event(kind, &close.sequence, &state, asked, Some(date), now);
        state.closed_through = through;
        state.chain = self.append(event, state.chain);
        let closed = state.last_closed();
        self.put_sequence(&close.sequence, state);
        if whole {
            self.close_loaded(&close.sequence, through);
        }
        Ok(Closed {
            through: closed,
            changed: true,
        })
    }

    /// Tells the sequences of a tenant what is closed of all of them: those that are loaded, and those that will be.
    fn close_loaded(&mut self, whole: &SequenceKey, through: Option<Date>) {
        self.tenants_closed.insert(whole.tenant.clone(), through);
        for (key, state) in &mut self.sequences {
            if let Some(state) = state
                && key.tenant == whole.tenant
                && key != whole
            {
                state.tenant_closed_through = through;
            }
        }
    }

    fn put_sequence(&mut self, key: &SequenceKey, state: SequenceState) {
        self.sequences.insert(key.clone(), Some(state));
        self.mark_sequence(key);
    }
}

fn event(
    kind: EventKind,
    sequence: &SequenceKey,
    state: &SequenceState,
    (command, reason): (&Command, &Reason),
    date: Option<Date>,
    now: Timestamp,
) -> Event {
    Event {
        kind,
        subject: Subject::Sequence(sequence.clone()),
        n: state.chain.n + 1,
        generation: 0,
        epoch: 0,
        run: None,
        version: state.head,
        mode: mode(state),
        date,
        fields: FieldValues::default(),
        origin: Arc::clone(&command.origin),
        reference: None,
        relates_to: None,
        reason: Some(reason.clone()),
        key: command.key.clone(),
        hold: None,
        detail: None,
        at: now,
    }
}

/// The mode of the newest definition.
fn mode(state: &SequenceState) -> Mode {
    let spec = DefinitionSpec::from_json(&state.spec).ok();
    spec.and_then(|spec| spec.mode).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Authority;
    use crate::command::Act;
    use crate::names::Tenant;

    /// A store takes more into a transaction while it lasts: what it loads then is older than what was decided.
    #[test]
    fn a_sequence_that_is_loaded_after_all_were_closed_is_closed_too() {
        let whole = SequenceKey::whole(Tenant::default());
        let [inv, ord] =
            ["INV", "ORD"].map(|prefix| SequenceKey::new(Tenant::default(), Prefix::new(prefix).unwrap()));
        let state = |key: &SequenceKey| SequenceState {
            prefix: key.prefix.clone(),
            head: 1,
            ..SequenceState::whole()
        };
        let mut snapshot = Snapshot::new(Authority([7; 16]));
        let shut = |dates| {
            let close = Close {
                sequence: whole.clone(),
                dates,
                reason: Reason::new("test").unwrap(),
            };
            Command::new(Act::Close(close), Arc::default())
        };
        let march = Date::new(2026, 3, 31).unwrap();
        let close = shut(Dates::ClosedThrough(march));
        assert_eq!(snapshot.needs([&close]).sequences, std::slice::from_ref(&whole));
        snapshot.load_sequence(whole.clone(), None);
        snapshot.load_sequence(inv.clone(), Some(state(&inv)));
        let now = Timestamp::from_micros(0);
        assert!(snapshot.decide(&[&close], now)[0].is_ok());
        snapshot.load_sequence(ord.clone(), Some(state(&ord)));
        let closed = |snapshot: &Snapshot| {
            [&inv, &ord].map(|key| snapshot.sequence_state(key).and_then(SequenceState::last_closed))
        };
        assert_eq!(closed(&snapshot), [Some(march); 2]);
        assert!(snapshot.decide(&[&shut(Dates::OpenFrom(Date::MIN))], now)[0].is_ok());
        assert_eq!(closed(&snapshot), [None; 2]);
    }
}
