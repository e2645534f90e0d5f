//! What the log has brought so far of sequences as a whole: their definitions, their closed dates, their end.

use std::collections::HashMap;

use super::report::{FaultKind, Wrong, require};
use crate::counter::SequenceKey;
use crate::definition::{Defaults, Definition, DefinitionSpec, Mode, NumberRange};
use crate::event::{Event, EventKind, Subject};
use crate::names::{Number, Tenant};
use crate::time::Date;

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub(super) struct Definitions {
    sequences: HashMap<SequenceKey, Versions>,
    /// Tenants of which all sequences were closed at some time, with the last date that is closed now; `None` too when
    /// that is not known any more.
    tenants: HashMap<Tenant, Option<Date>>,
    saved: u64,
}

#[derive(Debug, Clone, Default)]
struct Versions {
    /// Version 1 first.
    saved: Vec<Definition>,
    archived: bool,
    closed_through: Option<Date>,
    distrusted: bool,
}

impl Definitions {
    /// Follows an event of a sequence as a whole.
    pub(super) fn follow(&mut self, key: &SequenceKey, event: &Event) -> Result<(), Wrong> {
        require(FaultKind::Numbers, "the generation", &0, &event.generation)?;
        require(FaultKind::Numbers, "the epoch", &0, &event.epoch)?;
        if self.archived(key) {
            return Err(wrong(AFTER_ARCHIVING, event.kind.as_str()));
        }
        match event.kind {
            EventKind::Defined if !key.is_whole() => self.save(key, event),
            EventKind::Archived if !key.is_whole() => {
                let versions = self.known(key, event)?;
                require(
                    FaultKind::Numbers,
                    "the date",
                    &"none",
                    &text(event.date).as_str(),
                )?;
                versions.archived = true;
                Ok(())
            }
            EventKind::Closed | EventKind::Reopened => {
                let through = self.known(key, event)?.shut(event)?;
                if key.is_whole() {
                    self.tenants.insert(key.tenant.clone(), through);
                }
                Ok(())
            }
            other => Err(wrong("a kind of event that sequences have", other.as_str())),
        }
    }

    /// The sequence of an event that does not define it, which must be as the event says.
    fn known(&mut self, key: &SequenceKey, event: &Event) -> Result<&mut Versions, Wrong> {
        let versions = self.sequences.entry(key.clone()).or_default();
        let saved = versions.saved.len();
        require(
            FaultKind::Numbers,
            "the definition's version",
            &saved,
            &(event.version as usize),
        )?;
        let mode = match versions.saved.last() {
            Some(definition) => definition.mode(),
            None if key.is_whole() => Mode::default(),
            None => return Err(wrong("a sequence that is defined", "none")),
        };
        require(
            FaultKind::Numbers,
            "the mode",
            &mode.as_str(),
            &event.mode.as_str(),
        )?;
        if event.reason.is_none() {
            return Err(wrong("a reason", "none"));
        }
        if event.run.is_some() || event.hold.is_some() || event.detail.is_some() {
            return Err(wrong("neither numbers nor a hold nor a detail", "some"));
        }
        Ok(versions)
    }

    fn save(&mut self, key: &SequenceKey, event: &Event) -> Result<(), Wrong> {
        let versions = self.sequences.entry(key.clone()).or_default();
        require(
            FaultKind::Numbers,
            "the definition's version",
            &(versions.saved.len() + 1),
            &(event.version as usize),
        )?;
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
            if key.is_whole() {
                self.tenants.insert(key.tenant.clone(), None);
            }
            self.sequences.entry(key.clone()).or_default().distrusted = true;
        }
    }

    pub(super) fn distrusted(&self, key: &SequenceKey) -> bool {
        self.sequences
            .get(key)
            .is_some_and(|versions| versions.distrusted)
    }

    /// Whether the sequence was archived.
    pub(super) fn archived(&self, key: &SequenceKey) -> bool {
        self.sequences.get(key).is_some_and(|versions| versions.archived)
    }

    /// The last date that is closed of the sequence by itself.
    pub(super) fn closed_through(&self, key: &SequenceKey) -> Option<Date> {
        self.sequences.get(key)?.closed_through
    }

    /// An event of a counter, if such may come now: not after the sequence was archived, and no number is given to a
    /// document of a date that is closed.
    pub(super) fn admit(&self, key: &SequenceKey, event: &Event) -> Result<(), Wrong> {
        let versions = self.sequences.get(key);
        if versions.is_some_and(|versions| versions.archived) {
            return Err(wrong(AFTER_ARCHIVING, event.kind.as_str()));
        }
        if !matches!(
            event.kind,
            EventKind::Issued | EventKind::Reserved | EventKind::Confirmed
        ) {
            return Ok(());
        }
        let own = versions.and_then(|versions| versions.closed_through);
        let closed = if self.tenants.is_empty() {
            own
        } else {
            own.max(self.tenants.get(&key.tenant).copied().flatten())
        };
        match closed {
            Some(through) if event.date.is_some_and(|date| date <= through) => Err(wrong(
                &format!("a date after {through}, through which it is closed"),
                &text(event.date),
            )),
            _ => Ok(()),
        }
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

    /// The only numbers that counters may give out, as the newest version has them; empty where that is all.
    pub(super) fn ranges(&self, key: &SequenceKey) -> &[NumberRange] {
        let newest = self.sequences.get(key).and_then(|versions| versions.saved.last());
        newest.map_or(&[], Definition::ranges)
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

impl Versions {
    /// Closes dates or opens them, as an event says, and tells the last that is closed.
    fn shut(&mut self, event: &Event) -> Result<Option<Date>, Wrong> {
        let date = event.date.ok_or_else(|| wrong("a date", "none"))?;
        let closed = self.closed_through;
        self.closed_through = match event.kind {
            EventKind::Closed if closed < Some(date) => Some(date),
            EventKind::Reopened if closed >= Some(date) => date.yesterday(),
            _ => {
                let expected = format!("a change of what is closed: through {}", text(closed));
                return Err(wrong(&expected, &format!("{} {date}", event.kind.as_str())));
            }
        };
        Ok(self.closed_through)
    }
}

const AFTER_ARCHIVING: &str = "no event of a sequence that was archived";

fn wrong(expected: &str, found: &str) -> Wrong {
    Wrong {
        kind: FaultKind::Numbers,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn text(date: Option<Date>) -> String {
    date.map_or_else(|| "none".to_owned(), |date| date.to_string())
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
