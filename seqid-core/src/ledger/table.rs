use std::collections::HashMap;

use super::{Linked, MarkChange, MarkNeed, Reservation, Snapshot};
use crate::counter::CounterKey;
use crate::event::{Event, EventKind};
use crate::mark::{Mark, Marks};
use crate::names::Number;
use crate::reservation::ReservationId;
use crate::store::{MarkRecord, ReservationRecord};

/// The marks and reservations of a store that keeps them in memory.
#[derive(Debug, Clone, Default)]
pub struct MarkTable {
    marks: HashMap<CounterKey, Marks>,
    reservations: HashMap<ReservationId, ReservationRecord>,
}

impl MarkTable {
    /// The marks of a counter.
    #[must_use]
    pub fn of(&self, counter: &CounterKey) -> Option<&Marks> {
        self.marks.get(counter)
    }

    /// What is recorded of a reservation.
    #[must_use]
    pub fn reservation(&self, id: &ReservationId) -> Option<&ReservationRecord> {
        self.reservations.get(id)
    }

    /// The marks of a counter behind `after`, at most `limit`, each with its event out of the store's log.
    pub fn page<'e>(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
        log: &(impl Iterator<Item = &'e Event> + Clone),
    ) -> Vec<MarkRecord> {
        let behind = |mark: &&Mark| after.is_none_or(|after| (mark.generation, mark.run.first) > after);
        let record = |mark: &Mark| {
            let of_mark = |event: &&Event| event.n == mark.n && event.subject.counter() == Some(counter);
            Some(MarkRecord {
                mark: mark.clone(),
                event: log.clone().find(of_mark)?.clone(),
            })
        };
        let marks = self.of(counter).into_iter().flat_map(Marks::iter);
        marks.filter(behind).filter_map(record).take(limit).collect()
    }

    /// Puts what is needed into a snapshot.
    pub fn load(&self, snapshot: &mut Snapshot, needs: Vec<MarkNeed>) {
        let none = Marks::default();
        let of = |counter: &CounterKey| self.of(counter).unwrap_or(&none);
        for need in needs {
            match need {
                MarkNeed::Reservation {
                    counter,
                    generation,
                    first,
                    id,
                } => {
                    let held = of(&counter).held(generation, first.get(), id).cloned();
                    snapshot.load_reservation(
                        counter,
                        id,
                        held.map_or_else(|| self.ended(&id), Reservation::Held),
                    );
                }
                MarkNeed::Ending { counter, limit } => {
                    let holds = of(&counter).ending(limit);
                    snapshot.load_ending(counter, holds);
                }
                MarkNeed::Free {
                    counter,
                    generation,
                    limit,
                } => {
                    let free = of(&counter).free(generation, limit);
                    snapshot.load_free(counter, free);
                }
                MarkNeed::Within {
                    counter,
                    generation,
                    first,
                    last,
                } => {
                    let marks = of(&counter).within(generation, first, last).cloned().collect();
                    snapshot.load_within(counter, marks);
                }
            }
        }
    }

    fn ended(&self, id: &ReservationId) -> Reservation {
        let ended = self.reservation(id).and_then(|record| record.ended.clone());
        ended.map_or(Reservation::Unknown, |event| Reservation::Ended(Box::new(event)))
    }

    /// Takes in what a transaction changed.
    pub fn write(&mut self, events: &[Linked], marks: Vec<MarkChange>) {
        for change in marks {
            let of_counter = self.marks.entry(change.counter).or_default();
            of_counter.set(change.generation, change.first.get(), change.mark);
        }
        for Linked { event, .. } in events {
            let Some(hold) = &event.hold else { continue };
            if event.kind == EventKind::Reserved {
                let record = ReservationRecord {
                    began: event.clone(),
                    ended: None,
                };
                self.reservations.insert(hold.id, record);
            } else if let Some(record) = self.reservations.get_mut(&hold.id) {
                record.ended = Some(event.clone());
            }
        }
    }
}
