//! `bench`: load on a service, measured.

mod plot;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use seqid_core::numbering::{DrawRequest, LARGEST_BATCH};
use seqid_core::{Code, Numbering, Prefix};
use tokio::task::JoinSet;

use crate::command_line::Keys;
use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::given;
use crate::printer::Printer;
use crate::progress::Progress;
use report::{Caller, Report};

pub(crate) const BENCH: &str = "\
The numbers are real, and stay in the audit: give it a sequence of its own. Callers ask one after the other, as many at once as \
--callers says; over gRPC they share one stream, as the draws of a program do. What a draw waits for is measured from where it is \
asked to where it is answered.

Examples:
  seqid bench
  seqid bench LOAD --callers 256 --duration 30s --plot load.svg
  seqid bench --json | jq .latency_us.p99";

/// How often the rate is noted: a point of the plot.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Bench {
    /// Sequence to draw from
    #[arg(value_name = "PREFIX", default_value = "BENCH")]
    prefix: Prefix,

    /// Callers at the same time: 1 to 10000
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: u32,

    /// How long: 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = given::load)]
    duration: Duration,

    /// Numbers of each draw; a draw of one number unless given
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST_BATCH)))]
    batch: Option<u32>,

    /// Value of a scope field; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = given::pair)]
    scope: Vec<(String, String)>,

    /// Send an idempotency key with each draw, as a program should that must not lose an answer
    #[arg(long)]
    with_keys: bool,

    /// SVG file to draw the rate and the latencies into
    #[arg(long, value_name = "PATH")]
    plot: Option<PathBuf>,
}

impl Bench {
    pub(crate) const fn keys(&self) -> Keys {
        if self.with_keys { Keys::Made } else { Keys::None }
    }

    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        if self.with_keys && desk.is_embedded() {
            let detail = "--with-keys is for a service, whose client makes the keys";
            return Err(Failure::usage(detail.to_owned()));
        }
        let draw = self.draw(desk)?;
        // What is wrong with the request shows before the load begins.
        desk.numbering().draw(draw.clone()).await.map_err(desk.failed())?;
        let report = self.load(draw, desk).await;
        if let Some(path) = &self.plot {
            let written = std::fs::write(path, plot::svg(&report));
            written.map_err(|error| Failure::unwritten(&path.display().to_string(), &error))?;
        }
        if printer.json() {
            printer.document(&report.json())?;
        } else {
            printer.facts(&report.facts())?;
        }
        Ok(if report.draws == 0 {
            Ended::NotNow
        } else {
            Ended::Done
        })
    }

    fn draw(&self, desk: &Desk) -> Result<DrawRequest, Failure> {
        let mut draw = DrawRequest::new(self.prefix.clone());
        draw.tenant = desk.tenant().clone();
        draw.count = self.batch;
        draw.scope = given::values("--scope", &self.scope)?;
        draw.origin = desk.origin();
        Ok(draw)
    }

    /// Keeps the load up, and puts together what the callers measured.
    async fn load(&self, draw: DrawRequest, desk: &Desk) -> Report {
        let shared = Arc::new(Load {
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        });
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..self.callers {
            let numbering = Arc::clone(desk.numbering());
            callers.spawn(call(numbering, draw.clone(), Arc::clone(&shared)));
        }
        let (points, took) = self.watch(&shared, begun).await;
        let callers = callers.join_all().await;
        let settled = begun.elapsed();
        Report::new(self, desk.place(), callers, points, (took, settled))
    }

    /// Notes the rate until the time is over.
    async fn watch(&self, shared: &Load, begun: Instant) -> (Vec<Point>, Duration) {
        let progress = Progress::new("bench");
        let (mut points, mut before) = (Vec::new(), 0);
        loop {
            let left = self.duration.saturating_sub(begun.elapsed());
            tokio::time::sleep(left.min(INTERVAL)).await;
            let (at, answered) = (begun.elapsed(), shared.answered.load(Ordering::Relaxed));
            points.push(Point {
                at,
                draws: answered - before,
            });
            before = answered;
            progress.show(millis(at), millis(self.duration));
            progress.say(format!("{} draws, {:.0} a second", answered, rate(answered, at)));
            if at >= self.duration {
                shared.stop.store(true, Ordering::Relaxed);
                return (points, at);
            }
        }
    }
}

/// What the callers share.
#[derive(Debug)]
struct Load {
    stop: AtomicBool,
    answered: AtomicU64,
}

/// How many draws were answered since the point before.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: Duration,
    draws: u64,
}

/// One caller: a draw after the other until it is told to stop.
async fn call(numbering: Arc<dyn Numbering>, draw: DrawRequest, load: Arc<Load>) -> Caller {
    let mut caller = Caller::default();
    while !load.stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match numbering.draw(draw.clone()).await {
            Ok(issued) => {
                caller.answered(begun.elapsed(), issued.run.count);
                load.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                caller.failed(error.code());
                pause(error.code()).await;
            }
        }
    }
    caller
}

/// A caller that is refused at once must not turn into a loop that burns a processor.
async fn pause(code: Code) {
    const PAUSE: Duration = Duration::from_millis(100);
    tokio::time::sleep(code.retry_after().unwrap_or(PAUSE)).await;
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// So many in a time, a second.
#[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}
