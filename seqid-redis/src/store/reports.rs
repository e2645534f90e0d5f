//! What was drawn in Redis is recorded in the durable store: by whoever drew it, and by anybody once that one is gone.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use seqid_core::command::{Act, Command, Freeze, Granted, Reply};
use seqid_core::counter::CounterKey;
use seqid_core::event::EventKind;
use seqid_core::intake::Sealed;
use seqid_core::ledger::Refusal;
use seqid_core::names::Reason;
use seqid_core::query::EventQuery;
use seqid_core::store::{Ledger, StoreError};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Shared;
use super::obstacle::Obstacle;
use super::record::{Found, Place, Record};
use crate::counter_id::{Bucket, CounterId};
use crate::history::History;
use crate::stream::Entry;

/// How many records go to the durable store at a time.
const BATCH: usize = 512;
/// How many may wait for it. At some 200 bytes each that is 50 MB.
pub(super) const MOST: usize = 250_000;
/// While callers draw fast and are many, so many wait: the cores are short then, and callers get them first. With few callers
/// there are cores left to record beside them.
const MANY: usize = MOST / 2;
/// Callers are fast if they draw so many while records [gather](GATHERED), 200,000 a second.
const FAST: usize = 1_000;
/// They are many if an entry has so many draws.
const CROWD: usize = 128;
/// What is drawn within so long is recorded together.
const GATHERED: Duration = Duration::from_millis(5);
/// How long draws wait for what must be recorded first.
const PATIENCE: Duration = Duration::from_secs(1);
/// An entry that is still there after so long is of an instance that is gone.
pub(super) const ABANDONED: Duration = Duration::from_secs(30);
/// How many entries are read at a time.
const PAGE: usize = 256;

/// Records on their way to the durable store.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Those of one entry together.
    queue: Mutex<VecDeque<Vec<Record>>>,
    /// How many there are, those that are just being recorded among them.
    waiting: AtomicUsize,
    /// How many entries they were of since the start.
    added: AtomicUsize,
    /// The entries whose records are all in the durable store.
    done: Mutex<Vec<Arc<Place>>>,
    reporting: tokio::sync::Mutex<()>,
    awake: Notify,
    /// Told whenever some have been recorded.
    recorded: Notify,
    /// Whether the last attempt to record failed.
    is_stuck: AtomicBool,
}

impl Reports {
    pub(super) fn add(&self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        self.waiting.fetch_add(records.len(), Ordering::Relaxed);
        lock(&self.queue).push_back(records);
        self.added.fetch_add(1, Ordering::Relaxed);
        self.awake.notify_one();
    }

    /// The oldest records, a batch or a little more. What is left of them comes back.
    fn take(&self) -> Taken<'_> {
        let mut queue = lock(&self.queue);
        let mut records = queue.pop_front().unwrap_or_default();
        while records.len() < BATCH
            && let Some(mut more) = queue.pop_front()
        {
            records.append(&mut more);
        }
        Taken {
            reports: self,
            records,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn hurry(&self) {
        self.awake.notify_one();
    }

    pub(super) async fn awake(&self) {
        self.awake.notified().await;
    }

    /// Lets more come, as long as many callers are fast, in at most so many entries.
    pub(super) async fn gather(&self, most_entries: usize) {
        let first = self.added.load(Ordering::Relaxed);
        loop {
            let (waited, added) = (self.waiting(), self.added.load(Ordering::Relaxed));
            tokio::time::sleep(GATHERED).await;
            let now = self.waiting();
            let drawn = now.saturating_sub(waited);
            let entries = self.added.load(Ordering::Relaxed).wrapping_sub(added);
            let is_crowd = drawn >= FAST && drawn >= entries.saturating_mul(CROWD);
            if !is_crowd || now >= MANY || added.wrapping_sub(first) >= most_entries {
                return;
            }
        }
    }

    /// Whether more may come. Where only time is needed for that, it is waited for.
    async fn have_room(&self) -> bool {
        let until_there_is = async {
            loop {
                let recorded = self.recorded.notified();
                tokio::pin!(recorded);
                recorded.as_mut().enable();
                if self.waiting() < MOST {
                    return;
                }
                recorded.await;
            }
        };
        let is_stuck = self.is_stuck.load(Ordering::Relaxed);
        self.waiting() < MOST || (!is_stuck && timeout(PATIENCE, until_there_is).await.is_ok())
    }

    fn done_with(&self, record: &Record) {
        if record.place.is_done_with_one() {
            lock(&self.done).push(Arc::clone(&record.place));
        }
    }
}

/// Records out of the queue, which go back to where they were unless they are recorded.
#[derive(Debug)]
struct Taken<'a> {
    reports: &'a Reports,
    records: Vec<Record>,
}

impl Taken<'_> {
    /// So many of them, from the front, need not be recorded any more.
    fn are_recorded(&mut self, count: usize) {
        self.records.drain(..count);
        self.reports.waiting.fetch_sub(count, Ordering::Relaxed);
        self.reports.recorded.notify_waiters();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            lock(&self.reports.queue).push_front(records);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A draw under an idempotency key, which is answered once key and event are durable.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) sealed: Sealed,
    pub(super) record: Record,
    pub(super) granted: Granted,
}

impl<L: Ledger + 'static> Shared<L> {
    /// Why nothing more may be drawn until more is recorded.
    pub(super) async fn backlog(&self) -> Option<StoreError> {
        if self.reports.have_room().await {
            return None;
        }
        let records = self.reports.waiting();
        Some(Obstacle::Backlog { records }.into())
    }

    /// Records everything that this instance has drawn so far.
    pub(super) async fn report_all(&self) -> Result<(), StoreError> {
        let _one = self.reports.reporting.lock().await;
        self.reports.is_stuck.store(false, Ordering::Relaxed);
        // The next batch is made while one is carried out.
        let (one, other) = join(self.report_batches(), self.report_batches()).await;
        one.and(other)
    }

    /// Records one batch after the other until one fails. The last is one that is not full: what comes meanwhile is for the next
    /// time, with more of it.
    async fn report_batches(&self) -> Result<(), StoreError> {
        let mut is_last = false;
        while !is_last && !self.reports.is_stuck.load(Ordering::Relaxed) {
            let mut batch = self.reports.take();
            is_last = batch.records.len() < BATCH;
            let (recorded, ended) = self.report(&batch.records).await;
            batch.are_recorded(recorded);
            drop(batch);
            self.remove_done().await;
            if ended.is_err() {
                self.reports.is_stuck.store(true, Ordering::Relaxed);
                return ended;
            }
        }
        Ok(())
    }

    /// Records some, in their order. Answers how many are dealt with.
    async fn report(&self, batch: &[Record]) -> (usize, Result<(), StoreError>) {
        let commands = batch.iter().map(Record::command).collect();
        let replies = self.ledger.apply(commands).await;
        for (at, (record, reply)) in batch.iter().zip(replies).enumerate() {
            if let Err(error) = self.recorded(record, reply).await {
                return (at, Err(error));
            }
        }
        (batch.len(), Ok(()))
    }

    /// What the durable store said of a record.
    ///
    /// # Errors
    /// When it is to be told again.
    async fn recorded(&self, record: &Record, reply: Result<Reply, StoreError>) -> Result<(), StoreError> {
        let refusal = match reply {
            Ok(_) => {
                self.reports.done_with(record);
                return Ok(());
            }
            Err(StoreError::Refused(Refusal::DefinitionChanged { .. })) => {
                return self.report_renewed(record).await;
            }
            Err(StoreError::Refused(refusal)) => refusal,
            Err(error) => return Err(error),
        };
        self.refused(record, &refusal).await
    }

    /// The definition has changed since, so it is told anew.
    async fn report_renewed(&self, record: &Record) -> Result<(), StoreError> {
        let line = &record.line;
        let line = self
            .lines
            .line(&self.ledger, line.key(), line.date(), line.fields());
        let renewed = Record {
            line: line.await?,
            ..record.clone()
        };
        match self.tell(renewed.command()).await {
            Ok(_) => {
                self.reports.done_with(record);
                Ok(())
            }
            Err(StoreError::Refused(refusal)) => self.refused(record, &refusal).await,
            Err(error) => Err(error),
        }
    }

    async fn refused(&self, record: &Record, refusal: &Refusal) -> Result<(), StoreError> {
        let counter = record.line.key();
        if let Refusal::NotPending { .. } = refusal {
            if self.recorded_before(record).await? == Some(false) {
                self.freeze(record).await?;
            }
            self.reports.done_with(record);
            return Ok(());
        }
        // It stays in the stream: whoever looks there later tries again.
        tracing::error!(%counter, first = %record.run.first, count = record.run.count, %refusal,
            "numbers that were given out cannot be recorded");
        Ok(())
    }

    /// Whether the numbers are recorded as those of this draw, or of another; `None` when they are not recorded at all.
    async fn recorded_before(&self, record: &Record) -> Result<Option<bool>, StoreError> {
        let counter = record.line.key();
        let mut query = EventQuery::new(counter.sequence().tenant.clone());
        query.prefix = Some(counter.sequence().prefix.clone());
        query.period = Some(counter.period().to_string());
        query.scope = Some(counter.scope().clone());
        query.kinds = vec![EventKind::Reported, EventKind::Voided];
        query.numbers = Some((record.run.first, record.run.last()));
        let mut other = None;
        loop {
            let page = self.ledger.query(&query).await?;
            for recorded in page.events {
                let event = recorded.event;
                if event.generation != record.generation || event.epoch != record.epoch {
                    continue;
                }
                let same_time = event.kind == EventKind::Voided || event.at == record.said.at;
                if event.run == Some(record.run) && event.origin == record.said.origin && same_time {
                    return Ok(Some(true));
                }
                other = Some(false);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(other),
            }
        }
    }

    /// Numbers were given out twice: Redis went back within one history, and whoever knew better was not asked.
    async fn freeze(&self, record: &Record) -> Result<(), StoreError> {
        let counter = record.line.key();
        tracing::error!(%counter, first = %record.run.first, count = record.run.count, epoch = record.epoch,
            "numbers were given out twice: the counter is frozen");
        let text = format!(
            "numbers {} to {} of epoch {} were given out twice",
            record.run.first,
            record.run.last(),
            record.epoch
        );
        let freeze = Freeze {
            line: Arc::clone(&record.line),
            reason: Reason::new(&text).map_err(|error| StoreError::Corrupt(Arc::new(error)))?,
        };
        let command = Command::new(Act::Freeze(freeze), Arc::clone(&self.origin));
        match self.tell(command).await {
            Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes from their streams what is in the durable store.
    async fn remove_done(&self) {
        let done = std::mem::take(&mut *lock(&self.reports.done));
        let mut places: HashMap<(Bucket, History), Vec<Arc<Place>>> = HashMap::new();
        for place in done {
            let of = (place.bucket, place.history.clone());
            places.entry(of).or_default().push(place);
        }
        for ((bucket, history), places) in places {
            let ids: Vec<String> = places.iter().map(|place| place.entry.clone()).collect();
            if let Err(fault) = self.fenced.events(bucket).remove(&history, &ids).await {
                tracing::debug!(%bucket, %fault, "recorded events are still in the stream");
                // Until they are taken over as if they were of somebody who is gone.
            }
        }
    }

    /// Draws with keys: the durable store's index decides whose number stays.
    pub(super) async fn report_keyed(self: Arc<Self>, keyed: Vec<Keyed>) {
        let mut batch = Vec::with_capacity(2 * keyed.len());
        for one in &keyed {
            batch.push(one.record.command());
            // Says who has the key by then, and never draws: there is somebody.
            let mut question = one.sealed.command.clone();
            question.deadline = None;
            batch.push(question);
        }
        let mut replies = self.ledger.apply(batch).await.into_iter();
        for one in keyed {
            let report = replies.next().unwrap_or_else(|| Err(Obstacle::NoAnswer.into()));
            let owner = replies.next().unwrap_or_else(|| Err(Obstacle::NoAnswer.into()));
            self.answer_keyed(one, report, owner);
        }
        self.reports.hurry();
    }

    fn answer_keyed(&self, one: Keyed, report: Result<Reply, StoreError>, owner: Result<Reply, StoreError>) {
        let Keyed {
            sealed,
            record,
            granted,
        } = one;
        let is_recorded = match &report {
            Ok(_) | Err(StoreError::Refused(Refusal::NotPending { .. })) => true,
            Err(_) => false,
        };
        if !is_recorded {
            // It has a number, and will have it under its key.
            self.reports.add(vec![record]);
            let cause = report.err().unwrap_or(Obstacle::NoAnswer.into());
            return sealed.answer(Err(StoreError::Unknown(Arc::new(cause))));
        }
        self.reports.done_with(&record);
        let is_mine = |run, epoch| run == Some(record.run) && epoch == record.epoch;
        sealed.answer(match owner {
            Ok(Reply::Replayed(event)) if is_mine(event.run, event.epoch) => Ok(Reply::Granted(granted)),
            Ok(Reply::Replayed(event)) => Ok(Reply::Replayed(event)),
            Err(StoreError::Refused(refusal @ Refusal::KeyMismatch)) => Err(refusal.into()),
            Ok(_) => Err(Obstacle::NoAnswer.into()),
            Err(error) => Err(StoreError::Unknown(Arc::new(error))),
        });
    }

    /// Records what a stream has of those who have not for a while. Answers how many entries that were.
    pub(super) async fn take_over(
        &self,
        bucket: Bucket,
        age: Duration,
        of: Option<&CounterId>,
    ) -> Result<usize, StoreError> {
        let events = self.fenced.events(bucket);
        let (mut after, mut taken) = (None, 0);
        loop {
            let page = events.older_than(age, after.as_deref(), PAGE).await?;
            let mut gone = Vec::new();
            for entry in &page.entries {
                match entry {
                    Ok(entry) if of.is_some_and(|of| of.name() != entry.counter) => {}
                    Ok(entry) => {
                        if self.record_entry(bucket, &page.history, entry).await? {
                            gone.push(entry.id.clone());
                        }
                    }
                    Err(error) => tracing::error!(%bucket, %error, "the stream has what seqid never wrote"),
                }
            }
            taken += gone.len();
            if !gone.is_empty() {
                events.remove(&page.history, &gone).await?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(taken),
            }
        }
    }

    /// Records what an entry says. Answers whether all of it is in the durable store.
    async fn record_entry(
        &self,
        bucket: Bucket,
        history: &History,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        let found = match Found::read(entry) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%bucket, entry = entry.id, %error, "an entry of the stream cannot be read");
                return Ok(false);
            }
        };
        let records = found.draws.len();
        let place = Place::new(bucket, history.clone(), entry.id.clone(), records);
        let mut all = Vec::with_capacity(records);
        for draw in found.draws {
            let line = self.line_of(&found.counter, &draw.date, &draw.fields).await?;
            all.push(Record {
                line,
                lease: found.lease,
                generation: found.generation,
                epoch: entry.epoch,
                run: draw.run,
                said: draw.said,
                place: Arc::clone(&place),
            });
        }
        let (_, ended) = self.report(&all).await;
        ended?;
        Ok(place.is_done())
    }

    async fn line_of(
        &self,
        counter: &CounterKey,
        date: &seqid_core::time::Date,
        fields: &seqid_core::field::FieldValues,
    ) -> Result<Arc<seqid_core::line::Line>, StoreError> {
        self.lines.line(&self.ledger, counter, *date, fields).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_waiting(count: usize) -> Arc<Reports> {
        let reports = Reports::default();
        reports.waiting.store(count, Ordering::Relaxed);
        Arc::new(reports)
    }

    #[tokio::test(start_paused = true)]
    async fn draws_wait_for_what_is_recorded_meanwhile() {
        let reports = with_waiting(MOST - 1);
        assert!(reports.have_room().await, "the last place");
        let reports = with_waiting(MOST);
        let recording = Arc::clone(&reports);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE / 2).await;
            recording.waiting.fetch_sub(1, Ordering::Relaxed);
            recording.recorded.notify_waiters();
        });
        assert!(reports.have_room().await);
    }

    #[tokio::test(start_paused = true)]
    async fn draws_are_refused_when_nothing_is_recorded() {
        let began = tokio::time::Instant::now();
        let reports = with_waiting(MOST);
        assert!(!reports.have_room().await);
        assert_eq!(began.elapsed(), PATIENCE);
        reports.is_stuck.store(true, Ordering::Relaxed);
        assert!(
            !reports.have_room().await,
            "at once where the last attempt failed"
        );
        assert_eq!(began.elapsed(), PATIENCE);
    }

    /// Adds so many records in so many entries every millisecond.
    fn draw_on(reports: &Arc<Reports>, records: usize, entries: usize) {
        let reports = Arc::clone(reports);
        tokio::spawn(async move {
            loop {
                reports.waiting.fetch_add(records, Ordering::Relaxed);
                reports.added.fetch_add(entries, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    #[tokio::test(start_paused = true)]
    async fn many_fast_callers_go_first_until_many_records_wait() {
        let reports = with_waiting(0);
        draw_on(&reports, 500, 1);
        reports.gather(usize::MAX).await;
        let waiting = reports.waiting();
        assert!((MANY..MANY + 6 * 500).contains(&waiting), "{waiting}");
    }

    #[tokio::test(start_paused = true)]
    async fn they_do_not_fill_the_stream() {
        let reports = with_waiting(0);
        draw_on(&reports, 500, 1);
        reports.gather(100).await;
        let entries = reports.added.load(Ordering::Relaxed);
        assert!((100..100 + 11).contains(&entries), "{entries}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_slow_or_few_callers_draw_waits_for_a_moment_only() {
        for (records, entries) in [(100, 1), (500, 8)] {
            let began = tokio::time::Instant::now();
            let reports = with_waiting(0);
            draw_on(&reports, records, entries);
            reports.gather(usize::MAX).await;
            assert_eq!(began.elapsed(), GATHERED, "{records} in {entries}");
        }
    }
}
