//! A random idempotency key with every draw, in a file that holds a million of them, beside draws without keys.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use seqid_benches::{
    Bar, Embedded, Folder, Table, Unit, Until, copy_store, draws, interleaved, is_bench_run, multi_thread,
    nth_key,
};
use seqid_core::numbering::DrawRequest;
use seqid_core::{DefinitionSpec, Prefix};
use tokio::runtime::Runtime;

const STORED: u64 = 1_000_000;
const ROUNDS: usize = 5;
/// Long enough for several segments of the key index to be filled and sealed within the rounds.
const ROUND: Duration = Duration::from_millis(1_500);

fn keyed(prefix: &Prefix, n: u64) -> DrawRequest {
    DrawRequest::new(prefix.clone()).key(nth_key(n).expect("it is a key"))
}

fn fill(path: &Path, runtime: &Runtime) -> Result<()> {
    runtime.block_on(async {
        let embedded = Embedded::open(path)?;
        let prefix = embedded
            .define("INV", DefinitionSpec::of_format("INV-{seq:5}"))
            .await?;
        let request = move |n| keyed(&prefix, n);
        draws(&embedded.issuer, 1_024, Until::Called(STORED), request).await?;
        embedded.close().await
    })
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let folder = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?;
    let scratch = folder.scratch()?;
    let filled = folder.filled("keys-1000000", |path| fill(path, &runtime))?;
    let without = Embedded::open(&scratch.path().join("no-keys.db"))?;
    let prefix = Prefix::new("INV")?;
    runtime.block_on(without.define("INV", DefinitionSpec::of_format("INV-{seq:5}")))?;

    let mut table = Table::new(
        "Draws a second with a random key each, a million keys stored; the baseline draws without keys",
    );
    for callers in [64, 512] {
        let path = scratch.path().join(format!("keys-{callers}.db"));
        copy_store(&filled, &path)?;
        let with = Embedded::open(&path)?;
        let next = Cell::new(STORED);
        let mut with_keys = || {
            let (prefix, first) = (prefix.clone(), next.get());
            let request = move |n| keyed(&prefix, first + n);
            let done = runtime.block_on(draws(&with.issuer, callers, Until::Elapsed(ROUND), request))?;
            // A caller takes a place that it does not use when it stops.
            next.set(first + done.calls + callers as u64);
            Ok(done.rate())
        };
        let mut without_keys = || {
            let prefix = prefix.clone();
            let request = move |_| DrawRequest::new(prefix.clone());
            let done = runtime.block_on(draws(&without.issuer, callers, Until::Elapsed(ROUND), request))?;
            Ok(done.rate())
        };
        let [ours, baseline] = interleaved(ROUNDS, [&mut with_keys, &mut without_keys])?;
        let name = format!("callers: {callers}");
        table.compare(&name, Unit::PerSecond, &ours, &baseline, Some(Bar::AtLeast(0.5)));
        table.figure("  keys at the end", Unit::Plain, next.get() as f64, None);
        runtime.block_on(with.close())?;
    }
    table.print();
    runtime.block_on(without.close())
}
