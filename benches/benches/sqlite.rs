//! Draws that are on the disk when they are answered, beside a plain loop that commits the same rows.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use seqid_benches::{
    Bar, Embedded, Folder, HandMade, Table, Unit, Until, current_thread, draws, interleaved, is_bench_run,
    multi_thread, percentile,
};
use seqid_core::numbering::DrawRequest;
use seqid_core::{DefinitionSpec, Issuer, Numbering, Prefix};
use tokio::runtime::Runtime;

const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(200);
const IDLE_ROUNDS: usize = 21;
const IDLE_ROUND: Duration = Duration::from_millis(150);

/// A sequence of an embedded store.
struct Drawn {
    embedded: Embedded,
    prefix: Prefix,
}

impl Drawn {
    fn open(path: &Path, runtime: &Runtime) -> Result<Self> {
        let embedded = Embedded::open(path)?;
        let prefix = runtime.block_on(embedded.define("INV", DefinitionSpec::of_format("INV-{seq:5}")))?;
        Ok(Self { embedded, prefix })
    }

    /// Draws a second, and draws a commit.
    fn rate(&self, runtime: &Runtime, callers: usize, batches: &mut Vec<f64>) -> Result<f64> {
        let prefix = self.prefix.clone();
        let request = move |_| DrawRequest::new(prefix.clone());
        let drawn = draws(&self.embedded.issuer, callers, Until::Elapsed(ROUND), request);
        let rate = runtime.block_on(drawn)?.rate();
        batches.push(self.embedded.batches.take_mean());
        Ok(rate)
    }

    /// The median of the seconds that a lone caller waits for a draw.
    fn latency(&self, runtime: &Runtime) -> Result<f64> {
        let (issuer, prefix) = (Arc::clone(&self.embedded.issuer), self.prefix.clone());
        // A task of the runtime: what a server's handler is.
        let task = runtime.spawn(async move { latency_of(&issuer, &prefix).await });
        runtime.block_on(task).context("the caller panicked")?
    }
}

async fn latency_of(issuer: &Issuer, prefix: &Prefix) -> Result<f64> {
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < IDLE_ROUND {
        let asked = Instant::now();
        issuer.draw(DrawRequest::new(prefix.clone())).await?;
        took.push(asked.elapsed().as_secs_f64());
    }
    Ok(percentile(&took, 50.0))
}

fn hand_made_latency(hand_made: &mut HandMade) -> Result<f64> {
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < IDLE_ROUND {
        let asked = Instant::now();
        hand_made.commit(1)?;
        took.push(asked.elapsed().as_secs_f64());
    }
    Ok(percentile(&took, 50.0))
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let folder = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?.scratch()?;
    let (one, many) = (current_thread()?, multi_thread()?);
    let drawn = Drawn::open(&folder.path().join("seqid.db"), &one)?;
    let mut hand_made = HandMade::open(&folder.path().join("hand-made.db"))?;

    let mut table = Table::new(
        "Draws a second through Issuer and SqliteStore; the baseline commits the same rows by hand, as many at a time \
         as there are callers",
    );
    for (callers, bar) in [(1, None), (64, Some(0.5)), (512, Some(0.7))] {
        let (mut of_many, mut of_one) = (Vec::new(), Vec::new());
        let [multi, baseline, current] = interleaved(
            ROUNDS,
            [
                &mut || drawn.rate(&many, callers, &mut of_many),
                &mut || Ok(hand_made.run(callers, ROUND)?.rate()),
                &mut || drawn.rate(&one, callers, &mut of_one),
            ],
        )?;
        for (kind, rates, batches) in [("multi", multi, of_many), ("current", current, of_one)] {
            let name = format!("callers: {callers}, {kind}-thread runtime");
            table.compare(&name, Unit::PerSecond, &rates, &baseline, bar.map(Bar::AtLeast));
            table.figure("  draws a commit", Unit::Plain, percentile(&batches, 50.0), None);
        }
    }
    table.print();

    let [multi, baseline, current] = interleaved(
        IDLE_ROUNDS,
        [
            &mut || drawn.latency(&many),
            &mut || hand_made_latency(&mut hand_made),
            &mut || drawn.latency(&one),
        ],
    )?;
    let mut table = Table::new(
        "What one caller waits for a draw (median); the baseline is one hand-made commit of its rows",
    );
    let bar = Some(Bar::AtMost(1.3));
    table.compare("multi-thread runtime", Unit::Seconds, &multi, &baseline, bar);
    table.compare("current-thread runtime", Unit::Seconds, &current, &baseline, bar);
    table.print();
    one.block_on(drawn.embedded.close())
}
