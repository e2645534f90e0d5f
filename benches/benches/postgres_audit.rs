//! Pages of the audit of a million events in PostgreSQL, half of them of one counter and half of a thousand, in turn; and
//! the gap report of a million numbers, every fiftieth of them voided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seqid_benches::{
    Bar, Table, Unit, Until, draws, is_bench_run, multi_thread, percentile, process, scrambled,
};
use seqid_core::field::FieldDeclaration;
use seqid_core::gap_report::GapReport;
use seqid_core::mark::NumberState;
use seqid_core::names::Reason;
use seqid_core::numbering::{
    AuditRequest, CounterSelector, DefineRequest, DrawRequest, LARGEST_BATCH, VoidRequest, VoidTarget,
};
use seqid_core::observer::Unobserved;
use seqid_core::query::Order;
use seqid_core::time::Timestamp;
use seqid_core::{DefinitionSpec, Issuer, Number, Numbering, Prefix, Tenant};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const EVENTS: u64 = 1_000_000;
const BRANCHES: u64 = 1_000;
const PAGES: u64 = 300;
const CALLERS: usize = 512;

/// The numbers of the gap report.
const NUMBERS: u64 = 1_000_000;
/// One of so many is void.
const ONE_OF: u64 = 50;
const VOIDING: u64 = 256;
const MEMORY: f64 = 50e6;

fn busy() -> DrawRequest {
    DrawRequest::new(prefix("INV"))
}

fn of_branch(n: u64) -> DrawRequest {
    DrawRequest::new(prefix("BR")).scope("branch", &branch(n))
}

fn branch(n: u64) -> String {
    format!("B{:03}", scrambled(n) % BRANCHES)
}

fn prefix(text: &str) -> Prefix {
    Prefix::new(text).expect("a prefix")
}

async fn open(database: &Database) -> Result<Arc<Issuer>> {
    let config: PostgresConfig = database.url().parse()?;
    let store = Arc::new(PostgresStore::open(config, Arc::new(Unobserved)).await?);
    let clock = store.clock();
    Ok(Arc::new(Issuer::builder(store as _).clock(clock).build()))
}

async fn define(issuer: &Issuer, name: &str, definition: DefinitionSpec) -> Result<()> {
    issuer
        .define(DefineRequest::new(prefix(name), definition))
        .await?;
    Ok(())
}

async fn fill(database: &Database) -> Result<Arc<Issuer>> {
    let issuer = open(database).await?;
    define(&issuer, "INV", DefinitionSpec::of_format("INV-{seq:5}")).await?;
    let definition = DefinitionSpec {
        scope: Some(vec![FieldDeclaration::new("branch")]),
        ..DefinitionSpec::of_format("{branch}-{seq:5}")
    };
    define(&issuer, "BR", definition).await?;
    let in_turn = |n: u64| if n.is_multiple_of(2) { busy() } else { of_branch(n) };
    draws(&issuer, CALLERS, Until::Called(EVENTS), in_turn).await?;
    Ok(issuer)
}

/// Issues a million numbers and voids some.
async fn fill_gaps(database: &Database) -> Result<Arc<Issuer>> {
    let issuer = open(database).await?;
    define(&issuer, "INV", DefinitionSpec::of_format("INV-{seq:7}")).await?;
    for _ in 0..NUMBERS / u64::from(LARGEST_BATCH) {
        issuer.draw(busy().count(LARGEST_BATCH)).await?;
    }
    let mut callers = JoinSet::new();
    for caller in 0..VOIDING {
        let issuer = Arc::clone(&issuer);
        callers.spawn(async move {
            for n in (1..=NUMBERS / ONE_OF).filter(|n| n % VOIDING == caller) {
                let number = Number::new(n * ONE_OF)?;
                let target = VoidTarget::Numbers {
                    counter: CounterSelector::new(prefix("INV")),
                    first: number,
                    last: number,
                };
                issuer
                    .void(VoidRequest::new(target, Reason::new("cancelled")?))
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(issuer)
}

/// What the server and the store do by themselves after a while.
fn tidy(database: &Database) -> Result<()> {
    database.psql("ANALYZE")?;
    database.psql("SELECT seqid.add_blocks(1000)")?;
    Ok(())
}

/// Reads a report to its end, and answers how many numbers are void.
async fn report(issuer: Arc<dyn Numbering>) -> Result<u64> {
    let mut report = GapReport::begin(issuer, CounterSelector::new(prefix("INV"))).await?;
    while report.next().await?.is_some() {}
    Ok(report.summary().of(NumberState::Voided))
}

/// The instants of the oldest and the newest event.
async fn ends(issuer: &Issuer) -> Result<[i64; 2]> {
    let mut ends = [0; 2];
    for (end, order) in ends.iter_mut().zip([Order::OldestFirst, Order::NewestFirst]) {
        let one = request(None, |request| (request.order, request.limit) = (order, 1));
        let page = issuer.audit(one).await?;
        *end = page.events.first().context("no events")?.event.at.as_micros();
    }
    Ok(ends)
}

fn request(name: Option<&str>, change: impl FnOnce(&mut AuditRequest)) -> AuditRequest {
    let mut request = AuditRequest::new(Tenant::default());
    request.prefix = name.map(prefix);
    change(&mut request);
    request
}

/// The numbers from a first to a last one.
fn numbers(first: u64, last: u64) -> Option<(Number, Number)> {
    Number::new(first).ok().zip(Number::new(last).ok())
}

fn pages(runtime: &Runtime, server: &PostgresServer) -> Result<()> {
    let database = server.database()?;
    let issuer = runtime.block_on(fill(&database))?;
    tidy(&database)?;
    let ends = runtime.block_on(ends(&issuer))?;
    let moment = |n: u64| {
        let span = ends[1].abs_diff(ends[0]);
        let first = Timestamp::from_micros(ends[0].saturating_add_unsigned(scrambled(n) % span));
        (Some(first), Some(first.saturating_add(Duration::from_millis(10))))
    };

    let mut table = Table::new("A page of 100 out of a million events in PostgreSQL");
    type Pages<'a> = (&'a str, Box<dyn Fn(u64) -> AuditRequest + 'a>);
    let kinds: Vec<Pages<'_>> = vec![
        ("newest", Box::new(|_| request(None, |_| {}))),
        ("busy sequence", Box::new(|_| request(Some("INV"), |_| {}))),
        (
            "busy sequence, from any place",
            Box::new(|n| request(Some("INV"), |request| request.after = Some(scrambled(n) % EVENTS))),
        ),
        (
            "counter of a branch",
            Box::new(|n| {
                request(Some("BR"), |request| {
                    request.period = Some("all".into());
                    request.scope.insert("branch".into(), branch(n));
                })
            }),
        ),
        (
            "counter of a branch, the oldest 1,000",
            Box::new(|n| {
                request(Some("BR"), |request| {
                    request.period = Some("all".into());
                    request.scope.insert("branch".into(), branch(n));
                    (request.order, request.limit) = (Order::OldestFirst, 1_000);
                })
            }),
        ),
        (
            "number of the busy counter",
            Box::new(|n| {
                let number = scrambled(n) % (EVENTS / 2) + 1;
                request(Some("INV"), |request| request.numbers = numbers(number, number))
            }),
        ),
        (
            "ten numbers of a branch",
            Box::new(|n| {
                let number = scrambled(n) % (EVENTS / 2 / BRANCHES) + 1;
                request(Some("BR"), |request| {
                    request.scope.insert("branch".into(), branch(n));
                    request.numbers = numbers(number, number + 9);
                })
            }),
        ),
        (
            "ten milliseconds",
            Box::new(|n| request(None, |request| (request.from, request.to) = moment(n))),
        ),
        (
            "ten milliseconds of a sequence",
            Box::new(|n| request(Some("BR"), |request| (request.from, request.to) = moment(n))),
        ),
        (
            "an actor who did nothing, a part of the work",
            Box::new(|_| request(None, |request| request.actor = "nobody".parse().ok())),
        ),
    ];
    for (name, page) in kinds {
        let mut took = Vec::new();
        for n in 0..PAGES {
            let request = page(n);
            let began = Instant::now();
            runtime.block_on(issuer.audit(request))?;
            took.push(began.elapsed().as_secs_f64());
        }
        let bar = (!name.ends_with("1,000")).then_some(Bar::AtMost(0.020));
        for (what, percent) in [("median", 50.0), ("worst", 100.0)] {
            table.figure(
                &format!("{name}: {what}"),
                Unit::Seconds,
                percentile(&took, percent),
                bar,
            );
        }
    }
    table.print();
    Ok(())
}

fn gaps(runtime: &Runtime, server: &PostgresServer) -> Result<()> {
    let database = server.database()?;
    let issuer = runtime.block_on(fill_gaps(&database))?;
    tidy(&database)?;
    process::forget_peak()?;
    let before = process::resident()?;
    let began = Instant::now();
    let void = runtime.block_on(report(Arc::clone(&issuer) as _))?;
    let took = began.elapsed().as_secs_f64();
    let memory = (process::peak_resident()? - before).max(0.0);
    ensure!(void == NUMBERS / ONE_OF, "{void} numbers are void");
    let mut table = Table::new("The gap report of a million numbers in PostgreSQL, one of 50 voided");
    table.figure("time", Unit::Seconds, took, None);
    table.figure("memory", Unit::Bytes, memory, Some(Bar::AtMost(MEMORY)));
    table.print();
    Ok(())
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let server = PostgresServer::start_with(&[("shared_buffers", "256MB"), ("max_wal_size", "2GB")])?;
    pages(&runtime, &server)?;
    gaps(&runtime, &server)
}
