//! Somebody who draws numbers from a file, and an auditor.

use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use seqid_core::chain::Link;
use seqid_core::clock::{Clock, SystemClock};
use seqid_core::counter::CounterKey;
use seqid_core::event::Recorded;
use seqid_core::numbering::{DrawRequest, Issued};
use seqid_core::observer::Unobserved;
use seqid_core::store::{CounterStore, StoreError};
use seqid_core::{Error, IdempotencyKey, Issuer, Numbering, Prefix};
use seqid_sqlite::{OpenError, SqliteConfig, SqliteStore};
use seqid_testkit::evidence::{Evidence, all_events};
use seqid_testkit::history::Order;

pub(crate) use seqid_testkit::evidence::issued;

/// Waits for a future without any runtime.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A store with an issuer.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) issuer: Issuer,
}

impl Office {
    pub(crate) fn try_open(path: &Path) -> Result<Self, OpenError> {
        Self::try_open_with(&SqliteConfig::new(path), Arc::new(SystemClock))
    }

    pub(crate) fn try_open_with(config: &SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let store = SqliteStore::open(config.clone(), Arc::clone(&clock), Arc::new(Unobserved))?;
        let store = Arc::new(store);
        let issuer = Issuer::builder(Arc::new(Arc::clone(&store))).clock(clock).build();
        Ok(Self { store, issuer })
    }

    #[track_caller]
    pub(crate) fn open(path: &Path) -> Self {
        Self::try_open(path).unwrap()
    }

    #[track_caller]
    pub(crate) fn open_with(path: &Path, clock: Arc<dyn Clock>) -> Self {
        Self::try_open_with(&SqliteConfig::new(path), clock).unwrap()
    }

    /// Draws one number.
    pub(crate) fn draw(&self, prefix: &str) -> Result<u64, StoreError> {
        block_on(self.request(DrawRequest::new(name(prefix)))).map(|issued| issued.run.first.get())
    }

    /// Draws one number under a key, and tells whether it was drawn before.
    pub(crate) fn draw_keyed(&self, prefix: &str, key: &str) -> Result<(u64, bool), StoreError> {
        let request = DrawRequest::new(name(prefix)).key(IdempotencyKey::new(key).unwrap());
        block_on(self.request(request)).map(|issued| (issued.run.first.get(), issued.replayed))
    }

    /// Draws so many numbers one after another, and tells the last.
    #[track_caller]
    pub(crate) fn draw_many(&self, prefix: &str, count: usize) -> u64 {
        let mut last = 0;
        for _ in 0..count {
            last = self.draw(prefix).unwrap();
        }
        last
    }

    async fn request(&self, request: DrawRequest) -> Result<Issued, StoreError> {
        match self.issuer.draw(request).await {
            Ok(issued) => Ok(issued),
            Err(Error::Store(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    pub(crate) fn close(self) {
        block_on(self.store.close()).unwrap();
    }

    /// Checks all that the file says, from the first event on, and answers the events.
    #[track_caller]
    pub(crate) fn audit(&self) -> Vec<Recorded> {
        audit(&self.store)
    }
}

/// As [`Office::audit`].
#[track_caller]
pub(crate) fn audit(store: &SqliteStore) -> Vec<Recorded> {
    let events = block_on(all_events(store)).unwrap();
    let mut heads = HashMap::new();
    for (recorded, position) in events.iter().zip(1..) {
        assert_eq!(recorded.position, position, "positions are dense");
        let event = &recorded.event;
        let head = heads.entry(event.subject.clone()).or_insert(Link::GENESIS);
        assert_eq!(event.n, head.n + 1, "the events of {:?} are dense", event.subject);
        *head = head.follow(&recorded.authority, event);
        assert_eq!(recorded.hash, head.hash, "the chain holds at {position}");
    }
    for (subject, head) in heads {
        if let Some(counter) = subject.counter() {
            assert_eq!(
                state(store, counter).chain,
                head,
                "{counter} knows the head of its chain"
            );
        }
    }
    let evidence = block_on(Evidence::read(store)).unwrap();
    evidence.against(Vec::new(), Order::Generation).check().unwrap();
    events
}

fn state(store: &SqliteStore, key: &CounterKey) -> seqid_core::counter::CounterState {
    block_on(store.counter(key)).unwrap().unwrap()
}

pub(crate) fn name(prefix: &str) -> Prefix {
    Prefix::new(prefix).unwrap()
}

/// The path of the file that belongs to a database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// The one file whose name begins so.
#[track_caller]
pub(crate) fn the_file(folder: &Path, begin: &str) -> PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let begins = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(begin);
    let mut found: Vec<_> = names.filter(begins).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}
