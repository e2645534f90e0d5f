//! Numbers that are drawn from memory, and what the store knows of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use seqid_core::clock::{Clock, ManualClock, Seed};
use seqid_core::command::{Act, Command, Reply};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::definition::Defaults;
use seqid_core::event::EventKind;
use seqid_core::field::FieldValues;
use seqid_core::ledger::Refusal;
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::names::{IdempotencyKey, Label, Reason, Reference};
use seqid_core::numbering::{
    ArchiveRequest, CloseRequest, CounterSelector, DefineRequest, DrawRequest, Issued, ResetRequest,
};
use seqid_core::period::Period;
use seqid_core::store::{AuditLog, CounterStore, StoreError};
use seqid_core::time::Timestamp;
use seqid_core::verify::Verifier;
use seqid_core::{
    Code, Definition, DefinitionSpec, Error, Issuer, Leased, MemoryStore, Mode, Number, Numbering, Prefix,
    Tenant,
};
use seqid_testkit::broken::{Broken, Lie};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

type Memory = Arc<MemoryStore>;

/// A process that leases from a store.
struct Process {
    leased: Arc<Leased<Memory>>,
    issuer: Arc<Issuer>,
    clock: Arc<ManualClock>,
}

impl Process {
    fn new(store: &Memory, clock: &Arc<ManualClock>, name: &str, seed: u64) -> Self {
        let name = Label::new(name).unwrap();
        let leased = Arc::new(Leased::new(
            Arc::clone(store),
            name,
            clock.clone() as _,
            Seed(seed),
        ));
        let issuer = Issuer::builder(Arc::new(Arc::clone(&leased)))
            .clock(clock.clone() as _)
            .build();
        Self {
            leased,
            issuer: Arc::new(issuer),
            clock: Arc::clone(clock),
        }
    }

    async fn define(&self, change: impl FnOnce(&mut DefinitionSpec)) {
        let mut spec = DefinitionSpec {
            mode: Some(Mode::Leased),
            ..DefinitionSpec::of_format("INV-{seq}")
        };
        change(&mut spec);
        self.issuer.define(DefineRequest::new(inv(), spec)).await.unwrap();
    }

    async fn draw(&self) -> u64 {
        self.issued(DrawRequest::new(inv()))
            .await
            .unwrap()
            .run
            .first
            .get()
    }

    async fn issued(&self, request: DrawRequest) -> Result<Issued, Error> {
        self.issuer.draw(request).await
    }

    /// The marks of the counter: states with their first and last numbers.
    async fn marked(&self) -> Vec<String> {
        let marks = self.leased.marks(&counter(), None, 100).await.unwrap();
        let shown = |record: &seqid_core::store::MarkRecord| {
            let run = record.mark.run;
            format!("{} {}..{}", record.mark.state.as_str(), run.first, run.last())
        };
        marks.iter().map(shown).collect()
    }

    async fn next(&self) -> u64 {
        self.leased.counter(&counter()).await.unwrap().unwrap().next
    }

    /// All events hold together, and lead to what the store says of the counter.
    async fn require_sound(&self) {
        let mut verifier = Verifier::new().ids();
        verifier.expect_counter(counter(), self.leased.counter(&counter()).await.unwrap().unwrap());
        for recorded in self.leased.events(0, 100_000).await.unwrap() {
            verifier.event(&recorded);
        }
        assert_eq!(verifier.finish().faults, []);
    }
}

fn memory() -> (Memory, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-03-07T10:00:00Z".parse().unwrap()));
    (Arc::new(MemoryStore::new(clock.clone(), Seed(1))), clock)
}

async fn process() -> Process {
    let (store, clock) = memory();
    let process = Process::new(&store, &clock, "one", 1);
    process.define(|_| ()).await;
    process
}

fn inv() -> Prefix {
    Prefix::new("INV").unwrap()
}

fn reason() -> Reason {
    Reason::new("a test").unwrap()
}

fn counter() -> CounterKey {
    let sequence = SequenceKey::new(Tenant::default(), inv());
    CounterKey::new(sequence, FieldValues::default(), Period::ALL)
}

#[tokio::test]
async fn what_was_drawn_is_recorded_and_the_rest_is_given_back() {
    let process = process().await;
    for number in 1..=3 {
        assert_eq!(process.draw().await, number);
    }
    assert_eq!(process.marked().await, ["pending 1..16"]);
    process.leased.close().await.unwrap();
    assert_eq!((process.marked().await, process.next().await), (vec![], 4));
    let events = process.leased.events(0, 100).await.unwrap();
    let of_counter: Vec<_> = events
        .iter()
        .filter(|event| event.event.subject.counter().is_some())
        .collect();
    let kinds: Vec<_> = of_counter.iter().map(|recorded| recorded.event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::Leased, EventKind::Reported, EventKind::Returned]
    );
    assert_eq!(of_counter[1].ids, Some(("INV-1".into(), "INV-3".into())));
    assert_eq!(of_counter[1].event.origin.client, Label::new("one").ok());
    process.require_sound().await;
    let refused = process.issued(DrawRequest::new(inv())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Draining);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_never_share_a_number_and_each_sees_its_own_rise() {
    let process = process().await;
    let mut callers = JoinSet::new();
    for caller in 0..16 {
        let issuer = Arc::clone(&process.issuer);
        callers.spawn(async move {
            let mut numbers = Vec::new();
            for draw in 0..200 {
                let count = (caller + draw) % 3 + 1;
                let issued = issuer.draw(DrawRequest::new(inv()).count(count)).await.unwrap();
                numbers.extend(issued.run.numbers().map(Number::get));
            }
            numbers
        });
    }
    let mut all = BTreeSet::new();
    let mut drawn = 0;
    for numbers in callers.join_all().await {
        assert!(numbers.is_sorted());
        drawn += numbers.len();
        all.extend(numbers);
    }
    assert_eq!(all.len(), drawn, "no number twice");
    process.leased.close().await.unwrap();
    // What a batch was too large for was given back before, so that nothing is left out.
    assert_eq!(process.marked().await, Vec::<String>::new());
    assert_eq!(process.next().await, drawn as u64 + 1);
    assert_eq!(all.last(), Some(&(drawn as u64)));
    process.require_sound().await;
}

#[tokio::test]
async fn what_a_process_had_drawn_when_it_died_is_unknown() {
    let (store, clock) = memory();
    let dead = Process::new(&store, &clock, "one", 1);
    dead.define(|_| ()).await;
    assert_eq!((dead.draw().await, dead.draw().await), (1, 2));
    let other = Process::new(&store, &clock, "two", 2);
    assert_eq!(other.draw().await, 17);
    drop(dead);
    let next = Process::new(&store, &clock, "one", 3);
    assert_eq!(next.draw().await, 33);
    let marked = ["unknown 1..16", "pending 17..32", "pending 33..48"];
    assert_eq!(next.marked().await, marked);
    other.leased.give_back().await.unwrap();
    next.require_sound().await;
}

#[tokio::test]
async fn leases_grow_while_they_are_used_up_soon_and_not_beyond_the_largest_gap() {
    let (store, clock) = memory();
    let process = Process::new(&store, &clock, "one", 1);
    process.define(|spec| spec.largest_gap = Some(100)).await;
    let mut ends = BTreeSet::new();
    for _ in 0..300 {
        process.draw().await;
        ends.insert(process.next().await - 1);
    }
    // Each is leased while half of the one before it is left, and is at most half of what may be unknown.
    let ends: Vec<_> = ends.into_iter().collect();
    assert_eq!(ends, [16, 48, 98, 148, 198, 248, 298, 348]);
    process
        .clock
        .set(process.clock.now().saturating_add(Duration::from_secs(10)));
    for _ in 0..25 {
        process.draw().await;
    }
    assert_eq!(process.next().await, 374);
}

#[tokio::test]
async fn no_more_than_the_largest_gap_is_unknown_with_a_run_ahead() {
    let (store, clock) = memory();
    let dead = Process::new(&store, &clock, "one", 1);
    dead.define(|spec| spec.largest_gap = Some(100)).await;
    for number in 1..=275 {
        assert_eq!(dead.draw().await, number);
    }
    drop(dead);
    let next = Process::new(&store, &clock, "one", 2);
    assert_eq!(next.draw().await, 349);
    assert_eq!(next.marked().await, ["unknown 249..348", "pending 349..364"]);
    next.require_sound().await;
}

/// What leases from a store that does not always do as it is told.
async fn over<L: Lie + 'static>(lie: L) -> (Arc<Leased<Arc<Broken<L>>>>, Arc<Issuer>) {
    let (_, clock) = memory();
    let store = Arc::new(Broken::new(lie, Arc::clone(&clock)));
    let name = Label::new("one").unwrap();
    let leased = Arc::new(Leased::new(store, name, clock.clone() as _, Seed(1)));
    let issuer = Issuer::builder(Arc::new(Arc::clone(&leased)))
        .clock(clock as _)
        .build();
    let spec = DefinitionSpec {
        mode: Some(Mode::Leased),
        ..DefinitionSpec::of_format("INV-{seq}")
    };
    issuer.define(DefineRequest::new(inv(), spec)).await.unwrap();
    (leased, Arc::new(issuer))
}

/// Lengthens leases only while there are permits.
#[derive(Debug)]
struct Slow(Arc<Semaphore>);

#[async_trait]
impl Lie for Slow {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        if batch.iter().any(|command| matches!(command.act, Act::Extend(_))) {
            self.0.acquire().await.unwrap().forget();
        }
        truth.apply(batch).await
    }
}

#[tokio::test]
async fn one_caller_leases_the_next_run_while_others_draw() {
    let permits = Arc::new(Semaphore::new(0));
    let (leased, issuer) = over(Slow(Arc::clone(&permits))).await;
    let draw = async || {
        issuer
            .draw(DrawRequest::new(inv()))
            .await
            .unwrap()
            .run
            .first
            .get()
    };
    for number in 1..=8 {
        assert_eq!(draw().await, number);
    }
    let next = Arc::clone(&issuer);
    let waits = tokio::spawn(async move { next.draw(DrawRequest::new(inv())).await });
    tokio::task::yield_now().await;
    for number in 9..=15 {
        assert_eq!(draw().await, number);
    }
    assert!(!waits.is_finished());
    permits.add_permits(1);
    assert_eq!(waits.await.unwrap().unwrap().run.first.get(), 16);
    // The next run is there.
    for number in 17..=32 {
        assert_eq!(draw().await, number);
    }
    assert_eq!(permits.available_permits(), 0);
    leased.give_back().await.unwrap();
    assert_eq!(leased.counter(&counter()).await.unwrap().unwrap().next, 33);
}

#[tokio::test]
async fn a_key_or_a_reference_is_in_the_audit_before_the_answer() {
    let process = process().await;
    assert_eq!(process.draw().await, 1);
    let keyed = DrawRequest::new(inv()).key(IdempotencyKey::new("k").unwrap());
    let first = process.issued(keyed.clone()).await.unwrap();
    let again = process.issued(keyed).await.unwrap();
    assert_eq!(
        (first.run.first.get(), again.run, again.replayed),
        (17, first.run, true)
    );
    let mut referred = DrawRequest::new(inv());
    referred.reference = Reference::new("SO-1").ok();
    assert_eq!(process.issued(referred).await.unwrap().run.first.get(), 18);
    assert_eq!(process.draw().await, 2);
    process.require_sound().await;
}

#[tokio::test]
async fn what_leases_stand_in_the_way_of_is_done_once_they_are_given_back() {
    let process = process().await;
    process.draw().await;
    let reset = ResetRequest::new(CounterSelector::new(inv()), Number::new(100).unwrap(), reason());
    process.issuer.reset(reset).await.unwrap();
    assert_eq!(process.marked().await, ["skipped 2..99"]);
    assert_eq!(process.draw().await, 100);
    let mut change = DefineRequest::new(
        inv(),
        DefinitionSpec {
            mode: Some(Mode::Leased),
            description: Some("changed".into()),
            ..DefinitionSpec::of_format("INV-{seq}")
        },
    );
    change.if_version = Some(1);
    process.issuer.define(change).await.unwrap();
    assert_eq!(process.draw().await, 101);
    let close = CloseRequest::new("2026-03-07".parse().unwrap(), reason());
    process.issuer.close(close).await.unwrap();
    let refused = process.issued(DrawRequest::new(inv())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PeriodClosed);
    process
        .issuer
        .archive(ArchiveRequest::new(inv(), reason()))
        .await
        .unwrap();
    process.require_sound().await;
}

#[tokio::test]
async fn leases_of_another_process_stand_in_the_way_until_it_ends() {
    let (store, clock) = memory();
    let (one, two) = (
        Process::new(&store, &clock, "one", 1),
        Process::new(&store, &clock, "two", 2),
    );
    one.define(|_| ()).await;
    assert_eq!((one.draw().await, two.draw().await), (1, 17));
    let reset = || ResetRequest::new(CounterSelector::new(inv()), Number::new(100).unwrap(), reason());
    let refused = one.issuer.reset(reset()).await.unwrap_err();
    assert_eq!(refused.code(), Code::BarrierBlocked);
    two.leased.give_back().await.unwrap();
    one.issuer.reset(reset()).await.unwrap();
    assert_eq!(two.draw().await, 100);
    two.require_sound().await;
}

#[tokio::test]
async fn a_batch_is_whole_wherever_a_lease_ends() {
    let (store, clock) = memory();
    let process = Process::new(&store, &clock, "one", 1);
    process.define(|spec| spec.largest_gap = Some(50)).await;
    let batch = |count| process.issued(DrawRequest::new(inv()).count(count));
    let first = async |count| batch(count).await.unwrap().run.first.get();
    assert_eq!((first(10).await, first(10).await, first(10).await), (1, 11, 21));
    // More than a lease may have: behind all that is leased.
    assert_eq!(first(51).await, process.next().await - 51);
    process.leased.close().await.unwrap();
    process.require_sound().await;
}

#[tokio::test]
async fn the_end_of_a_counter_is_told_as_the_store_tells_it() {
    let (store, clock) = memory();
    let process = Process::new(&store, &clock, "one", 1);
    process
        .define(|spec| (spec.max, spec.largest_gap) = (Some(1_005), Some(10)))
        .await;
    let reset = ResetRequest::new(CounterSelector::new(inv()), Number::new(1_001).unwrap(), reason());
    process.issuer.reset(reset).await.unwrap();
    assert_eq!(process.draw().await, 1_001);
    let refused = process
        .issued(DrawRequest::new(inv()).count(5))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.remaining()),
        (Code::BatchDoesNotFit, Some(4))
    );
    for number in 1_002..=1_005 {
        assert_eq!(process.draw().await, number);
    }
    let refused = process.issued(DrawRequest::new(inv())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Exhausted);
    process.leased.close().await.unwrap();
    process.require_sound().await;
}

/// A line of the counter as a program prepares it for itself.
fn line(mode: Mode) -> Arc<Line> {
    let spec = DefinitionSpec {
        mode: Some(mode),
        ..DefinitionSpec::of_format("INV-{seq}")
    };
    let definition = Definition::check(&Tenant::default(), &inv(), spec, &Defaults::default()).unwrap();
    let version = Version {
        number: 1,
        definition,
    };
    let parts = LineParts {
        key: counter(),
        head: version.clone(),
        opened: version,
        date: "2026-03-07".parse().unwrap(),
        fields: FieldValues::default(),
    };
    Arc::new(Line::new(parts).unwrap())
}

#[tokio::test]
async fn handles_of_a_line_and_callers_draw_from_one_lease() {
    let process = process().await;
    let line = line(Mode::Leased);
    let (mut one, mut two) = (process.leased.line(&line), process.leased.line(&line));
    assert_eq!(one.try_next(), None, "nothing is leased yet");
    let mut numbers = Vec::new();
    for _ in 0..20 {
        numbers.push(one.next().await.unwrap().get());
        numbers.push(two.next().await.unwrap().get());
        numbers.push(process.draw().await);
    }
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    let gapless = process.leased.line(&self::line(Mode::Gapless)).next().await;
    assert!(matches!(
        gapless,
        Err(StoreError::Refused(Refusal::NotLeasable { .. }))
    ));
    process.leased.close().await.unwrap();
    assert!(matches!(one.next().await, Err(StoreError::Draining)));
    process.require_sound().await;
}

#[tokio::test]
async fn instants_of_issue_are_told_one_by_one() {
    let (store, clock) = memory();
    let process = Process::new(&store, &clock, "one", 1);
    process
        .define(|spec| spec.format = "{now:%H%M}-{seq}".into())
        .await;
    let issued = process.issued(DrawRequest::new(inv())).await.unwrap();
    assert_eq!(
        (issued.ids[0].as_str(), process.marked().await),
        ("1000-1", vec![])
    );
    let at: Timestamp = process.clock.now();
    assert_eq!(process.leased.events(1, 10).await.unwrap()[0].event.at, at);
}

/// Is away for the next report.
#[derive(Debug)]
struct Away(Arc<AtomicBool>);

#[async_trait]
impl Lie for Away {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let reports = batch.iter().any(|command| matches!(command.act, Act::Report(_)));
        if reports && self.0.swap(false, Ordering::SeqCst) {
            let away = Arc::new(std::io::Error::other("away"));
            return vec![Err(StoreError::Unavailable(away)); batch.len()];
        }
        truth.apply(batch).await
    }
}

#[tokio::test]
async fn what_could_not_be_given_back_while_the_store_was_away_is_given_back_later() {
    let away = Arc::new(AtomicBool::new(false));
    let (leased, issuer) = over(Away(Arc::clone(&away))).await;
    issuer.draw(DrawRequest::new(inv()).count(10)).await.unwrap();
    away.store(true, Ordering::SeqCst);
    let refused = issuer.draw(DrawRequest::new(inv()).count(10)).await.unwrap_err();
    assert_eq!(refused.code(), Code::StoreUnavailable);
    let issued = issuer.draw(DrawRequest::new(inv()).count(10)).await.unwrap();
    assert_eq!(issued.run.first.get(), 11);
    away.store(true, Ordering::SeqCst);
    leased.give_back().await.unwrap_err();
    leased.give_back().await.unwrap();
    assert!(leased.marks(&counter(), None, 10).await.unwrap().is_empty());
    assert_eq!(leased.counter(&counter()).await.unwrap().unwrap().next, 21);
}

/// Lengthens leases and says nothing of it.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Lie for Silent {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let extends = batch.iter().any(|command| matches!(command.act, Act::Extend(_)));
        let replies = truth.apply(batch).await;
        if extends {
            let lost = Arc::new(std::io::Error::other("lost"));
            return vec![Err(StoreError::Unknown(lost)); replies.len()];
        }
        replies
    }
}

#[tokio::test]
async fn what_was_leased_with_an_answer_that_was_lost_is_given_back() {
    let (leased, issuer) = over(Silent).await;
    for number in 1..=10 {
        let issued = issuer.draw(DrawRequest::new(inv())).await.unwrap();
        assert_eq!(issued.run.first.get(), number);
    }
    assert_eq!(leased.counter(&counter()).await.unwrap().unwrap().next, 49);
    leased.give_back().await.unwrap();
    assert_eq!(leased.counter(&counter()).await.unwrap().unwrap().next, 11);
    assert!(leased.marks(&counter(), None, 10).await.unwrap().is_empty());
}
