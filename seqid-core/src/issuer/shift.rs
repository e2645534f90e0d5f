use std::sync::Arc;

use super::close::has_holds;
use super::draw::WrongReply;
use super::forecast::Standing;
use super::sequences::{Loaded, changed};
use super::{Issuer, fingerprint};
use crate::command::{Act, Command, Reply, Shift, Target};
use crate::counter::{CounterKey, CounterState, Run, SequenceKey};
use crate::error::{Error, InvalidRequest};
use crate::event::{Event, EventKind, Fingerprint, Keyed, Origin};
use crate::ledger::{Refusal, range};
use crate::line::{Line, LineParts};
use crate::mark::NumberState;
use crate::names::{IdempotencyKey, Number, Prefix, Tenant};
use crate::numbering::{
    CounterSelector, Listing, Moved, Page, ResetRequest, Status, SyncRequest, Warning, When,
};
use crate::store::StoreError;
use crate::template::Repeats;
use crate::time::Date;

/// How often a move follows a definition that changes under it.
const ATTEMPTS: usize = 8;

impl Issuer {
    pub(super) async fn reset_counter(&self, request: ResetRequest) -> Result<Moved, Error> {
        let fingerprint = fingerprint::of_reset(&request);
        let target = Target::Next {
            number: request.next,
            repeats_accepted: request.repeats_accepted,
        };
        self.shift(
            &request.counter,
            target,
            Some(request.reason),
            request.key.map(|key| (key, fingerprint)),
            request.origin,
        )
        .await
    }

    pub(super) async fn sync_counter(&self, request: SyncRequest) -> Result<Moved, Error> {
        let fingerprint = fingerprint::of_sync(&request);
        let target = Target::Beyond(request.last_used);
        let key = request.key.map(|key| (key, fingerprint));
        self.shift(&request.counter, target, request.reason, key, request.origin)
            .await
    }

    async fn shift(
        &self,
        counter: &CounterSelector,
        target: Target,
        reason: Option<crate::names::Reason>,
        key: Option<(IdempotencyKey, Fingerprint)>,
        origin: Origin,
    ) -> Result<Moved, Error> {
        let origin = self.origin(origin);
        let sequence = SequenceKey::new(counter.tenant.clone(), counter.prefix.clone());
        let keyed = key.map(|(key, fingerprint)| Keyed::new(&sequence, key, fingerprint));
        let key = sequence;
        let mut sequence = self.find_or_define(&key, &origin).await?;
        let mut opened = sequence.head().number;
        for _ in 0..ATTEMPTS {
            let line = Arc::new(self.counter_line(&sequence, counter, opened)?);
            require_reachable(&line, target)?;
            let shift = Shift {
                line: Arc::clone(&line),
                target,
                reason: reason.clone(),
            };
            let command = Command::new(Act::Shift(shift), Arc::clone(&origin)).with_key(keyed.clone());
            match self.apply(command).await {
                Ok(Reply::Shifted(shifted)) => {
                    let status = self
                        .status_at(&sequence, &line, shifted.next, shifted.generation)
                        .await?;
                    let old_next_number = Number::new(shifted.old_next).ok();
                    return Ok(Moved {
                        old_next_number,
                        status,
                        replayed: false,
                    });
                }
                Ok(Reply::Replayed(event)) => return self.moved_before(&sequence, &event).await,
                Ok(_) => return Err(StoreError::Unknown(Arc::new(WrongReply)).into()),
                Err(error) if has_holds(&error) => {
                    if !self.let_go(line.key(), &origin).await? {
                        return Err(error.into());
                    }
                }
                Err(error) => {
                    let (head, version) = changed(&error).ok_or(error)?;
                    sequence = self.catch_up(sequence, head).await?;
                    opened = version;
                }
            }
        }
        Err(StoreError::Overloaded.into())
    }

    pub(super) async fn counter_status(&self, counter: CounterSelector) -> Result<Status, Error> {
        let key = SequenceKey::new(counter.tenant.clone(), counter.prefix.clone());
        let sequence = self.require(&key).await?;
        let line = self.counter_line(&sequence, &counter, sequence.head().number)?;
        let status = self.status_of(&sequence, &line).await?;
        let archived = self.record(&key).await?.archived;
        let status = Status { archived, ..status };
        // A forecast is made from events.
        if !status.opened || sequence.unfenced {
            return Ok(status);
        }
        let opened = sequence.version(status.definition_version);
        let standing = Standing {
            key: line.key(),
            definition: opened.map_or(line.definition(), |version| &version.definition),
            status: &status,
        };
        let forecast = self.forecast(standing).await?;
        Ok(Status {
            forecast: Some(forecast),
            ..status
        })
    }

    /// The answer that was given when the key was used first.
    async fn moved_before(&self, sequence: &Arc<Loaded>, event: &Event) -> Result<Moved, Error> {
        let (Some(key), Some(date)) = (event.subject.counter(), event.date) else {
            return Err(Refusal::KeyMismatch.into());
        };
        let line = self.line_of(sequence, event, key.clone(), date)?;
        let next = next_after(event, line.definition().start());
        let status = self.status_at(sequence, &line, next, event.generation).await?;
        Ok(Moved {
            old_next_number: old_next(event),
            status,
            replayed: true,
        })
    }

    /// The status of a line's counter as a move left it, whatever was drawn since.
    async fn status_at(
        &self,
        sequence: &Arc<Loaded>,
        line: &Line,
        next: u64,
        generation: u32,
    ) -> Result<Status, Error> {
        let state = self.store.counter(line.key()).await?;
        let state = state.map(|state| CounterState {
            next,
            generation,
            ..state
        });
        Ok(status(sequence, line, state.as_ref(), self.day(line)))
    }

    /// The status of a line's counter, whichever version it opened with.
    pub(super) async fn status_of(&self, sequence: &Arc<Loaded>, line: &Line) -> Result<Status, Error> {
        self.standing(sequence, line).await.map(|(status, ..)| status)
    }

    /// The status of a line's counter with its start, its step and what it gives out next, which may lie behind its
    /// end.
    pub(super) async fn standing(
        &self,
        sequence: &Arc<Loaded>,
        line: &Line,
    ) -> Result<(Status, Number, u64, u64), Error> {
        let state = self.store.counter(line.key()).await?;
        let free = self.lowest_free(line, state.as_ref()).await?;
        let standing = |sequence: &Loaded, line: &Line| {
            let start = line.definition().start();
            let next = state.as_ref().map_or(start.get(), |state| state.next);
            let status = status(sequence, line, state.as_ref(), self.day(line));
            let status = status.beginning_with(line, free);
            (status, start, line.definition().step(), next)
        };
        let opened = state.as_ref().map_or(line.opened(), |state| state.version);
        if opened == line.opened() {
            return Ok(standing(sequence, line));
        }
        // An older version's counter, or one that another instance opened with a version not seen yet here.
        let sequence = match sequence.version(opened) {
            Some(_) => Arc::clone(sequence),
            None => self
                .reload(&sequence.key)
                .await?
                .unwrap_or_else(|| Arc::clone(sequence)),
        };
        let line = self.line_with(&sequence, line.key().clone(), line.date(), opened)?;
        Ok(standing(&sequence, &line))
    }

    /// The lowest number that was let go and is given out next to a document of the line's date.
    pub(super) async fn lowest_free(
        &self,
        line: &Line,
        state: Option<&CounterState>,
    ) -> Result<Option<Number>, Error> {
        let Some(state) = state.filter(|state| state.free > 0) else {
            return Ok(None);
        };
        let mut after = Some((state.generation.saturating_sub(1), Number::MAX));
        loop {
            let page = self.store.marks(line.key(), after, Page::LARGEST).await?;
            let free = page.iter().map(|record| &record.mark).find(|mark| {
                let next = Run { count: 1, ..mark.run };
                mark.state == NumberState::Free && range::may_have(line, next)
            });
            if let Some(free) = free {
                return Ok(Some(free.run.first));
            }
            // It may have been drawn meanwhile.
            let Some(last) = page.last() else { return Ok(None) };
            after = Some((last.mark.generation, last.mark.run.first));
        }
    }

    /// The line of a counter that is named without a draw: its free fields are empty.
    pub(super) fn counter_line(
        &self,
        sequence: &Loaded,
        counter: &CounterSelector,
        opened: u32,
    ) -> Result<Line, Error> {
        let definition = &sequence.head().definition;
        self.require_mode(definition.mode())?;
        let date = self.date_in(sequence, &counter.when)?;
        let period = definition.period(date)?;
        let scope = crate::field::resolve(definition.scope(), &counter.scope)?;
        let key = CounterKey::new(sequence.key.clone(), scope, period);
        self.line_with(sequence, key, date, opened)
    }

    pub(super) fn line_with(
        &self,
        sequence: &Loaded,
        key: CounterKey,
        date: Date,
        opened: u32,
    ) -> Result<Line, Error> {
        let head = sequence.head().clone();
        let opened = sequence.version(opened).cloned().unwrap_or_else(|| head.clone());
        let fields = opened.definition.example_fields();
        Ok(Line::new(LineParts {
            key,
            head,
            opened,
            date,
            fields,
        })?)
    }

    /// The line that an event's numbers were drawn on.
    pub(super) fn line_of(
        &self,
        sequence: &Loaded,
        event: &Event,
        key: CounterKey,
        date: Date,
    ) -> Result<Line, Error> {
        let head = sequence.head().clone();
        let opened = sequence
            .version(event.version)
            .cloned()
            .unwrap_or_else(|| head.clone());
        Ok(Line::new(LineParts {
            key,
            head,
            opened,
            date,
            fields: event.fields.clone(),
        })?)
    }

    /// Today, as a line has it.
    pub(super) fn day(&self, line: &Line) -> Date {
        line.day_of(self.clock.now())
    }

    /// A date that lies in the period meant.
    fn date_in(&self, sequence: &Loaded, when: &When) -> Result<Date, Error> {
        let definition = &sequence.head().definition;
        let today = self.today(definition.zone());
        match when {
            When::Today => Ok(today),
            When::On(date) => Ok(*date),
            When::In(text) => {
                let period = definition.calendar().parse_period(text).ok_or_else(|| {
                    let example = definition.calendar().period(today).to_string();
                    Error::Invalid {
                        pointer: "/period",
                        reason: InvalidRequest::Period(text.clone(), example),
                    }
                })?;
                Ok(if period.contains(today) {
                    today
                } else {
                    period.first().unwrap_or(today)
                })
            }
        }
    }

    pub(super) async fn list_counters(
        &self,
        tenant: Tenant,
        prefix: Prefix,
        page: Page,
    ) -> Result<Listing<Status>, Error> {
        super::definitions::require_limit(&page)?;
        let sequence = self.require(&SequenceKey::new(tenant, prefix)).await?;
        let after = match page.after.as_deref().map(str::parse) {
            None => 0,
            Some(Ok(position)) => position,
            Some(Err(_)) => {
                let reason = InvalidRequest::Contradiction("after must be the `next` of the page before");
                return Err(Error::Invalid {
                    pointer: "/after",
                    reason,
                });
            }
        };
        let records = self.store.counters(&sequence.key, after, page.limit).await?;
        let next =
            (records.len() == page.limit).then(|| records.last().map(|last| last.position.to_string()));
        let archived = self.record(&sequence.key).await?.archived;
        let mut items = Vec::with_capacity(records.len());
        for record in records {
            let today = self.today(sequence.head().definition.zone());
            let period = record.key.period();
            let date = if period.contains(today) {
                today
            } else {
                period.first().unwrap_or(today)
            };
            let line = self.line_with(&sequence, record.key.clone(), date, record.state.version)?;
            let status = status(&sequence, &line, Some(&record.state), today);
            let free = self.lowest_free(&line, Some(&record.state)).await?;
            items.push(Status { archived, ..status }.beginning_with(&line, free));
        }
        Ok(Listing {
            items,
            next: next.flatten(),
        })
    }
}

impl Status {
    /// The same, with a free number as the next if there is one.
    fn beginning_with(self, line: &Line, free: Option<Number>) -> Self {
        let Some(number) = free else { return self };
        Self {
            next_number: free,
            next_id: line.known_id(number),
            ..self
        }
    }
}

fn require_reachable(line: &Line, target: Target) -> Result<(), Error> {
    match target {
        Target::Next { number, .. } if number.get() == 0 && line.definition().start().get() == 1 => {
            Err(Error::Invalid {
                pointer: "/new_value",
                reason: InvalidRequest::RestartAtZero,
            })
        }
        Target::Beyond(last_used) if last_used > line.max() => {
            Err(Error::range("/last_used", 0, line.max().get(), last_used.get()))
        }
        _ => Ok(()),
    }
}

fn old_next(event: &Event) -> Option<Number> {
    let run = event.run?;
    let behind = Number::new(run.last().get().checked_add(run.step)?).ok();
    match event.kind {
        EventKind::Returned => behind,
        // Its run is what the new generation left out.
        EventKind::Restarted => None,
        _ => Some(run.first),
    }
}

/// What was to be issued next when a move was done.
fn next_after(event: &Event, start: Number) -> u64 {
    match (event.kind, event.run) {
        (EventKind::Returned, Some(run)) => run.first.get(),
        (_, Some(run)) => run.last().get().saturating_add(run.step).min(CounterState::ENDED),
        // A new generation that leaves nothing out.
        (_, None) => start.get(),
    }
}

/// The number that a counter gives out next, and how many are left with it.
pub(super) fn ahead(line: &Line, next: u64, today: Date) -> (Option<Number>, u64) {
    if !line.ranges().is_empty() {
        let place = range::place(line, next, today);
        return place.map_or((None, 0), |place| (Some(place.next), place.left));
    }
    let next = Number::new(next).ok().filter(|next| *next <= line.max());
    let step = line.definition().step();
    (
        next,
        next.map_or(0, |next| (line.max().get() - next.get()) / step + 1),
    )
}

fn status(sequence: &Loaded, line: &Line, state: Option<&CounterState>, today: Date) -> Status {
    let definition = line.definition();
    let next = state.map_or(definition.start().get(), |state| state.next);
    let (next_number, ahead) = ahead(line, next, today);
    let remaining = ahead.saturating_add(state.map_or(0, |state| state.free));
    let mut warnings = Vec::new();
    if sequence.head().definition.warn_at() >= remaining {
        warnings.push(Warning::NearEnd);
    }
    if definition.repeats() == Repeats::Accepted {
        warnings.push(Warning::Repeats);
    }
    if sequence.implicit {
        warnings.push(Warning::ImplicitDefinition);
    }
    if sequence.unfenced {
        warnings.push(Warning::Unfenced);
    }
    Status {
        prefix: sequence.key.prefix.clone(),
        mode: definition.mode(),
        period: *line.key().period(),
        scope: line.key().scope().clone(),
        opened: state.is_some(),
        last_number: state.and_then(|state| state.last),
        next_number,
        next_id: next_number.and_then(|number| line.known_id(number)),
        remaining,
        max: line.max(),
        generation: state.map_or(1, |state| state.generation),
        epoch: state.map_or(1, |state| state.epoch),
        definition_version: line.opened(),
        reserved: state.map_or(0, |state| state.reserved),
        voided: state.map_or(0, |state| state.voided),
        events: state.map_or(0, |state| state.chain.n),
        forecast: None,
        archived: false,
        warnings,
        numbers_as_text: definition.numbers_as_text(),
    }
}
