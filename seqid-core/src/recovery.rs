//! What an operator does with a store that went back in time or was copied: it is accepted, and every counter begins a new
//! epoch, jumping over numbers that may have been given out since.

use std::sync::Arc;

use crate::command::{Act, Command, Shift, Target};
use crate::counter::CounterKey;
use crate::event::Origin;
use crate::line::{Line, LineParts, Version};
use crate::names::{Label, Reason};
use crate::template::RenderError;
use crate::time::Date;

/// Why a store is accepted, by whom, and how far its counters are moved.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Recovery {
    /// Goes into every counter's audit.
    pub reason: Reason,
    /// Goes there too.
    pub actor: Option<Label>,
    /// How many numbers of each counter are jumped over: at least as many as may have been given out since the store was
    /// written. 0 repeats every number that was, and is right only if none was.
    pub margin: u64,
}

impl Recovery {
    /// Accepts a store without moving its counters.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            actor: None,
            margin: 0,
        }
    }

    /// The command that moves a counter to its new epoch. `head` is the newest version of its sequence's definition,
    /// `opened` the one that it has.
    ///
    /// # Errors
    /// When the definition cannot write ids of the counter, which it could when the counter opened.
    pub fn new_epoch(
        &self,
        key: &CounterKey,
        head: Version,
        opened: Version,
        today: Date,
    ) -> Result<Command, RenderError> {
        let period = key.period();
        let date = if period.contains(today) {
            today
        } else {
            period.first().unwrap_or(today)
        };
        let fields = opened.definition.example_fields();
        let line = Line::new(LineParts {
            key: key.clone(),
            head,
            opened,
            date,
            fields,
        })?;
        let shift = Shift {
            line: Arc::new(line),
            target: Target::NewEpoch(self.margin),
            reason: Some(self.reason.clone()),
        };
        let origin = Origin {
            actor: self.actor.clone(),
            ..Origin::default()
        };
        Ok(Command::new(Act::Shift(shift), Arc::new(origin)))
    }
}
