//! Reservations beside draws: what it costs to hold a number first and to confirm it then, and whether many open
//! reservations slow a draw down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use seqid_benches::{
    Bar, Embedded, Folder, Table, Unit, Until, closed_loop, draws, interleaved, is_bench_run, multi_thread,
};
use seqid_core::numbering::{DrawRequest, ReserveRequest, SettleRequest};
use seqid_core::{DefinitionSpec, Numbering, Prefix};
use tokio::runtime::Runtime;

const OPEN: u64 = 100_000;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);
const TTL: Duration = Duration::from_secs(86_400);

async fn reserve(
    embedded: &Embedded,
    callers: usize,
    until: Until,
    prefix: &Prefix,
    confirm: bool,
) -> Result<f64> {
    let (issuer, prefix) = (Arc::clone(&embedded.issuer), prefix.clone());
    let call = move |_| {
        let (issuer, prefix) = (Arc::clone(&issuer), prefix.clone());
        async move {
            let request = ReserveRequest::new(DrawRequest::new(prefix), TTL);
            let reserved = issuer.reserve(request).await?;
            if confirm {
                issuer
                    .settle(SettleRequest::confirm(reserved.reservation))
                    .await?;
            }
            Ok(())
        }
    };
    Ok(closed_loop(callers, until, call).await?.rate())
}

fn draw(embedded: &Embedded, callers: usize, prefix: &Prefix, runtime: &Runtime) -> Result<f64> {
    let prefix = prefix.clone();
    let request = move |_| DrawRequest::new(prefix.clone());
    let drawn = draws(&embedded.issuer, callers, Until::Elapsed(ROUND), request);
    Ok(runtime.block_on(drawn)?.rate())
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let scratch = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?.scratch()?;
    let embedded = Embedded::open(&scratch.path().join("reservations.db"))?;
    let define =
        |prefix| runtime.block_on(embedded.define(prefix, DefinitionSpec::of_format("{prefix}-{seq:5}")));
    let (drawn, confirmed, held) = (define("INV")?, define("ORD")?, define("QUO")?);

    let mut table = Table::new("Reserved and confirmed numbers a second; the baseline draws them");
    for callers in [64, 512] {
        let [ours, baseline] = interleaved(
            ROUNDS,
            [
                &mut || {
                    let until = Until::Elapsed(ROUND);
                    runtime.block_on(reserve(&embedded, callers, until, &confirmed, true))
                },
                &mut || draw(&embedded, callers, &drawn, &runtime),
            ],
        )?;
        let calls: Vec<f64> = ours.iter().map(|rate| 2.0 * rate).collect();
        let name = format!("callers: {callers}");
        table.compare(
            &format!("{name}, calls of both kinds"),
            Unit::PerSecond,
            &calls,
            &baseline,
            Some(Bar::AtLeast(0.4)),
        );
        table.compare(
            &format!("{name}, numbers"),
            Unit::PerSecond,
            &ours,
            &baseline,
            None,
        );
    }
    table.print();

    runtime.block_on(reserve(&embedded, 1_024, Until::Called(OPEN), &held, false))?;
    let mut table =
        Table::new("Draws a second from a counter with 100,000 open reservations; the baseline has none");
    let [ours, baseline] = interleaved(
        ROUNDS,
        [&mut || draw(&embedded, 64, &held, &runtime), &mut || {
            draw(&embedded, 64, &drawn, &runtime)
        }],
    )?;
    table.compare(
        "callers: 64",
        Unit::PerSecond,
        &ours,
        &baseline,
        Some(Bar::AtLeast(0.9)),
    );
    table.print();
    runtime.block_on(embedded.close())
}
