//! Writing and reading ids, beside `write!` with the format spelled out.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use criterion::Criterion;
use seqid_benches::{Bar, Table, Unit, interleaved, is_bench_run};
use seqid_core::definition::{Defaults, DefinitionSpec};
use seqid_core::field::FieldValues;
use seqid_core::period::Period;
use seqid_core::template::{Fixed, Language, Values};
use seqid_core::time::{Date, Timestamp, Zone};
use seqid_core::{Definition, FormatTemplate, Number, Prefix, Template, Tenant};

const FORMAT: &str = "INV-{yyyy}-{seq:5}";
const NUMBERS: u64 = 99_999;
const ROUNDS: usize = 41;

/// One document of a sequence that begins anew each year.
struct Document {
    tenant: Tenant,
    prefix: Prefix,
    definition: Definition,
    date: Date,
    period: Period,
    scope: FieldValues,
    now: Timestamp,
}

impl Document {
    fn new() -> Result<Self> {
        let (tenant, prefix) = (Tenant::default(), Prefix::new("INV")?);
        let spec = DefinitionSpec {
            reset: Some(seqid_core::period::Reset::Year),
            ..DefinitionSpec::of_format(FORMAT)
        };
        let definition = Definition::check(&tenant, &prefix, spec, &Defaults::default())?;
        let date = Date::new(2026, 3, 7)?;
        let period = definition.period(date)?;
        Ok(Self {
            tenant,
            prefix,
            definition,
            date,
            period,
            scope: FieldValues::default(),
            now: Timestamp::from_micros(1_772_841_600_000_000),
        })
    }

    fn fixed(&self) -> Result<Fixed> {
        let template = self.definition.template();
        Ok(template.fixed(self.date, &self.period, &self.scope, &self.scope)?)
    }

    fn values(&self, number: Number) -> Values<'_> {
        Values {
            tenant: &self.tenant,
            prefix: &self.prefix,
            date: self.date,
            period: &self.period,
            scope: &self.scope,
            fields: &self.scope,
            number,
            now: self.now,
        }
    }
}

fn number(n: u64) -> Number {
    Number::new(n % NUMBERS + 1).expect("it is small")
}

fn by_hand(n: u64, out: &mut String) {
    write!(out, "INV-2026-{:05}", n % NUMBERS + 1).expect("a string takes everything");
}

/// Seconds for each of the numbers.
fn time(mut write: impl FnMut(u64, &mut String)) -> f64 {
    let mut out = String::with_capacity(64);
    let began = Instant::now();
    for n in 0..NUMBERS {
        out.clear();
        write(black_box(n), &mut out);
        black_box(out.as_str());
    }
    began.elapsed().as_secs_f64() / NUMBERS as f64
}

fn bench(criterion: &mut Criterion, document: &Document, fixed: &Fixed) {
    let template = document.definition.template();
    let mut group = criterion.benchmark_group("template");
    let mut rendering = |name: &str, write: &dyn Fn(u64, &mut String)| {
        group.bench_function(name, |bencher| {
            let (mut out, mut n) = (String::with_capacity(64), 0);
            bencher.iter(|| {
                n += 1;
                out.clear();
                write(black_box(n), &mut out);
                black_box(out.len())
            });
        });
    };
    rendering("write!", &by_hand);
    rendering("Fixed::render", &|n, out| {
        fixed.render(number(n), document.now, out).expect("it fits");
    });
    rendering("Template::render", &|n, out| {
        template
            .render(&document.values(number(n)), out)
            .expect("it fits");
    });
    group.bench_function("Template::parse", |bencher| {
        bencher.iter(|| template.parse(black_box("INV-2026-00042")));
    });
    group.bench_function("Template::compile", |bencher| {
        let zone = Zone::UTC;
        let calendar = document.definition.calendar();
        let language = Language::new(&document.tenant, &document.prefix, &zone, calendar);
        bencher.iter(|| Template::compile(black_box(FORMAT), &language));
    });
    group.finish();
}

fn main() -> Result<()> {
    let document = Document::new()?;
    let fixed = document.fixed()?;
    let template = document.definition.template();
    let mut criterion = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .configure_from_args();
    bench(&mut criterion, &document, &fixed);
    criterion.final_summary();
    if !is_bench_run() {
        return Ok(());
    }

    let mut render_fixed = || {
        Ok(time(|n, out| {
            fixed.render(number(n), document.now, out).expect("it fits");
        }))
    };
    let mut render_values = || {
        Ok(time(|n, out| {
            template
                .render(&document.values(number(n)), out)
                .expect("it fits");
        }))
    };
    let mut write = || Ok(time(by_hand));
    let id = "INV-2026-00042";
    template
        .parse(id)
        .context("the template does not read its own id")?;
    let mut parse = || Ok(time(|_, _| drop(black_box(template.parse(black_box(id))))));
    let [fixed, values, write, parse] = interleaved(
        ROUNDS,
        [&mut render_fixed, &mut render_values, &mut write, &mut parse],
    )?;
    let mut table =
        Table::new("One id of INV-{yyyy}-{seq:5}; the baseline is write!(out, \"INV-2026-{:05}\", n)");
    table.compare(
        "Fixed::render",
        Unit::Seconds,
        &fixed,
        &write,
        Some(Bar::AtMost(1.0)),
    );
    table.compare("Template::render", Unit::Seconds, &values, &write, None);
    table.compare("Template::parse", Unit::Seconds, &parse, &write, None);
    table.print();
    Ok(())
}
