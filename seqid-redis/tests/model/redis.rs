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

/// The counter's hash: what replication copies, dumps keep and FLUSHALL removes.
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

/// What the process remembers: no command that writes keys reaches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// The one-time word of the seed that is expected.
    pub(crate) p: Option<u8>,
    /// The key as a script left it last.
    pub(crate) left: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) history: History,
    pub(crate) role: Role,
    /// The topology generation in which it was named primary.
    pub(crate) generation: u8,
    pub(crate) key: Option<Key>,
    pub(crate) memory: Memory,
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
            key: None,
            memory: Memory::default(),
        };
        [server(1, Role::Primary), server(2, Role::Replica)]
    }

    fn answers(&self, guards: Guards) -> bool {
        self.role == Role::Primary || guards.lack(Guard::Role)
    }

    /// Whether a key is as this process left it. It compares checksums, which an edit does not change.
    fn remembers(&self, guards: Guards, key: Key) -> bool {
        self.memory.left == Some(key.written()) || guards.lack(Guard::Memory)
    }

    /// Writes a key, and remembers it.
    fn leave(&mut self, key: Key) -> Option<Key> {
        self.key = Some(key);
        self.memory.left = Some(key.written());
        self.key
    }

    /// Whether an instance may draw from the key as it stands, a used-up range aside.
    pub(crate) fn serves(&self, guards: Guards, asker: Asker) -> Option<Key> {
        let key = self.key?;
        let right = self.answers(guards)
            && (key.authority == asker.authority || guards.lack(Guard::Authority))
            && (key.history == self.history || guards.lack(Guard::History))
            && (key.intact || guards.lack(Guard::Checksum))
            && self.remembers(guards, key)
            && !key.closed
            && asker.may_draw(guards, key.epoch)
            && (key.next >= asker.floor(key.epoch) || guards.lack(Guard::Floor));
        right.then_some(key)
    }

    /// Script *open*: the word that the next seed must know. The caller has a new one at hand.
    pub(crate) fn open(&mut self, guards: Guards, authority: u8, new: u8) -> Option<u8> {
        let other = |key: Key| key.authority != authority && guards.has(Guard::Authority);
        if !self.answers(guards) || self.key.is_some_and(other) {
            return None;
        }
        Some(*self.memory.p.get_or_insert(new))
    }

    /// Script *seed*: the range of a grant, once. Anyone may call it, at any time, as often as he likes.
    pub(crate) fn seed(&mut self, guards: Guards, authority: u8, epoch: u8, grant: &Grant) -> Option<Key> {
        let expected = self.memory.p == Some(grant.p) || guards.lack(Guard::P);
        let here = self.history == grant.history || guards.lack(Guard::History);
        if !self.answers(guards) || !here || !expected || !self.may_replace(guards, authority, epoch) {
            return None;
        }
        self.memory.p = None;
        self.leave(Key {
            authority,
            epoch,
            next: grant.lo,
            hi: grant.hi.min(grant.lo + GAP),
            history: self.history,
            closed: false,
            intact: true,
        })
    }

    fn may_replace(&self, guards: Guards, authority: u8, epoch: u8) -> bool {
        self.key.is_none_or(|key| {
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
        self.leave(Key {
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
        let Some(key) = self.key_of(guards, authority, epoch) else {
            return false;
        };
        let here = key.history == self.history || guards.lack(Guard::History);
        let open = !key.closed || guards.lack(Guard::ClosedMark);
        if !here || !open || hi <= key.hi || hi > key.next + GAP {
            return false;
        }
        self.leave(Key {
            hi,
            closed: false,
            ..key
        });
        true
    }

    /// Script *close*: nothing is drawn in this epoch any more. Answers what would have been next. The replication id may have
    /// changed meanwhile: the process has not.
    pub(crate) fn close(&mut self, guards: Guards, authority: u8, epoch: u8) -> Option<Key> {
        let key = self.key_of(guards, authority, epoch)?;
        let here = key.history.run == self.history.run || guards.lack(Guard::History);
        if !here {
            return None;
        }
        self.leave(Key {
            hi: key.next,
            closed: true,
            ..key
        })
    }

    fn key_of(&self, guards: Guards, authority: u8, epoch: u8) -> Option<Key> {
        let key = self.key?;
        let ours = key.authority == authority || guards.lack(Guard::Authority);
        let intact = key.intact || guards.lack(Guard::Checksum);
        let is_of = self.answers(guards) && ours && intact && key.epoch == epoch;
        (is_of && self.remembers(guards, key)).then_some(key)
    }
}

impl Key {
    /// The key that a script wrote before anybody edited it.
    pub(crate) fn written(self) -> Self {
        Self {
            next: self.next + u8::from(!self.intact),
            intact: true,
            ..self
        }
    }
}
