//! A million counters in one file: what a draw from any of them costs beside a draw from one, and what memory they
//! hold when nobody draws.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use seqid_benches::{
    Bar, Embedded, Folder, Table, Unit, Until, copy_store, draws, is_bench_run, multi_thread, process,
    scrambled,
};
use seqid_core::field::FieldDeclaration;
use seqid_core::numbering::DrawRequest;
use seqid_core::{DefinitionSpec, Prefix};
use tokio::runtime::Runtime;

const COUNTERS: u64 = 1_000_000;
const PHASES: usize = 4;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(700);
/// After so many draws as many rows are written as are drawn from.
const SETTLED_IN: u64 = 300_000;
const REST: Duration = Duration::from_secs(4);

fn of_branch(prefix: &Prefix, branch: u64) -> DrawRequest {
    DrawRequest::new(prefix.clone()).scope("branch", &format!("B{branch:06}"))
}

/// A draw from some counter, one after another without a pattern.
fn of_any(prefix: &Prefix) -> DrawRequest {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let n = DRAWN.fetch_add(1, Ordering::Relaxed);
    of_branch(prefix, scrambled(n) % COUNTERS)
}

fn draw_from_any(embedded: &Embedded, prefix: &Prefix, runtime: &Runtime, draws_in_all: u64) -> Result<()> {
    let prefix = prefix.clone();
    let request = move |_| of_any(&prefix);
    runtime.block_on(draws(
        &embedded.issuer,
        1_024,
        Until::Called(draws_in_all),
        request,
    ))?;
    Ok(())
}

/// One draw from every counter, in an order that is none of theirs: `COUNTERS` and the factor have no divisor in
/// common.
fn draw_from_all(embedded: &Embedded, prefix: &Prefix, runtime: &Runtime) -> Result<()> {
    let prefix = prefix.clone();
    let request = move |n: u64| of_branch(&prefix, n * 618_033 % COUNTERS);
    runtime.block_on(draws(&embedded.issuer, 1_024, Until::Called(COUNTERS), request))?;
    Ok(())
}

fn fill(path: &Path, runtime: &Runtime) -> Result<()> {
    let embedded = Embedded::open(path)?;
    let definition = DefinitionSpec {
        scope: Some(vec![FieldDeclaration::new("branch")]),
        ..DefinitionSpec::of_format("INV-{branch}-{seq:5}")
    };
    let prefix = runtime.block_on(embedded.define("INV", definition))?;
    draw_from_all(&embedded, &prefix, runtime)?;
    runtime.block_on(embedded.close())
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let folder = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?;
    let scratch = folder.scratch()?;
    let path = scratch.path().join("counters.db");
    let filled = folder.filled("counters-1000000", |path| fill(path, &runtime))?;
    copy_store(&filled, &path)?;
    let prefix = Prefix::new("INV")?;

    let before = process::resident()?;
    let embedded = Embedded::open(&path)?;
    draw_from_all(&embedded, &prefix, &runtime)?;
    let grown = (process::resident()? - before).max(0.0);

    let mut table =
        Table::new("What a draw from any of a million counters costs; the baseline draws from one of them");
    for (callers, bar) in [(1, 1.3), (64, 3.0)] {
        let cost = |request: fn(&Prefix) -> DrawRequest| -> Result<f64> {
            let prefix = prefix.clone();
            let request = move |_| request(&prefix);
            let done = runtime.block_on(draws(&embedded.issuer, callers, Until::Elapsed(ROUND), request))?;
            Ok(done.cost())
        };
        let (mut any, mut one) = (Vec::new(), Vec::new());
        for _ in 0..PHASES {
            // Rows of counters are written after their draws: at first by fewer than are drawn from.
            draw_from_any(&embedded, &prefix, &runtime, SETTLED_IN)?;
            for _ in 0..ROUNDS {
                any.push(cost(of_any)?);
            }
            // What is left of them is written when nobody draws, and is not to be counted with the other phase.
            std::thread::sleep(REST);
            for _ in 0..ROUNDS {
                one.push(cost(|prefix| of_branch(prefix, 0))?);
            }
        }
        let name = format!("callers: {callers}");
        table.compare(&name, Unit::Seconds, &any, &one, Some(Bar::AtMost(bar)));
    }
    table.figure(
        "memory for a counter that was drawn from",
        Unit::Bytes,
        grown / COUNTERS as f64,
        Some(Bar::AtMost(200.0)),
    );
    table.print();
    runtime.block_on(embedded.close())
}
