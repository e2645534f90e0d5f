//! Pages of the audit of a million events in one file, half of them of one counter and half of a thousand, in turn; and
//! what the index that finds them adds to the file.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rusqlite::Connection;
use seqid_benches::audit_pages::{self, EVENTS, busy, in_turn, of_branch};
use seqid_benches::{
    Bar, Embedded, Folder, Table, Unit, Until, copy_store, draws, is_bench_run, multi_thread,
};
use seqid_core::numbering::DrawRequest;
use tokio::runtime::Runtime;

const CALLERS: usize = 512;

fn fill(path: &Path, events: u64, runtime: &Runtime, request: fn(u64) -> DrawRequest) -> Result<()> {
    runtime.block_on(async {
        let embedded = Embedded::open(path)?;
        audit_pages::define(&embedded.issuer).await?;
        draws(&embedded.issuer, CALLERS, Until::Called(events), request).await?;
        embedded.close().await
    })
}

/// How many bytes the index has for each event that it covers.
fn index_size(path: &Path) -> Result<f64> {
    let size = "SELECT (SELECT total(length(pairs)) FROM counter_segment_part) / \
                (SELECT max(last_position) FROM counter_segment) + \
                (SELECT total(length(pairs)) FROM sequence_segment_part) / \
                (SELECT max(last_position) FROM sequence_segment)";
    Ok(Connection::open(path)?.query_row(size, [], |row| row.get(0))?)
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let folder = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?;
    let scratch = folder.scratch()?;
    let path = scratch.path().join("audit.db");
    let filled = folder.filled("audit-1000000", |path| fill(path, EVENTS, &runtime, in_turn))?;
    copy_store(&filled, &path)?;

    let began = Instant::now();
    let embedded = Embedded::open(&path)?;
    let opened = began.elapsed();
    let mut table = Table::new("A page of 100 out of a million events");
    audit_pages::measure(&mut table, &runtime, &embedded.issuer)?;
    table.figure("opening the file", Unit::Seconds, opened.as_secs_f64(), None);
    table.print();
    runtime.block_on(embedded.close())?;

    let mut table = Table::new("What the index of events adds to the file, for each event");
    let path = scratch.path().join("busy.db");
    fill(&path, EVENTS / 2, &runtime, |_| busy())?;
    table.figure(
        "one counter",
        Unit::Bytes,
        index_size(&path)?,
        Some(Bar::AtMost(1.0)),
    );
    let path = scratch.path().join("branches.db");
    fill(&path, EVENTS / 2, &runtime, of_branch)?;
    table.figure(
        "a thousand counters at random",
        Unit::Bytes,
        index_size(&path)?,
        Some(Bar::AtMost(20.0)),
    );
    table.print();
    Ok(())
}
