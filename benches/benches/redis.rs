//! Ordered numbers drawn in Redis, each with an event that the embedded file records afterwards, beside what people do without
//! seqid: a bare `INCR`, by redis-benchmark on the same server. The server writes its append-only file every second.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seqid_benches::{
    Bar, Folder, Table, Unit, Until, draws, interleaved, is_bench_run, multi_thread, percentile,
};
use seqid_core::clock::{Seed, SystemClock};
use seqid_core::names::Label;
use seqid_core::numbering::{DefineRequest, DrawRequest};
use seqid_core::observer::Unobserved;
use seqid_core::{CounterStore, DefinitionSpec, Issuer, Mode, Numbering, Prefix};
use seqid_redis::{RedisConfig, RedisStore};
use seqid_sqlite::{SqliteConfig, SqliteStore};
use seqid_testkit::servers::RedisServer;

const ROUNDS: usize = 7;
/// How long a lone caller draws in a round.
const ROUND: Duration = Duration::from_secs(1);
/// How many numbers each side draws in a round: fewer than may wait to be recorded.
const NUMBERS: u64 = 200_000;
/// What a lone caller is measured with beside a draw.
const BARE: &str = "return redis.call('INCR', KEYS[1])";

/// Numbers a second of 64 clients that send one `INCR` after another.
fn bare_rate(server: &RedisServer) -> Result<f64> {
    let run = Command::new(server.program_folder().join("redis-benchmark"))
        .args(["-h", server.host(), "-p", &server.port().to_string(), "--csv"])
        .args(["-t", "incr", "-c", "64", "-n", &NUMBERS.to_string()])
        .args(["-a", server.password()])
        .output()
        .context("redis-benchmark cannot be run")?;
    let output = String::from_utf8_lossy(&run.stdout);
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    // "INCR","75471.70",...
    let line = output.lines().find(|line| line.starts_with("\"INCR\""));
    let rate = line.and_then(|line| line.split('"').nth(3));
    Ok(rate.context("redis-benchmark tells no rate")?.parse()?)
}

/// The median of the seconds that a lone caller waits for a draw.
async fn draw_latency(issuer: Arc<Issuer>, prefix: Prefix) -> Result<f64> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < ROUND {
        let asked = Instant::now();
        issuer.draw(DrawRequest::new(prefix.clone())).await?;
        took.push(asked.elapsed().as_secs_f64());
    }
    Ok(percentile(&took, 50.0))
}

/// The same of a script that does nothing but count.
async fn bare_latency(mut connection: redis::aio::MultiplexedConnection, hash: String) -> Result<f64> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < ROUND {
        let asked = Instant::now();
        let _number: u64 = redis::cmd("EVALSHA")
            .arg(&hash)
            .arg(1)
            .arg("bare")
            .query_async(&mut connection)
            .await?;
        took.push(asked.elapsed().as_secs_f64());
    }
    Ok(percentile(&took, 50.0))
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let server = RedisServer::start()?;
    let scratch = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?.scratch()?;
    let file = SqliteConfig::new(scratch.path().join("seqid.db"));
    let durable = SqliteStore::open(file, Arc::new(SystemClock), Arc::new(Unobserved))?;
    let config: RedisConfig = server.url().parse()?;
    let store = runtime.block_on(RedisStore::open(
        durable,
        config,
        Label::new("bench")?,
        Arc::new(SystemClock),
        Seed::from_system(),
    ))?;
    let store = Arc::new(store);
    let issuer = Arc::new(Issuer::new(Arc::clone(&store) as _));
    let inv = Prefix::new("INV")?;
    let definition = DefinitionSpec {
        mode: Some(Mode::Ordered),
        ..DefinitionSpec::of_format("INV-{seq:9}")
    };
    runtime.block_on(issuer.define(DefineRequest::new(inv.clone(), definition)))?;

    let mut table = Table::new(
        "Draws a second from one ordered counter in Redis; the baseline is INCR by redis-benchmark with 64 clients",
    );
    for (callers, bar) in [(64, 2.0), (512, 5.0)] {
        let mut sustained = Vec::new();
        let [ours, baseline] = interleaved(
            ROUNDS,
            [
                &mut || {
                    let prefix = inv.clone();
                    let request = move |_| DrawRequest::new(prefix.clone());
                    let done = runtime.block_on(draws(&issuer, callers, Until::Called(NUMBERS), request))?;
                    // What is to be recorded still is recorded now, and not beside the baseline.
                    let began = Instant::now();
                    while store.figures().unrecorded > 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    sustained.push(done.calls as f64 / (done.took + began.elapsed()).as_secs_f64());
                    Ok(done.rate())
                },
                &mut || bare_rate(&server),
            ],
        )?;
        let name = format!("callers: {callers}");
        table.compare(&name, Unit::PerSecond, &ours, &baseline, Some(Bar::AtLeast(bar)));
        table.figure(
            "  until all are recorded",
            Unit::PerSecond,
            percentile(&sustained, 50.0),
            None,
        );
    }
    table.print();

    let (connection, hash) = runtime.block_on(async {
        let client = redis::Client::open(server.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let hash: String = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(BARE)
            .query_async(&mut connection)
            .await?;
        anyhow::Ok((connection, hash))
    })?;
    let wait =
        |task: tokio::task::JoinHandle<Result<f64>>| runtime.block_on(task).context("the caller panicked")?;
    let [ours, baseline] = interleaved(
        ROUNDS,
        [
            &mut || wait(runtime.spawn(draw_latency(Arc::clone(&issuer), inv.clone()))),
            &mut || wait(runtime.spawn(bare_latency(connection.clone(), hash.clone()))),
        ],
    )?;
    let mut table =
        Table::new("What one caller waits for a draw (median); the baseline is a script that only counts");
    table.compare(
        "idle server",
        Unit::Seconds,
        &ours,
        &baseline,
        Some(Bar::AtMost(1.5)),
    );
    table.print();
    runtime.block_on(store.close())?;
    Ok(())
}
