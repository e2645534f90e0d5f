//! What a load measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use seqid_core::Code;
use serde_json::{Value, json};

use super::{Bench, Point, millis, rate};

/// The longest wait that is told exactly, in microseconds: an hour. What is longer counts as that.
const LONGEST: u64 = 3_600_000_000;
/// Waits are told to three digits.
const DIGITS: u8 = 3;

/// The percentiles that are told.
pub(super) const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p999", 99.9),
    ("max", 100.0),
];

/// What one caller saw.
pub(super) struct Caller {
    /// In microseconds.
    waits: Option<Histogram<u64>>,
    numbers: u64,
    failures: BTreeMap<&'static str, u64>,
}

fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS).ok()
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            waits: histogram(),
            numbers: 0,
            failures: BTreeMap::new(),
        }
    }
}

impl Caller {
    pub(super) fn answered(&mut self, waited: Duration, numbers: u64) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        if let Some(waits) = &mut self.waits {
            waits.saturating_record(micros.max(1));
        }
        self.numbers += numbers;
    }

    pub(super) fn failed(&mut self, code: Code) {
        *self.failures.entry(code.as_str()).or_default() += 1;
    }
}

pub(super) struct Report {
    place: String,
    prefix: String,
    callers: u32,
    batch: Option<u32>,
    keys: bool,
    /// Until the callers were told to stop, and until the last was answered.
    took: Duration,
    settled: Duration,
    pub(super) draws: u64,
    numbers: u64,
    failures: BTreeMap<&'static str, u64>,
    waits: Option<Histogram<u64>>,
    /// The last has what was answered after the callers were told to stop.
    pub(super) points: Vec<Point>,
}

impl Report {
    pub(super) fn new(
        bench: &Bench,
        place: &str,
        callers: Vec<Caller>,
        mut points: Vec<Point>,
        (took, settled): (Duration, Duration),
    ) -> Self {
        let (mut waits, mut numbers, mut failures) = (histogram(), 0, BTreeMap::new());
        for caller in callers {
            if let (Some(all), Some(one)) = (&mut waits, &caller.waits) {
                // Histograms of the same bounds can be added.
                let _same_bounds = all.add(one);
            }
            numbers += caller.numbers;
            for (code, count) in caller.failures {
                *failures.entry(code).or_default() += count;
            }
        }
        let draws = waits.as_ref().map_or(0, Histogram::len);
        let noted: u64 = points.iter().map(|point| point.draws).sum();
        points.push(Point {
            at: settled,
            draws: draws.saturating_sub(noted),
        });
        Self {
            place: place.to_owned(),
            prefix: bench.prefix.to_string(),
            callers: bench.callers,
            batch: bench.batch,
            keys: bench.with_keys,
            took,
            settled,
            draws,
            numbers,
            failures,
            waits,
            points,
        }
    }

    /// What a draw waited for at most, in microseconds, at a percentile.
    pub(super) fn wait(&self, percentile: f64) -> u64 {
        self.waits
            .as_ref()
            .map_or(0, |waits| waits.value_at_percentile(percentile))
    }

    pub(super) fn draws_per_second(&self) -> f64 {
        rate(self.draws, self.settled)
    }

    pub(super) fn title(&self) -> String {
        let batch = self
            .batch
            .map(|batch| format!(", batches of {batch}"))
            .unwrap_or_default();
        format!(
            "{} callers on {} of {}{batch}",
            self.callers, self.prefix, self.place
        )
    }

    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("load", self.title()),
            ("time", format!("{:.1} s", self.settled.as_secs_f64())),
            (
                "draws",
                format!("{}, {:.0} a second", self.draws, self.draws_per_second()),
            ),
            (
                "numbers",
                format!(
                    "{}, {:.0} a second",
                    self.numbers,
                    rate(self.numbers, self.settled)
                ),
            ),
        ];
        for (name, percentile) in PERCENTILES {
            facts.push((name, format!("{} µs", self.wait(percentile))));
        }
        let failures: Vec<String> = self
            .failures
            .iter()
            .map(|(code, count)| format!("{code} {count}"))
            .collect();
        if !failures.is_empty() {
            facts.push(("failed", failures.join(", ")));
        }
        facts
    }

    pub(super) fn json(&self) -> Value {
        let mut latency = serde_json::Map::new();
        for (name, percentile) in PERCENTILES {
            latency.insert(name.to_owned(), self.wait(percentile).into());
        }
        let waits = self.waits.as_ref();
        latency.insert("count".to_owned(), waits.map_or(0, Histogram::len).into());
        latency.insert("mean".to_owned(), waits.map_or(0.0, Histogram::mean).into());
        latency.insert("min".to_owned(), waits.map_or(0, Histogram::min).into());
        let points: Vec<Value> = self
            .points
            .iter()
            .map(|point| json!({"ms": millis(point.at), "draws": point.draws}))
            .collect();
        json!({
            "place": self.place,
            "prefix": self.prefix,
            "callers": self.callers,
            "batch": self.batch,
            "keys": self.keys,
            "load_ms": millis(self.took),
            "elapsed_ms": millis(self.settled),
            "draws": self.draws,
            "numbers": self.numbers,
            "draws_per_second": self.draws_per_second(),
            "numbers_per_second": rate(self.numbers, self.settled),
            "failed": self.failures,
            "latency_us": latency,
            "points": points,
        })
    }
}
