//! A process that draws for its callers. What it knows ends with its connection: losing one is a crash.

use crate::protocol::{Guard, Guards};
use crate::range_store::Opened;
use crate::redis::{Drawn, Key};

/// An answer that was sent and not read yet. A connection has one request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    Drawn { drawn: Drawn, keyed: bool },
    Opened(Opened),
    Closed { epoch: u8, next: u8 },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Instance {
    /// The range store that it was configured with.
    pub(crate) authority: u8,
    pub(crate) server: Option<u8>,
    /// The newest epoch in the range store once the connection listened.
    joined: u8,
    heard: Heard,
    pub(crate) answer: Option<Answer>,
}

/// The furthest that is known of the counter, by answers and by announcements on the same connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Heard {
    epoch: u8,
    next: u8,
    closed: bool,
}

/// What of an instance travels in each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) authority: u8,
    joined: u8,
    heard: Heard,
}

impl Instance {
    /// A connection that knows nothing yet.
    pub(crate) fn connected(authority: u8, server: u8, newest_epoch: u8) -> Self {
        Self {
            authority,
            server: Some(server),
            joined: newest_epoch,
            ..Self::default()
        }
    }

    /// The server ended the connection. What had come before can still be read.
    pub(crate) fn cut(&mut self) {
        *self = Self {
            authority: self.authority,
            answer: self.answer,
            ..Self::default()
        };
    }

    pub(crate) fn forget_joining(&mut self) {
        self.joined = 0;
    }

    pub(crate) fn asker(&self) -> Asker {
        Asker {
            authority: self.authority,
            joined: self.joined,
            heard: self.heard,
        }
    }

    /// The epoch that it is in, and the first number that it knows to be free there.
    pub(crate) fn place(&self) -> (u8, u8) {
        (self.heard.epoch, self.heard.next)
    }

    /// Epochs only rise; so do numbers within one; what is closed stays closed.
    pub(crate) fn hear(&mut self, epoch: u8, next: u8, closed: bool) {
        if epoch > self.heard.epoch {
            self.heard = Heard { epoch, next, closed };
        } else if epoch == self.heard.epoch {
            self.heard.next = self.heard.next.max(next);
            self.heard.closed |= closed;
        }
    }
}

impl Asker {
    /// Whether all that was ever answered in an epoch must have been heard here.
    fn heard_all(&self, guards: Guards, epoch: u8) -> bool {
        epoch > self.joined || guards.lack(Guard::Newcomer)
    }

    /// Never back to a lower epoch, and none that had begun before one listened.
    pub(crate) fn may_draw(&self, guards: Guards, epoch: u8) -> bool {
        let over = epoch == self.heard.epoch && self.heard.closed;
        epoch >= self.heard.epoch && !over && self.heard_all(guards, epoch)
    }

    pub(crate) fn floor(&self, epoch: u8) -> u8 {
        if epoch == self.heard.epoch {
            self.heard.next
        } else {
            0
        }
    }

    /// Whether a key that is closed now stands where the counter stood at last.
    pub(crate) fn vouches(&self, guards: Guards, closed: &Key) -> bool {
        let furthest = closed.next >= self.floor(closed.epoch) || guards.lack(Guard::Floor);
        closed.epoch >= self.heard.epoch && furthest && self.heard_all(guards, closed.epoch)
    }
}
