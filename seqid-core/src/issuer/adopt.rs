//! Adopting ids: a list of texts becomes runs of numbers, of which each gives its text again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::draw::WrongReply;
use super::sequences::{Loaded, changed};
use super::{Issuer, fingerprint};
use crate::command::{Act, Adopt, AdoptedNumbers, AdoptedRun, Command, Reply};
use crate::counter::{CounterKey, CounterState, Run, SequenceKey};
use crate::error::{AdoptionRefused, Error, InvalidRequest, WrongId, WrongIdReason};
use crate::event::{Event, EventKind, Keyed};
use crate::field::{self, FieldValues, RawValues};
use crate::line::{Line, LineParts, Version};
use crate::mark::{Mark, NumberState};
use crate::names::Number;
use crate::numbering::{AdoptRequest, AdoptedCounter, Adoption, MOST_ADOPTED_IDS, MOST_ADOPTED_RUNS, Page};
use crate::period::Period;
use crate::query::EventQuery;
use crate::store::StoreError;
use crate::template::{DatedReader, Parsed};
use crate::time::Date;

/// How often an adoption follows a definition that changes under it.
const ATTEMPTS: usize = 8;

/// How many ids are read before others may run.
const AT_ONCE: usize = 512;

impl Issuer {
    pub(super) async fn adopt_ids(&self, mut request: AdoptRequest) -> Result<Adoption, Error> {
        let count = request.ids.len();
        if !(1..=MOST_ADOPTED_IDS).contains(&count) {
            return Err(Error::range("/ids", 1, MOST_ADOPTED_IDS as u64, count as u64));
        }
        let key = SequenceKey::new(request.tenant.clone(), request.prefix.clone());
        let keyed = request
            .key
            .take()
            .map(|name| Keyed::new(&key, name, fingerprint::of_adopt(&request)));
        let origin = self.origin(std::mem::take(&mut request.origin));
        let mut sequence = self.require(&key).await?;
        self.require_mode(sequence.head().definition.mode())?;
        if sequence.head().definition.template().uses_now() {
            let why =
                "ids of this sequence show the instant of issue, which an adopted id cannot be checked by";
            return Err(contradiction("/prefix", why));
        }
        for _ in 0..ATTEMPTS {
            let Some(list) = self.read_list(&sequence, &request.ids).await? else {
                sequence = self.reload(&key).await?.unwrap_or(sequence);
                continue;
            };
            if request.dry_run {
                let numbers = list.counters.iter().map(Counter::foreseen).collect();
                return self.adoption(&sequence, &list, numbers, true);
            }
            let adopt = Adopt {
                sequence: key.clone(),
                runs: list.runs()?,
                reason: request.reason.clone(),
            };
            let command = Command::new(Act::Adopt(adopt), Arc::clone(&origin)).with_key(keyed.clone());
            match self.apply(command).await {
                Ok(Reply::Adopted(numbers)) => return self.adoption(&sequence, &list, numbers, false),
                Ok(Reply::Replayed(event)) => {
                    let numbers = self.adopted_before(&list, &event).await?;
                    let adoption = self.adoption(&sequence, &list, numbers, false)?;
                    return Ok(Adoption {
                        replayed: true,
                        ..adoption
                    });
                }
                Ok(_) => return Err(StoreError::Unknown(Arc::new(WrongReply)).into()),
                Err(error) => {
                    let (head, _) = changed(&error).ok_or(error)?;
                    sequence = self.catch_up(sequence, head).await?;
                }
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// Reads the ids and checks them against what the counters have. `None` if a counter has a version of the
    /// definition that is not known here yet.
    async fn read_list(&self, sequence: &Arc<Loaded>, ids: &[String]) -> Result<Option<List>, Error> {
        let mut reader = Reader::new(self, sequence);
        let mut wrong = WrongIds::default();
        for (index, id) in ids.iter().enumerate() {
            if index % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            match reader.read(index, id).await? {
                Read::Entry(entry) => reader.list.entries.push(entry),
                Read::Wrong(reason) => wrong.add(index, || reason),
                Read::Unknown => return Ok(None),
            }
        }
        let mut list = reader.list;
        list.refuse_repeated(ids, &mut wrong);
        for at in 0..list.counters.len() {
            self.check_numbers(&mut list, at, ids, &mut wrong).await?;
        }
        wrong.none(ids.len())?;
        Ok(Some(list))
    }

    /// Checks the numbers that a counter has passed, and counts what adopting would do.
    async fn check_numbers(
        &self,
        list: &mut List,
        at: usize,
        ids: &[String],
        wrong: &mut WrongIds,
    ) -> Result<(), Error> {
        let List {
            entries,
            counters,
            lines,
        } = list;
        let begin = entries.partition_point(|entry| entry.counter < at);
        let end = entries.partition_point(|entry| entry.counter <= at);
        let of_counter = &entries[begin..end];
        let (Some(first), Some(last)) = (of_counter.first(), of_counter.last()) else {
            return Ok(());
        };
        let counter = &mut counters[at];
        let key = counter.key.clone();
        (counter.first, counter.last) = (Some(first.number), Some(last.number));
        let (next, generation) = match &counter.state {
            Some(state) => (state.next, state.generation),
            None => (lines[first.line].definition().start().get(), 1),
        };
        let mut marks = MarksBehind::of(self, &key, generation);
        for entry in of_counter {
            if entry.number.get() >= next {
                counter.ahead += 1;
                continue;
            }
            match marks.state_of(entry.number).await? {
                Some(NumberState::External) => counter.repeated += 1,
                Some(NumberState::Free) => counter.free += 1,
                other => wrong.add(entry.index, || WrongIdReason::Taken {
                    id: ids[entry.index].clone(),
                    state: other.map_or("issued", NumberState::as_str),
                }),
            }
        }
        let step = lines[first.line].definition().step();
        counter.old_next = next;
        counter.next = next.max(last.number.get().saturating_add(step).min(CounterState::ENDED));
        counter.skipped = ((counter.next - next) / step).saturating_sub(counter.ahead);
        Ok(())
    }

    /// What was adopted when the key was used first. The key is that of the command's first event.
    async fn adopted_before(&self, list: &List, first: &Event) -> Result<Vec<AdoptedNumbers>, Error> {
        let sequence = first.subject.sequence();
        let mut query = EventQuery::new(sequence.tenant.clone());
        query.prefix = Some(sequence.prefix.clone());
        query.request.clone_from(&first.origin.request);
        query.kinds = vec![EventKind::External, EventKind::Skipped];
        // Those of one command have one instant.
        let behind = first.at.saturating_add(Duration::from_micros(1));
        (query.from, query.to) = (Some(first.at), Some(behind));
        query.limit = EventQuery::LARGEST;
        let mut counts: HashMap<CounterKey, (u64, u64)> = HashMap::new();
        loop {
            let page = self.store.query(&query).await?;
            let mut complete = page.next.is_none();
            for recorded in &page.events {
                let event = &recorded.event;
                let (Some(key), Some(run)) = (event.subject.counter(), event.run) else {
                    continue;
                };
                let (adopted, skipped) = counts.entry(key.clone()).or_default();
                match event.kind {
                    EventKind::Skipped => *skipped += run.count,
                    _ => *adopted += run.count,
                }
                complete |= event.key.is_some() && event.key == first.key;
            }
            if complete {
                break;
            }
            query.after = page.next;
        }
        let numbers = |counter: &Counter| {
            let (adopted, skipped) = counts.get(&counter.key).copied().unwrap_or_default();
            AdoptedNumbers {
                counter: counter.key.clone(),
                adopted,
                repeated: counter.listed().saturating_sub(adopted),
                skipped,
                next: counter.old_next,
            }
        };
        Ok(list.counters.iter().map(numbers).collect())
    }

    /// The answer.
    fn adoption(
        &self,
        sequence: &Loaded,
        list: &List,
        numbers: Vec<AdoptedNumbers>,
        dry_run: bool,
    ) -> Result<Adoption, Error> {
        let today = self.today(sequence.head().definition.zone());
        let mut adoption = Adoption {
            prefix: sequence.key.prefix.clone(),
            adopted: 0,
            already_adopted: 0,
            skipped: 0,
            counters: Vec::with_capacity(numbers.len()),
            dry_run,
            replayed: false,
            numbers_as_text: sequence.head().definition.numbers_as_text(),
        };
        for (counter, numbers) in list.counters.iter().zip(numbers) {
            let (Some(first), Some(last)) = (counter.first, counter.last) else {
                continue;
            };
            adoption.adopted += numbers.adopted;
            adoption.already_adopted += numbers.repeated;
            adoption.skipped += numbers.skipped;
            let date = date_within(counter.key.period(), today);
            let line = self.line_with(sequence, counter.key.clone(), date, counter.opened)?;
            let next_number = Number::new(numbers.next).ok().filter(|next| *next <= line.max());
            adoption.counters.push(AdoptedCounter {
                period: *counter.key.period(),
                scope: counter.key.scope().clone(),
                first,
                last,
                adopted: numbers.adopted,
                next_number,
                next_id: next_number.and_then(|number| line.known_id(number)),
            });
        }
        adoption.counters.sort_by(|one, other| {
            (one.period.first(), &one.scope).cmp(&(other.period.first(), &other.scope))
        });
        Ok(adoption)
    }
}

/// The numbers of a list, sorted by counter.
#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    counters: Vec<Counter>,
    lines: Vec<Arc<Line>>,
}

/// The number of one id.
#[derive(Clone, Copy)]
struct Entry {
    /// Its place among the counters.
    counter: usize,
    number: Number,
    /// Its place among the lines.
    line: usize,
    /// Its place in the list.
    index: usize,
}

/// A counter that has numbers of the list.
struct Counter {
    key: CounterKey,
    state: Option<CounterState>,
    /// The version that it opened with, or would.
    opened: u32,
    first: Option<Number>,
    last: Option<Number>,
    ahead: u64,
    repeated: u64,
    free: u64,
    skipped: u64,
    old_next: u64,
    next: u64,
}

impl Counter {
    fn new(key: CounterKey, state: Option<CounterState>, head: u32) -> Self {
        Self {
            key,
            opened: state.as_ref().map_or(head, |state| state.version),
            state,
            first: None,
            last: None,
            ahead: 0,
            repeated: 0,
            free: 0,
            skipped: 0,
            old_next: 0,
            next: 0,
        }
    }

    fn listed(&self) -> u64 {
        self.ahead + self.repeated + self.free
    }

    /// What the ledger would answer.
    fn foreseen(&self) -> AdoptedNumbers {
        AdoptedNumbers {
            counter: self.key.clone(),
            adopted: self.ahead + self.free,
            repeated: self.repeated,
            skipped: self.skipped,
            next: self.next,
        }
    }
}

impl List {
    /// Sorts the numbers. One that is there twice is wrong the second time.
    fn refuse_repeated(&mut self, ids: &[String], wrong: &mut WrongIds) {
        self.entries
            .sort_unstable_by_key(|entry| (entry.counter, entry.number, entry.index));
        self.entries.dedup_by(|next, kept| {
            let same = (next.counter, next.number) == (kept.counter, kept.number);
            if same {
                let (id, of) = (&ids[next.index], kept.index);
                wrong.add(next.index, || WrongIdReason::Repeated {
                    id: id.clone(),
                    number: (*id != ids[of]).then_some(next.number),
                    of,
                });
            }
            same
        });
    }

    /// Adjacent numbers of one line as one run.
    fn runs(&self) -> Result<Vec<AdoptedRun>, Error> {
        let mut runs: Vec<AdoptedRun> = Vec::new();
        for entry in &self.entries {
            let line = &self.lines[entry.line];
            match runs.last_mut() {
                Some(AdoptedRun { line: before, run })
                    if Arc::ptr_eq(before, line) && run.next() == entry.number.get() =>
                {
                    run.count += 1;
                }
                _ => runs.push(AdoptedRun {
                    line: Arc::clone(line),
                    run: Run {
                        first: entry.number,
                        step: line.definition().step(),
                        count: 1,
                    },
                }),
            }
        }
        if runs.len() > MOST_ADOPTED_RUNS {
            let why = "make more than 100,000 runs of adjacent numbers: split the list, and send its parts one \
                after the other, those with the smaller numbers first";
            return Err(contradiction("/ids", why));
        }
        Ok(runs)
    }
}

/// Reads ids one after the other.
struct Reader<'a> {
    issuer: &'a Issuer,
    sequence: &'a Loaded,
    /// The newest first.
    versions: Vec<(&'a Version, DatedReader<'a>)>,
    counters: HashMap<(FieldValues, Period), usize>,
    lines: HashMap<(usize, Date, FieldValues), usize>,
    today: Date,
    list: List,
}

enum Read {
    Entry(Entry),
    Wrong(WrongIdReason),
    /// Its counter has a version of the definition that is not known here.
    Unknown,
}

impl<'a> Reader<'a> {
    fn new(issuer: &'a Issuer, sequence: &'a Loaded) -> Self {
        let versions = sequence
            .newest_first()
            .filter(|version| !version.definition.template().uses_now())
            .map(|version| (version, version.definition.template().dated_reader()));
        Self {
            issuer,
            sequence,
            versions: versions.collect(),
            counters: HashMap::new(),
            lines: HashMap::new(),
            today: issuer.today(sequence.head().definition.zone()),
            list: List::default(),
        }
    }

    /// The number of an id, by the newest version that writes this text in its counter.
    async fn read(&mut self, index: usize, id: &str) -> Result<Read, Error> {
        let mut reason = None;
        for at in 0..self.versions.len() {
            let (version, reader) = &mut self.versions[at];
            let version = *version;
            let Some((parsed, date)) = reader.read(id) else {
                continue;
            };
            let (scope, period) = match counter_of(version, &parsed) {
                Ok(name) => name,
                Err(what) => {
                    let id = id.to_owned();
                    reason.get_or_insert(WrongIdReason::Ambiguous { id, what });
                    continue;
                }
            };
            let counter = self.counter(scope, period).await?;
            let opened = self.list.counters[counter].opened;
            if self.sequence.version(opened).is_none() {
                return Ok(Read::Unknown);
            }
            if opened != version.number {
                reason.get_or_insert(WrongIdReason::OtherVersion {
                    id: id.to_owned(),
                    version: version.number,
                    period,
                    opened,
                });
                continue;
            }
            let date = date.unwrap_or_else(|| any_date(version, self.today));
            let Ok(line) = self.line(counter, version, date, parsed.fields) else {
                continue;
            };
            let number = parsed.number;
            if let Some(wrong) = not_given(&self.list.lines[line], id, number) {
                reason = Some(wrong);
                continue;
            }
            return Ok(Read::Entry(Entry {
                counter,
                number,
                line,
                index,
            }));
        }
        let not_recognised = || WrongIdReason::NotRecognised {
            id: id.to_owned(),
            prefix: self.sequence.key.prefix.to_string(),
        };
        Ok(Read::Wrong(reason.unwrap_or_else(not_recognised)))
    }

    /// The place of a counter in the list.
    async fn counter(&mut self, scope: FieldValues, period: Period) -> Result<usize, Error> {
        let name = (scope, period);
        if let Some(at) = self.counters.get(&name) {
            return Ok(*at);
        }
        let key = CounterKey::new(self.sequence.key.clone(), name.0.clone(), period);
        let state = self.issuer.store.counter(&key).await?;
        let at = self.list.counters.len();
        let head = self.sequence.head().number;
        self.list.counters.push(Counter::new(key, state, head));
        self.counters.insert(name, at);
        Ok(at)
    }

    /// The place of a line in the list.
    fn line(
        &mut self,
        counter: usize,
        version: &Version,
        date: Date,
        fields: FieldValues,
    ) -> Result<usize, Error> {
        let name = (counter, date, fields);
        if let Some(at) = self.lines.get(&name) {
            return Ok(*at);
        }
        let line = Line::new(LineParts {
            key: self.list.counters[counter].key.clone(),
            head: self.sequence.head().clone(),
            opened: version.clone(),
            date,
            fields: name.2.clone(),
        })?;
        let at = self.list.lines.len();
        self.list.lines.push(Arc::new(line));
        self.lines.insert(name, at);
        Ok(at)
    }
}

/// The counter that an id tells, or what it does not tell of it.
fn counter_of(version: &Version, parsed: &Parsed) -> Result<(FieldValues, Period), String> {
    let period = parsed.period.ok_or("period")?;
    let declared = version.definition.scope();
    if let Some(untold) = declared
        .iter()
        .find(|field| parsed.scope.get(&field.name).is_none())
    {
        return Err(format!("value of {:?}", untold.name));
    }
    let raw: RawValues = parsed
        .scope
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let scope = field::resolve(declared, &raw).map_err(|error| error.to_string())?;
    Ok((scope, period))
}

/// Why a line does not give a number this id.
fn not_given(line: &Line, id: &str, number: Number) -> Option<WrongIdReason> {
    let definition = line.definition();
    let (start, step) = (definition.start(), definition.step());
    let (id_text, max) = (|| id.to_owned(), line.max());
    if number > max {
        return Some(WrongIdReason::Beyond {
            id: id_text(),
            number,
            max,
        });
    }
    if number < start || !(number.get() - start.get()).is_multiple_of(step) {
        return Some(WrongIdReason::NotAMember {
            id: id_text(),
            number,
            start,
            second: start.get().saturating_add(step),
        });
    }
    (line.known_id(number).as_deref() != Some(id)).then(|| WrongIdReason::NotRecognised {
        id: id_text(),
        prefix: line.key().sequence().prefix.to_string(),
    })
}

/// The wrong ids of a list, the first of them in full.
#[derive(Default)]
struct WrongIds {
    first: BTreeMap<usize, WrongIdReason>,
    total: usize,
}

impl WrongIds {
    fn add(&mut self, index: usize, reason: impl FnOnce() -> WrongIdReason) {
        self.total += 1;
        let full = self.first.len() >= AdoptionRefused::SHOWN;
        if full && self.first.last_key_value().is_some_and(|(last, _)| *last < index) {
            return;
        }
        self.first.insert(index, reason());
        if full {
            self.first.pop_last();
        }
    }

    fn none(self, ids: usize) -> Result<(), Error> {
        if self.total == 0 {
            return Ok(());
        }
        let wrong = self.first.into_iter();
        Err(AdoptionRefused {
            wrong: wrong.map(|(index, reason)| WrongId { index, reason }).collect(),
            total: self.total,
            ids,
        }
        .into())
    }
}

/// What became of a counter's numbers, asked in rising order.
struct MarksBehind<'a> {
    issuer: &'a Issuer,
    counter: &'a CounterKey,
    generation: u32,
    /// Those that were read and may still matter, the last first.
    read: Vec<Mark>,
    /// Where the next page begins; `None` at the end.
    after: Option<(u32, Number)>,
}

impl<'a> MarksBehind<'a> {
    fn of(issuer: &'a Issuer, counter: &'a CounterKey, generation: u32) -> Self {
        Self {
            issuer,
            counter,
            generation,
            read: Vec::new(),
            after: Some((generation.saturating_sub(1), Number::MAX)),
        }
    }

    /// What is marked of a number; `None` for one that was plainly issued.
    async fn state_of(&mut self, number: Number) -> Result<Option<NumberState>, Error> {
        loop {
            while self
                .read
                .last()
                .is_some_and(|mark| mark.generation == self.generation && mark.run.last() < number)
            {
                self.read.pop();
            }
            let Some(after) = self.after.filter(|_| self.read.is_empty()) else {
                break;
            };
            let records = self
                .issuer
                .store
                .marks(self.counter, Some(after), Page::LARGEST)
                .await?;
            let full = records.len() == Page::LARGEST;
            let last = records.last().map(|record| &record.mark);
            self.after = last
                .filter(|_| full)
                .map(|mark| (mark.generation, mark.run.first));
            self.read = records.into_iter().rev().map(|record| record.mark).collect();
        }
        let now = self.issuer.clock.now();
        let mark = self
            .read
            .last()
            .filter(|mark| mark.generation == self.generation && mark.run.first <= number);
        Ok(mark.map(|mark| match (mark.state_at(now), mark.state) {
            // The ledger lets it go before it adopts.
            (NumberState::Expired, NumberState::Reserved) if is_reused(mark) => NumberState::Free,
            (state, _) => state,
        }))
    }
}

fn is_reused(mark: &Mark) -> bool {
    mark.hold
        .is_some_and(|hold| hold.on_expiry == crate::definition::OnExpiry::Reuse)
}

/// A date of a document whose id shows no date.
fn any_date(version: &Version, today: Date) -> Date {
    match version.definition.template().window() {
        Some((first, last)) => today.clamp(first, last),
        None => today,
    }
}

/// Today, or the first day of a period that does not have it.
fn date_within(period: &Period, today: Date) -> Date {
    if period.contains(today) {
        today
    } else {
        period.first().unwrap_or(today)
    }
}

fn contradiction(pointer: &'static str, why: &'static str) -> Error {
    Error::Invalid {
        pointer,
        reason: InvalidRequest::Contradiction(why),
    }
}
