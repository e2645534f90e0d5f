//! Every row of a real file of ten thousand events is tampered with in every way, and named each time.
//!
//! Only the first fault of a chain is reported, so one event of every chain is tampered with at a time: the k-th of all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use seqid_core::checkpoint::Checkpoint;
use seqid_core::clock::{Clock, ManualClock};
use seqid_core::command::{
    Act, Command, Define, EndLease, Expected, ExtendLease, Freeze, LeaseEnd, Reply, TakeLease,
};
use seqid_core::counter::{CounterKey, Run};
use seqid_core::definition::Defaults;
use seqid_core::event::{Fingerprint, Keyed};
use seqid_core::export;
use seqid_core::lease::{Holder, Lease, LeaseId};
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::names::{Reason, Reference};
use seqid_core::numbering::{
    ArchiveRequest, CloseRequest, CounterSelector, DefineRequest, DrawRequest, ReopenRequest, ReserveRequest,
    ResetRequest, SettleRequest, SyncRequest, VoidRequest, VoidTarget,
};
use seqid_core::observer::Unobserved;
use seqid_core::store::{AuditLog, CounterStore};
use seqid_core::{Definition, DefinitionSpec, IdempotencyKey, Issuer, Number, Numbering, Prefix};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::{Recovery, SqliteStore};

const SEQUENCES: usize = 4;
const COUNTERS: usize = 430;
/// The counters whose numbers are leased, of a sequence of their own.
const LEASED: usize = 10;
/// The events of each counter.
const EVENTS: i64 = 6;

/// A closed file with its folder, and an export and a checkpoint of it.
struct Made {
    folder: TempDir,
    export: String,
    checkpoint: Checkpoint,
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(make())
});

fn file(folder: &Path) -> PathBuf {
    folder.join("seqid.db")
}

async fn make() -> Made {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SqliteConfig::new(file(folder.path()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_772_841_600_000_000)));
    let open = || {
        let opened = SqliteStore::open(config.clone(), Arc::clone(&clock) as _, Arc::new(Unobserved));
        Arc::new(opened.expect("it opens"))
    };
    let store = open();
    let issuer = Issuer::builder(Arc::clone(&store) as _)
        .clock(Arc::clone(&clock) as _)
        .build();
    let issuer = Arc::new(issuer);
    let held = Arc::new(Held::default());
    // One more without counters, which is archived.
    for at in 0..=SEQUENCES {
        for version in 1..=2 {
            let spec = DefinitionSpec {
                description: Some(format!("version {version}")),
                chronological: Some(at == VOIDING),
                on_expiry: (at != VOIDING).then_some(OnExpiry::Reuse),
                scope: Some(vec![seqid_core::field::FieldDeclaration::new("branch")]),
                fields: Some(vec![seqid_core::field::FieldDeclaration {
                    default: Some("none".into()),
                    ..seqid_core::field::FieldDeclaration::new("customer")
                }]),
                ..DefinitionSpec::of_format("{prefix}-{branch}-{customer}-{seq:5}")
            };
            let mut request = DefineRequest::new(if at < SEQUENCES { prefix(at) } else { ended() }, spec);
            request.if_version = (version > 1).then_some(version - 1);
            request.origin = origin();
            issuer.define(request).await.expect("it is defined");
            clock.set(clock.now().saturating_add(Duration::from_secs(1)));
        }
    }
    close_and_archive(&issuer).await;
    lease_and_lose(&store).await;
    for round in 0..EVENTS - 1 {
        let mut acts = JoinSet::new();
        for at in 0..SEQUENCES * COUNTERS {
            acts.spawn(act(Arc::clone(&issuer), Arc::clone(&held), at, round));
        }
        acts.join_all().await;
        clock.set(clock.now().saturating_add(Duration::from_secs(60)));
    }
    store.close().await.expect("it closes");
    drop((issuer, store));
    crate::recover(&config, &recovery(), &*clock).expect("it is accepted");

    let store = open();
    let mut export = Vec::new();
    let mut after = 0;
    loop {
        let page = store.events(after, 1_000).await.expect("events");
        let Some(last) = page.last() else { break };
        after = last.position;
        for recorded in &page {
            serde_json::to_writer(&mut export, recorded).expect("JSON");
            export.push(b'\n');
        }
    }
    let heads = store.heads().await.expect("heads");
    store.close().await.expect("it closes");
    Made {
        folder,
        export: String::from_utf8(export).expect("text"),
        checkpoint: Checkpoint::new(heads, Timestamp::from_micros(0)),
    }
}

fn recovery() -> Recovery {
    let mut recovery = Recovery::new(Reason::new("restored").expect("a reason"));
    recovery.margin = 3;
    recovery
}

fn origin() -> Origin {
    let label = |text: &str| seqid_core::names::Label::new(text).ok();
    Origin {
        actor: label("alice"),
        client: label("erp"),
        request: label("r-1"),
    }
}

fn prefix(at: usize) -> Prefix {
    Prefix::new(&format!("S{}", at % SEQUENCES)).expect("a prefix")
}

fn ended() -> Prefix {
    Prefix::new("ENDED").expect("a prefix")
}

/// The life of sequences: dates are closed and opened, and one sequence ends.
async fn close_and_archive(issuer: &Issuer) {
    let reason = || Reason::new("test").expect("a reason");
    let day = |day| Date::new(2020, 1, day).expect("a day");
    for prefix in [prefix(1), ended()] {
        let mut close = CloseRequest::new(day(31), reason());
        close.prefix = Some(prefix);
        close.key = IdempotencyKey::new("close").ok();
        issuer.close(close).await.expect("closed");
    }
    let mut reopen = ReopenRequest::new(day(15), reason());
    reopen.prefix = Some(prefix(1));
    reopen.origin = origin();
    issuer.reopen(reopen).await.expect("open");
    let archive = ArchiveRequest::new(ended(), reason());
    issuer.archive(archive).await.expect("archived");
}

/// The numbers of some counters are in the hands of holders: so many events of each but one.
async fn lease_and_lose(store: &SqliteStore) {
    let key = SequenceKey::new(
        seqid_core::Tenant::default(),
        Prefix::new("LEASED").expect("a prefix"),
    );
    let versions = [1, 2].map(|version| {
        let spec = DefinitionSpec {
            mode: Some(seqid_core::Mode::Ordered),
            description: Some(format!("version {version}")),
            scope: Some(vec![seqid_core::field::FieldDeclaration::new("branch")]),
            ..DefinitionSpec::of_format("{branch}-{seq}")
        };
        let definition = Definition::check(&key.tenant, &key.prefix, spec, &Defaults::default());
        definition.expect("a definition")
    });
    for (definition, expected) in versions.iter().zip([Expected::Nothing, Expected::Version(1)]) {
        let define = Act::Define(Define {
            sequence: key.clone(),
            definition: definition.clone(),
            expected,
            objections: Vec::new(),
            implicit: None,
        });
        applied(store, define, None).await;
    }
    let [_, definition] = versions;
    for at in 0..LEASED {
        let version = Version {
            number: 2,
            definition: definition.clone(),
        };
        let branch = seqid_core::field::FieldValues::new([("branch", format!("B{at}"))]);
        let date = Date::new(2026, 3, 7).expect("a day");
        let line = Line::new(LineParts {
            key: CounterKey::new(key.clone(), branch, definition.calendar().period(date)),
            head: version.clone(),
            opened: version,
            date,
            fields: seqid_core::field::FieldValues::default(),
        });
        let line = Arc::new(line.expect("a line"));
        if at % 2 == 0 {
            lose(store, &line).await;
        } else {
            give_back(store, &line).await;
        }
    }
}

/// A holder issues some numbers, goes on, and is gone; then the counter is frozen.
async fn lose(store: &SqliteStore, line: &Arc<Line>) {
    leased(store, take(line, 1)).await;
    applied(store, issued(line, 1, 1), Some("k")).await;
    let extend = ExtendLease {
        line: Arc::clone(line),
        id: LeaseId([1; 16]),
        last: Number::new(10).expect("a number"),
        count: 5,
    };
    let lease = leased(store, Act::Extend(extend)).await;
    let end = LeaseEnd::Lost;
    let line = Arc::clone(line);
    let lost = EndLease { line, lease, end };
    let line = Arc::clone(&lost.line);
    applied(store, Act::EndLease(lost), None).await;
    let reason = Reason::new("a test").expect("a reason");
    applied(store, Act::Freeze(Freeze { line, reason }), None).await;
}

/// A holder issues some numbers and gives the others back, twice.
async fn give_back(store: &SqliteStore, line: &Arc<Line>) {
    for (n, from) in [(1, 4), (2, 4)] {
        let lease = leased(store, take(line, n)).await;
        if n == 1 {
            applied(store, issued(line, n, 1), None).await;
        }
        let line = Arc::clone(line);
        let end = LeaseEnd::Unused { from };
        applied(store, Act::EndLease(EndLease { line, lease, end }), None).await;
    }
}

fn take(line: &Arc<Line>, n: u8) -> Act {
    Act::Lease(TakeLease {
        line: Arc::clone(line),
        id: LeaseId([n; 16]),
        holder: Holder::History {
            name: seqid_core::names::Label::new("run").expect("a label"),
            topology: 1,
        },
        count: 10,
        replaces: None,
    })
}

fn issued(line: &Arc<Line>, n: u8, first: u64) -> Act {
    Act::Report(seqid_core::command::Report {
        line: Arc::clone(line),
        lease: LeaseId([n; 16]),
        run: Run {
            first: Number::new(first).expect("a number"),
            step: 1,
            count: 3,
        },
        at: Timestamp::from_micros(1_772_841_500_000_000),
        reference: Reference::new("SO-1").ok(),
        relates_to: None,
    })
}

async fn leased(store: &SqliteStore, act: Act) -> Lease {
    match applied(store, act, None).await {
        Reply::Leased(lease) => *lease,
        other => panic!("{other:?}"),
    }
}

async fn applied(store: &SqliteStore, act: Act, key: Option<&str>) -> Reply {
    let keyed = key.map(|key| {
        let key = IdempotencyKey::new(key).expect("a key");
        Keyed::new(act.sequence(), key, Fingerprint([7; 16]))
    });
    let command = Command::new(act, Arc::new(origin())).with_key(keyed);
    store.apply(vec![command]).await.remove(0).expect("applied")
}

/// The reservations of counters.
type Held = Mutex<HashMap<usize, ReservationId>>;

/// The chronological sequence: its numbers are void when their hold ends; those of the others are offered again.
const VOIDING: usize = 0;

/// What happens to a counter: five lives, with all kinds of events among them.
async fn act(issuer: Arc<Issuer>, held: Arc<Held>, at: usize, round: i64) {
    let branch = format!("b{at}");
    let mut selector = CounterSelector::new(prefix(at));
    selector.scope.insert("branch".into(), branch.clone());
    let draw = || {
        let mut request = DrawRequest::new(prefix(at)).scope("branch", &branch);
        request.origin = origin();
        request
    };
    let reason = || Reason::new("test").expect("a reason");
    let number = |number| Number::new(number).expect("a number");
    let reset = |next| {
        let mut request = ResetRequest::new(selector.clone(), number(next), reason());
        request.repeats_accepted = true;
        request
    };
    let keyed = || {
        let key = IdempotencyKey::new(&format!("k{at}-{round}")).expect("a key");
        let mut request = draw().key(key).field("customer", "ACME");
        request.reference = Reference::new("SO-1").ok();
        request.relates_to = Reference::new("SO-0").ok();
        request
    };
    let sync = |last| SyncRequest::new(selector.clone(), number(last));
    let reserve = async |seconds| {
        let request = ReserveRequest::new(keyed(), Duration::from_secs(seconds));
        let reserved = issuer.reserve(request).await.expect("reserved");
        held.lock().expect("no panic").insert(at, reserved.reservation);
    };
    let held_by = || held.lock().expect("no panic")[&at];
    let void = |first| {
        let target = VoidTarget::Numbers {
            counter: selector.clone(),
            first: number(first),
            last: number(first),
        };
        VoidRequest::new(target, reason())
    };
    match (at % 5, round) {
        (3, 1 | 3) => reserve(3_600).await,
        (3, 2) => drop(
            issuer
                .settle(SettleRequest::confirm(held_by()))
                .await
                .expect("confirmed"),
        ),
        (3, 4) => drop(
            issuer
                .settle(SettleRequest::void(held_by(), reason()))
                .await
                .expect("voided"),
        ),
        (4, 0) => reserve(1).await,
        // Its hold has ended, and its numbers are offered again or void.
        (4, 1) => drop(
            issuer
                .settle(SettleRequest::confirm(held_by()))
                .await
                .expect_err("too late"),
        ),
        (4, 2) => drop(issuer.draw(draw()).await.expect("drawn")),
        (4, 3) => {
            let issued = if at % SEQUENCES == VOIDING { 2 } else { 1 };
            drop(issuer.void(void(issued)).await.expect("voided"));
        }
        (4, 4) => {
            let next = if at % SEQUENCES == VOIDING { 3 } else { 2 };
            drop(issuer.void(void(next)).await.expect("voided"));
        }
        (0, 2) => drop(issuer.draw(keyed().count(3)).await.expect("drawn")),
        (0, 4) => drop(issuer.sync(sync(99)).await.expect("moved")),
        (1, 1) => drop(issuer.reset(reset(100)).await.expect("moved")),
        (1, 2) => drop(issuer.reset(reset(50)).await.expect("moved")),
        (1, 4) => drop(issuer.reset(reset(1)).await.expect("moved")),
        (2, 1) => drop(issuer.sync(sync(10)).await.expect("moved")),
        (2, 2) => drop(issuer.reset(reset(5)).await.expect("moved")),
        (_, 1 | 3) => drop(issuer.draw(keyed()).await.expect("drawn")),
        _ => drop(issuer.draw(draw()).await.expect("drawn")),
    }
}

/// What is known before a position of the untouched file.
type Before = (
    Verifier,
    HashMap<i64, SequenceKey>,
    HashMap<i64, (i64, CounterKey)>,
);

/// A copy of the file, to be tampered with.
struct Copy {
    _folder: TempDir,
    connection: Connection,
    /// Verifiers that have seen the untouched file up to a position.
    before: RefCell<HashMap<i64, Before>>,
}

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        std::fs::copy(file(MADE.folder.path()), &path).expect("a copy");
        let connection = Connection::open(path).expect("it opens");
        connection
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;")
            .expect("SQL");
        Self {
            _folder: folder,
            connection,
            before: RefCell::default(),
        }
    }

    fn verify(&self, verifier: Verifier) -> Report {
        verify_tables(&self.connection, verifier.list(100_000), |_, _| ()).expect("it can be read")
    }

    /// Carries out statements, verifies, and takes them back.
    fn tampered(&self, statements: &str) -> Report {
        self.tampered_with(statements, Verifier::new())
    }

    fn tampered_with(&self, statements: &str, verifier: Verifier) -> Report {
        self.connection
            .execute_batch(&format!("BEGIN; {statements}"))
            .expect(statements);
        let report = self.verify(verifier);
        self.connection.execute_batch("ROLLBACK").expect("SQL");
        report
    }

    fn positions(&self, which: &str) -> BTreeSet<u64> {
        let query = format!("SELECT position FROM event WHERE {which}");
        let mut statement = self.connection.prepare(&query).expect(&query);
        let found = statement.query_map([], |row| row.get::<_, i64>(0)).expect(&query);
        found
            .map(|position| position.expect("a position").cast_unsigned())
            .collect()
    }

    /// Verifies a part of the log, after what lies before it in the untouched file.
    fn tampered_in(&self, first: u64, last: u64, statements: &str) -> Report {
        let (first, last) = (first.cast_signed(), last.cast_signed());
        let mut before = self.before.borrow_mut();
        let untouched = before.entry(first).or_insert_with(|| {
            let mut tables = Tables::open(&self.connection).expect("tables");
            let mut verifier = tables.heads(Verifier::new().list(100_000)).expect("heads");
            tables
                .events(&mut verifier, 0..=first - 1, |_, _| ())
                .expect("events");
            (verifier, tables.sequences, tables.counters)
        });
        let (mut verifier, sequences, counters) = untouched.clone();
        self.connection
            .execute_batch(&format!("BEGIN; {statements}"))
            .expect(statements);
        let mut tables = Tables::open(&self.connection).expect("tables");
        (tables.sequences, tables.counters) = (sequences, counters);
        tables
            .events(&mut verifier, first..=last, |_, _| ())
            .expect("events");
        self.connection.execute_batch("ROLLBACK").expect("SQL");
        verifier.finish()
    }

    /// Every row of `which` is named, and the first fault is the first of them.
    #[track_caller]
    fn names(&self, which: &str, statements: &str) {
        let rows = self.positions(which);
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return;
        };
        let report = self.tampered_in(*first, last + 1, statements);
        let named = positions(&report);
        let missed: Vec<_> = rows.difference(&named).collect();
        assert!(
            missed.is_empty(),
            "{statements}: {} of {} rows, such as {:?}",
            missed.len(),
            rows.len(),
            missed[0]
        );
        assert_eq!(
            report.faults[0].position,
            Some(*first),
            "{statements}: {}",
            report.faults[0]
        );
    }

    /// Every counter is named.
    #[track_caller]
    fn names_all(&self, table: &str, statements: &str) {
        let all: i64 = self
            .connection
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .expect("SQL");
        let report = self.tampered(statements);
        let named: BTreeSet<String> = report.faults.iter().map(ToString::to_string).collect();
        assert!(
            named.len() as i64 >= all,
            "{statements}: {} of {all}",
            named.len()
        );
    }
}

fn positions(report: &Report) -> BTreeSet<u64> {
    report.faults.iter().filter_map(|fault| fault.position).collect()
}

/// Runs jobs on both cores, each with a copy of its own.
fn spread(jobs: &[(String, String)]) {
    std::thread::scope(|scope| {
        for half in 0..2 {
            let jobs = jobs.iter().skip(half).step_by(2);
            scope.spawn(move || {
                let copy = Copy::new();
                for (which, statements) in jobs {
                    copy.names(which, statements);
                }
            });
        }
    });
}

#[test]
fn nothing_is_wrong_with_what_was_recorded() {
    let copy = Copy::new();
    let report = copy.verify(Verifier::new().checkpoints([MADE.checkpoint.clone()]));
    assert_eq!(report.faults, []);
    assert!(report.events >= 10_000, "{}", report.events);
    assert_eq!((report.heads, report.checkpoints), (MADE.checkpoint.heads, 1));
    let kinds: i64 = copy
        .connection
        .query_row("SELECT count(DISTINCT kind) FROM event", [], |row| row.get(0))
        .expect("SQL");
    assert_eq!(kinds, EventKind::ALL.len() as i64, "every kind is there");
}

#[test]
fn an_edit_of_any_column_of_any_event_is_named() {
    let edits = [
        ("sequence", "sequence % 4 + 1"),
        (
            "counter",
            "CASE WHEN counter IS NULL THEN 1 ELSE counter % 1720 + 1 END",
        ),
        ("kind", "kind % 14 + 1"),
        ("n", "n + 1"),
        ("generation", "generation + 1"),
        ("epoch", "epoch + 1"),
        ("first", "coalesce(first + 1, 1)"),
        ("step", "coalesce(step + 1, 1)"),
        ("count", "coalesce(count + 1, 1)"),
        ("version", "version + 1"),
        ("version", "version - 1"),
        ("mode", "mode % 3 + 1"),
        ("at", "at + 1"),
        ("date", "coalesce(date + 1, 1)"),
        ("fields", "coalesce(fields || '&x=1', 'x=1')"),
        ("actor", "coalesce(actor || 'x', 'x')"),
        ("client", "coalesce(client || 'x', 'x')"),
        ("request", "coalesce(request || 'x', 'x')"),
        ("reference", "coalesce(reference || 'x', 'x')"),
        ("relates_to", "coalesce(relates_to || 'x', 'x')"),
        ("reason", "coalesce(reason || 'x', 'x')"),
        ("key", "coalesce(key || 'x', 'x')"),
        ("fingerprint", "zeroblob(16)"),
        ("detail", "'{}'"),
        ("reservation", "randomblob(16)"),
        ("expires_at", "coalesce(expires_at + 1, 1)"),
        ("on_expiry", "coalesce(3 - on_expiry, 1)"),
        ("hash", "randomblob(32)"),
        ("hash", "randomblob(31)"),
    ];
    let columns: BTreeSet<_> = edits.iter().map(|(column, _)| *column).collect();
    assert_eq!(
        columns.len(),
        rows::EVENT_COLUMNS.len() - 1,
        "all but the position"
    );
    let mut jobs = Vec::new();
    for k in 1..=EVENTS {
        for (column, value) in edits {
            // A counter is not held against definitions of which nothing is certain.
            for subject in ["IS NULL", "IS NOT NULL"] {
                let which = format!("n = {k} AND counter {subject}");
                jobs.push((
                    which.clone(),
                    format!("UPDATE event SET {column} = {value} WHERE {which}"),
                ));
            }
        }
    }
    spread(&jobs);
}

#[test]
fn a_value_that_is_taken_away_is_named() {
    let nullable = [
        "first",
        "step",
        "count",
        "date",
        "fields",
        "actor",
        "client",
        "request",
        "reference",
        "relates_to",
        "reason",
        "key",
        "fingerprint",
        "reservation",
        "expires_at",
        "on_expiry",
    ];
    let mut jobs = Vec::new();
    for k in 1..=EVENTS {
        for column in nullable {
            let which = format!("n = {k} AND {column} IS NOT NULL");
            jobs.push((
                which.clone(),
                format!("UPDATE event SET {column} = NULL WHERE {which}"),
            ));
        }
    }
    spread(&jobs);
    // Of those that are put into one sequence's chain the first is named, and for the others the counters that lack them.
    let copy = Copy::new();
    for k in 1..=EVENTS {
        copy.names_all(
            "counter",
            &format!("UPDATE event SET counter = NULL WHERE n = {k}"),
        );
    }
}

#[test]
fn an_event_that_is_deleted_or_moved_is_named() {
    let mut jobs = Vec::new();
    for k in 1..=EVENTS {
        for side in 0..2 {
            // Of the last event of all, its counter tells.
            let which =
                format!("n = {k} AND position % 2 = {side} AND position < (SELECT max(position) FROM event)");
            jobs.push((which.clone(), format!("DELETE FROM event WHERE {which}")));
            jobs.push((
                which.clone(),
                format!("UPDATE event SET position = position + 1000000 WHERE {which}"),
            ));
        }
    }
    spread(&jobs);
}

#[test]
fn the_end_of_a_chain_that_is_cut_off_shows_from_the_counter() {
    let copy = Copy::new();
    // The events behind are numbered anew, so that no position is missing.
    let report = copy.tampered(
        "CREATE TEMP TABLE kept AS SELECT position, row_number() OVER (ORDER BY position) AS place FROM event WHERE n < 6; \
         DELETE FROM event WHERE n = 6; \
         UPDATE event SET position = -(SELECT place FROM kept WHERE kept.position = event.position); \
         UPDATE event SET position = -position;",
    );
    assert_eq!(report.found, (SEQUENCES * COUNTERS + LEASED) as u64);
    assert!(report.faults.iter().all(|fault| fault.kind == FaultKind::Head));
}

#[test]
fn an_event_that_is_there_twice_is_named() {
    let copy = Copy::new();
    let columns = rows::EVENT_COLUMNS[1..].join(", ");
    for k in 1..=EVENTS {
        let last = copy.positions("true").len() as u64;
        let report = copy.tampered(&format!(
            "INSERT INTO event (position, {columns}) SELECT {last} + row_number() OVER (ORDER BY position), {columns} \
             FROM event WHERE n = {k}"
        ));
        let added = copy.positions(&format!("n = {k}")).len() as u64;
        let expected: BTreeSet<u64> = (last + 1..=last + added).collect();
        assert!(positions(&report).is_superset(&expected), "copies of n = {k}");
    }
}

#[test]
fn neighbours_of_a_chain_that_changed_places_are_named() {
    let copy = Copy::new();
    for k in 1..EVENTS {
        let which = format!("n = {k}");
        let earlier = copy.positions(&which);
        let earlier: BTreeSet<u64> = earlier
            .intersection(&copy.positions(&format!(
                "n = {k} AND EXISTS (SELECT 1 FROM event later WHERE later.counter IS event.counter \
                 AND later.sequence = event.sequence AND later.n = {k} + 1)"
            )))
            .copied()
            .collect();
        let report = copy.tampered(&format!(
            "CREATE TEMP TABLE pair AS SELECT a.position AS a, b.position AS b FROM event a JOIN event b \
             ON b.sequence = a.sequence AND b.counter IS a.counter AND b.n = a.n + 1 WHERE a.n = {k}; \
             CREATE TEMP TABLE moved AS SELECT a AS of, b AS goes FROM pair UNION ALL SELECT b, a FROM pair; \
             CREATE INDEX temp.of ON moved (of); \
             UPDATE event SET position = -(SELECT goes FROM moved WHERE of = position) \
             WHERE position IN (SELECT of FROM moved); \
             UPDATE event SET position = -position WHERE position < 0;"
        ));
        assert!(positions(&report).is_superset(&earlier), "n = {k} and the next");
    }
}

#[test]
fn events_of_different_counters_that_changed_places_show_from_a_checkpoint_between_them() {
    let copy = Copy::new();
    let (early, late) = (4_000, 8_000);
    let swap = format!(
        "UPDATE event SET position = -1 WHERE position = {early}; \
         UPDATE event SET position = {early} WHERE position = {late}; \
         UPDATE event SET position = {late} WHERE position = -1;"
    );
    let mut verifier = Verifier::new();
    let between = MADE
        .export
        .lines()
        .take(6_000)
        .flat_map(|line| [line, "\n"])
        .collect::<String>();
    export::read(between.as_bytes(), &mut verifier, |_| ()).expect("lines");
    let between = Checkpoint::new(verifier.finish().heads, Timestamp::from_micros(0));
    let held = || Verifier::new().checkpoints([between.clone()]);
    assert_eq!(copy.verify(held()).faults, []);
    let report = copy.tampered_with(&swap, held());
    assert!(
        report
            .faults
            .iter()
            .any(|fault| fault.kind == FaultKind::Checkpoint)
    );
    assert!(report.remarked > 0, "they are not in the order of time");
}

#[test]
fn an_edit_of_any_counter_is_named() {
    let copy = Copy::new();
    for edit in [
        "n = n + 1",
        "n = n - 1",
        "hash = randomblob(32)",
        "hash = randomblob(1)",
        "next = next + 1",
        "next = NULL",
        "last = coalesce(last + 1, 1)",
        "last_date = coalesce(last_date + 1, 1)",
        "generation = generation + 1",
        "epoch = epoch + 1",
        "version = 1",
        "reserved = reserved + 1",
        "voided = voided + 1",
        "free = free + 1",
        "leases = leases + 1",
        "scope = scope || 'x', scope_folded = scope_folded || 'x'",
        "scope_folded = scope_folded || 'x'",
        "period = '2026', period_kind = 'year', period_first = 20454, period_last = 20818",
        "period_kind = 'day'",
    ] {
        copy.names_all("counter", &format!("UPDATE counter SET {edit}"));
    }
    copy.names_all("counter", "DELETE FROM counter");
}

#[test]
fn an_edit_of_any_sequence_or_definition_is_named() {
    let copy = Copy::new();
    for edit in [
        "n = n + 1",
        "n = n - 1",
        "hash = randomblob(32)",
        "head = head + 1",
        "opened = 1 - opened",
        "archived = 1 - archived",
        "closed_through = coalesce(closed_through + 1, 1)",
        "prefix_folded = prefix_folded || 'x'",
        "prefix = 'T' || prefix",
        "tenant = 'other'",
    ] {
        copy.names_all("sequence", &format!("UPDATE sequence SET {edit}"));
    }
    let changed = "spec = replace(spec, 'version', 'Version')";
    for edit in [
        changed,
        "spec = ''",
        "at = at + 1",
        "actor = 'bob'",
        "actor = NULL",
    ] {
        for version in 1..=2 {
            copy.names_all(
                "sequence",
                &format!("UPDATE definition SET {edit} WHERE version = {version}"),
            );
        }
    }
    copy.names_all("sequence", "DELETE FROM definition WHERE version = 2");
    copy.names_all(
        "sequence",
        "INSERT INTO definition (sequence, version, spec, at) SELECT sequence, 3, spec, at FROM definition WHERE version = 2",
    );
    assert!(
        !copy
            .tampered("UPDATE store SET authority = randomblob(16)")
            .is_clean()
    );
}

#[test]
fn what_is_closed_of_all_sequences_is_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SqliteConfig::new(file(folder.path()));
    let close = async {
        let clock = Arc::new(seqid_core::clock::SystemClock);
        let store = SqliteStore::open(config.clone(), clock, Arc::new(Unobserved)).expect("it opens");
        let store = Arc::new(store);
        let issuer = Issuer::new(Arc::clone(&store) as _);
        let day = Date::new(2020, 1, 31).expect("a day");
        let request = CloseRequest::new(day, Reason::new("test").expect("a reason"));
        issuer.close(request).await.expect("closed");
        issuer.draw(DrawRequest::new(prefix(0))).await.expect("drawn");
        store.close().await.expect("it closes");
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(close);
    let found = |statement: &str| {
        let connection = Connection::open(file(folder.path())).expect("it opens");
        connection
            .execute_batch(&format!("BEGIN; {statement}"))
            .expect("SQL");
        let report = verify_tables(&connection, Verifier::new(), |_, _| ()).expect("it can be read");
        report.faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(""), Vec::<String>::new());
    for edit in [
        "UPDATE sequence SET closed_through = NULL WHERE prefix = '*'",
        "UPDATE sequence SET closed_through = 1 WHERE prefix = '*'",
        "UPDATE sequence SET archived = 1 WHERE prefix = '*'",
        "UPDATE event SET date = date - 1 WHERE kind = 13",
        "UPDATE event SET date = NULL WHERE kind = 13",
        "DELETE FROM event WHERE kind = 13",
    ] {
        let faults = found(edit);
        assert!(!faults.is_empty(), "{edit}");
    }
}

#[test]
fn a_log_that_was_written_anew_shows_from_a_checkpoint_alone() {
    let copy = Copy::new();
    // A counter is taken out with all that is known of it.
    let removed = "CREATE TEMP TABLE kept AS SELECT position, row_number() OVER (ORDER BY position) AS place \
         FROM event WHERE counter IS NOT 7; \
         DELETE FROM counter WHERE id = 7; DELETE FROM event WHERE counter = 7; \
         UPDATE event SET position = -(SELECT place FROM kept WHERE kept.position = event.position); \
         UPDATE event SET position = -position;";
    assert_eq!(copy.tampered(removed).faults, []);
    let held = copy.tampered_with(removed, Verifier::new().checkpoints([MADE.checkpoint.clone()]));
    assert_eq!(
        held.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(),
        [FaultKind::Checkpoint]
    );
}

#[test]
fn rows_of_counters_may_be_older_than_the_events_behind_the_place_that_they_are_complete_to() {
    let copy = Copy::new();
    let older = copy.positions("n = 5 AND kind = 3");
    let last_known = copy.positions("n = 5").into_iter().max().expect("an event");
    copy.connection
        .execute_batch(
            "BEGIN; UPDATE counter SET n = 5, epoch = 1, next = 100, last = 99, \
             hash = (SELECT hash FROM event e WHERE e.counter = counter.id AND e.n = 5) \
             WHERE id IN (SELECT counter FROM event WHERE n = 5 AND kind = 3)",
        )
        .expect("SQL");
    let complete_to = |position: u64| {
        let mut tables = Tables::open(&copy.connection).expect("tables");
        let mut verifier = tables.heads(Verifier::new()).expect("heads");
        verifier.expect_heads(position);
        tables
            .events(&mut verifier, 0..=i64::MAX, |_, _| ())
            .expect("events");
        verifier.finish()
    };
    assert_eq!(complete_to(last_known).faults, []);
    let report = complete_to(u64::MAX);
    assert_eq!(report.found, older.len() as u64);
    assert!(report.faults.iter().all(|fault| fault.kind == FaultKind::Head));
    copy.connection
        .execute_batch("UPDATE counter SET hash = randomblob(32) WHERE n = 5")
        .expect("SQL");
    assert_eq!(complete_to(last_known).found, older.len() as u64);
}

#[test]
fn an_edit_of_any_member_of_any_line_of_an_export_is_named() {
    let lines: Vec<&str> = MADE.export.lines().collect();
    let read: Vec<_> = lines
        .iter()
        .map(|line| export::from_json(line.as_bytes()).expect(line))
        .collect();
    let mut members: Vec<String> = serde_json::from_str::<serde_json::Map<_, _>>(lines[0])
        .expect("an object")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(members.len(), 37);
    // All positions of a block that move by one are still in order.
    members.retain(|member| member != "position");
    for (k, of_counters) in (1..=EVENTS.cast_unsigned()).flat_map(|k| [(k, false), (k, true)]) {
        let is_edited = |recorded: &Recorded| {
            recorded.event.n == k && recorded.event.subject.counter().is_some() == of_counters
        };
        let Some(first) = read.iter().position(is_edited) else {
            continue;
        };
        let last = read.iter().rposition(is_edited).expect("the first at least");
        let mut before = Verifier::new().ids().list(100_000);
        read[..first].iter().for_each(|recorded| before.event(recorded));
        for member in &members {
            let mut verifier = before.clone();
            let mut expected = BTreeSet::new();
            for (line, recorded) in lines.iter().zip(&read).take(last + 1).skip(first) {
                if !is_edited(recorded) {
                    verifier.event(recorded);
                } else if let Ok(edited) = export::from_json(edited(line, member).as_bytes()) {
                    verifier.event(&edited);
                    expected.insert(recorded.position);
                }
            }
            let named = positions(&verifier.finish());
            let missed: Vec<_> = expected.difference(&named).collect();
            assert!(missed.is_empty(), "{member}, n = {k}: {missed:?}");
        }
    }
}

#[test]
fn a_position_of_an_export_that_does_not_rise_is_named() {
    let edited = |line: &str| line.replacen(r#""position":3000,"#, r#""position":2999,"#, 1) + "\n";
    let mut verifier = Verifier::new().ids();
    let text: String = MADE.export.lines().map(edited).collect();
    export::read(text.as_bytes(), &mut verifier, |_| ()).expect("lines");
    let faults = verifier.finish().faults;
    assert_eq!(faults.len(), 1);
    assert_eq!(
        (faults[0].kind, faults[0].position),
        (FaultKind::Position, Some(2_999))
    );
}

/// The line with another value of a member.
fn edited(line: &str, member: &str) -> String {
    let name = format!("\"{member}\":");
    let (before, value) = line.split_once(&name).expect(member);
    let changed = match value.split_at(1) {
        ("n", rest) => format!("1{}", &rest["ull".len()..]),
        ("\"", text) => format!(
            "\"{}{}",
            if text.starts_with('0') { "1" } else { "0" },
            &text[1..]
        ),
        ("{", values) if values.starts_with('}') => format!(r#"{{"x":"y"{values}"#),
        ("{", values) => format!(r#"{{"x":"y",{values}"#),
        (digit, rest) => format!("{digit}1{rest}"),
    };
    format!("{before}{name}{changed}")
}

#[test]
fn a_clean_export_is_clean_and_may_hold_events_twice() {
    let read = |text: &str| {
        let mut verifier = Verifier::new().ids().checkpoints([MADE.checkpoint.clone()]);
        let lines = export::read(text.as_bytes(), &mut verifier, |_| ()).expect("lines");
        (verifier.finish(), lines)
    };
    let (report, lines) = read(&MADE.export);
    assert_eq!((report.faults, report.checkpoints), (vec![], 1));
    assert_eq!((lines.repeated, lines.unfinished), (0, false));

    let all: Vec<&str> = MADE.export.split_inclusive('\n').collect();
    let again = [&all[..5_000], &all[4_500..]].concat().concat();
    let (report, lines) = read(&again);
    assert_eq!((report.faults, lines.repeated), (vec![], 500));

    let (report, lines) = read(&MADE.export[..MADE.export.len() - 10]);
    assert!(lines.unfinished);
    assert_eq!(report.faults.len(), 1, "the checkpoint is ahead");
    let (report, _) = read(&all[..all.len() - 1].concat());
    assert_eq!(report.faults[0].kind, FaultKind::Checkpoint);
}
