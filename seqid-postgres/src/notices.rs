//! What the server says beside its answer. PostgreSQL answers COMMIT with success and a warning when the wait for a
//! synchronous standby was cancelled: the transaction may be lost with the primary. sqlx keeps no such message, it only
//! logs it by `tracing`; so it is read from there.
//!
//! A program that is built with `tracing/max_level_off` or `max_level_error`, or those of a release, hears no warnings.

use std::cell::RefCell;
use std::fmt;
use std::pin::pin;
use std::sync::LazyLock;

use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Level, Metadata};

/// Where sqlx logs what the server says.
const TARGET: &str = "sqlx::postgres::notice";

/// Made once: `tracing` asks all subscribers anew about every message whenever one is made.
static LISTENER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Listener));

thread_local! {
    static HEARING: RefCell<Option<Hearing>> = const { RefCell::new(None) };
}

/// One turn of a future.
#[derive(Debug)]
struct Hearing {
    /// Whom all else is passed on to.
    outer: Dispatch,
    warning: Option<String>,
}

/// Runs a future, and tells the last warning of the server beside its output.
pub(crate) async fn heard<T>(future: impl Future<Output = T>) -> (T, Option<String>) {
    let mut future = pin!(future);
    let mut warning = None;
    let output = std::future::poll_fn(|context| {
        let outer = dispatcher::get_default(Dispatch::clone);
        HEARING.set(Some(Hearing { outer, warning: None }));
        let polled = dispatcher::with_default(&LISTENER, || future.as_mut().poll(context));
        if let Some(heard) = HEARING.take().and_then(|hearing| hearing.warning) {
            warning = Some(heard);
        }
        polled
    })
    .await;
    (output, warning)
}

/// Takes note of warnings, and passes on all else.
#[derive(Debug)]
struct Listener;

impl Listener {
    fn outer() -> Option<Dispatch> {
        HEARING.with_borrow(|hearing| hearing.as_ref().map(|hearing| hearing.outer.clone()))
    }
}

fn is_warning(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET && *metadata.level() <= Level::WARN
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // What the others have an interest in is asked each time: who they are is not known here.
        if is_warning(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_warning(metadata) || Self::outer().is_some_and(|outer| outer.enabled(metadata))
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let outer = Self::outer().filter(|outer| outer.enabled(metadata));
        if let Some(outer) = outer {
            outer.event(event);
        }
        if is_warning(metadata) {
            let mut message = Message::default();
            event.record(&mut message);
            HEARING.with_borrow_mut(|hearing| {
                if let Some(hearing) = hearing {
                    hearing.warning = Some(message.0);
                }
            });
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Self::outer().map_or(Id::from_u64(1), |outer| outer.new_span(span))
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(outer) = Self::outer() {
            outer.record(span, values);
        }
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        if let Some(outer) = Self::outer() {
            outer.record_follows_from(span, follows);
        }
    }

    fn enter(&self, span: &Id) {
        if let Some(outer) = Self::outer() {
            outer.enter(span);
        }
    }

    fn exit(&self, span: &Id) {
        if let Some(outer) = Self::outer() {
            outer.exit(span);
        }
    }
}

/// The text of a message.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A subscriber of the caller's, which counts.
    #[derive(Debug)]
    struct Counts(Arc<AtomicUsize>);

    impl Subscriber for Counts {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[tokio::test]
    async fn a_warning_is_heard_in_the_future_that_met_it_alone() {
        let warn = async {
            tokio::task::yield_now().await;
            tracing::warn!(target: "sqlx::postgres::notice", message = "canceling the wait");
            tokio::task::yield_now().await;
            7
        };
        let quiet = async {
            tracing::info!(target: "sqlx::postgres::notice", message = "a notice");
            tracing::warn!(target: "sqlx::query", message = "slow");
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        };
        let (warned, silent) = tokio::join!(heard(warn), heard(quiet));
        assert_eq!(warned, (7, Some("canceling the wait".to_owned())));
        assert_eq!(silent, ((), None));
    }

    #[tokio::test]
    async fn the_subscriber_of_the_caller_hears_all_the_same() {
        let count = Arc::new(AtomicUsize::new(0));
        let _guard = dispatcher::set_default(&Dispatch::new(Counts(Arc::clone(&count))));
        let (_, warning) = heard(async {
            tracing::warn!(target: "sqlx::postgres::notice", message = "canceling the wait");
            tracing::info!(target: "sqlx::query", message = "slow");
        })
        .await;
        assert!(warning.is_some());
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
