//! Numbers that somebody else than the store gives out for a while: the memory of a process, or a Redis server.
//!
//! The store moves the counter behind the leased run at once, so that no two leases, and no lease and the store itself, ever
//! have a number in common. What the holder issues it reports later; what it does not need it returns; and what a holder that
//! is gone had left is *unknown* until somebody reports it.

use std::fmt;

use serde::Serialize;

use crate::counter::Run;
use crate::hex;
use crate::names::Label;

/// The name of a lease: 16 random bytes, chosen by whoever asks for it, so that asking again leases nothing twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub [u8; 16]);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseId({self})")
    }
}

/// Who gives out the numbers of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The memory of a process. Several may hold numbers of one counter.
    Process(Label),
    /// One history of a server that may lose what it acknowledged. One at a time holds numbers of a counter, and one that
    /// lost some and that another has followed does so again only if the server's cluster has chosen it anew.
    History {
        /// The history.
        name: Label,
        /// How often the server's cluster has chosen a primary: a smaller one than that of the last lease is out of date.
        topology: u64,
    },
}

impl Holder {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Label {
        match self {
            Self::Process(name) | Self::History { name, .. } => name,
        }
    }

    /// The topology, if it is a history.
    #[must_use]
    pub const fn topology(&self) -> Option<u64> {
        match self {
            Self::Process(_) => None,
            Self::History { topology, .. } => Some(*topology),
        }
    }

    /// The holder that a store wrote as a name and a topology.
    #[must_use]
    pub fn restore(name: Label, topology: Option<u64>) -> Self {
        match topology {
            Some(topology) => Self::History { name, topology },
            None => Self::Process(name),
        }
    }
}

/// Whether the holder may give out numbers of a lease. The codes are part of the stored form: never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LeaseState {
    /// It may.
    Open = 1,
    /// It has said up to where it did, and gave the rest back.
    Closed = 2,
    /// It may go on, but nobody listens: what it had not reported by then is unknown until it is.
    Lost = 3,
}

impl LeaseState {
    /// The state that a store wrote as this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Open, Self::Closed, Self::Lost]
            .into_iter()
            .find(|state| *state as u8 == code)
    }
}

/// Numbers of a counter in the hands of a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// Who gives the numbers out.
    pub holder: Holder,
    /// The counter's generation.
    pub generation: u32,
    /// The counter's epoch while the holder gives them out: no two leases of a generation have one in common.
    pub epoch: u32,
    /// The numbers; `None` when all were given back.
    pub run: Option<Run>,
    /// Whether it may still give them out.
    pub state: LeaseState,
}

impl Lease {
    /// What the audit says of a lease, as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Shown<'a> {
            lease: String,
            holder: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            topology: Option<u64>,
        }
        let shown = Shown {
            lease: hex::encode(&self.id.0),
            holder: self.holder.name().as_str(),
            topology: self.holder.topology(),
        };
        serde_json::to_string(&shown).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_names_lease_and_holder() {
        let lease = |holder| Lease {
            id: LeaseId([10; 16]),
            holder,
            generation: 1,
            epoch: 2,
            run: None,
            state: LeaseState::Open,
        };
        let name = Label::new("run-1").unwrap();
        assert_eq!(
            lease(Holder::Process(name.clone())).to_json(),
            r#"{"lease":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","holder":"run-1"}"#
        );
        assert_eq!(
            lease(Holder::History { name, topology: 7 }).to_json(),
            r#"{"lease":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","holder":"run-1","topology":7}"#
        );
    }

    #[test]
    fn a_holder_is_restored_from_what_is_stored_of_it() {
        let name = Label::new("run-1").unwrap();
        for holder in [
            Holder::Process(name.clone()),
            Holder::History { name, topology: 0 },
        ] {
            assert_eq!(Holder::restore(holder.name().clone(), holder.topology()), holder);
        }
    }
}
