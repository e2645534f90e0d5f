//! What a ledger says when all is over, in the words of the [history checker](crate::history).
//!
//! For every test that records calls and then holds a ledger against them: the concurrent cases of the suite,
//! and those that kill a process and open its store again.

use std::collections::HashSet;

use seqid_core::Definition;
use seqid_core::command::{Granted, Reply, Settled};
use seqid_core::counter::{CounterKey, Run, SequenceKey};
use seqid_core::definition::OnExpiry;
use seqid_core::event::{Event, EventKind, Recorded, Subject};
use seqid_core::ledger::Refusal;
use seqid_core::line::Line;
use seqid_core::mark::{Mark, NumberState};
use seqid_core::names::IdempotencyKey;
use seqid_core::numbering::Issued;
use seqid_core::store::{Certainty, Ledger, StoreError};

use crate::history::{Call, CounterEnd, Ending, Grant, History, MarkRow, Order, Outcome, Row, RowKind, Told};

/// How many events or counters are read at a time.
const PAGE: usize = 1_000;

/// The whole audit of a ledger, and where its counters stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// A row for each event.
    pub rows: Vec<Row>,
    /// The state of each counter in its newest generation.
    pub ends: Vec<CounterEnd>,
    /// What the ledger says of numbers that were not plainly issued.
    pub marks: Vec<MarkRow>,
}

impl Evidence {
    /// Reads everything that the ledger has. Nothing must be in flight.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn read(ledger: &dyn Ledger) -> Result<Self, StoreError> {
        let events = all_events(ledger).await?;
        let mut ends = Vec::new();
        let mut seen = HashSet::new();
        for sequence in events.iter().map(|recorded| recorded.event.subject.sequence()) {
            if seen.insert(sequence.clone()) {
                ends.extend(ends_of(ledger, sequence).await?);
            }
        }
        let mut marks = Vec::new();
        let mut seen = HashSet::new();
        for counter in events
            .iter()
            .filter_map(|recorded| recorded.event.subject.counter())
        {
            if seen.insert(counter.clone()) {
                marks.extend(marks_of(ledger, counter).await?);
            }
        }
        Ok(Self {
            rows: events.iter().map(row).collect(),
            ends,
            marks,
        })
    }

    /// The history that these and the calls of the clients make together.
    #[must_use]
    pub fn against(self, calls: Vec<Call>, order: Order) -> History {
        History {
            calls,
            rows: self.rows,
            ends: self.ends,
            marks: Some(self.marks),
            settlements: Vec::new(),
            order,
        }
    }
}

/// Every event of a ledger, in the order of their positions.
///
/// # Errors
/// Those of the ledger.
pub async fn all_events(ledger: &dyn Ledger) -> Result<Vec<Recorded>, StoreError> {
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let after = events.last().map_or(0, |last| last.position);
        let page = ledger.events(after, PAGE).await?;
        // A ledger that does not advance would be read for ever.
        let advances = page.first().is_some_and(|first| first.position > after);
        if !advances {
            return Ok(events);
        }
        events.extend(page);
    }
}

async fn ends_of(ledger: &dyn Ledger, sequence: &SequenceKey) -> Result<Vec<CounterEnd>, StoreError> {
    let Some(record) = ledger.sequence(sequence).await? else {
        return Ok(Vec::new());
    };
    let mut ends = Vec::new();
    let mut after = 0;
    loop {
        let page = ledger.counters(sequence, after, PAGE).await?;
        let Some(last) = page.last().map(|last| last.position).filter(|last| *last > after) else {
            return Ok(ends);
        };
        after = last;
        for counter in page {
            let version = usize::try_from(counter.state.version).unwrap_or(usize::MAX);
            let spec = version
                .checked_sub(1)
                .and_then(|at| record.versions.get(at))
                .map(|version| &version.spec);
            ends.push(CounterEnd {
                counter: counter_name(&counter.key),
                generation: counter.state.generation,
                start: spec.and_then(|spec| spec.start).unwrap_or(1),
                step: spec.and_then(|spec| spec.step).unwrap_or(1),
                next: counter.state.next,
            });
        }
    }
}

async fn marks_of(ledger: &dyn Ledger, counter: &CounterKey) -> Result<Vec<MarkRow>, StoreError> {
    let mut marks = Vec::new();
    let mut after = None;
    loop {
        let page = ledger.marks(counter, after, PAGE).await?;
        let last = page
            .last()
            .map(|last| (last.mark.generation, last.mark.run.first));
        // A ledger that does not advance would be read for ever.
        if last <= after {
            return Ok(marks);
        }
        after = last;
        marks.extend(page.iter().map(|record| mark_row(counter, &record.mark)));
    }
}

fn mark_row(counter: &CounterKey, mark: &Mark) -> MarkRow {
    MarkRow {
        counter: counter_name(counter),
        generation: mark.generation,
        first: mark.run.first.get(),
        step: mark.run.step,
        count: mark.run.count,
        kind: match mark.state {
            NumberState::Reserved => RowKind::Reserved,
            NumberState::Voided => RowKind::Voided,
            NumberState::Expired => RowKind::Expired,
            NumberState::Free => RowKind::Released,
            NumberState::Skipped => RowKind::Skipped,
            NumberState::External => RowKind::External,
            NumberState::Pending => RowKind::Pending,
            _ => RowKind::Unknown,
        },
    }
}

/// An event as a row of the audit.
#[must_use]
pub fn row(recorded: &Recorded) -> Row {
    let event = &recorded.event;
    let run = event.run;
    Row {
        counter: match &event.subject {
            Subject::Counter(key) => counter_name(key),
            Subject::Sequence(key) => key.to_string(),
        },
        n: event.n,
        kind: kind(event),
        first: run.map_or(0, |run| run.first.get()),
        step: run.map_or(1, |run| run.step),
        count: run.map_or(0, |run| run.count),
        generation: event.generation,
        epoch: event.epoch,
        key: event
            .key
            .as_ref()
            .map(|keyed| key_name(event.subject.sequence(), keyed.key())),
        reservation: event.hold.as_ref().map(|hold| hold.id.to_string()),
    }
}

fn kind(event: &Event) -> RowKind {
    match (event.kind, event.run) {
        (EventKind::Restarted, None) => RowKind::Reset,
        (EventKind::Restarted, Some(_)) => RowKind::Restarted,
        (EventKind::Issued | EventKind::Reported, Some(_)) => RowKind::Issued,
        (EventKind::Skipped, Some(_)) => RowKind::Skipped,
        (EventKind::External, Some(_)) => RowKind::External,
        (EventKind::Returned, Some(_)) => RowKind::Returned,
        (EventKind::Recovered, Some(_)) => RowKind::Unknown,
        (EventKind::Reserved, Some(_)) => RowKind::Reserved,
        (EventKind::Confirmed, Some(_)) => RowKind::Confirmed,
        (EventKind::Voided, Some(_)) => RowKind::Voided,
        (EventKind::Leased, Some(_)) => RowKind::Pending,
        (EventKind::Lost, Some(_)) => RowKind::Lost,
        (EventKind::Expired, Some(_)) if is_reused(event) => RowKind::Released,
        (EventKind::Expired, Some(_)) => RowKind::Expired,
        _ => RowKind::Noted,
    }
}

fn is_reused(event: &Event) -> bool {
    event
        .hold
        .as_ref()
        .is_some_and(|hold| hold.on_expiry == OnExpiry::Reuse)
}

/// The name of a counter in a history.
#[must_use]
pub fn counter_name(key: &CounterKey) -> String {
    key.to_string()
}

/// The name of an idempotency key in a history, where keys of different sequences must differ.
#[must_use]
pub fn key_name(sequence: &SequenceKey, key: &IdempotencyKey) -> String {
    format!("{sequence} {key}")
}

/// What the caller of a store knows after the answer to a draw on a line.
///
/// The answer to a repeated key is written with the line's definition, on the counter of that time.
#[must_use]
pub fn outcome_of_reply(line: &Line, reply: &Result<Reply, StoreError>) -> Outcome {
    match reply {
        Ok(Reply::Granted(Granted {
            run,
            generation,
            epoch,
            at,
            ..
        })) => {
            let ids = run
                .numbers()
                .filter_map(|number| line.id(number, *at).ok())
                .collect();
            Outcome::Issued(grant(*run, *generation, *epoch, ids))
        }
        Ok(Reply::Replayed(event)) => match event.run {
            Some(run) => Outcome::Issued(grant(
                run,
                event.generation,
                event.epoch,
                ids_of(event, line.definition()),
            )),
            None => Outcome::NotIssued,
        },
        Ok(_) => Outcome::NotIssued,
        Err(error) => outcome_of_error(error.certainty()),
    }
}

/// All ids of an event.
fn ids_of(event: &Event, definition: &Definition) -> Vec<String> {
    let numbers = event.run.into_iter().flat_map(|run| run.numbers());
    let mut single = event.clone();
    let id = |number| {
        single.run = Some(Run {
            first: number,
            step: 1,
            count: 1,
        });
        single.ids(definition).map(|(id, _)| id)
    };
    numbers.filter_map(id).collect()
}

fn grant(run: Run, generation: u32, epoch: u32, ids: Vec<String>) -> Grant {
    let count = u32::try_from(run.count).unwrap_or(u32::MAX);
    Grant {
        first: run.first.get(),
        step: run.step,
        count,
        generation,
        epoch,
        ids,
    }
}

/// What the caller of a [`Numbering`](seqid_core::Numbering) knows after the answer to a draw.
#[must_use]
pub fn outcome_of_draw(answer: &Result<Issued, seqid_core::Error>) -> Outcome {
    match answer {
        Ok(issued) => Outcome::Issued(grant(
            issued.run,
            issued.generation,
            issued.epoch,
            issued.ids.clone(),
        )),
        Err(error) => outcome_of_error(error.code().certainty()),
    }
}

/// What the caller of a store knows of a reservation after it asked to end it.
#[must_use]
pub fn told_of_reply(reply: &Result<Reply, StoreError>) -> Told {
    match reply {
        Ok(Reply::Settled(Settled { event, .. })) => match event.kind {
            EventKind::Confirmed => Told::Ended(Ending::Confirmed),
            EventKind::Voided => Told::Ended(Ending::Voided),
            EventKind::Expired => Told::Ended(Ending::Expired),
            _ => Told::Nothing,
        },
        Err(StoreError::Refused(Refusal::HoldConfirmed { .. })) => Told::Ended(Ending::Confirmed),
        Err(StoreError::Refused(Refusal::HoldVoided { .. })) => Told::Ended(Ending::Voided),
        Err(StoreError::Refused(Refusal::HoldExpired { .. })) => Told::Ended(Ending::Expired),
        Err(error) if error.certainty() == Certainty::Unknown => Told::Unknown,
        _ => Told::Nothing,
    }
}

fn outcome_of_error(certainty: Certainty) -> Outcome {
    match certainty {
        Certainty::NotIssued => Outcome::NotIssued,
        Certainty::Unknown => Outcome::Unknown,
    }
}

/// The numbers that a sequence plainly issued, in the order of the audit.
#[must_use]
pub fn issued(events: &[Recorded], prefix: &str) -> Vec<u64> {
    let of_prefix = |recorded: &&Recorded| {
        let event = &recorded.event;
        event.kind == EventKind::Issued && event.subject.sequence().prefix.as_str() == prefix
    };
    let runs = events
        .iter()
        .filter(of_prefix)
        .filter_map(|recorded| recorded.event.run);
    runs.flat_map(|run| run.numbers())
        .map(seqid_core::Number::get)
        .collect()
}
