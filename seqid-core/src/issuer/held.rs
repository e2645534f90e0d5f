//! The open reservations of a sequence, by the marks of its counters.

use super::Issuer;
use super::definitions::require_limit;
use super::sequences::Loaded;
use crate::counter::{CounterKey, SequenceKey};
use crate::error::{Error, InvalidRequest};
use crate::line::{Line, LineParts};
use crate::mark::{Mark, NumberState};
use crate::names::Number;
use crate::numbering::{Listing, OpenReservation, Page, ReservationsRequest};
use crate::time::Timestamp;

/// How many counters, and how many pages of marks, one part of the list looks at. It answers what it found until
/// then, and where to go on.
const WORK: usize = 50;

/// Where a part of the list begins: behind a counter, or within the one that follows on it.
#[derive(Clone, Copy)]
struct Cursor {
    position: u64,
    mark: Option<(u32, Number)>,
}

impl Issuer {
    pub(super) async fn list_reservations(
        &self,
        request: ReservationsRequest,
    ) -> Result<Listing<OpenReservation>, Error> {
        require_limit(&request.page)?;
        let mut cursor = match request.page.after.as_deref() {
            Some(text) => Cursor::parse(text)?,
            None => Cursor {
                position: 0,
                mark: None,
            },
        };
        let limit = request.page.limit;
        let key = SequenceKey::new(request.tenant.clone(), request.prefix.clone());
        let sequence = self.require(&key).await?;
        let mut items = Vec::new();
        if let Some(counter) = request.counter {
            let line = self.counter_line(&sequence, &counter, sequence.head().number)?;
            let mut work = WORK;
            let end = self
                .held_of(
                    &sequence,
                    line.key(),
                    &mut cursor.mark,
                    (limit, &mut work),
                    &mut items,
                )
                .await?;
            return Ok(Listing {
                items,
                next: (!end).then(|| cursor.to_string()),
            });
        }
        let mut work = WORK;
        loop {
            let counters = self.store.counters(&key, cursor.position, Page::LARGEST).await?;
            let more = counters.len() == Page::LARGEST;
            for record in counters {
                if record.state.reserved > 0 {
                    let bound = (limit, &mut work);
                    let end = self
                        .held_of(&sequence, &record.key, &mut cursor.mark, bound, &mut items)
                        .await?;
                    if !end {
                        let next = Some(cursor.to_string());
                        return Ok(Listing { items, next });
                    }
                }
                cursor = Cursor {
                    position: record.position,
                    mark: None,
                };
            }
            work = work.saturating_sub(1);
            if !more {
                return Ok(Listing { items, next: None });
            }
            if work == 0 || items.len() == limit {
                let next = Some(cursor.to_string());
                return Ok(Listing { items, next });
            }
        }
    }

    /// Appends the open reservations of a counter behind a mark. False when more may follow.
    async fn held_of(
        &self,
        sequence: &Loaded,
        key: &CounterKey,
        after: &mut Option<(u32, Number)>,
        (limit, work): (usize, &mut usize),
        items: &mut Vec<OpenReservation>,
    ) -> Result<bool, Error> {
        let now = self.clock.now();
        loop {
            if *work == 0 || items.len() == limit {
                return Ok(false);
            }
            *work -= 1;
            let records = self.store.marks(key, *after, Page::LARGEST).await?;
            let end = records.len() < Page::LARGEST;
            for record in records {
                if items.len() == limit {
                    return Ok(false);
                }
                *after = Some((record.mark.generation, record.mark.run.first));
                if record.mark.state == NumberState::Reserved {
                    let version = record.event.version;
                    items.extend(self.open_reservation(sequence, key, record.mark, version, now));
                }
            }
            if end {
                return Ok(true);
            }
        }
    }

    fn open_reservation(
        &self,
        sequence: &Loaded,
        key: &CounterKey,
        mark: Mark,
        version: u32,
        now: Timestamp,
    ) -> Option<OpenReservation> {
        let (hold, date) = (mark.hold?, mark.date?);
        let line = Line::new(LineParts {
            key: key.clone(),
            head: sequence.head().clone(),
            opened: sequence
                .version(version)
                .unwrap_or_else(|| sequence.head())
                .clone(),
            date,
            fields: mark.fields.clone(),
        });
        let line = line.ok();
        let id = |number| line.as_ref().and_then(|line| line.known_id(number));
        Some(OpenReservation {
            reservation: hold.id,
            first_id: id(mark.run.first),
            last_id: id(mark.run.last()),
            run: mark.run,
            generation: mark.generation,
            period: *key.period(),
            scope: key.scope().clone(),
            expires_at: hold.expires_at,
            due: mark.is_due(now),
            date,
            reference: mark.reference,
            numbers_as_text: sequence.head().definition.numbers_as_text(),
        })
    }
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, Error> {
        let mark = |text: &str| -> Option<(u32, Number)> {
            let (generation, first) = text.split_once('.')?;
            Some((generation.parse().ok()?, Number::new(first.parse().ok()?).ok()?))
        };
        let cursor = match text.split_once('.') {
            None => text.parse().ok().map(|position| Self { position, mark: None }),
            Some((position, rest)) => position
                .parse()
                .ok()
                .zip(mark(rest))
                .map(|(position, mark)| Self {
                    position,
                    mark: Some(mark),
                }),
        };
        cursor.ok_or(Error::Invalid {
            pointer: "/after",
            reason: InvalidRequest::Contradiction("after must be the `next` of the page before"),
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.mark {
            Some((generation, first)) => write!(f, "{}.{generation}.{first}", self.position),
            None => write!(f, "{}", self.position),
        }
    }
}
