//! Pages of the audit of a million events in PostgreSQL, half of them of one counter and half of a thousand, in turn; and
//! the gap report of a million numbers, every fiftieth of them voided.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use seqid_benches::audit_pages::{self, in_turn};
use seqid_benches::{Bar, Table, Unit, Until, draws, is_bench_run, multi_thread, process};
use seqid_core::gap_report::GapReport;
use seqid_core::mark::NumberState;
use seqid_core::names::Reason;
use seqid_core::numbering::{
    CounterSelector, DefineRequest, DrawRequest, LARGEST_BATCH, VoidRequest, VoidTarget,
};
use seqid_core::observer::Unobserved;
use seqid_core::{DefinitionSpec, Issuer, Number, Numbering, Prefix};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CALLERS: usize = 512;

/// The numbers of the gap report.
const NUMBERS: u64 = 1_000_000;
/// One of so many is void.
const ONE_OF: u64 = 50;
const VOIDING: u64 = 256;
const MEMORY: f64 = 50e6;

fn prefix() -> Prefix {
    Prefix::new("INV").expect("a prefix")
}

async fn open(database: &Database) -> Result<Arc<Issuer>> {
    let config: PostgresConfig = database.url().parse()?;
    let store = Arc::new(PostgresStore::open(config, Arc::new(Unobserved)).await?);
    let clock = store.clock();
    Ok(Arc::new(Issuer::builder(store as _).clock(clock).build()))
}

async fn fill(database: &Database) -> Result<Arc<Issuer>> {
    let issuer = open(database).await?;
    audit_pages::define(&issuer).await?;
    draws(&issuer, CALLERS, Until::Called(audit_pages::EVENTS), in_turn).await?;
    Ok(issuer)
}

/// Issues a million numbers and voids some.
async fn fill_gaps(database: &Database) -> Result<Arc<Issuer>> {
    let issuer = open(database).await?;
    let definition = DefinitionSpec::of_format("INV-{seq:7}");
    issuer.define(DefineRequest::new(prefix(), definition)).await?;
    for _ in 0..NUMBERS / u64::from(LARGEST_BATCH) {
        issuer
            .draw(DrawRequest::new(prefix()).count(LARGEST_BATCH))
            .await?;
    }
    let mut callers = JoinSet::new();
    for caller in 0..VOIDING {
        let issuer = Arc::clone(&issuer);
        callers.spawn(async move {
            for n in (1..=NUMBERS / ONE_OF).filter(|n| n % VOIDING == caller) {
                let number = Number::new(n * ONE_OF)?;
                let target = VoidTarget::Numbers {
                    counter: CounterSelector::new(prefix()),
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
    let mut report = GapReport::begin(issuer, CounterSelector::new(prefix())).await?;
    while report.next().await?.is_some() {}
    Ok(report.summary().of(NumberState::Voided))
}

fn pages(runtime: &Runtime, server: &PostgresServer) -> Result<()> {
    let database = server.database()?;
    let issuer = runtime.block_on(fill(&database))?;
    tidy(&database)?;
    let mut table = Table::new("A page of 100 out of a million events in PostgreSQL");
    audit_pages::measure(&mut table, runtime, &issuer)?;
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
