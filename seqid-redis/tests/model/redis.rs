//! A Redis server with one counter, and the scripts that run there. Each is atomic.

use crate::instance::Asker;
use crate::protocol::{GAP, Guard, Guards};
use crate::range_store::Grant;

/// What `INFO` says of a server's history: `run_id` and `master_replid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct History {
    pub(crate) run: u8,
    pub(crate) repl: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Primary,
    Replica,
}

/// The counter's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) authority: u8,
    pub(crate) epoch: u8,
    pub(crate) next: u8,
    pub(crate) hi: u8,
    pub(crate) history: History,
    /// Set by the close script.
    pub(crate) closed: bool,
    /// The checksum agrees with the rest.
    pub(crate) intact: bool,
}

/// What replication copies, dumps keep and FLUSHALL removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Data {
    /// The one-time word of the seed that is expected.
    pub(crate) p: Option<u8>,
    pub(crate) key: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) history: History,
    pub(crate) role: Role,
    /// The topology generation in which it was named primary.
    pub(crate) generation: u8,
    pub(crate) data: Data,
}

/// What a draw was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Drawn {
    pub(crate) epoch: u8,
    pub(crate) number: u8,
}

/// Why a draw was given nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    Fenced,
    UsedUp { epoch: u8, next: u8 },
}

impl Server {
    pub(crate) fn pair() -> [Self; 2] {
        let server = |run, role| Self {
            history: History { run, repl: 0 },
            role,
            generation: 0,
            data: Data::default(),
        };
        [server(1, Role::Primary), server(2, Role::Replica)]
    }

    fn answers(&self, guards: Guards) -> bool {
        self.role == Role::Primary || guards.lack(Guard::Role)
    }

    /// Whether an instance may draw from the key as it stands, a used-up range aside.
    pub(crate) fn serves(&self, guards: Guards, asker: Asker) -> Option<Key> {
        let key = self.data.key?;
        let right = self.answers(guards)
            && (key.authority == asker.authority || guards.lack(Guard::Authority))
            && (key.history == self.history || guards.lack(Guard::History))
            && (key.intact || guards.lack(Guard::Checksum))
            && !key.closed
            && asker.may_draw(guards, key.epoch)
            && (key.next >= asker.floor(key.epoch) || guards.lack(Guard::Floor));
        right.then_some(key)
    }

    /// Script *open*: the word that the next seed must know. The caller has a new one at hand.
    pub(crate) fn open(&mut self, guards: Guards, authority: u8, new: u8) -> Option<u8> {
        let other = |key: Key| key.authority != authority && guards.has(Guard::Authority);
        if !self.answers(guards) || self.data.key.is_some_and(other) {
            return None;
        }
        Some(*self.data.p.get_or_insert(new))
    }

    /// Script *seed*: the range of a grant, once. Anyone may call it, at any time, as often as he likes.
    pub(crate) fn seed(&mut self, guards: Guards, authority: u8, epoch: u8, grant: &Grant) -> Option<Key> {
        let expected = self.data.p == Some(grant.p) || guards.lack(Guard::P);
        let here = self.history == grant.history || guards.lack(Guard::History);
        if !self.answers(guards) || !here || !expected || !self.may_replace(guards, authority, epoch) {
            return None;
        }
        self.data.p = None;
        self.data.key = Some(Key {
            authority,
            epoch,
            next: grant.lo,
            hi: grant.hi.min(grant.lo + GAP),
            history: self.history,
            closed: false,
            intact: true,
        });
        self.data.key
    }

    fn may_replace(&self, guards: Guards, authority: u8, epoch: u8) -> bool {
        self.data.key.is_none_or(|key| {
            let ours = key.authority == authority || guards.lack(Guard::Authority);
            ours && (key.epoch < epoch || key.authority != authority)
        })
    }

    /// Script *draw*: one number. A range that is used up says how far it went.
    pub(crate) fn draw(&mut self, guards: Guards, asker: Asker) -> Result<Drawn, Refused> {
        let key = self.serves(guards, asker).ok_or(Refused::Fenced)?;
        if key.next >= key.hi {
            return Err(Refused::UsedUp {
                epoch: key.epoch,
                next: key.next,
            });
        }
        self.data.key = Some(Key {
            next: key.next + 1,
            ..key
        });
        Ok(Drawn {
            epoch: key.epoch,
            number: key.next,
        })
    }

    /// Script *raise*: the range of an epoch was extended. Refused where the key has been closed.
    pub(crate) fn raise(&mut self, guards: Guards, authority: u8, epoch: u8, hi: u8) -> bool {
        let Some(key) = self
            .data
            .key
            .filter(|key| self.is_of(guards, key, authority, epoch))
        else {
            return false;
        };
        let open = !key.closed || guards.lack(Guard::ClosedMark);
        if !open || hi <= key.hi || hi > key.next + GAP {
            return false;
        }
        self.data.key = Some(Key {
            hi,
            closed: false,
            ..key
        });
        true
    }

    /// Script *close*: nothing is drawn in this epoch any more. Answers what would have been next.
    pub(crate) fn close(&mut self, guards: Guards, authority: u8, epoch: u8) -> Option<Key> {
        let key = self
            .data
            .key
            .filter(|key| self.is_of(guards, key, authority, epoch))?;
        self.data.key = Some(Key {
            hi: key.next,
            closed: true,
            ..key
        });
        self.data.key
    }

    fn is_of(&self, guards: Guards, key: &Key, authority: u8, epoch: u8) -> bool {
        let same_run = key.history.run == self.history.run && guards.lack(Guard::ExactClose);
        let here = key.history == self.history || same_run || guards.lack(Guard::History);
        let ours = key.authority == authority || guards.lack(Guard::Authority);
        let intact = key.intact || guards.lack(Guard::Checksum);
        self.answers(guards) && here && ours && intact && key.epoch == epoch
    }
}
