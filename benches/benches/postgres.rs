//! Draws from a PostgreSQL server, beside what an ERP does today: a locked row and an audit row in one transaction, by
//! pgbench with 64 clients on the same server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seqid_benches::{
    Bar, Batches, Table, Unit, Until, closed_loop, current_thread, interleaved, is_bench_run, multi_thread,
    percentile, scrambled,
};
use seqid_core::numbering::{DefineRequest, DrawRequest};
use seqid_core::{CounterStore, DefinitionSpec, Issuer, Numbering, Prefix};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
/// How many counters the uniform draws are from.
const COUNTERS: u64 = 10_000;
/// How many sequences these are of.
const SEQUENCES: u64 = 100;

/// An instance of seqid.
#[derive(Clone)]
struct Instance {
    store: Arc<PostgresStore>,
    issuer: Arc<Issuer>,
    batches: Arc<Batches>,
}

impl Instance {
    async fn open(url: &str) -> Result<Self> {
        let batches = Arc::new(Batches::default());
        let config: PostgresConfig = url.parse()?;
        let store = Arc::new(PostgresStore::open(config, Arc::clone(&batches) as _).await?);
        let issuer = Issuer::builder(Arc::clone(&store) as _)
            .clock(store.clock())
            .build();
        Ok(Self {
            store,
            issuer: Arc::new(issuer),
            batches,
        })
    }
}

/// Draws a second of so many callers of each instance, each draw with the request of its place.
fn rate(
    runtime: &Runtime,
    instances: &[Instance],
    callers: usize,
    request: impl Fn(u64) -> DrawRequest + Send + Sync + 'static,
) -> Result<f64> {
    let (instances, request) = (instances.to_vec(), Arc::new(request));
    let all = callers * instances.len();
    let done = closed_loop(all, Until::Elapsed(ROUND), move |place| {
        let instance = &instances[usize::try_from(place).unwrap_or(0) % instances.len()];
        let (issuer, request) = (Arc::clone(&instance.issuer), Arc::clone(&request));
        async move {
            issuer.draw(request(place)).await?;
            Ok(())
        }
    });
    Ok(runtime.block_on(done)?.rate())
}

/// The locked row of an ERP.
struct LockedRow {
    pgbench: PathBuf,
    script: PathBuf,
    url: String,
}

impl LockedRow {
    fn prepare(server: &PostgresServer, database: &Database, folder: &Path) -> Result<Self> {
        database.psql(
            "CREATE TABLE c (k text PRIMARY KEY, v bigint NOT NULL); INSERT INTO c VALUES ('INV', 0); \
             CREATE TABLE a (id bigserial PRIMARY KEY, k text NOT NULL, v bigint NOT NULL, actor text, \
                             at timestamptz NOT NULL DEFAULT now())",
        )?;
        let script = folder.join("locked_row.sql");
        std::fs::write(
            &script,
            "BEGIN;\nUPDATE c SET v = v + 1 WHERE k = 'INV' RETURNING v \\gset\n\
             INSERT INTO a (k, v, actor) VALUES ('INV', :v, 'alice');\nCOMMIT;\n",
        )?;
        Ok(Self {
            pgbench: server.program_folder().join("pgbench"),
            script,
            url: server.url(database.name()),
        })
    }

    /// Numbers a second of so many clients.
    fn rate(&self, clients: usize) -> Result<f64> {
        let run = Command::new(&self.pgbench)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", ROUND.as_secs()))
            .arg("--file")
            .arg(&self.script)
            .arg(&self.url)
            .output()
            .context("pgbench cannot be run")?;
        let output = String::from_utf8_lossy(&run.stdout);
        ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let tps = output.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|tps| tps.split(' ').next());
        Ok(tps.context("pgbench tells no rate")?.parse()?)
    }
}

/// The median of the seconds that a lone caller waits for a draw.
async fn latency(issuer: Arc<Issuer>, prefix: Prefix) -> Result<f64> {
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < ROUND / 2 {
        let asked = Instant::now();
        issuer.draw(DrawRequest::new(prefix.clone())).await?;
        took.push(asked.elapsed().as_secs_f64());
    }
    Ok(percentile(&took, 50.0))
}

/// The same of a transaction made by hand of the statements that a draw takes: locks, the counter, the sequence, event and
/// new state, COMMIT. What it writes goes to tables made like those of seqid.
async fn hand_made_latency(connection: &mut PgConnection) -> Result<f64> {
    const LOCK: &str = "SELECT id, version, generation, epoch, next, last, last_date, status, n, hash, reserved, voided, \
        free, next_expiry FROM hand.counter WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED";
    const READ: &str = "SELECT clock_timestamp(), s.id, s.prefix, s.head, d.spec, s.implicit, s.archived, s.opened, \
        s.closed_through, s.n, s.hash FROM seqid.sequence s JOIN seqid.definition d ON d.sequence = s.id \
        AND d.version = s.head WHERE s.tenant = $1 AND s.prefix_folded = $2";
    const WRITE: &str = "WITH recorded AS (INSERT INTO hand.event (position, at, sequence, chain, kind, n, generation, \
        epoch, first, step, count, version, mode, date, request, hash) VALUES (nextval('hand.position'), \
        clock_timestamp(), $1, $1, 1, $2, 1, 1, $2, 1, 1, 1, 1, current_date, $3, $4)) \
        UPDATE hand.counter SET next = next + 1, last = next, n = n + 1, hash = $4 WHERE id = $1";
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < ROUND / 2 {
        let asked = Instant::now();
        sqlx::raw_sql("BEGIN; SELECT seqid.enter('{7}')")
            .execute(&mut *connection)
            .await?;
        sqlx::query(LOCK)
            .bind([1_i64])
            .fetch_all(&mut *connection)
            .await?;
        sqlx::query(READ)
            .bind("default")
            .bind("inv")
            .fetch_all(&mut *connection)
            .await?;
        sqlx::query(WRITE)
            .bind(1_i64)
            .bind(i64::try_from(took.len())?)
            .bind("0123456789abcdef-01234567")
            .bind([0x5a_u8; 32])
            .execute(&mut *connection)
            .await?;
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        took.push(asked.elapsed().as_secs_f64());
    }
    Ok(percentile(&took, 50.0))
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let server = PostgresServer::start_with(&[("shared_buffers", "256MB"), ("max_wal_size", "2GB")])?;
    let (seqid, erp) = (server.database()?, server.database()?);
    let folder = tempfile::tempdir()?;
    let locked_row = LockedRow::prepare(&server, &erp, folder.path())?;
    let (many, one) = (multi_thread()?, current_thread()?);
    let inv = Prefix::new("INV")?;

    let instances = many.block_on(async {
        let mut instances = Vec::new();
        for _ in 0..3 {
            instances.push(Instance::open(&seqid.url()).await?);
        }
        let issuer = &instances[0].issuer;
        issuer
            .define(DefineRequest::new(
                inv.clone(),
                DefinitionSpec::of_format("INV-{seq:5}"),
            ))
            .await?;
        for sequence in 0..SEQUENCES {
            let definition = r#"{"format": "{prefix}-{branch}-{seq:5}", "scope": ["branch"]}"#;
            let definition = DefinitionSpec::from_json(definition)?;
            let prefix = Prefix::new(&format!("S{sequence}"))?;
            issuer.define(DefineRequest::new(prefix, definition)).await?;
        }
        anyhow::Ok(instances)
    })?;
    let alone = &instances[..1];
    let hot = || {
        let inv = inv.clone();
        move |_| DrawRequest::new(inv.clone())
    };
    let spread = |place: u64| {
        let counter = scrambled(place) % COUNTERS;
        let name = format!("S{}", counter % SEQUENCES);
        let mut request = DrawRequest::new(Prefix::new(&name).unwrap_or_else(|_| unreachable!("{name}")));
        request.scope = [("branch".to_owned(), format!("B{}", counter / SEQUENCES))].into();
        request
    };
    // Opens the counters.
    for _ in 0..4 {
        rate(&many, alone, 512, spread)?;
    }

    let mut table = Table::new(
        "Draws a second from one counter; the baseline is a locked row with an audit row, by pgbench with 64 clients",
    );
    for (callers, bar) in [(1, None), (64, Some(15.0)), (512, Some(40.0))] {
        let mut batches = Vec::new();
        let [ours, baseline] = interleaved(
            ROUNDS,
            [
                &mut || {
                    let rate = rate(&many, alone, callers, hot())?;
                    batches.push(instances[0].batches.take_mean());
                    Ok(rate)
                },
                &mut || locked_row.rate(64),
            ],
        )?;
        let name = format!("callers: {callers}");
        table.compare(&name, Unit::PerSecond, &ours, &baseline, bar.map(Bar::AtLeast));
        table.figure("  draws a commit", Unit::Plain, percentile(&batches, 50.0), None);
    }
    table.print();

    let mut table =
        Table::new("Draws a second of three instances on one counter; the baseline is one instance");
    let [ours, baseline] = interleaved(
        ROUNDS,
        [&mut || rate(&many, &instances, 64, hot()), &mut || {
            rate(&many, alone, 64, hot())
        }],
    )?;
    table.compare(
        "64 callers each",
        Unit::PerSecond,
        &ours,
        &baseline,
        Some(Bar::AtLeast(1.0)),
    );
    table.print();

    let mut table = Table::new("Draws a second from 10,000 counters at random; the baseline is one counter");
    for (callers, bar) in [(64, 0.5), (512, 0.3)] {
        let [ours, baseline] = interleaved(
            ROUNDS,
            [&mut || rate(&many, alone, callers, spread), &mut || {
                rate(&many, alone, callers, hot())
            }],
        )?;
        let name = format!("callers: {callers}");
        table.compare(&name, Unit::PerSecond, &ours, &baseline, Some(Bar::AtLeast(bar)));
    }
    table.print();

    seqid.psql(
        "CREATE SCHEMA hand; CREATE TABLE hand.event (LIKE seqid.event INCLUDING ALL); \
         CREATE TABLE hand.counter (LIKE seqid.counter INCLUDING ALL) WITH (fillfactor = 50); \
         INSERT INTO hand.counter SELECT * FROM seqid.counter ORDER BY id LIMIT 1; UPDATE hand.counter SET id = 1; \
         CREATE SEQUENCE hand.position",
    )?;
    let mut connection = many.block_on(PgConnection::connect(&seqid.url()))?;
    let waits = |runtime: &Runtime| {
        let task = runtime.spawn(latency(Arc::clone(&instances[0].issuer), inv.clone()));
        runtime.block_on(task).context("the caller panicked")?
    };
    let [ours, baseline] = interleaved(
        ROUNDS,
        [&mut || waits(&many), &mut || {
            many.block_on(hand_made_latency(&mut connection))
        }],
    )?;
    let mut table = Table::new(
        "What one caller waits for a draw (median); the baseline is one hand-made transaction of the same statements",
    );
    table.compare(
        "idle server",
        Unit::Seconds,
        &ours,
        &baseline,
        Some(Bar::AtMost(1.5)),
    );
    table.print();
    drop(one);
    many.block_on(async {
        for instance in &instances {
            instance.store.close().await?;
        }
        Ok(())
    })
}
