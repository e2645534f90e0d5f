//! Numbers drawn from leases in memory by one thread, beside an atomic counter that keeps nothing, and with their ids, beside
//! ids alone.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use seqid_benches::{Bar, Folder, Table, Unit, current_thread, interleaved, is_bench_run};
use seqid_core::clock::{Clock, Seed, SystemClock};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::definition::Defaults;
use seqid_core::field::FieldValues;
use seqid_core::leased::LeasedLine;
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::names::Label;
use seqid_core::numbering::DefineRequest;
use seqid_core::observer::Unobserved;
use seqid_core::time::{Timestamp, Zone};
use seqid_core::{
    CounterStore, Definition, DefinitionSpec, Issuer, Leased, Ledger, Mode, Number, Numbering, Prefix, Tenant,
};
use seqid_sqlite::{SqliteConfig, SqliteStore};
use tokio::runtime::Runtime;

const ROUNDS: usize = 11;
const DRAWS: u64 = 5_000_000;
/// A tenth of a second's draws at full speed, as for any sequence: so many numbers are unknown after a crash.
const LARGEST_GAP: u64 = 10_000_000;

fn spec() -> DefinitionSpec {
    DefinitionSpec {
        mode: Some(Mode::Leased),
        largest_gap: Some(LARGEST_GAP),
        ..DefinitionSpec::of_format("INV-{yyyy}-{seq:9}")
    }
}

fn line(prefix: &Prefix, now: Timestamp) -> Result<Arc<Line>> {
    let tenant = Tenant::default();
    let definition = Definition::check(&tenant, prefix, spec(), &Defaults::default())?;
    let date = Zone::UTC.date_at(now);
    let key = CounterKey::new(
        SequenceKey::new(tenant, prefix.clone()),
        FieldValues::default(),
        definition.period(date)?,
    );
    let version = Version {
        number: 1,
        definition,
    };
    let parts = LineParts {
        key,
        head: version.clone(),
        opened: version,
        date,
        fields: FieldValues::default(),
    };
    Ok(Arc::new(Line::new(parts)?))
}

/// How many a second of so many that are done one after another.
fn rate(done: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    done()?;
    Ok(DRAWS as f64 / began.elapsed().as_secs_f64())
}

#[inline]
fn next<S: Ledger>(draws: &mut LeasedLine<'_, S>, runtime: &Runtime) -> Result<Number> {
    match draws.try_next() {
        Some(number) => Ok(number),
        None => Ok(runtime.block_on(draws.next())?),
    }
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = current_thread()?;
    let scratch = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?.scratch()?;
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::open(
        SqliteConfig::new(scratch.path().join("leased.db")),
        clock.clone() as _,
        Arc::new(Unobserved),
    )?;
    let leased = Arc::new(Leased::new(
        Arc::new(store),
        Label::new("bench")?,
        clock.clone() as _,
        Seed(1),
    ));
    let prefix = Prefix::new("INV")?;
    let issuer = Issuer::new(Arc::new(Arc::clone(&leased)));
    runtime.block_on(issuer.define(DefineRequest::new(prefix.clone(), spec())))?;
    let line = line(&prefix, clock.now())?;
    let mut draws = leased.line(&line);
    // Leases have their full length from here on: each was twice as long as the one before.
    for _ in 0..2 * LARGEST_GAP {
        runtime.block_on(draws.next())?;
    }

    let counter = AtomicU64::new(0);
    let mut bare = || {
        rate(|| {
            for _ in 0..DRAWS {
                black_box(counter.fetch_add(1, Ordering::Relaxed));
            }
            Ok(())
        })
    };
    let mut drawn = || {
        rate(|| {
            for _ in 0..DRAWS {
                black_box(next(&mut draws, &runtime)?);
            }
            Ok(())
        })
    };
    let [ours, baseline] = interleaved(ROUNDS, [&mut drawn, &mut bare])?;
    let mut table = Table::new("Numbers a second of one thread; the baseline is an atomic counter");
    table.compare(
        "from leases",
        Unit::PerSecond,
        &ours,
        &baseline,
        Some(Bar::AtLeast(0.5)),
    );
    table.print();

    let (mut id, mut n) = (String::with_capacity(64), 0);
    let now = clock.now();
    let mut rendered = || {
        rate(|| {
            for _ in 0..DRAWS {
                n += 1;
                id.clear();
                line.render(Number::new(n)?, now, &mut id)?;
                black_box(id.as_str());
            }
            Ok(())
        })
    };
    let mut drawn_id = String::with_capacity(64);
    let mut with_ids = || {
        rate(|| {
            for _ in 0..DRAWS {
                drawn_id.clear();
                line.render(next(&mut draws, &runtime)?, now, &mut drawn_id)?;
                black_box(drawn_id.as_str());
            }
            Ok(())
        })
    };
    let [ours, baseline] = interleaved(ROUNDS, [&mut with_ids, &mut rendered])?;
    let mut table = Table::new("Ids a second of one thread; the baseline writes ids alone");
    table.compare(
        "from leases",
        Unit::PerSecond,
        &ours,
        &baseline,
        Some(Bar::AtLeast(1.0 / 1.5)),
    );
    table.print();
    runtime.block_on(leased.close())?;
    Ok(())
}
