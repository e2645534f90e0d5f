//! What an operator sees of ranges and events.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use seqid_core::counter::CounterKey;
use seqid_core::lease::Lease;
use seqid_core::mark::NumberState;
use seqid_core::names::Number;
use seqid_core::store::{Ledger, StoreError};

use super::Shared;
use crate::counter_id::Bucket;

/// How many marks are read at a time.
const PAGE: usize = 1_000;

/// What became of ranges and events since the start, and how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// How many draws wait to be recorded in the durable store. From 250,000 on nothing more is drawn before some are.
    pub unrecorded: usize,
    /// How many ranges were taken up, lent by this instance or by another.
    pub leased: u64,
    /// How many ranges were lost with their history.
    pub lost: u64,
    /// How many numbers were unknown when this instance found their ranges lost. What is found out of some later is not
    /// subtracted.
    pub unknown: u64,
    /// How many ranges this instance draws from.
    pub held: usize,
    /// How many histories those are lent to: more than one only in a cluster, or while servers change.
    pub histories: usize,
    /// How many entries the streams of all buckets had when they were looked at last, at most 10 seconds ago while the server
    /// can be reached.
    pub entries: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) leased: AtomicU64,
    pub(super) lost: AtomicU64,
    unknown: AtomicU64,
    /// Of each bucket.
    entries: [AtomicU64; Bucket::COUNT as usize],
}

impl<L> Shared<L> {
    pub(super) fn figures(&self) -> Figures {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (mut held, mut histories) = (0, HashSet::new());
        for counter in self.all_counters() {
            if let Some(hold) = &counter.state().hold {
                held += 1;
                histories.insert(hold.history.clone());
            }
        }
        Figures {
            unrecorded: self.reports.waiting(),
            leased: read(&self.figures.leased),
            lost: read(&self.figures.lost),
            unknown: read(&self.figures.unknown),
            held,
            histories: histories.len(),
            entries: self.figures.entries.iter().map(read).sum(),
        }
    }

    /// Looks how many entries the stream of a bucket has.
    pub(super) async fn count_entries(&self, bucket: Bucket) {
        match self.fenced.events(bucket).count().await {
            Ok(entries) => self.figures.entries[bucket.index()].store(entries, Ordering::Relaxed),
            Err(fault) => tracing::debug!(%bucket, %fault, "the entries of a stream could not be counted"),
        }
    }
}

impl<L: Ledger> Shared<L> {
    /// Counts a range that was lost, and what is unknown of it.
    pub(super) async fn count_lost(&self, counter: &CounterKey, lease: &Lease) {
        self.figures.lost.fetch_add(1, Ordering::Relaxed);
        match self.unknown_of(counter, lease).await {
            Ok(unknown) => {
                self.figures.unknown.fetch_add(unknown, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%counter, %error, "the numbers that are unknown could not be counted");
            }
        }
    }

    async fn unknown_of(&self, counter: &CounterKey, lease: &Lease) -> Result<u64, StoreError> {
        let Some(run) = lease.run else { return Ok(0) };
        // Behind the largest number of the generation before, or behind the number before the first.
        let before = match run.first.get().checked_sub(1).map(Number::new) {
            Some(Ok(before)) => (lease.generation, before),
            _ => (lease.generation.saturating_sub(1), Number::MAX),
        };
        let (mut after, mut unknown) = (Some(before), 0);
        loop {
            let page = self.ledger.marks(counter, after, PAGE).await?;
            let of_range = page
                .iter()
                .map(|record| &record.mark)
                .take_while(|mark| mark.generation == lease.generation && mark.run.first <= run.last());
            let (mut seen, mut found) = (0, 0);
            for mark in of_range {
                seen += 1;
                if mark.state == NumberState::Unknown && mark.epoch == lease.epoch {
                    found += mark.run.count;
                }
            }
            unknown += found;
            match page.last() {
                Some(last) if seen == PAGE => after = Some((last.mark.generation, last.mark.run.first)),
                _ => return Ok(unknown),
            }
        }
    }
}
