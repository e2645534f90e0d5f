use std::collections::HashMap;

use super::{LeaseChange, Linked, MarkChange, MarkNeed, Reservation, Snapshot};
use crate::counter::{CounterKey, SequenceKey};
use crate::event::{Event, EventKind};
use crate::lease::{Lease, LeaseId, LeaseState};
use crate::mark::{Mark, Marks};
use crate::names::Number;
use crate::reservation::ReservationId;
use crate::store::{LeaseRecord, MarkRecord, ReservationRecord};

/// The marks, reservations and leases of a store that keeps them in memory.
#[derive(Debug, Clone, Default)]
pub struct MarkTable {
    marks: HashMap<CounterKey, Marks>,
    reservations: HashMap<ReservationId, ReservationRecord>,
    leases: HashMap<CounterKey, Vec<Lease>>,
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
                MarkNeed::Leases { counter, id, holder } => {
                    let with_numbers = self.leases(&counter).filter(|lease| lease.run.is_some());
                    let newest = with_numbers.max_by_key(|lease| (lease.generation, lease.epoch));
                    let newest = newest.filter(|_| holder.is_some()).map(|lease| lease.id);
                    let needed = |lease: &&Lease| match lease.state {
                        LeaseState::Open => true,
                        LeaseState::Lost if holder.as_ref() == Some(lease.holder.name()) => true,
                        LeaseState::Lost | LeaseState::Closed => {
                            id == Some(lease.id) || newest == Some(lease.id)
                        }
                    };
                    let leases = self.leases(&counter).filter(needed).cloned().collect();
                    snapshot.load_leases(counter, leases);
                }
            }
        }
    }

    fn ended(&self, id: &ReservationId) -> Reservation {
        let ended = self.reservation(id).and_then(|record| record.ended.clone());
        ended.map_or(Reservation::Unknown, |event| Reservation::Ended(Box::new(event)))
    }

    /// The leases of a counter.
    pub fn leases(&self, counter: &CounterKey) -> impl Iterator<Item = &Lease> {
        self.leases.get(counter).into_iter().flatten()
    }

    /// The open leases of the counters of a sequence, or of all of a tenant's, in the order of their names.
    #[must_use]
    pub fn open_leases(
        &self,
        sequence: &SequenceKey,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Vec<LeaseRecord> {
        let counters = self
            .leases
            .iter()
            .filter(|(key, _)| sequence.covers(key.sequence()));
        let record = |counter: &CounterKey, lease: &Lease| LeaseRecord {
            counter: counter.clone(),
            lease: lease.clone(),
        };
        let mut open: Vec<LeaseRecord> = counters
            .flat_map(|(key, leases)| leases.iter().map(move |lease| record(key, lease)))
            .filter(|found| found.lease.state == LeaseState::Open && Some(found.lease.id) > after)
            .collect();
        open.sort_unstable_by_key(|found| found.lease.id);
        open.truncate(limit);
        open
    }

    /// Takes in the leases that a transaction changed.
    pub fn write_leases(&mut self, changes: Vec<LeaseChange>) {
        for LeaseChange { counter, lease } in changes {
            let of_counter = self.leases.entry(counter).or_default();
            of_counter.retain(|other| other.id != lease.id);
            of_counter.push(lease);
        }
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
