//! The newest states of counters whose rows are older, as far as they differ.
//!
//! An `issued` event holds all that it changes of its counter, so the row may be written later, together with those
//! beside it in the file: among many counters a row for each draw would be a page for each draw. Until then the state
//! is here.
//!
//! Readers see the rows of a moment. A state stays here until its row is in the moment of every reader that is under
//! way, so that a reader who takes the newer of row and state never misses what was answered before it began.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seqid_core::counter::CounterState;

use crate::database::FileId;
use crate::rows::Advance;

/// See the [module](self). Holds nothing that is not committed.
#[derive(Debug, Default)]
pub(crate) struct Newest(Mutex<States>);

#[derive(Debug, Default)]
struct States {
    /// By the counter's row.
    states: HashMap<i64, Advance>,
    /// The file that the rows are in.
    file: Option<FileId>,
    /// The store's last event when this was committed.
    position: u64,
    commits: u64,
    /// The last commit before each reader that is under way.
    readers: Vec<u64>,
    /// What each commit wrote, as long as a reader may not see it.
    written: VecDeque<(u64, Vec<Row>)>,
}

/// A counter's row that was written, with the number of the last event that it knows.
pub(crate) type Row = (i64, u64);

/// What a commit did to counters.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// The store's last event.
    pub(crate) position: u64,
    /// The states whose rows were not written.
    pub(crate) trailing: Vec<(i64, Advance)>,
    pub(crate) written: Vec<Row>,
}

impl Newest {
    /// Begins with a file whose rows are all current.
    pub(crate) fn begin(&self, file: Option<FileId>, position: u64) {
        let mut states = self.lock();
        if states.file != file {
            states.states.clear();
        }
        states.file = file;
        let written = states.states.iter().map(|(id, state)| (*id, state.n()));
        let written = written.collect();
        states.commit(Committed {
            position,
            written,
            ..Committed::default()
        });
    }

    /// To be called after the commit, and before anybody is answered.
    pub(crate) fn commit(&self, committed: Committed) {
        self.lock().commit(committed);
    }

    /// Replaces a row's state if the one here is newer.
    pub(crate) fn refresh(&self, id: i64, of_row: &mut CounterState) {
        if let Some(state) = self.lock().states.get(&id) {
            state.refresh(of_row);
        }
    }

    /// The last event committed, and the counters whose rows may not know of events up to it, sorted.
    pub(crate) fn trailing(&self) -> (u64, Vec<i64>) {
        let states = self.lock();
        let position = states.position;
        let mut ids: Vec<i64> = states.states.keys().copied().collect();
        drop(states);
        ids.sort_unstable();
        (position, ids)
    }

    /// The states of these counters, as far as they are here.
    pub(crate) fn states(&self, ids: &[i64]) -> Vec<(i64, Advance)> {
        let states = self.lock();
        let state = |id: &i64| Some((*id, *states.states.get(id)?));
        ids.iter().filter_map(state).collect()
    }

    /// What a reader of this file sees beside its rows. To be taken before the rows are read.
    pub(crate) fn view(&self, file: Option<FileId>) -> View<'_> {
        let mut states = self.lock();
        let began = states.commits;
        states.readers.push(began);
        View {
            newest: self,
            began,
            same_file: states.file == file,
        }
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl States {
    fn commit(&mut self, committed: Committed) {
        self.commits += 1;
        self.position = committed.position;
        self.states.extend(committed.trailing);
        if !committed.written.is_empty() {
            self.written.push_back((self.commits, committed.written));
        }
        self.forget_written();
    }

    /// Forgets the states whose rows every reader sees.
    fn forget_written(&mut self) {
        let oldest = self.readers.iter().min().copied().unwrap_or(u64::MAX);
        while let Some((_, rows)) = self.written.pop_front_if(|(commit, _)| *commit <= oldest) {
            for (id, n) in rows {
                if self.states.get(&id).is_some_and(|state| state.n() <= n) {
                    self.states.remove(&id);
                }
            }
        }
    }
}

/// A reader that is under way.
#[derive(Debug)]
pub(crate) struct View<'a> {
    newest: &'a Newest,
    began: u64,
    same_file: bool,
}

impl View<'_> {
    /// Replaces a row's state if a newer one was committed.
    pub(crate) fn refresh(&self, id: i64, of_row: &mut CounterState) {
        if self.same_file {
            self.newest.refresh(id, of_row);
        }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        let mut states = self.newest.lock();
        if let Some(at) = states.readers.iter().position(|began| *began == self.began) {
            states.readers.swap_remove(at);
        }
        states.forget_written();
    }
}

#[cfg(test)]
mod tests {
    use seqid_core::chain::Link;
    use seqid_core::counter::CounterStatus;

    use super::*;

    fn state(n: u64) -> CounterState {
        CounterState {
            version: 1,
            generation: 1,
            epoch: 1,
            next: n + 1,
            last: None,
            last_date: None,
            status: CounterStatus::Open,
            reserved: 0,
            voided: 0,
            free: 0,
            next_expiry: None,
            leases: 0,
            chain: Link { n, hash: [0; 32] },
        }
    }

    fn trailing(position: u64, states: &[(i64, u64)]) -> Committed {
        Committed {
            position,
            trailing: states
                .iter()
                .map(|(id, n)| (*id, Advance::from(&state(*n))))
                .collect(),
            ..Committed::default()
        }
    }

    fn written(position: u64, rows: &[Row]) -> Committed {
        Committed {
            position,
            written: rows.to_vec(),
            ..Committed::default()
        }
    }

    /// What a reader whose row is at `n` sees of counter 1.
    fn seen(view: &View<'_>, n: u64) -> u64 {
        let mut of_row = state(n);
        view.refresh(1, &mut of_row);
        of_row.chain.n
    }

    #[test]
    fn a_state_stays_until_every_reader_sees_its_row() {
        let newest = Newest::default();
        newest.commit(trailing(10, &[(1, 5), (2, 3)]));
        let (first, second) = (newest.view(None), newest.view(None));
        newest.commit(written(10, &[(1, 5)]));
        assert_eq!(seen(&first, 4), 5, "it began before the row was written");
        assert_eq!(seen(&newest.view(None), 5), 5);
        drop(first);
        assert_eq!(seen(&second, 4), 5);
        drop(second);
        assert_eq!(newest.trailing(), (10, vec![2]));
    }

    #[test]
    fn a_state_that_is_newer_than_its_row_stays() {
        let newest = Newest::default();
        newest.commit(trailing(10, &[(1, 5)]));
        let committed = Committed {
            written: vec![(1, 5)],
            ..trailing(11, &[(1, 6)])
        };
        newest.commit(committed);
        assert_eq!(newest.trailing(), (11, vec![1]));
        assert_eq!(seen(&newest.view(None), 5), 6);
        assert_eq!(seen(&newest.view(None), 7), 7, "of a row that is newer still");
    }

    #[test]
    fn states_are_of_one_file() {
        let newest = Newest::default();
        newest.begin(Some((1, 1)), 0);
        newest.commit(trailing(10, &[(1, 5)]));
        assert_eq!(seen(&newest.view(Some((1, 1))), 4), 5);
        assert_eq!(seen(&newest.view(Some((1, 2))), 4), 4);
        newest.begin(Some((1, 2)), 7);
        assert_eq!(seen(&newest.view(Some((1, 2))), 4), 4);
        assert_eq!(newest.trailing(), (7, vec![]));
    }

    #[test]
    fn a_file_that_is_opened_anew_has_all_rows() {
        let newest = Newest::default();
        newest.begin(Some((1, 1)), 0);
        newest.commit(trailing(10, &[(1, 5)]));
        let view = newest.view(Some((1, 1)));
        newest.begin(Some((1, 1)), 10);
        assert_eq!(seen(&view, 4), 5, "a reader that began before sees no less");
        drop(view);
        assert_eq!(newest.trailing(), (10, vec![]));
    }
}
