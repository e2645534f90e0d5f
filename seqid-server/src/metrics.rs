//! What is counted, in the OpenMetrics text format. Every series exists from the start, and their number is bounded:
//! labels are words of enums, never names that callers choose.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use seqid_core::counter::CounterKey;
use seqid_core::observer::Observer;
use seqid_core::time::Timestamp;
use seqid_core::{Code, Mode};

use crate::connections::Protocol;
use crate::ends::{Ending, Ends};

type Labels<const N: usize> = [(&'static str, &'static str); N];

const MODES: [Mode; 3] = [Mode::Gapless, Mode::Ordered, Mode::Leased];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The statuses of gRPC, in the order of their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The counters of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// By mode, then by whether the draw was a replay.
    draws: [[Counter; 2]; 3],
    /// By mode.
    numbers: [Counter; 3],
    /// By code, in the order of [`Code::ALL`].
    errors: Vec<Counter>,
    commands: Histogram,
    commits: Histogram,
    /// By the first digit of the status.
    answers: [Counter; 5],
    answer_times: Histogram,
    /// By protocol.
    connections: [Gauge; 2],
    /// By call in the order of [`seqid_grpc::CALLS`], then by status.
    calls: Vec<[Counter; STATUSES.len()]>,
    call_times: Histogram,
    ends: Arc<Ends>,
}

impl Metrics {
    /// Everything at zero, in a process that began at `start`. Counters near their end are noted in `ends`.
    pub(crate) fn new(start: Timestamp, ends: Arc<Ends>) -> Self {
        let draws = Family::<Labels<2>, Counter>::default();
        let numbers = Family::<Labels<1>, Counter>::default();
        let errors = Family::<Labels<1>, Counter>::default();
        let answers = Family::<Labels<1>, Counter>::default();
        let calls = Family::<Labels<2>, Counter>::default();
        let mut metrics = Self {
            registry: Registry::default(),
            draws: MODES.map(|mode| {
                ["false", "true"].map(|replayed| {
                    draws.get_or_create_owned(&[("mode", mode.as_str()), ("replayed", replayed)])
                })
            }),
            numbers: MODES.map(|mode| numbers.get_or_create_owned(&[("mode", mode.as_str())])),
            errors: Code::ALL
                .iter()
                .map(|code| errors.get_or_create_owned(&[("code", code.as_str())]))
                .collect(),
            commands: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            commits: Histogram::new(exponential_buckets(100e-6, 2.0, 16)),
            answers: CLASSES.map(|class| answers.get_or_create_owned(&[("class", class)])),
            answer_times: Histogram::new(exponential_buckets(100e-6, 2.0, 18)),
            connections: [Gauge::default(), Gauge::default()],
            calls: seqid_grpc::CALLS
                .iter()
                .map(|call| {
                    STATUSES.map(|status| calls.get_or_create_owned(&[("call", call), ("status", status)]))
                })
                .collect(),
            call_times: Histogram::new(exponential_buckets(100e-6, 2.0, 18)),
            ends,
        };
        metrics.add(Ending(Arc::clone(&metrics.ends)));
        let registry = &mut metrics.registry;
        registry.register("seqid_draws", "Draws that were answered with numbers", draws);
        registry.register("seqid_numbers", "Numbers issued, replays not counted", numbers);
        registry.register("seqid_errors", "Requests that were refused or failed", errors);
        registry.register(
            "seqid_batch_commands",
            "Commands in one commit",
            metrics.commands.clone(),
        );
        registry.register(
            "seqid_commit_seconds",
            "How long a commit took",
            metrics.commits.clone(),
        );
        registry.register("seqid_http_answers", "HTTP answers", answers);
        registry.register(
            "seqid_http_answer_seconds",
            "How long a request took",
            metrics.answer_times.clone(),
        );
        registry.register(
            "seqid_http_connections",
            "Open HTTP connections",
            metrics.connections[Protocol::Rest as usize].clone(),
        );
        registry.register("seqid_grpc_calls", "gRPC calls that have ended", calls);
        registry.register(
            "seqid_grpc_call_seconds",
            "How long a gRPC call took, streams from their begin to their end",
            metrics.call_times.clone(),
        );
        registry.register(
            "seqid_grpc_connections",
            "Open gRPC connections",
            metrics.connections[Protocol::Grpc as usize].clone(),
        );
        registry.register(
            "seqid_build",
            "The program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            ConstGauge::new(Duration::from_micros(start.as_micros().unsigned_abs()).as_secs_f64()),
        );
        metrics
    }

    /// Adds what a part of the service counts by itself, read at each scrape.
    pub(crate) fn add(&mut self, collector: impl prometheus_client::collector::Collector) {
        self.registry.register_collector(Box::new(collector));
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(64 * 1024);
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics cannot be written");
        }
        text
    }

    /// A request was answered.
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        if let Some(class) = self
            .answers
            .get(usize::from(status.as_u16() / 100).wrapping_sub(1))
        {
            class.inc();
        }
        self.answer_times.observe(took.as_secs_f64());
    }

    /// A gRPC call has ended with a status, given by its number.
    pub(crate) fn called(&self, call: &str, status: usize, took: Duration) {
        let call = seqid_grpc::CALLS.iter().position(|known| *known == call);
        if let Some(counter) = call.and_then(|call| self.calls[call].get(status)) {
            counter.inc();
        }
        self.call_times.observe(took.as_secs_f64());
    }

    /// A connection is open until what this returns is dropped.
    pub(crate) fn connected(&self, protocol: Protocol) -> Connected {
        let connections = &self.connections[protocol as usize];
        connections.inc();
        Connected(connections.clone())
    }
}

/// Counts as an open connection while it lives.
#[derive(Debug)]
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Observer for Metrics {
    fn drawn(&self, mode: Mode, numbers: u32, replayed: bool) {
        let mode = match mode {
            Mode::Gapless => 0,
            Mode::Ordered => 1,
            Mode::Leased => 2,
        };
        self.draws[mode][usize::from(replayed)].inc();
        if !replayed {
            self.numbers[mode].inc_by(u64::from(numbers));
        }
    }

    fn near_end(&self, counter: &CounterKey) {
        self.ends.note(counter);
    }

    fn refused(&self, code: Code) {
        if let Some(counter) = self.errors.get(code as usize) {
            counter.inc();
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a batch has far fewer than 2^52 commands"
    )]
    fn committed(&self, commands: usize, took: Duration) {
        self.commands.observe(commands as f64);
        self.commits.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use seqid_core::clock::SystemClock;

    use super::*;

    fn metrics(start: i64) -> Metrics {
        let ends = Arc::new(Ends::new(Arc::new(SystemClock)));
        Metrics::new(Timestamp::from_micros(start), ends)
    }

    #[track_caller]
    fn shows(metrics: &Metrics, line: &str) {
        let text = metrics.text();
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }

    #[test]
    fn every_series_is_there_before_anything_happened() {
        let metrics = metrics(1_500_000);
        shows(&metrics, r#"seqid_draws_total{mode="leased",replayed="true"} 0"#);
        shows(&metrics, r#"seqid_http_answers_total{class="5xx"} 0"#);
        shows(&metrics, "process_start_time_seconds 1.5");
        shows(
            &metrics,
            concat!("seqid_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        );
        for code in Code::ALL {
            shows(
                &metrics,
                &format!("seqid_errors_total{{code=\"{}\"}} 0", code.as_str()),
            );
        }
    }

    #[test]
    fn every_mode_and_code_counts_under_its_own_name() {
        let metrics = metrics(0);
        for (times, mode) in (1..).zip(MODES) {
            metrics.drawn(mode, times * 10, false);
            metrics.drawn(mode, 1000, true);
            shows(
                &metrics,
                &format!("seqid_numbers_total{{mode=\"{}\"}} {}", mode.as_str(), times * 10),
            );
            shows(
                &metrics,
                &format!(
                    "seqid_draws_total{{mode=\"{}\",replayed=\"true\"}} 1",
                    mode.as_str()
                ),
            );
        }
        for code in Code::ALL {
            metrics.refused(*code);
            shows(
                &metrics,
                &format!("seqid_errors_total{{code=\"{}\"}} 1", code.as_str()),
            );
        }
        for (status, class) in [(200, "2xx"), (404, "4xx"), (503, "5xx")] {
            metrics.answered(StatusCode::from_u16(status).unwrap(), Duration::from_millis(1));
            shows(
                &metrics,
                &format!("seqid_http_answers_total{{class=\"{class}\"}} 1"),
            );
        }
    }

    #[test]
    fn every_grpc_call_counts_under_its_name_and_status() {
        let metrics = metrics(0);
        for (number, status) in STATUSES.iter().enumerate() {
            metrics.called("GetNext", number, Duration::from_millis(1));
            shows(
                &metrics,
                &format!("seqid_grpc_calls_total{{call=\"GetNext\",status=\"{status}\"}} 1"),
            );
        }
        for call in seqid_grpc::CALLS {
            shows(
                &metrics,
                &format!(
                    "seqid_grpc_calls_total{{call=\"{call}\",status=\"DATA_LOSS\"}} {}",
                    u8::from(*call == "GetNext")
                ),
            );
        }
        metrics.called("Unheard", 0, Duration::ZERO);
        assert!(
            !metrics.text().contains("Unheard"),
            "labels are never what callers choose"
        );
    }

    #[test]
    fn commits_are_measured_in_commands_and_seconds() {
        let metrics = metrics(0);
        metrics.committed(3, Duration::from_millis(2));
        shows(&metrics, "seqid_batch_commands_sum 3.0");
        shows(&metrics, r#"seqid_batch_commands_bucket{le="2.0"} 0"#);
        shows(&metrics, r#"seqid_batch_commands_bucket{le="4.0"} 1"#);
        shows(&metrics, "seqid_commit_seconds_sum 0.002");
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let metrics = metrics(0);
        for (protocol, name) in [
            (Protocol::Rest, "seqid_http_connections"),
            (Protocol::Grpc, "seqid_grpc_connections"),
        ] {
            let connected = metrics.connected(protocol);
            shows(&metrics, &format!("{name} 1"));
            drop(connected);
            shows(&metrics, &format!("{name} 0"));
        }
    }
}
