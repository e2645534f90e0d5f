//! Turns: events of a counter that begin at a lower number than one before them. Between them its numbers rise, so that a
//! number is found by halving; the turns themselves are found by an index of their own.

use std::collections::HashMap;

use seqid_core::event::{Event, EventKind};
use seqid_core::ledger::Linked;
use sqlx::postgres::PgBindIterExt;

use crate::batch::Batch;
use crate::encoding::signed;
use crate::error::Fault;

const INSERT: &str = "\
    INSERT INTO seqid.turn (counter, n, back, size, first, last) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::smallint[], $5::bigint[], $6::bigint[])";

/// Whether lower numbers may be given again from this event on.
const fn is_back(kind: EventKind) -> bool {
    matches!(kind, EventKind::Returned | EventKind::Restarted)
}

/// Whether such an event says what became of numbers that were given before.
const fn is_end(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Confirmed | EventKind::Voided | EventKind::Expired
    )
}

/// How many bits the difference of the last and the first number of an event has; `None` if it has no numbers.
fn size(event: &Event) -> Option<i16> {
    let run = event.run?;
    let difference = run.last().get().saturating_sub(run.first.get());
    i16::try_from(u64::BITS - difference.leading_zeros()).ok()
}

impl Batch<'_> {
    /// Records which of these events, each with its chain, are turns.
    pub(crate) async fn write_turns(&mut self, events: &[(i64, Linked)]) -> Result<(), Fault> {
        let turns = turns(&self.next_before, events);
        if turns.is_empty() {
            return Ok(());
        }
        let runs = || turns.iter().map(|(_, event)| event.run);
        sqlx::query(INSERT)
            .bind(turns.iter().map(|(chain, _)| *chain).bind_iter())
            .bind(turns.iter().map(|(_, event)| signed(event.n)).bind_iter())
            .bind(turns.iter().map(|(_, event)| is_back(event.kind)).bind_iter())
            .bind(turns.iter().map(|(_, event)| size(event)).bind_iter())
            .bind(runs().map(|run| Some(signed(run?.first.get()))).bind_iter())
            .bind(runs().map(|run| Some(signed(run?.last().get()))).bind_iter())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

/// The turns among events, where counters were about to give these numbers.
fn turns<'e>(next_before: &HashMap<i64, u64>, events: &'e [(i64, Linked)]) -> Vec<(i64, &'e Event)> {
    let mut least: HashMap<i64, u64> = HashMap::new();
    let mut turns = Vec::new();
    for (chain, Linked { event, .. }) in events {
        let before = next_before.get(chain).copied().unwrap_or_default();
        let least = least.entry(*chain).or_insert(before);
        if is_back(event.kind) {
            *least = 0;
            turns.push((*chain, event));
        } else if is_end(event.kind) {
            turns.push((*chain, event));
        } else if let Some(run) = event.run {
            if run.first.get() < *least {
                turns.push((*chain, event));
            } else {
                *least = run.first.get();
            }
        }
    }
    turns
}
