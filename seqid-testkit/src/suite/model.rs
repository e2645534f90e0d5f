//! P13 against a model: what becomes of each number of one counter, kept number by number, by nothing but the rules.

use std::future::IntoFuture;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use seqid_core::DefinitionSpec;
use seqid_core::clock::ManualClock;
use seqid_core::command::Command;
use seqid_core::definition::OnExpiry;
use seqid_core::line::Line;

use super::backend::{Backend, End};
use super::commands::{adopt, confirm, draw, expire, give_up, reserve, reset, sync, void};
use super::sequence::{Sequence, format};
use crate::evidence::Evidence;
use crate::history::Order;

/// What is done to the counter. Numbers and reservations are chosen among those that there are.
#[derive(Debug, Clone)]
enum Act {
    Draw {
        count: u32,
    },
    Reserve {
        count: u32,
        seconds: u64,
    },
    Confirm {
        which: usize,
    },
    GiveUp {
        which: usize,
    },
    Void {
        at: u64,
        count: u64,
    },
    Skip {
        by: u64,
    },
    Sync {
        by: u64,
    },
    /// Runs of adjacent numbers, each so far behind the one before it and so long.
    Adopt {
        at: u64,
        runs: Vec<(u64, u64)>,
    },
    Expire,
}

/// One moment in the counter's life.
#[derive(Debug, Clone)]
enum Step {
    /// Acts of one batch.
    Batch(Vec<Act>),
    /// The clock shows so many seconds.
    Clock(u64),
    /// The store ends, and is opened again.
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        3 => (1..4_u32).prop_map(|count| Act::Draw { count }),
        6 => (1..4_u32, 1..30_u64).prop_map(|(count, seconds)| Act::Reserve { count, seconds }),
        5 => (0..8_usize).prop_map(|which| Act::Confirm { which }),
        3 => (0..8_usize).prop_map(|which| Act::GiveUp { which }),
        3 => (0..40_u64, 1..4_u64).prop_map(|(at, count)| Act::Void { at, count }),
        1 => (0..4_u64).prop_map(|by| Act::Skip { by }),
        1 => (0..4_u64).prop_map(|by| Act::Sync { by }),
        3 => (0..40_u64, prop::collection::vec((0..3_u64, 1..4_u64), 1..4))
            .prop_map(|(at, runs)| Act::Adopt { at, runs }),
        1 => Just(Act::Expire),
    ];
    prop_oneof![
        6 => prop::collection::vec(act, 1..4).prop_map(Step::Batch),
        3 => (0..90_u64).prop_map(Step::Clock),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

/// Holds what `factory` makes against the model, through so many lives.
///
/// # Panics
/// With the shortest life that was found in which the two differ.
pub fn check_model<R>(lives: u32, policy: OnExpiry, factory: impl Fn(Arc<ManualClock>) -> R)
where
    R: IntoFuture<Output = Backend>,
{
    let mut runner = TestRunner::new(ProptestConfig {
        cases: lives,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    // At most 60 holds, so that one write lets go of all that have ended.
    let lives = prop::collection::vec(step(), 1..20);
    let checked = runner.run(&lives, |life| {
        super::run(|backend| live(backend, policy, life), &factory);
        Ok(())
    });
    match checked {
        Ok(()) => {}
        Err(TestError::Fail(reason, life)) => panic!("{reason}\nin the life {life:#?}"),
        Err(error) => panic!("{error}"),
    }
}

async fn live(mut backend: Backend, policy: OnExpiry, life: Vec<Step>) {
    let spec = DefinitionSpec {
        on_expiry: Some(policy),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    let mut model = Model::new(policy);
    for step in life {
        match step {
            Step::Batch(acts) => {
                let acts: Vec<Asked> = acts.iter().map(|act| model.asked(act)).collect();
                let commands: Vec<Command> = acts.iter().map(|asked| asked.command(&line)).collect();
                let told = backend.tell(commands).await;
                model.expire();
                for (asked, told) in acts.iter().zip(&told) {
                    model.take(asked, told);
                    // Whatever is done first lets go of them.
                    model.let_go = 0;
                }
            }
            Step::Clock(seconds) => {
                backend.at(seconds);
                model.now = seconds;
            }
            Step::Reopen(crashed) if backend.can_be_reopened() => {
                backend = backend
                    .end(if crashed { End::Crashed } else { End::Closed })
                    .await;
            }
            Step::Reopen(_) => {}
        }
        model.compare(&backend, &line).await;
    }
    let order = match policy {
        OnExpiry::Void => Order::Generation,
        OnExpiry::Reuse => Order::Nowhere,
    };
    let evidence = Evidence::read(&*backend.ledger).await;
    let history = evidence
        .expect("the audit can be read")
        .against(Vec::new(), order);
    if let Err(violations) = history.check() {
        panic!("{}", super::cases::concurrency::sentences(&violations));
    }
}

/// An act with the numbers that it is about.
#[derive(Debug, Clone)]
enum Asked {
    Draw { count: u32 },
    Reserve { count: u32, n: u64, seconds: u64 },
    Settle { first: u64, n: u64, confirmed: bool },
    Void { first: u64, count: u64 },
    Skip { to: u64 },
    Sync { to: u64 },
    Adopt { runs: Vec<(u64, u64)> },
    Expire,
}

impl Asked {
    fn command(&self, line: &Arc<Line>) -> Command {
        match *self {
            Self::Draw { count } => draw(line, count),
            Self::Reserve { count, n, seconds } => reserve(line, count, n, seconds),
            Self::Settle {
                first,
                n,
                confirmed: true,
            } => confirm(line, first, n),
            Self::Settle { first, n, .. } => give_up(line, first, n),
            Self::Void { first, count } => void(line, first, count),
            Self::Skip { to } => reset(line, to),
            Self::Sync { to } => sync(line, to),
            Self::Adopt { ref runs } => {
                let runs: Vec<_> = runs.iter().map(|(first, count)| (line, *first, *count)).collect();
                adopt(&runs)
            }
            Self::Expire => expire(line),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Issued,
    Reserved,
    Voided,
    Expired,
    Free,
    Skipped,
    External,
}

impl State {
    /// The word for its mark; `None` for what is plainly issued.
    const fn mark(self) -> Option<&'static str> {
        match self {
            Self::Issued => None,
            Self::Reserved => Some("reserved"),
            Self::Voided => Some("voided"),
            Self::Expired => Some("expired"),
            Self::Free => Some("free"),
            Self::Skipped => Some("skipped"),
            Self::External => Some("external"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    Confirmed,
    Voided,
    Expired,
}

#[derive(Debug)]
struct Held {
    n: u64,
    first: u64,
    count: u64,
    ends: u64,
    fate: Fate,
}

#[derive(Debug)]
struct Model {
    policy: OnExpiry,
    now: u64,
    /// What became of the numbers 1, 2, 3 and so on: all that are behind.
    numbers: Vec<State>,
    holds: Vec<Held>,
    /// The runs that were declared void, each as a whole.
    voids: Vec<(u64, u64)>,
    named: u64,
    /// How many holds the batch lets go of, until its first act is done.
    let_go: u64,
}

impl Model {
    fn new(policy: OnExpiry) -> Self {
        Self {
            policy,
            now: 0,
            numbers: Vec::new(),
            holds: Vec::new(),
            voids: Vec::new(),
            named: 0,
            let_go: 0,
        }
    }

    fn next(&self) -> u64 {
        self.numbers.len() as u64 + 1
    }

    fn state(&self, number: u64) -> State {
        self.numbers[usize::try_from(number - 1).expect("a small number")]
    }

    fn set(&mut self, first: u64, count: u64, state: State) {
        for number in first..first + count {
            let at = usize::try_from(number - 1).expect("a small number");
            if at == self.numbers.len() {
                self.numbers.push(state);
            } else {
                self.numbers[at] = state;
            }
        }
    }

    /// Chooses what an act is about, by what is known before its batch.
    fn asked(&mut self, act: &Act) -> Asked {
        match *act {
            Act::Draw { count } => Asked::Draw { count },
            Act::Reserve { count, seconds } => {
                self.named += 1;
                Asked::Reserve {
                    count,
                    n: self.named,
                    seconds,
                }
            }
            Act::Confirm { which } => self.settlement(which, true),
            Act::GiveUp { which } => self.settlement(which, false),
            Act::Void { at, count } => Asked::Void {
                first: 1 + at % (self.next() + 1),
                count,
            },
            Act::Skip { by } => Asked::Skip { to: self.next() + by },
            Act::Sync { by } => Asked::Sync {
                to: (self.next() + by).saturating_sub(2),
            },
            Act::Adopt { at, ref runs } => {
                let mut behind = 1 + at % (self.next() + 3);
                let runs = runs.iter().map(|(gap, count)| {
                    let first = behind + gap;
                    behind = first + count;
                    (first, *count)
                });
                Asked::Adopt { runs: runs.collect() }
            }
            Act::Expire => Asked::Expire,
        }
    }

    /// One of the last reservations, or one that never was.
    fn settlement(&self, which: usize, confirmed: bool) -> Asked {
        let hold = self.holds.iter().rev().nth(which);
        let (first, n) = hold.map_or((1, 1_000_000), |hold| (hold.first, hold.n));
        Asked::Settle { first, n, confirmed }
    }

    /// The first write after the end of a hold lets it go.
    fn expire(&mut self) {
        let (now, policy) = (self.now, self.policy);
        let mut ended = Vec::new();
        for hold in &mut self.holds {
            if hold.fate == Fate::Held && hold.ends <= now {
                hold.fate = Fate::Expired;
                ended.push((hold.first, hold.count));
            }
        }
        self.let_go = ended.len() as u64;
        let state = match policy {
            OnExpiry::Void => State::Expired,
            OnExpiry::Reuse => State::Free,
        };
        for (first, count) in ended {
            self.set(first, count, state);
        }
    }

    /// Follows an act, and holds the answer against it.
    fn take(&mut self, asked: &Asked, told: &str) {
        match *asked {
            Asked::Draw { count } => {
                let first = self.given(count.into(), told);
                self.set(first, count.into(), State::Issued);
            }
            Asked::Reserve { count, n, seconds } => {
                let told = told.strip_prefix("held ").expect("it is held");
                let first = self.given(count.into(), told);
                self.set(first, count.into(), State::Reserved);
                self.holds.push(Held {
                    n,
                    first,
                    count: count.into(),
                    ends: self.now + seconds,
                    fate: Fate::Held,
                });
            }
            Asked::Settle { n, confirmed, .. } => assert_eq!(told, self.settle(n, confirmed), "{asked:?}"),
            Asked::Void { first, count } => assert_eq!(told, self.void(first, count), "{asked:?}"),
            Asked::Skip { to } => self.shift(to, State::Skipped, told),
            Asked::Sync { to } => self.shift(to + 1, State::External, told),
            Asked::Adopt { ref runs } => assert_eq!(told, self.adopt(runs), "{asked:?}"),
            Asked::Expire => assert_eq!(told, format!("{} let go", self.let_go)),
        }
    }

    /// The first of the numbers that were given out: the lowest free one, or for several a free run that is enough
    /// for all; otherwise the next.
    fn given(&self, count: u64, told: &str) -> u64 {
        let first: u64 = told
            .split("..")
            .next()
            .and_then(|first| first.parse().ok())
            .expect("a number");
        assert_eq!(told, run(first, count));
        let lowest = (1..self.next()).find(|number| self.state(*number) == State::Free);
        if count == 1 {
            assert_eq!(
                first,
                lowest.unwrap_or(self.next()),
                "the lowest free number, or the next"
            );
        } else if first < self.next() {
            let mut taken = first..first + count;
            assert!(
                taken.all(|number| number < self.next() && self.state(number) == State::Free),
                "{told} was not free"
            );
        } else {
            assert_eq!(first, self.next());
        }
        first
    }

    fn settle(&mut self, n: u64, confirmed: bool) -> String {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.n == n) else {
            return "no reservation".into();
        };
        let (first, count) = (hold.first, hold.count);
        let numbers = run(first, count);
        match (hold.fate, confirmed) {
            (Fate::Expired, _) => "expired before".into(),
            (Fate::Confirmed, false) => "confirmed before".into(),
            (Fate::Voided, true) => "given up before".into(),
            (Fate::Confirmed, true) => format!("again confirmed {numbers}"),
            (Fate::Voided, false) => format!("again given up {numbers}"),
            (Fate::Held, true) => {
                hold.fate = Fate::Confirmed;
                self.set(first, count, State::Issued);
                format!("confirmed {numbers}")
            }
            (Fate::Held, false) => {
                hold.fate = Fate::Voided;
                self.set(first, count, State::Voided);
                self.voids.push((first, count));
                format!("given up {numbers}")
            }
        }
    }

    fn void(&mut self, first: u64, count: u64) -> String {
        let (next, numbers) = (self.next(), run(first, count));
        if self.voids.contains(&(first, count)) {
            return format!("again void {numbers}");
        }
        if first > next {
            return format!("{first} is not the next number");
        }
        if first < next {
            if first + count > next {
                return format!("{next} is not issued yet");
            }
            let marked = (first..first + count).find_map(|number| Some((number, self.state(number).mark()?)));
            if let Some((number, state)) = marked {
                return format!("{number} is {state}");
            }
        }
        self.set(first, count, State::Voided);
        self.voids.push((first, count));
        format!("void {numbers}")
    }

    /// The counter is moved forward, or stays where it is.
    fn shift(&mut self, to: u64, state: State, told: &str) {
        // A reset names its place by what was known before its batch, and may have been overtaken.
        if to < self.next() && state == State::Skipped {
            assert!(
                told.starts_with("would repeat") || told == format!("{} -> {to}", self.next()),
                "{told}"
            );
            if told.starts_with("would repeat") {
                return;
            }
            // Nobody was offered what lay between.
            let returned = self
                .numbers
                .split_off(usize::try_from(to - 1).expect("a small number"));
            assert!(
                returned.iter().all(|state| *state == State::Skipped),
                "{returned:?}"
            );
            return;
        }
        if state == State::External {
            // Numbers that were let go may be among those that another system gave out.
            let free = self
                .numbers
                .iter_mut()
                .zip(1..to)
                .filter(|(number, _)| **number == State::Free);
            free.for_each(|(number, _)| *number = state);
        }
        let (next, to) = (self.next(), to.max(self.next()));
        assert_eq!(told, format!("{next} -> {to}"));
        self.set(next, to - next, state);
    }

    /// All of the numbers are taken as external, or none: those that are behind must be free or external.
    fn adopt(&mut self, runs: &[(u64, u64)]) -> String {
        let numbers = || runs.iter().flat_map(|(first, count)| *first..first + count);
        let mut again = 0;
        for number in numbers().take_while(|number| *number < self.next()) {
            match self.state(number) {
                State::External => again += 1,
                State::Free => {}
                other => return format!("{number} is {}", other.mark().unwrap_or("issued")),
            }
        }
        let adopted = numbers().count() - again;
        let mut skipped = 0;
        for number in numbers() {
            let gap = number.saturating_sub(self.next());
            self.set(self.next(), gap, State::Skipped);
            self.set(number, 1, State::External);
            skipped += gap;
        }
        let next = self.next();
        match (adopted, again) {
            (0, _) => format!("again {again}, next {next}"),
            (_, 0) => format!("adopted {adopted}, skipped {skipped}, next {next}"),
            _ => format!("adopted {adopted}, again {again}, skipped {skipped}, next {next}"),
        }
    }

    /// The store shows of each number what became of it here.
    async fn compare(&self, backend: &Backend, line: &Line) {
        let Some(state) = backend.ledger.counter(line.key()).await.expect("a state") else {
            assert!(self.numbers.is_empty());
            return;
        };
        let count = |state| self.numbers.iter().filter(|other| **other == state).count() as u64;
        assert_eq!(state.next, self.next());
        assert_eq!(state.reserved, count(State::Reserved), "reserved");
        assert_eq!(
            state.voided,
            count(State::Voided) + count(State::Expired),
            "voided"
        );
        assert_eq!(state.free, count(State::Free), "free");
        let mut marked: Vec<Option<&str>> = vec![None; self.numbers.len()];
        for mark in backend.marks(line).await {
            for number in mark.run.numbers() {
                let at = usize::try_from(number.get() - 1).expect("a small number");
                let of_number = marked.get_mut(at).expect("a number that is behind");
                assert_eq!(*of_number, None, "{number} has two marks");
                *of_number = Some(mark.state.as_str());
            }
        }
        let expected: Vec<_> = self.numbers.iter().map(|state| state.mark()).collect();
        assert_eq!(marked, expected);
    }
}

fn run(first: u64, count: u64) -> String {
    match count {
        1 => first.to_string(),
        _ => format!("{first}..{}", first + count - 1),
    }
}
