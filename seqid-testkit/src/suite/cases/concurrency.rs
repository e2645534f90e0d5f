//! Many callers at a time, and what the history checker says about it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::backend::Backend;
use super::super::commands::{CommandExt, confirm, draw, give_up, hold, reserve, reset, restart, sync, void};
use super::super::sequence::{Sequence, by_branch, by_year};
use crate::evidence::{self, Evidence, counter_name, key_name, outcome_of_reply, told_of_reply};
use crate::history::{Order, Outcome, Pending, Recorder, Settlement, Violation};
use crate::suite::cases::chain::verify;

use seqid_core::DefinitionSpec;
use seqid_core::clock::{Clock, ManualClock};
use seqid_core::command::{Act, Command, Reply, Settled};
use seqid_core::definition::OnExpiry;
use seqid_core::event::EventKind;
use seqid_core::line::Line;
use seqid_core::store::{Ledger, StoreError};

const CALLERS: u64 = 64;
const CALLS: u64 = 20;

/// Pseudo-random numbers that are the same in every run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 11) % u64::from(bound)).unwrap_or_default()
    }
}

/// A store whose calls are written down.
#[derive(Clone)]
struct Recording {
    ledger: Arc<dyn Ledger>,
    recorder: Recorder,
    settlements: Arc<Mutex<Vec<Settlement>>>,
}

impl Recording {
    fn of(backend: &Backend) -> Self {
        Self {
            ledger: Arc::clone(&backend.ledger),
            recorder: Recorder::new(),
            settlements: Arc::default(),
        }
    }

    /// Draws, and goes away after so many turns, if it is to.
    async fn draw(&self, command: Command, turns: Option<u32>) {
        let Act::Draw(asked) = &command.act else {
            panic!("a draw")
        };
        let (line, count) = (Arc::clone(&asked.line), asked.count);
        let key = command
            .key
            .as_ref()
            .map(|keyed| key_name(line.key().sequence(), keyed.key()));
        let name = counter_name(line.key());
        let request = format!("{} {count}", line.key().sequence());
        let pending = self.recorder.begin(&name, key.as_deref(), request, count);
        let patience = async {
            match turns {
                Some(turns) => {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            mut replies = self.ledger.apply(vec![command]) => {
                let reply = replies.pop().unwrap_or(Err(StoreError::Overloaded));
                pending.end_in(&answering(&line, &reply), outcome_of_reply(&line, &reply));
            }
            () = patience => {}
        }
    }

    async fn check(self, order: Order) {
        let evidence = Evidence::read(&*self.ledger)
            .await
            .expect("the audit can be read");
        let mut history = evidence.against(self.recorder.calls(), order);
        history.settlements = locked(&self.settlements).clone();
        if let Err(violations) = history.check() {
            panic!("{}", sentences(&violations));
        }
        verify(
            &evidence::all_events(&*self.ledger)
                .await
                .expect("the audit can be read"),
        );
    }
}

/// The counter that the answer is about: for a replay, that of the first grant.
fn answering(line: &Line, reply: &Result<Reply, StoreError>) -> String {
    match reply {
        Ok(Reply::Replayed(event)) => event.subject.counter().map_or_else(String::new, counter_name),
        _ => counter_name(line.key()),
    }
}

pub(in crate::suite) fn sentences(violations: &[Violation]) -> String {
    violations
        .iter()
        .take(20)
        .map(Violation::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Starts the callers, and waits for them.
pub(super) async fn all_at_once<F: Future<Output = ()> + Send + 'static>(caller: impl Fn(u64) -> F) {
    let callers: Vec<_> = (0..CALLERS).map(|number| tokio::spawn(caller(number))).collect();
    for caller in callers {
        caller.await.expect("the caller comes back");
    }
}

pub async fn concurrent_draws_never_share_a_number(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let recording = Recording::of(&backend);
    all_at_once(|_| {
        let (recording, line) = (recording.clone(), Arc::clone(&line));
        async move {
            for _ in 0..CALLS {
                recording.draw(draw(&line, 1), None).await;
            }
        }
    })
    .await;
    assert_eq!(backend.next(&line).await, CALLERS * CALLS + 1);
    recording.check(Order::Generation).await;
}

pub async fn concurrent_batches_are_whole(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    let lines = ["A", "B", "C", "D"].map(|branch| sequence.of_branch(branch));
    let recording = Recording::of(&backend);
    all_at_once(|caller| {
        let (recording, lines) = (recording.clone(), lines.clone());
        async move {
            let mut dice = Dice::new(caller + 1);
            for _ in 0..CALLS {
                let line = &lines[dice.below(4) as usize];
                recording.draw(draw(line, 1 + dice.below(9)), None).await;
            }
        }
    })
    .await;
    recording.check(Order::Generation).await;
}

pub async fn concurrent_twins_draw_once(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    // Two callers on the two sides of midnight may use one key.
    let lines = ["2026-12-31", "2027-01-01"].map(|date| sequence.on(date));
    let recording = Recording::of(&backend);
    all_at_once(|caller| {
        let (recording, lines) = (recording.clone(), lines.clone());
        async move {
            let mut dice = Dice::new(caller + 1);
            for _ in 0..CALLS {
                let key = dice.below(100);
                let line = &lines[dice.below(2) as usize];
                recording
                    .draw(draw(line, 1 + key % 3).under(&format!("key {key}")), None)
                    .await;
            }
        }
    })
    .await;
    recording.check(Order::Generation).await;
}

pub async fn every_fault_of_callers_at_once_leaves_the_audit_whole(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    let lines = ["A", "B", "C", "MOVED"].map(|branch| sequence.of_branch(branch));
    let recording = Recording::of(&backend);
    all_at_once(|caller| {
        let (recording, lines) = (recording.clone(), lines.clone());
        async move {
            let mut dice = Dice::new(caller + 1);
            for call in 0..CALLS {
                if caller == 0 {
                    move_about(&recording, &lines[3], &mut dice).await;
                }
                let line = &lines[dice.below(4) as usize];
                let count = 1 + dice.below(5);
                let turns = (dice.below(4) == 0).then(|| dice.below(4));
                match dice.below(3) {
                    0 => recording.draw(draw(line, count), turns).await,
                    1 => {
                        let command = || draw(line, count).under(&format!("call {caller} {call}"));
                        recording.draw(command(), turns).await;
                        recording.draw(command(), None).await;
                    }
                    _ => {
                        let twin = dice.below(30);
                        let line = &lines[twin as usize % 4];
                        let command = draw(line, 1 + twin % 5).under(&format!("twin {twin}"));
                        recording.draw(command, turns).await;
                    }
                }
            }
        }
    })
    .await;
    // What was sealed and left behind must be done before the audit is read.
    for line in &lines {
        backend.tell_one(draw(line, 1)).await;
    }
    recording.check(Order::Generation).await;
}

/// Moves a counter forward and back, as far as it may.
async fn move_about(recording: &Recording, line: &Arc<Line>, dice: &mut Dice) {
    let state = recording.ledger.counter(line.key()).await.expect("a state");
    let next = state.map_or(1, |state| state.next);
    let command = match dice.below(4) {
        0 => reset(line, next + u64::from(dice.below(50))),
        1 => reset(line, next.saturating_sub(dice.below(20).into()).max(1)),
        2 => sync(line, next + u64::from(dice.below(10))),
        _ => restart(line, 1 + u64::from(dice.below(5))),
    };
    for reply in recording.ledger.apply(vec![command]).await {
        if let Err(error) = reply {
            assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
        }
    }
}

pub async fn concurrent_definitions_save_one_of_each_version(backend: Backend) {
    let first = backend.sequence("INV").await;
    let ledger = Arc::clone(&backend.ledger);
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let command = first
                .changed(super::super::sequence::format(&format!("{caller}/{{seq}}")))
                .define();
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move { ledger.apply(vec![command]).await.remove(0).is_ok() })
        })
        .collect();
    let mut saved = 0;
    for caller in callers {
        saved += u64::from(caller.await.expect("the caller comes back"));
    }
    assert_eq!(saved, 1);
    let record = backend
        .ledger
        .sequence(first.key())
        .await
        .expect("a sequence")
        .expect("defined");
    assert_eq!(record.head(), 2);
}

/// Numbers that a caller was offered, and that every caller may settle.
#[derive(Clone)]
struct Offer {
    n: u64,
    first: u64,
    /// The call that is issued its numbers once they are confirmed.
    call: Arc<Mutex<Option<(Pending, Outcome)>>>,
}

impl Recording {
    /// Reserves. Where the policy is to reuse, the call is issued its numbers when they are confirmed.
    async fn reserve(&self, line: &Arc<Line>, count: u32, n: u64, seconds: u64) -> Offer {
        let name = counter_name(line.key());
        let pending = self.recorder.begin(&name, None, format!("hold {count}"), count);
        let replies = self.ledger.apply(vec![reserve(line, count, n, seconds)]).await;
        let Some(Ok(Reply::Granted(granted))) = replies.first() else {
            panic!("{replies:?}")
        };
        let outcome = outcome_of_reply(line, &replies[0]);
        let call = match line.definition().on_expiry() {
            OnExpiry::Void => {
                pending.end(outcome);
                None
            }
            OnExpiry::Reuse => Some((pending, outcome)),
        };
        Offer {
            n,
            first: granted.run.first.get(),
            call: Arc::new(Mutex::new(call)),
        }
    }

    async fn settle(&self, line: &Arc<Line>, offer: &Offer, confirmed: bool) {
        let command = if confirmed {
            confirm(line, offer.first, offer.n)
        } else {
            give_up(line, offer.first, offer.n)
        };
        let reply = self.ledger.apply(vec![command]).await.remove(0);
        if let (Ok(Reply::Settled(Settled { repeated: false, .. })), true) = (&reply, confirmed)
            && let Some((pending, outcome)) = locked(&offer.call).take()
        {
            pending.end(outcome);
        }
        let mut settlements = locked(&self.settlements);
        let id = settlements.len() as u64;
        settlements.push(Settlement {
            id,
            reservation: hold(offer.n).to_string(),
            told: told_of_reply(&reply),
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Callers who reserve, settle what any of them holds, draw and void, while the clock goes on and back.
async fn settle_at_once(backend: &Backend, line: &Arc<Line>) -> Recording {
    let recording = Recording::of(backend);
    let offers: Arc<Mutex<Vec<Offer>>> = Arc::default();
    all_at_once(|caller| {
        let (recording, line, offers) = (recording.clone(), Arc::clone(line), Arc::clone(&offers));
        let clock = Arc::clone(&backend.clock);
        async move {
            let mut dice = Dice::new(caller + 1);
            for call in 0..CALLS {
                if caller % 8 == 0 {
                    turn(&clock, dice.below(5), dice.below(4) == 0);
                }
                let count = 1 + dice.below(3);
                match dice.below(8) {
                    0..=2 => {
                        let (n, seconds) = (1_000 * caller + call, 1 + u64::from(dice.below(20)));
                        let offer = recording.reserve(&line, count, n, seconds).await;
                        locked(&offers).push(offer);
                    }
                    3..=5 => {
                        let offer = {
                            let offers = locked(&offers);
                            // Mostly one of the last few, so that several callers meet.
                            let back = dice.below(6) as usize;
                            offers.len().checked_sub(1 + back).map(|at| offers[at].clone())
                        };
                        if let Some(offer) = offer {
                            recording.settle(&line, &offer, dice.below(3) > 0).await;
                        }
                    }
                    6 => {
                        let first = 1 + u64::from(dice.below(100));
                        recording
                            .ledger
                            .apply(vec![void(&line, first, count.into())])
                            .await;
                    }
                    _ => recording.draw(draw(&line, count), None).await,
                }
            }
        }
    })
    .await;
    recording
}

/// Turns a clock by some seconds.
fn turn(clock: &ManualClock, seconds: u32, back: bool) {
    let (now, by) = (clock.now(), Duration::from_secs(seconds.into()));
    clock.set(if back {
        now.saturating_sub(by)
    } else {
        now.saturating_add(by)
    });
}

/// Lets go of every hold that is left, and checks the whole history.
async fn every_hold_ended_once(backend: &Backend, line: &Arc<Line>, recording: Recording, order: Order) {
    backend.at(1_000_000);
    while backend.state(line).await.reserved > 0 {
        let next = backend.next(line).await;
        backend.tell_one(reset(line, next)).await;
    }
    let events = backend.events_of(line).await;
    let of = |kinds: &[EventKind]| {
        let held = events.iter().filter(|recorded| recorded.event.hold.is_some());
        held.filter(|recorded| kinds.contains(&recorded.event.kind))
            .count()
    };
    let ended = of(&[EventKind::Confirmed, EventKind::Voided, EventKind::Expired]);
    assert_eq!(of(&[EventKind::Reserved]), ended);
    recording.check(order).await;
}

pub async fn concurrent_settlements_end_each_reservation_once(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let recording = settle_at_once(&backend, &line).await;
    every_hold_ended_once(&backend, &line, recording, Order::Generation).await;
}

pub async fn reused_numbers_are_issued_once_to_concurrent_callers(backend: Backend) {
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..super::super::sequence::format("{prefix}-{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    let recording = settle_at_once(&backend, &line).await;
    every_hold_ended_once(&backend, &line, recording, Order::Nowhere).await;
}
