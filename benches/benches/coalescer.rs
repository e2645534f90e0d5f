//! Many callers in front of a store in memory, with their commands gathered into batches and without.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use criterion::{Criterion, SamplingMode, Throughput};
use seqid_benches::{
    Batches, Done, Table, Unit, Until, closed_loop, interleaved, is_bench_run, multi_thread,
};
use seqid_core::command::{Act, Command, Draw};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::definition::{Defaults, DefinitionSpec};
use seqid_core::event::Origin;
use seqid_core::field::FieldValues;
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::numbering::DefineRequest;
use seqid_core::observer::Observer;
use seqid_core::time::Date;
use seqid_core::{Coalesced, CounterStore, Definition, Issuer, MemoryStore, Numbering, Prefix, Tenant};
use tokio::runtime::Runtime;

const CALLERS: [usize; 3] = [1, 64, 512];
const ROUNDS: usize = 7;
/// The store keeps every event in memory.
const ROUND: Until = Until::Called(60_000);

/// A new store with one sequence, and a command that draws from it.
async fn store() -> Result<(Arc<MemoryStore>, Command)> {
    let (tenant, prefix) = (Tenant::default(), Prefix::new("INV")?);
    let spec = DefinitionSpec::of_format("INV-{seq:5}");
    let store = Arc::new(MemoryStore::default());
    let issuer = Issuer::new(Arc::clone(&store) as Arc<_>);
    issuer
        .define(DefineRequest::new(prefix.clone(), spec.clone()))
        .await?;
    let definition = Definition::check(&tenant, &prefix, spec, &Defaults::default())?;
    let date = Date::new(2026, 3, 7)?;
    let period = definition.period(date)?;
    let version = Version {
        number: 1,
        definition,
    };
    let line = Line::new(LineParts {
        key: CounterKey::new(SequenceKey::new(tenant, prefix), FieldValues::default(), period),
        head: version.clone(),
        opened: version,
        date,
        fields: FieldValues::default(),
    })?;
    let draw = Draw {
        line: Arc::new(line),
        count: 1,
        reference: None,
        relates_to: None,
        hold: None,
    };
    Ok((store, Command::new(Act::Draw(draw), Arc::new(Origin::default()))))
}

async fn draws(store: Arc<dyn CounterStore>, command: Command, callers: usize, until: Until) -> Result<Done> {
    let call = move |_| {
        let (store, command) = (Arc::clone(&store), command.clone());
        async move {
            let mut replies = store.apply(vec![command]).await;
            replies.pop().context("no answer")??;
            Ok(())
        }
    };
    closed_loop(callers, until, call).await
}

fn bare(runtime: &Runtime, callers: usize, until: Until) -> Result<Done> {
    runtime.block_on(async {
        let (store, command) = store().await?;
        draws(store, command, callers, until).await
    })
}

fn coalesced(runtime: &Runtime, callers: usize, until: Until, batches: &Arc<Batches>) -> Result<Done> {
    runtime.block_on(async {
        let (store, command) = store().await?;
        let observer = Arc::clone(batches) as Arc<dyn Observer>;
        let coalesced: Arc<dyn CounterStore> = Arc::new(Coalesced::new(store, &observer));
        let done = draws(Arc::clone(&coalesced), command, callers, until).await?;
        coalesced.close().await?;
        Ok(done)
    })
}

fn bench(criterion: &mut Criterion, runtime: &Runtime) {
    let batches = Arc::default();
    let mut group = criterion.benchmark_group("coalescer");
    group
        .throughput(Throughput::Elements(1))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10);
    for callers in CALLERS {
        group.bench_function(format!("memory, {callers} callers"), |bencher| {
            bencher.iter_custom(|calls| {
                let done = bare(runtime, callers, Until::Called(calls));
                done.expect("the store draws").took
            });
        });
        group.bench_function(format!("coalesced memory, {callers} callers"), |bencher| {
            bencher.iter_custom(|calls| {
                let done = coalesced(runtime, callers, Until::Called(calls), &batches);
                done.expect("the store draws").took
            });
        });
    }
    group.finish();
}

fn main() -> Result<()> {
    let runtime = multi_thread()?;
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    bench(&mut criterion, &runtime);
    criterion.final_summary();
    if !is_bench_run() {
        return Ok(());
    }

    let mut table =
        Table::new("Draws a second of Coalesced<MemoryStore>; the baseline is the MemoryStore by itself");
    for callers in CALLERS {
        let batches = Arc::new(Batches::default());
        let [ours, baseline] = interleaved(
            ROUNDS,
            [
                &mut || Ok(coalesced(&runtime, callers, ROUND, &batches)?.rate()),
                &mut || Ok(bare(&runtime, callers, ROUND)?.rate()),
            ],
        )?;
        let name = format!("callers: {callers}");
        table.compare(&name, Unit::PerSecond, &ours, &baseline, None);
        table.figure("  draws a batch", Unit::Plain, batches.take_mean(), None);
    }
    table.print();
    Ok(())
}
