//! A small store that does everything right, and the histories that it makes.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    /// A draw without a key.
    Draw { count: u32, answer: Answer },
    /// A draw with a key: attempts that had no effect, the one that had, and replays.
    Keyed {
        count: u32,
        before: Vec<bool>,
        answer: Answer,
        replays: Vec<bool>,
    },
    /// Numbers jumped over.
    Skip { count: u32, external: bool },
    /// Up to so many jumped numbers given back.
    Return { count: u32 },
    /// A reservation, and what became of it.
    Reserve { count: u32, end: Option<RowKind> },
    /// A new generation that starts so many numbers after the first of the line.
    Reset { at: u64 },
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Issued,
    LostAfterwards,
    LostBefore,
    Refused,
}

/// The store, and everything that was seen of it.
struct Store {
    history: History,
    end: CounterEnd,
    lowest: u64,
    /// How many numbers right below `next` may be given back.
    returnable: u32,
    tick: u64,
}

impl Store {
    fn new(start: u64, step: u64) -> Self {
        let end = CounterEnd {
            start,
            step,
            next: start,
            ..end(0)
        };
        Self {
            history: History::default(),
            end,
            lowest: start,
            returnable: 0,
            tick: 0,
        }
    }

    fn into_history(mut self) -> History {
        self.history.ends = vec![self.end];
        self.history
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Draw { count, answer } => self.draw(*count, None, *answer),
            Act::Keyed {
                count,
                before,
                answer,
                replays,
            } => {
                let key = format!("key {}", self.tick);
                for &refused in before {
                    let answer = if refused {
                        Answer::Refused
                    } else {
                        Answer::LostBefore
                    };
                    self.draw(*count, Some(&key), answer);
                }
                self.draw(*count, Some(&key), *answer);
                for &lost in replays {
                    self.replay(*count, &key, lost);
                }
            }
            Act::Skip { count, external } => {
                self.take(
                    *count,
                    if *external {
                        RowKind::External
                    } else {
                        RowKind::Skipped
                    },
                    None,
                );
                self.returnable += count;
            }
            Act::Return { count } => self.give_back(*count),
            Act::Reserve { count, end } => {
                self.draw_as(RowKind::Reserved, *count, None, Answer::Issued);
                let name = format!("reservation {}", self.history.rows.len());
                self.name_the_last(&name, RowKind::Reserved);
                if let Some(kind) = end {
                    let first = self.end.next - u64::from(*count) * self.end.step;
                    self.write(*kind, first, *count, None);
                    self.name_the_last(&name, *kind);
                }
            }
            Act::Reset { at } => {
                self.end.generation += 1;
                self.end.start = self.lowest + at * self.end.step;
                self.end.next = self.end.start;
                self.returnable = 0;
                self.write(RowKind::Reset, self.end.next, 0, None);
            }
        }
    }

    fn draw(&mut self, count: u32, key: Option<&str>, answer: Answer) {
        self.draw_as(RowKind::Issued, count, key, answer);
    }

    fn draw_as(&mut self, kind: RowKind, count: u32, key: Option<&str>, answer: Answer) {
        let outcome = match answer {
            Answer::Issued => Outcome::Issued(self.take(count, kind, key)),
            Answer::LostAfterwards => {
                self.take(count, kind, key);
                Outcome::Unknown
            }
            Answer::LostBefore => Outcome::Unknown,
            Answer::Refused => Outcome::NotIssued,
        };
        self.note(count, key, outcome);
    }

    fn replay(&mut self, count: u32, key: &str, lost: bool) {
        let row = self
            .history
            .rows
            .iter()
            .find(|row| row.key.as_deref() == Some(key))
            .cloned();
        match row {
            Some(row) if !lost => self.note(count, Some(key), Outcome::Issued(grant_of(&row))),
            Some(_) => self.note(count, Some(key), Outcome::Unknown),
            None => self.note(count, Some(key), Outcome::NotIssued),
        }
    }

    fn take(&mut self, count: u32, kind: RowKind, key: Option<&str>) -> Grant {
        let first = self.end.next;
        self.end.next += u64::from(count) * self.end.step;
        if kind.grants() {
            self.returnable = 0;
        }
        self.write(kind, first, count, key);
        grant_of(&self.history.rows[self.history.rows.len() - 1])
    }

    fn give_back(&mut self, count: u32) {
        let count = count.min(self.returnable);
        if count > 0 {
            self.returnable -= count;
            self.end.next -= u64::from(count) * self.end.step;
            self.write(RowKind::Returned, self.end.next, count, None);
        }
    }

    fn write(&mut self, kind: RowKind, first: u64, count: u32, key: Option<&str>) {
        let n = self.history.rows.len() as u64 + 1;
        self.history.rows.push(Row {
            step: self.end.step,
            generation: self.end.generation,
            key: key.map(str::to_owned),
            ..row(n, kind, first, count)
        });
    }

    /// Names the reservation of the row that was written last, if it is of this kind.
    fn name_the_last(&mut self, reservation: &str, kind: RowKind) {
        if let Some(last) = self.history.rows.last_mut().filter(|last| last.kind == kind) {
            last.reservation = Some(reservation.to_owned());
        }
    }

    fn note(&mut self, count: u32, key: Option<&str>, outcome: Outcome) {
        let began = self.tick;
        self.tick += 2;
        let key = key.map(str::to_owned);
        let id = self.history.calls.len() as u64;
        self.history.calls.push(Call {
            key,
            count,
            ..unissued(id, began, began + 1, outcome)
        });
    }
}

fn grant_of(row: &Row) -> Grant {
    let Row {
        first,
        step,
        count,
        generation,
        epoch,
        ..
    } = *row;
    let ids = (0..count)
        .map(|index| format!("INV-{}", first + index * step))
        .collect();
    Grant {
        first,
        step,
        count: u32::try_from(count).unwrap(),
        generation,
        epoch,
        ids,
    }
}

fn act() -> impl Strategy<Value = Act> {
    let count = || 1..5_u32;
    let answer = || {
        prop_oneof![
            5 => Just(Answer::Issued),
            1 => Just(Answer::LostAfterwards),
            1 => Just(Answer::LostBefore),
            1 => Just(Answer::Refused),
        ]
    };
    let flags = || prop::collection::vec(any::<bool>(), 0..3);
    let ended = [RowKind::Confirmed, RowKind::Voided, RowKind::Expired].map(Some);
    prop_oneof![
        4 => (count(), answer()).prop_map(|(count, answer)| Act::Draw { count, answer }),
        4 => (count(), flags(), answer(), flags())
            .prop_map(|(count, before, answer, replays)| Act::Keyed { count, before, answer, replays }),
        2 => (count(), any::<bool>()).prop_map(|(count, external)| Act::Skip { count, external }),
        2 => count().prop_map(|count| Act::Return { count }),
        1 => (count(), prop_oneof![Just(None), prop::sample::select(ended.to_vec())])
            .prop_map(|(count, end)| Act::Reserve { count, end }),
        1 => (0..3_u64).prop_map(|at| Act::Reset { at }),
    ]
}

/// A history that begins with an answered draw, so that there is something to break.
pub(super) fn history() -> impl Strategy<Value = History> {
    (0..4_u64, 1..4_u64, prop::collection::vec(act(), 0..40)).prop_map(|(start, step, acts)| {
        let mut store = Store::new(start, step);
        store.act(&Act::Draw {
            count: 1,
            answer: Answer::Issued,
        });
        acts.iter().for_each(|act| store.act(act));
        store.into_history()
    })
}
