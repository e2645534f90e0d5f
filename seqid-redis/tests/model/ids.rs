//! Run ids, replication ids and `p` are random: only which of them are equal matters.
//!
//! So states that differ by their names alone are taken as one: ids are named anew in the order in which they stand in
//! the state, and [`NEW`] stands for one that was never met.

use crate::instance::Answer;
use crate::redis::{History, Key, Memory};
use crate::state::State;

/// No id of a state whose ids were [named anew](State::name_anew).
pub(crate) const NEW: u8 = u8::MAX;

#[derive(Default)]
struct Names {
    runs: Vec<u8>,
    repls: Vec<u8>,
    words: Vec<u8>,
}

impl State {
    pub(crate) fn name_anew(&mut self) {
        let mut names = Names::default();
        for server in &mut self.servers {
            names.of_history(&mut server.history);
            names.of_data(&mut server.key, &mut server.memory);
        }
        if let Some(dump) = &mut self.dump {
            names.of_data(&mut dump.key, &mut dump.memory);
        }
        for grant in self.stores.iter_mut().flat_map(|store| &mut store.grants) {
            name(&mut names.words, &mut grant.p);
            names.of_history(&mut grant.history);
        }
        for instance in &mut self.instances {
            if let Some(Answer::Opened(opened)) = &mut instance.answer {
                name(&mut names.words, &mut opened.p);
                names.of_history(&mut opened.history);
            }
        }
    }
}

impl Names {
    fn of_history(&mut self, history: &mut History) {
        name(&mut self.runs, &mut history.run);
        name(&mut self.repls, &mut history.repl);
    }

    fn of_data(&mut self, key: &mut Option<Key>, memory: &mut Memory) {
        if let Some(p) = &mut memory.p {
            name(&mut self.words, p);
        }
        for key in [key, &mut memory.left].into_iter().flatten() {
            self.of_history(&mut key.history);
        }
    }
}

/// An id's name is its place among those that were met before.
fn name(met: &mut Vec<u8>, id: &mut u8) {
    let place = met.iter().position(|other| other == id).unwrap_or(met.len());
    if place == met.len() {
        met.push(*id);
    }
    *id = u8::try_from(place).unwrap();
}
