//! Pages of the audit of a million events in one file, half of them of one counter and half of a thousand, in turn; and
//! what the index that finds them adds to the file.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::Connection;
use seqid_benches::{
    Bar, Embedded, Folder, Table, Unit, Until, copy_store, draws, is_bench_run, multi_thread, percentile,
    scrambled,
};
use seqid_core::field::FieldDeclaration;
use seqid_core::numbering::{AuditRequest, DrawRequest};
use seqid_core::query::Order;
use seqid_core::time::Timestamp;
use seqid_core::{DefinitionSpec, Number, Numbering, Prefix, Tenant};
use tokio::runtime::Runtime;

const EVENTS: u64 = 1_000_000;
const BRANCHES: u64 = 1_000;
const PAGES: u64 = 300;
const CALLERS: usize = 512;

fn busy() -> DrawRequest {
    DrawRequest::new(prefix("INV"))
}

fn of_branch(n: u64) -> DrawRequest {
    DrawRequest::new(prefix("BR")).scope("branch", &branch(n))
}

fn branch(n: u64) -> String {
    format!("B{:03}", scrambled(n) % BRANCHES)
}

fn prefix(text: &str) -> Prefix {
    Prefix::new(text).expect("a prefix")
}

fn fill(path: &Path, events: u64, runtime: &Runtime, request: fn(u64) -> DrawRequest) -> Result<()> {
    runtime.block_on(async {
        let embedded = Embedded::open(path)?;
        embedded
            .define("INV", DefinitionSpec::of_format("INV-{seq:5}"))
            .await?;
        let definition = DefinitionSpec {
            scope: Some(vec![FieldDeclaration::new("branch")]),
            ..DefinitionSpec::of_format("{branch}-{seq:5}")
        };
        embedded.define("BR", definition).await?;
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

fn request(name: Option<&str>, change: impl FnOnce(&mut AuditRequest)) -> AuditRequest {
    let mut request = AuditRequest::new(Tenant::default());
    request.prefix = name.map(prefix);
    change(&mut request);
    request
}

/// The numbers from a first to a last one.
fn numbers(first: u64, last: u64) -> Option<(Number, Number)> {
    Number::new(first).ok().zip(Number::new(last).ok())
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let folder = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?;
    let scratch = folder.scratch()?;
    let path = scratch.path().join("audit.db");
    let in_turn = |n: u64| if n.is_multiple_of(2) { busy() } else { of_branch(n) };
    let filled = folder.filled("audit-1000000", |path| fill(path, EVENTS, &runtime, in_turn))?;
    copy_store(&filled, &path)?;

    let began = Instant::now();
    let embedded = Embedded::open(&path)?;
    let opened = began.elapsed();
    let ends = runtime.block_on(async {
        let oldest = request(None, |request| {
            (request.order, request.limit) = (Order::OldestFirst, 1);
        });
        let newest = request(None, |request| request.limit = 1);
        anyhow::Ok([
            embedded.issuer.audit(oldest).await?.events[0]
                .event
                .at
                .as_micros(),
            embedded.issuer.audit(newest).await?.events[0]
                .event
                .at
                .as_micros(),
        ])
    })?;
    let moment = |n: u64| {
        let span = ends[1].abs_diff(ends[0]);
        let first = Timestamp::from_micros(ends[0].saturating_add_unsigned(scrambled(n) % span));
        (Some(first), Some(first.saturating_add(Duration::from_millis(10))))
    };

    let mut table = Table::new("A page of 100 out of a million events");
    type Pages<'a> = (&'a str, Box<dyn Fn(u64) -> AuditRequest + 'a>);
    let kinds: Vec<Pages<'_>> = vec![
        ("newest", Box::new(|_| request(None, |_| {}))),
        ("busy sequence", Box::new(|_| request(Some("INV"), |_| {}))),
        (
            "busy sequence, from any place",
            Box::new(|n| request(Some("INV"), |request| request.after = Some(scrambled(n) % EVENTS))),
        ),
        (
            "counter of a branch",
            Box::new(|n| {
                request(Some("BR"), |request| {
                    request.period = Some("all".into());
                    request.scope.insert("branch".into(), branch(n));
                })
            }),
        ),
        (
            "counter of a branch, the oldest 1,000",
            Box::new(|n| {
                request(Some("BR"), |request| {
                    request.period = Some("all".into());
                    request.scope.insert("branch".into(), branch(n));
                    (request.order, request.limit) = (Order::OldestFirst, 1_000);
                })
            }),
        ),
        (
            "number of the busy counter",
            Box::new(|n| {
                let number = scrambled(n) % (EVENTS / 2) + 1;
                request(Some("INV"), |request| request.numbers = numbers(number, number))
            }),
        ),
        (
            "ten numbers of a branch",
            Box::new(|n| {
                let number = scrambled(n) % (EVENTS / 2 / BRANCHES) + 1;
                request(Some("BR"), |request| {
                    request.scope.insert("branch".into(), branch(n));
                    request.numbers = numbers(number, number + 9);
                })
            }),
        ),
        (
            "ten milliseconds",
            Box::new(|n| request(None, |request| (request.from, request.to) = moment(n))),
        ),
        (
            "ten milliseconds of a sequence",
            Box::new(|n| request(Some("BR"), |request| (request.from, request.to) = moment(n))),
        ),
        (
            "an actor who did nothing, a part of the work",
            Box::new(|_| request(None, |request| request.actor = "nobody".parse().ok())),
        ),
    ];
    for (name, page) in kinds {
        let mut took = Vec::new();
        for n in 0..PAGES {
            let request = page(n);
            let began = Instant::now();
            runtime.block_on(embedded.issuer.audit(request))?;
            took.push(began.elapsed().as_secs_f64());
        }
        // A thousand single rows are a thousand reads.
        let bar = (!name.ends_with("1,000")).then_some(Bar::AtMost(0.020));
        table.figure(
            &format!("{name}: median"),
            Unit::Seconds,
            percentile(&took, 50.0),
            bar,
        );
        table.figure(
            &format!("{name}: worst"),
            Unit::Seconds,
            percentile(&took, 100.0),
            bar,
        );
    }
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
