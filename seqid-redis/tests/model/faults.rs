//! What goes wrong, or is done by hand: where it may strike, and what it does.

use crate::actions::{Action, BOTH, connect};
use crate::ids::NEW;
use crate::protocol::{Guard, Protocol};
use crate::redis::{History, Memory, Role};
use crate::state::{Dump, State};

/// What may go wrong, or be done by hand, at any step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An instance dies, or loses its connection and what was on the way.
    Crash,
    /// FLUSHALL, DEL or eviction.
    Flush,
    /// `HSET` of a lower value.
    Edit,
    /// Sentinel or the cluster names a primary: a replica, or an old primary that it had given up.
    Failover,
    /// `REPLICAOF NO ONE` by hand: no topology knows of it.
    Detach,
    /// `REPLICAOF`, without the synchronisation that follows.
    Demote,
    /// The server's process ends and begins again, with nothing, an old dump or all of it.
    Restart,
    /// A first replica joins or the backlog expires: `master_replid` changes, nothing else does.
    NewReplid,
    /// `RESTORE`, `COPY`: the key of an earlier moment in the same history.
    RollBack,
    /// `FUNCTION FLUSH`, or the half of `DEBUG RELOAD` that [`RollBack`](Self::RollBack) is not: the process forgets.
    Forget,
    /// The machine is put back to an earlier moment, its processes and their memory with it.
    Snapshot,
    /// A revocation barrier, or any other wish to end an epoch; its answer may be lost.
    Close,
    /// A close of an earlier moment, whose sender is gone.
    DelayedClose,
    /// An instance starts anew on another, empty range store.
    OtherStore,
}

impl Fault {
    /// Everything but a second store, which is looked at by itself.
    pub(crate) const IN_ONE_STORE: [Self; 13] = [
        Self::Snapshot,
        Self::RollBack,
        Self::Forget,
        Self::Crash,
        Self::Flush,
        Self::Edit,
        Self::Failover,
        Self::Detach,
        Self::Demote,
        Self::Restart,
        Self::NewReplid,
        Self::Close,
        Self::DelayedClose,
    ];
    /// Those in which no process goes back.
    pub(crate) const FORWARD: &[Self] = Self::IN_ONE_STORE.split_at(1).1;

    /// Whether it makes use of a dump.
    pub(crate) fn reads_dump(self) -> bool {
        matches!(self, Self::Restart | Self::RollBack | Self::Snapshot)
    }

    /// Where it may strike.
    pub(crate) fn possible(self, state: &State, actions: &mut Vec<Action>) {
        match self {
            Self::Crash => {
                let anywhere = |instance| [0, 1].map(|server| Action::Crash { instance, server });
                actions.extend(BOTH.into_iter().flat_map(anywhere));
            }
            Self::OtherStore => actions.push(Action::OtherStore(1)),
            Self::Close => actions.extend(BOTH.map(Action::Close)),
            Self::DelayedClose => {
                let epochs = 1..=state.stores[0].seen().epoch;
                actions.extend(
                    epochs.flat_map(|epoch| BOTH.map(|server| Action::DelayedClose { server, epoch })),
                );
            }
            Self::Flush => actions.extend(BOTH.map(Action::Flush)),
            Self::Edit => actions.extend(BOTH.map(Action::Edit)),
            Self::Failover => actions.extend(BOTH.map(Action::Failover)),
            Self::Detach => actions.extend(BOTH.map(Action::Detach)),
            Self::Demote => actions.extend(BOTH.map(Action::Demote)),
            Self::Restart => {
                let all = [Remains::Nothing, Remains::Dump, Remains::Everything];
                actions.extend(
                    BOTH.iter()
                        .flat_map(|&server| all.map(|remains| Action::Restart { server, remains })),
                );
            }
            Self::NewReplid => actions.extend(BOTH.map(Action::NewReplid)),
            Self::RollBack => actions.extend(BOTH.map(Action::RollBack)),
            Self::Forget => actions.extend(BOTH.map(Action::Forget)),
            Self::Snapshot => actions.extend(BOTH.map(Action::Snapshot)),
        }
    }
}

/// What a restarted server finds on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remains {
    Nothing,
    Dump,
    Everything,
}

/// What happens to servers and instances from outside.
pub(crate) fn disturb(protocol: &Protocol, state: &mut State, action: Action) -> bool {
    match action {
        Action::Crash { instance, server } => connect(state, instance, server),
        Action::OtherStore(instance) => {
            let server = state.instances[instance].server.unwrap_or(0);
            state.instances[instance].authority = 1;
            connect(state, instance, server)
        }
        Action::Flush(server) => {
            state.servers[server].key = None;
            true
        }
        Action::Edit(server) => edit(state, server),
        Action::Failover(server) => failover(state, server),
        Action::Detach(server) => promote(state, server),
        Action::Demote(server) => demote(state, server),
        Action::Restart { server, remains } => restart(state, server, remains),
        Action::NewReplid(server) => new_replid(state, server),
        Action::RollBack(server) => roll_back(protocol, state, server),
        Action::Forget(server) => {
            state.servers[server].memory = Memory::default();
            true
        }
        Action::Snapshot(server) => {
            let dump = state.dump_of(server);
            if let Some(dump) = dump {
                state.servers[server].key = dump.key;
                state.servers[server].memory = dump.memory;
            }
            dump.is_some()
        }
        _ => false,
    }
}

fn roll_back(protocol: &Protocol, state: &mut State, server: usize) -> bool {
    let dump = state.dump_of(server);
    if let Some(dump) = dump {
        state.servers[server].key = dump.key;
        if protocol.guards.lack(Guard::OfferInMemory) {
            state.servers[server].memory.p = dump.memory.p;
        }
    }
    dump.is_some()
}

fn edit(state: &mut State, server: usize) -> bool {
    let Some(key) = &mut state.servers[server].key else {
        return false;
    };
    let lower = key.next.checked_sub(1).filter(|_| key.intact);
    key.next = lower.unwrap_or(key.next);
    key.intact &= lower.is_none();
    lower.is_some()
}

fn failover(state: &mut State, server: usize) -> bool {
    state.generation += 1;
    state.servers[server].generation = state.generation;
    promote(state, server);
    true
}

fn promote(state: &mut State, server: usize) -> bool {
    let promoted = state.servers[server].role == Role::Replica;
    if promoted {
        state.servers[server].role = Role::Primary;
        state.servers[server].history.repl = NEW;
    }
    promoted
}

fn demote(state: &mut State, server: usize) -> bool {
    let both = state.servers.iter().all(|server| server.role == Role::Primary);
    if both {
        state.servers[server].role = Role::Replica;
    }
    both
}

fn restart(state: &mut State, server: usize, remains: Remains) -> bool {
    state.servers[server].key = match (remains, state.dump_of(server)) {
        (Remains::Nothing, _) => None,
        (Remains::Dump, Some(dump)) => dump.key,
        (Remains::Dump, None) => return false,
        (Remains::Everything, _) => state.servers[server].key,
    };
    state.servers[server].history = History { run: NEW, repl: NEW };
    state.servers[server].memory = Memory::default();
    for instance in &mut state.instances {
        if instance.server == u8::try_from(server).ok() {
            instance.cut();
        }
    }
    true
}

fn new_replid(state: &mut State, server: usize) -> bool {
    let primary = state.servers[server].role == Role::Primary;
    if primary {
        state.servers[server].history.repl = NEW;
    }
    primary
}

/// What a dump keeps, and what a snapshot keeps besides. Only one with something in it is of interest: an empty one is
/// [`Remains::Nothing`].
pub(crate) fn save(protocol: &Protocol, state: &mut State, server: usize) -> bool {
    let at = &state.servers[server];
    let mut memory = Memory::default();
    if protocol.faults.contains(&Fault::Snapshot) {
        memory = at.memory;
    } else if protocol.guards.lack(Guard::OfferInMemory) {
        memory.p = at.memory.p;
    }
    let dump = Dump {
        server,
        key: at.key,
        memory,
    };
    let useful = (dump.key.is_some() || dump.memory != Memory::default()) && state.dump.is_none();
    if useful {
        state.dump = Some(dump);
    }
    useful
}
