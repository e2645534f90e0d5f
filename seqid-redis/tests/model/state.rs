//! Everything that the model knows at one moment.

use crate::instance::Instance;
use crate::range_store::RangeStore;
use crate::redis::{Key, Memory, Server};

/// The servers, the instances, the range stores, and what happened so far as far as bounds need it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) servers: [Server; 2],
    /// Sorted where all instances have the same store: which of them is which makes no difference.
    pub(crate) instances: [Instance; 2],
    /// The first is everybody's; the second is that of an instance which was pointed at another database.
    pub(crate) stores: [RangeStore; 2],
    /// The topology's own counter: Sentinel's or the cluster's config epoch.
    pub(crate) generation: u8,
    /// A file or a snapshot with an earlier state of a server.
    pub(crate) dump: Option<Dump>,
    pub(crate) spent: Spent,
}

/// What a server had at an earlier moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dump {
    pub(crate) server: usize,
    pub(crate) key: Option<Key>,
    /// Only a snapshot of the machine has it.
    pub(crate) memory: Memory,
}

/// What was used of the [bounds](crate::protocol::Bounds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spent {
    pub(crate) faults: u8,
    pub(crate) draws: u8,
    pub(crate) keyed: u8,
}

impl State {
    /// A primary with its replica, both empty, and nothing granted. Each instance has found one of them.
    pub(crate) fn first(found: [u8; 2]) -> Self {
        Self {
            servers: Server::pair(),
            instances: found.map(|server| Instance::connected(0, server, 0)),
            stores: [RangeStore::default(), RangeStore::default()],
            generation: 0,
            dump: None,
            spent: Spent::default(),
        }
    }

    pub(crate) fn dump_of(&self, server: usize) -> Option<Dump> {
        self.dump.filter(|dump| dump.server == server)
    }

    /// What a process remembers of a key that is nowhere any more.
    pub(crate) fn forget_lost_keys(&mut self) {
        let copies = self.servers.map(|server| server.key).into_iter();
        let dumped = self.dump.map(|dump| [dump.key, dump.memory.left]);
        let copies: Vec<_> = copies
            .chain(dumped.into_iter().flatten())
            .flatten()
            .map(Key::written)
            .collect();
        for server in &mut self.servers {
            server.memory.left = server.memory.left.filter(|left| copies.contains(left));
        }
    }

    pub(crate) fn store_of(&self, instance: usize) -> &RangeStore {
        &self.stores[usize::from(self.instances[instance].authority)]
    }

    pub(crate) fn store_of_mut(&mut self, instance: usize) -> &mut RangeStore {
        &mut self.stores[usize::from(self.instances[instance].authority)]
    }
}
