//! What can happen next, and what becomes of it.

use crate::faults::{self, Remains};
use crate::ids::NEW;
use crate::instance::{Answer, Instance};
use crate::protocol::{Guard, Protocol};
use crate::range_store::Opened;
use crate::redis::{Refused, Role};
use crate::state::State;

/// One atomic step. Instances and servers are named by their place in the state.
///
/// A request is executed when it is sent: it holds nothing that its sender could change meanwhile, so that a delayed
/// one is a late one. Seeds, raises and closes are sent by anyone at any time, which is what delaying, doubling and
/// losing them amounts to. Answers are read later, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Connect {
        instance: usize,
        server: u8,
    },
    /// Gives up a server that must not be used any more, for the other one.
    Leave(usize),
    Draw {
        instance: usize,
        keyed: bool,
    },
    /// Reads the answer to a draw, and tells the caller.
    Acknowledge(usize),
    Open(usize),
    Grant(usize),
    Seed {
        server: usize,
        store: usize,
        epoch: u8,
    },
    /// Extends the range in the store; [`Action::Raise`] takes it to Redis.
    Extend(usize),
    Raise {
        server: usize,
        store: usize,
        epoch: u8,
    },
    Close(usize),
    Settle(usize),
    Replicate(usize),
    Save(usize),
    Crash {
        instance: usize,
        server: u8,
    },
    OtherStore(usize),
    DelayedClose {
        server: usize,
        epoch: u8,
    },
    Flush(usize),
    Edit(usize),
    Failover(usize),
    Detach(usize),
    Demote(usize),
    Restart {
        server: usize,
        remains: Remains,
    },
    NewReplid(usize),
    RollBack(usize),
    Forget(usize),
    Snapshot(usize),
}

/// Both instances, or both servers.
pub(crate) const BOTH: [usize; 2] = [0, 1];

impl Protocol {
    /// Everything that may be tried; what changes nothing is no step.
    pub(crate) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        for instance in BOTH {
            self.possible_for(state, instance, actions);
        }
        for server in BOTH {
            for store in BOTH {
                let epochs = 1..=state.stores[store].seen().epoch;
                actions.extend(epochs.clone().map(|epoch| Action::Seed { server, store, epoch }));
                actions.extend(epochs.map(|epoch| Action::Raise { server, store, epoch }));
            }
            actions.push(Action::Replicate(server));
        }
        if state.spent.faults < self.bounds.faults {
            for fault in self.faults {
                fault.possible(state, actions);
            }
            if self.faults.iter().any(|fault| fault.reads_dump()) {
                actions.extend(BOTH.map(Action::Save));
            }
        }
    }

    fn possible_for(&self, state: &State, instance: usize, actions: &mut Vec<Action>) {
        match (state.instances[instance].answer, state.instances[instance].server) {
            (Some(Answer::Drawn { .. }), _) => actions.push(Action::Acknowledge(instance)),
            (Some(Answer::Opened(_)), _) => actions.push(Action::Grant(instance)),
            (Some(Answer::Closed { .. }), _) => actions.push(Action::Settle(instance)),
            (None, None) => actions.extend([0, 1].map(|server| Action::Connect { instance, server })),
            (None, Some(_)) => {
                actions.push(Action::Draw {
                    instance,
                    keyed: false,
                });
                if state.spent.keyed < self.bounds.keyed {
                    actions.push(Action::Draw {
                        instance,
                        keyed: true,
                    });
                }
                if state.store_of(instance).seen().epoch < self.bounds.epochs {
                    actions.push(Action::Open(instance));
                }
                actions.extend([Action::Extend(instance), Action::Leave(instance)]);
            }
        }
    }

    /// The state after a step, unless nothing changes.
    pub(crate) fn step(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        if !self.act(&mut state, action) || state == *before {
            return None;
        }
        self.forget(&mut state);
        state.name_anew();
        Some(state)
    }

    /// What cannot matter any more would only make equal states look different.
    fn forget(&self, state: &mut State) {
        if state.spent.faults == self.bounds.faults {
            state.dump = None;
        }
        if self.guards.lack(Guard::Newcomer) {
            state.instances.iter_mut().for_each(Instance::forget_joining);
        }
        if self.guards.lack(Guard::Memory) {
            for server in &mut state.servers {
                server.memory.left = None;
            }
        }
        state.forget_lost_keys();
    }

    fn act(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Connect { instance, server } => connect(state, instance, server),
            Action::Leave(instance) => self.leave(state, instance),
            Action::Draw { instance, keyed } => self.draw(state, instance, keyed),
            Action::Acknowledge(instance) => self.acknowledge(state, instance),
            Action::Open(instance) => self.open(state, instance),
            Action::Grant(instance) => self.grant(state, instance),
            Action::Seed { server, store, epoch } => self.seed(state, server, store, epoch),
            Action::Extend(instance) => extend(state, instance),
            Action::Raise { server, store, epoch } => self.raise(state, server, store, epoch),
            Action::Settle(instance) => settle(state, instance),
            Action::Replicate(server) => replicate(state, server),
            Action::Save(server) => faults::save(self, state, server),
            Action::Close(instance) => spend(state) && self.close(state, instance),
            Action::DelayedClose { server, epoch } => spend(state) && self.close_at(state, server, epoch),
            other => spend(state) && faults::disturb(self, state, other),
        }
    }
}

fn spend(state: &mut State) -> bool {
    state.spent.faults += 1;
    true
}

pub(crate) fn connect(state: &mut State, instance: usize, server: u8) -> bool {
    let newest = state.store_of(instance).seen().epoch;
    let authority = state.instances[instance].authority;
    state.instances[instance] = Instance::connected(authority, server, newest);
    true
}

fn extend(state: &mut State, instance: usize) -> bool {
    let (epoch, next) = state.instances[instance].place();
    state.store_of_mut(instance).extend(epoch, next)
}

fn settle(state: &mut State, instance: usize) -> bool {
    let answer = state.instances[instance].answer.take();
    if let Some(Answer::Closed { epoch, next }) = answer {
        state.store_of_mut(instance).settle(epoch, next);
    }
    true
}

fn replicate(state: &mut State, server: usize) -> bool {
    let from = state.servers[1 - server];
    let to = &mut state.servers[server];
    let linked = from.role == Role::Primary && to.role == Role::Replica;
    if linked {
        to.key = from.key;
        to.history.repl = from.history.repl;
    }
    linked
}

impl Protocol {
    /// All that is connected hears how the counter stands.
    fn announce(&self, state: &mut State, server: usize) {
        let Some(key) = state.servers[server].key else {
            return;
        };
        if self.guards.lack(Guard::Listening) {
            return;
        }
        for instance in &mut state.instances {
            if instance.server == u8::try_from(server).ok() {
                instance.hear(key.epoch, key.next, key.closed);
            }
        }
    }

    fn leave(&self, state: &mut State, instance: usize) -> bool {
        let Some(server) = state.instances[instance].server else {
            return false;
        };
        let at = &state.servers[usize::from(server)];
        let retired = state
            .store_of(instance)
            .retires(self.guards, at.history, at.generation);
        let leaves = at.role == Role::Replica || retired;
        leaves && connect(state, instance, 1 - server)
    }

    fn draw(&self, state: &mut State, instance: usize, keyed: bool) -> bool {
        let asker = state.instances[instance].asker();
        let Some(server) = state.instances[instance].server.map(usize::from) else {
            return false;
        };
        match state.servers[server].draw(self.guards, asker) {
            Ok(_) if state.spent.draws == self.bounds.draws => return false,
            Ok(drawn) => {
                state.instances[instance].answer = Some(Answer::Drawn { drawn, keyed });
                state.spent.draws += 1;
                state.spent.keyed += u8::from(keyed);
                self.announce(state, server);
            }
            Err(Refused::UsedUp { epoch, next }) => state.instances[instance].hear(epoch, next, false),
            Err(Refused::Fenced) => return false,
        }
        true
    }

    fn acknowledge(&self, state: &mut State, instance: usize) -> bool {
        let Some(Answer::Drawn { drawn, keyed }) = state.instances[instance].answer.take() else {
            return false;
        };
        if state.instances[instance].server.is_some() {
            state.instances[instance].hear(drawn.epoch, drawn.number + 1, false);
        }
        let store = state.store_of_mut(instance);
        if keyed {
            store.commit_keyed(self.guards, drawn);
        } else {
            store.acknowledge(drawn);
        }
        true
    }

    /// Only one who cannot draw, or not in the newest epoch, asks for another.
    fn open(&self, state: &mut State, instance: usize) -> bool {
        let asker = state.instances[instance].asker();
        let Some(server) = state.instances[instance].server.map(usize::from) else {
            return false;
        };
        let seen = state.store_of(instance).seen();
        let served = state.servers[server].serves(self.guards, asker);
        if served.is_some_and(|key| key.epoch >= seen.epoch) {
            return false;
        }
        let Some(p) = state.servers[server].open(self.guards, asker.authority, NEW) else {
            return false;
        };
        let at = &state.servers[server];
        let opened = Opened {
            p,
            history: at.history,
            generation: at.generation,
            seen,
        };
        state.instances[instance].answer = Some(Answer::Opened(opened));
        true
    }

    /// Whether the answer is lost makes no difference: the range is seeded from what the store says, by anyone.
    fn grant(&self, state: &mut State, instance: usize) -> bool {
        let Some(Answer::Opened(opened)) = state.instances[instance].answer.take() else {
            return false;
        };
        if state.store_of(instance).seen().epoch < self.bounds.epochs {
            state.store_of_mut(instance).grant(self.guards, opened);
        }
        true
    }

    fn seed(&self, state: &mut State, server: usize, store: usize, epoch: u8) -> bool {
        let Some(grant) = state.stores[store].grant_of(epoch).copied() else {
            return false;
        };
        let authority = u8::try_from(store).unwrap();
        let seeded = state.servers[server]
            .seed(self.guards, authority, epoch, &grant)
            .is_some();
        self.announce(state, server);
        seeded
    }

    fn raise(&self, state: &mut State, server: usize, store: usize, epoch: u8) -> bool {
        let Some(hi) = state.stores[store].grant_of(epoch).map(|grant| grant.hi) else {
            return false;
        };
        let authority = u8::try_from(store).unwrap();
        let raised = state.servers[server].raise(self.guards, authority, epoch, hi);
        self.announce(state, server);
        raised
    }

    fn close(&self, state: &mut State, instance: usize) -> bool {
        let this = state.instances[instance];
        let Some(server) = this.server.map(usize::from).filter(|_| this.answer.is_none()) else {
            return false;
        };
        let epoch = state.store_of(instance).seen().epoch;
        let Some(closed) = state.servers[server].close(self.guards, this.authority, epoch) else {
            return false;
        };
        if this.asker().vouches(self.guards, &closed) {
            let answer = Answer::Closed {
                epoch,
                next: closed.next,
            };
            state.instances[instance].answer = Some(answer);
        }
        self.announce(state, server);
        true
    }

    fn close_at(&self, state: &mut State, server: usize, epoch: u8) -> bool {
        let closed = state.servers[server].close(self.guards, 0, epoch).is_some();
        self.announce(state, server);
        closed
    }
}
