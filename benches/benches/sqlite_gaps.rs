//! The gap report of a million numbers in one file, read to its end: every fiftieth number was voided on its own, and
//! every second, which is the worst that a report can meet.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use seqid_benches::{Bar, Embedded, Folder, Table, Unit, copy_store, is_bench_run, multi_thread, process};
use seqid_core::gap_report::GapReport;
use seqid_core::mark::NumberState;
use seqid_core::names::Reason;
use seqid_core::numbering::{CounterSelector, DrawRequest, LARGEST_BATCH, VoidRequest, VoidTarget};
use seqid_core::{DefinitionSpec, Number, Numbering, Prefix};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const NUMBERS: u64 = 1_000_000;
const CALLERS: u64 = 256;
const MEMORY: f64 = 50e6;

fn prefix() -> Prefix {
    Prefix::new("INV").expect("a prefix")
}

/// Issues a million numbers and voids one of so many.
fn fill(path: &Path, one_of: u64, runtime: &Runtime) -> Result<()> {
    runtime.block_on(async {
        let embedded = Embedded::open(path)?;
        embedded
            .define("INV", DefinitionSpec::of_format("INV-{seq:7}"))
            .await?;
        let batches = NUMBERS / u64::from(LARGEST_BATCH);
        for _ in 0..batches {
            let batch = DrawRequest::new(prefix()).count(LARGEST_BATCH);
            embedded.issuer.draw(batch).await?;
        }
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let issuer = Arc::clone(&embedded.issuer);
            callers.spawn(async move {
                let numbers = (1..=NUMBERS / one_of).filter(|n| n % CALLERS == caller);
                for number in numbers.map(|n| Number::new(n * one_of)) {
                    let number = number?;
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
        embedded.close().await
    })
}

/// Reads a report to its end, and answers how many numbers are void.
async fn report(issuer: Arc<dyn Numbering>) -> Result<u64> {
    let mut report = GapReport::begin(issuer, CounterSelector::new(prefix())).await?;
    while report.next().await?.is_some() {}
    Ok(report.summary().of(NumberState::Voided))
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let folder = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?;
    let scratch = folder.scratch()?;
    let mut table = Table::new("The gap report of a million numbers");
    for (one_of, bar) in [(50, true), (2, false)] {
        let filled = folder.filled(&format!("gaps-{one_of}"), |path| fill(path, one_of, &runtime))?;
        let path = scratch.path().join("gaps.db");
        copy_store(&filled, &path)?;
        let embedded = Embedded::open(&path)?;
        process::forget_peak()?;
        let before = process::resident()?;
        let began = Instant::now();
        let void = runtime.block_on(report(Arc::clone(&embedded.issuer) as _))?;
        let took = began.elapsed().as_secs_f64();
        let memory = (process::peak_resident()? - before).max(0.0);
        ensure!(void == NUMBERS / one_of, "{void} numbers are void");
        let name = format!("one of {one_of} voided");
        table.figure(
            &format!("{name}: time"),
            Unit::Seconds,
            took,
            bar.then_some(Bar::AtMost(1.0)),
        );
        table.figure(
            &format!("{name}: memory"),
            Unit::Bytes,
            memory,
            Some(Bar::AtMost(MEMORY)),
        );
        runtime.block_on(embedded.close())?;
    }
    table.print();
    Ok(())
}
