//! Four times more callers than the store's queue holds: who is refused is told so at once, and those who are not are
//! served as if nobody else had come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seqid_benches::{Embedded, Folder, Table, Unit, is_bench_run, multi_thread, percentile, process};
use seqid_core::intake::CAPACITY;
use seqid_core::numbering::{CounterSelector, DrawRequest};
use seqid_core::{Code, DefinitionSpec, Issuer, Numbering, Prefix};
use tokio::task::JoinSet;

/// No sequence may fill the queue by itself.
const SEQUENCES: usize = 16;
const PHASE: Duration = Duration::from_secs(3);
/// What callers wait before they try again: a tenth of the least that a server may ask of them.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How a phase went.
#[derive(Debug, Default)]
struct Outcome {
    seconds: f64,
    served: Vec<f64>,
    refused: Vec<f64>,
}

impl Outcome {
    fn goodput(&self) -> f64 {
        self.served.len() as f64 / self.seconds
    }

    fn refusals(&self) -> f64 {
        self.refused.len() as f64 / self.seconds
    }
}

/// Draws until it is told to stop. A refusal other than for overload ends the bench.
async fn caller(
    issuer: Arc<Issuer>,
    prefix: Prefix,
    stop: Arc<AtomicBool>,
    back_off: Duration,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = issuer.draw(DrawRequest::new(prefix.clone())).await;
        let took = asked.elapsed().as_secs_f64();
        match answer {
            Ok(_) => outcome.served.push(took),
            Err(error) if error.code() == Code::Overloaded => {
                outcome.refused.push(took);
                if back_off.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(back_off).await;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(outcome)
}

async fn phase(
    issuer: &Arc<Issuer>,
    prefixes: &[Prefix],
    callers: usize,
    back_off: Duration,
) -> Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for prefix in prefixes.iter().cycle().take(callers) {
        tasks.spawn(caller(
            Arc::clone(issuer),
            prefix.clone(),
            Arc::clone(&stop),
            back_off,
        ));
    }
    tokio::time::sleep(PHASE).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Outcome::default();
    while let Some(task) = tasks.join_next().await {
        let one = task.context("a caller panicked")??;
        all.served.extend(one.served);
        all.refused.extend(one.refused);
    }
    all.seconds = began.elapsed().as_secs_f64();
    Ok(all)
}

/// How many numbers the sequences gave out, by their counters.
async fn issued(issuer: &Issuer, prefixes: &[Prefix]) -> Result<u64> {
    let mut sum = 0;
    for prefix in prefixes {
        let status = issuer.status(CounterSelector::new(prefix.clone())).await?;
        sum += status.last_number.map_or(0, u64::from);
    }
    Ok(sum)
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let folder = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?.scratch()?;
    let runtime = multi_thread()?;
    runtime.block_on(async {
        let embedded = Embedded::open(&folder.path().join("seqid.db"))?;
        let mut prefixes = Vec::new();
        for n in 0..SEQUENCES {
            prefixes.push(
                embedded
                    .define(&format!("S{n:02}"), DefinitionSpec::of_format("{prefix}-{seq:5}"))
                    .await?,
            );
        }
        let issuer = &embedded.issuer;
        let few = CAPACITY / 8;
        let before = phase(issuer, &prefixes, few, BACK_OFF).await?;
        let resident = process::resident()?;
        process::forget_peak()?;
        let patient = phase(issuer, &prefixes, 4 * CAPACITY, BACK_OFF).await?;
        let patient_peak = process::peak_resident()? - resident;
        let impatient = phase(issuer, &prefixes, 4 * CAPACITY, Duration::ZERO).await?;
        let after = phase(issuer, &prefixes, few, BACK_OFF).await?;

        let phases = [&before, &patient, &impatient, &after];
        let served: usize = phases.iter().map(|phase| phase.served.len()).sum();
        let numbers = issued(issuer, &prefixes).await?;
        ensure!(
            numbers == served as u64,
            "{served} draws were answered, and {numbers} numbers were issued"
        );

        let mut table = Table::new(&format!(
            "{} callers, and a queue for {CAPACITY}; the baseline is {few} callers before",
            4 * CAPACITY
        ));
        let baseline = [before.goodput()];
        for (name, phase) in [
            ("after 100 ms callers try again", &patient),
            ("callers try again at once", &impatient),
        ] {
            table.compare(
                &format!("{name}: served"),
                Unit::PerSecond,
                &[phase.goodput()],
                &baseline,
                None,
            );
            for percent in [50.0, 99.0, 100.0] {
                let latency = percentile(&phase.served, percent);
                table.figure(
                    &format!("  served within, {percent} %"),
                    Unit::Seconds,
                    latency,
                    None,
                );
            }
            table.figure("  refused as overloaded", Unit::PerSecond, phase.refusals(), None);
            for percent in [50.0, 99.0, 100.0] {
                let latency = percentile(&phase.refused, percent);
                table.figure(
                    &format!("  refused within, {percent} %"),
                    Unit::Seconds,
                    latency,
                    None,
                );
            }
        }
        table.compare(
            "fewer callers again: served",
            Unit::PerSecond,
            &[after.goodput()],
            &baseline,
            None,
        );
        table.figure(
            "peak of memory above the phase before",
            Unit::Bytes,
            patient_peak,
            None,
        );
        table.figure(
            "  for each caller",
            Unit::Bytes,
            patient_peak / (4 * CAPACITY) as f64,
            None,
        );
        table.figure(
            "numbers of draws that were refused",
            Unit::Plain,
            numbers as f64 - served as f64,
            None,
        );
        table.print();
        embedded.close().await
    })
}
