//! Pages of the audit of a million events, half of them of one counter and half of a thousand, in turn.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use seqid_core::field::FieldDeclaration;
use seqid_core::numbering::{AuditRequest, DefineRequest, DrawRequest};
use seqid_core::query::Order;
use seqid_core::time::Timestamp;
use seqid_core::{DefinitionSpec, Issuer, Number, Numbering, Prefix, Tenant};
use tokio::runtime::Runtime;

use crate::random::scrambled;
use crate::report::{Bar, Table, Unit, percentile};

/// How many events the pages are of.
pub const EVENTS: u64 = 1_000_000;
const BRANCHES: u64 = 1_000;
const PAGES: u64 = 300;

/// Defines a busy sequence, and one with a counter for each of a thousand branches.
///
/// # Errors
/// When a definition is refused.
pub async fn define(issuer: &Issuer) -> Result<()> {
    let branches = DefinitionSpec {
        scope: Some(vec![FieldDeclaration::new("branch")]),
        ..DefinitionSpec::of_format("{branch}-{seq:5}")
    };
    let busy = DefinitionSpec::of_format("INV-{seq:5}");
    for (name, definition) in [("INV", busy), ("BR", branches)] {
        issuer
            .define(DefineRequest::new(prefix(name), definition))
            .await?;
    }
    Ok(())
}

/// A draw from the busy sequence.
#[must_use]
pub fn busy() -> DrawRequest {
    DrawRequest::new(prefix("INV"))
}

/// A draw from a branch, the `n`th of a random order.
#[must_use]
pub fn of_branch(n: u64) -> DrawRequest {
    DrawRequest::new(prefix("BR")).scope("branch", &branch(n))
}

/// One and the other in turn.
#[must_use]
pub fn in_turn(n: u64) -> DrawRequest {
    if n.is_multiple_of(2) { busy() } else { of_branch(n) }
}

fn branch(n: u64) -> String {
    format!("B{:03}", scrambled(n) % BRANCHES)
}

fn prefix(text: &str) -> Prefix {
    Prefix::new(text).expect("a prefix")
}

/// The instants of the oldest and the newest event.
async fn ends(issuer: &Issuer) -> Result<[i64; 2]> {
    let mut ends = [0; 2];
    for (end, order) in ends.iter_mut().zip([Order::OldestFirst, Order::NewestFirst]) {
        let one = request(None, |request| (request.order, request.limit) = (order, 1));
        let page = issuer.audit(one).await?;
        *end = page.events.first().context("no events")?.event.at.as_micros();
    }
    Ok(ends)
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

/// Reads pages of every kind of question out of [`EVENTS`] events, and puts into a table what they took.
///
/// # Errors
/// The first page that was refused or failed.
pub fn measure(table: &mut Table, runtime: &Runtime, issuer: &Issuer) -> Result<()> {
    let ends = runtime.block_on(ends(issuer))?;
    let moment = |n: u64| {
        let span = ends[1].abs_diff(ends[0]);
        let first = Timestamp::from_micros(ends[0].saturating_add_unsigned(scrambled(n) % span));
        (Some(first), Some(first.saturating_add(Duration::from_millis(10))))
    };

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
            runtime.block_on(issuer.audit(request))?;
            took.push(began.elapsed().as_secs_f64());
        }
        // A thousand single rows are a thousand reads.
        let bar = (!name.ends_with("1,000")).then_some(Bar::AtMost(0.020));
        for (what, percent) in [("median", 50.0), ("worst", 100.0)] {
            table.figure(
                &format!("{name}: {what}"),
                Unit::Seconds,
                percentile(&took, percent),
                bar,
            );
        }
    }
    Ok(())
}
