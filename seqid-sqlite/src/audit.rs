//! Finding events: the index says which positions may have what is asked for, and SQL looks at the rows there.

use rusqlite::{Connection, OptionalExtension, params};
use seqid_core::counter::SequenceKey;
use seqid_core::event::EventKind;
use seqid_core::ledger::Linked;
use seqid_core::names::Number;
use seqid_core::query::{EventQuery, Order};

use crate::error::Fault;
use crate::index::{self, BLOCK, IndexReader, MOST_TURNS};
use crate::read;
use crate::rows::{self, signed};
use crate::runs::{Run, Runs};

/// How many events one statement looks at.
const CHUNK: u64 = 1_000;
/// Runs that lie no farther apart are looked at together: skipping so many events costs less than a statement.
const NEAR: u64 = 32;
/// What a statement counts for besides, in events looked at.
const STATEMENT: u64 = 8;

/// The rows of a page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: Vec<(u64, Linked)>,
    pub(crate) next: Option<u64>,
}

/// The page of a query, and the position of the newest event of all.
pub(crate) fn page(
    connection: &Connection,
    index: &IndexReader,
    query: &EventQuery,
) -> Result<(Page, u64), Fault> {
    let last = index.counters.last_position();
    // Each statement would lock and unlock the file otherwise.
    let _reading = connection.unchecked_transaction()?;
    let page = match Search::new(connection, index, query, last)? {
        Some(search) => search.page()?,
        None => Page::default(),
    };
    Ok((page, last))
}

/// One page on its way.
struct Search<'a> {
    connection: &'a Connection,
    query: &'a EventQuery,
    last: u64,
    sequence: Option<i64>,
    counter: Option<i64>,
    /// The runs of the counter or of the sequence; `None` for the whole log.
    runs: Option<Runs>,
    /// Outside of these there is nothing. In the order of their positions.
    ranges: Vec<Run>,
    /// A block known to have instants that are asked for, or all positions where none are.
    in_time: Option<Run>,
}

impl<'a> Search<'a> {
    /// `None` when there is no such sequence or counter.
    fn new(
        connection: &'a Connection,
        index: &IndexReader,
        query: &'a EventQuery,
        last: u64,
    ) -> Result<Option<Self>, Fault> {
        let all = Run { first: 1, last };
        let mut search = Self {
            connection,
            query,
            last,
            sequence: None,
            counter: None,
            runs: None,
            ranges: vec![all],
            in_time: (query.from.is_none() && query.to.is_none()).then_some(all),
        };
        let Some(prefix) = &query.prefix else {
            return Ok(Some(search));
        };
        let key = SequenceKey::new(query.tenant.clone(), prefix.clone());
        let Some(sequence) = read::sequence_row(connection, &key)? else {
            return Ok(None);
        };
        search.sequence = Some(sequence);
        let (Some(period), Some(scope)) = (&query.period, &query.scope) else {
            search.runs = Some(index.sequences.runs(sequence));
            return Ok(Some(search));
        };
        let Some(counter) = counter_row(connection, sequence, &scope.to_string(), period)? else {
            return Ok(None);
        };
        search.counter = Some(counter);
        let mut runs = index.counters.runs(counter);
        if let Some(numbers) = query.numbers {
            search.ranges = ranges_of_numbers(connection, &mut runs, (counter, last), numbers)?;
        }
        search.runs = Some(runs);
        Ok(Some(search))
    }

    fn page(mut self) -> Result<Page, Fault> {
        let mut page = Page::default();
        let (mut at, mut looked) = (self.query.after, 0);
        while let Some(run) = self.next_run(at)? {
            let left = self.query.limit - page.rows.len();
            if left == 0 || looked >= EventQuery::WORK {
                page.next = at;
                break;
            }
            let (near, far) = (nearest(self.query.order, run), self.far_end(run, left)?);
            looked += near.abs_diff(far) + 1 + STATEMENT;
            let found = self.matching(near.min(far), near.max(far), left)?;
            at = match found.last() {
                Some((position, _)) if found.len() == left => Some(*position),
                _ => Some(far),
            };
            page.rows.extend(found);
        }
        Ok(page)
    }

    /// Up to where a statement looks that begins with a run: over the runs that follow closely, as long as they may
    /// be needed.
    fn far_end(&mut self, begin: Run, needed: usize) -> Result<u64, Fault> {
        let order = self.query.order;
        let near = nearest(order, begin);
        let clipped = |run: Run| match order {
            Order::OldestFirst => run.last.min(near.saturating_add(CHUNK - 1)),
            Order::NewestFirst => run.first.max(near.saturating_sub(CHUNK - 1)),
        };
        let mut far = clipped(begin);
        let mut candidates = near.abs_diff(far) + 1;
        while candidates < (needed as u64).max(NEAR)
            && near.abs_diff(far) + NEAR < CHUNK
            && let Some(run) = self.next_run(Some(far))?
            && nearest(order, run).abs_diff(far) <= NEAR
        {
            far = clipped(run);
            candidates += nearest(order, run).abs_diff(far) + 1;
        }
        Ok(far)
    }

    /// The nearest positions behind `at`, in the order of the page, that may have what is asked for.
    fn next_run(&mut self, at: Option<u64>) -> Result<Option<Run>, Fault> {
        let order = self.query.order;
        let mut near = order.following(at, self.last);
        while let Some(position) = near {
            let Some(range) = self.range(position) else { break };
            let Some(run) = self.run(nearest(order, range))? else {
                break;
            };
            let Some(block) = self.block(nearest(order, run))? else {
                break;
            };
            let met = Run {
                first: range.first.max(run.first).max(block.first),
                last: range.last.min(run.last).min(block.last),
            };
            if met.first <= met.last {
                return Ok(Some(met));
            }
            near = Some(nearest(order, block));
        }
        Ok(None)
    }

    /// The nearest of the ranges, from a position on.
    fn range(&self, position: u64) -> Option<Run> {
        match self.query.order {
            Order::OldestFirst => {
                let at = self.ranges.partition_point(|range| range.last < position);
                self.ranges.get(at).map(|range| Run {
                    first: range.first.max(position),
                    last: range.last,
                })
            }
            Order::NewestFirst => {
                let behind = self.ranges.partition_point(|range| range.first <= position);
                behind.checked_sub(1).map(|at| Run {
                    first: self.ranges[at].first,
                    last: self.ranges[at].last.min(position),
                })
            }
        }
    }

    /// The nearest run of the counter or sequence, from a position on.
    fn run(&mut self, position: u64) -> Result<Option<Run>, Fault> {
        let Some(runs) = &mut self.runs else {
            return Ok(Some(match self.query.order {
                Order::OldestFirst => Run {
                    first: position,
                    last: self.last,
                },
                Order::NewestFirst => Run {
                    first: 1,
                    last: position,
                },
            }));
        };
        Ok(match self.query.order {
            Order::OldestFirst => runs.at_or_behind(self.connection, position)?,
            Order::NewestFirst => runs.at_or_before(self.connection, position)?,
        })
    }

    /// The nearest block with instants that are asked for, from a position on.
    fn block(&mut self, position: u64) -> Result<Option<Run>, Fault> {
        let has = |run: &Run| (run.first..=run.last).contains(&position);
        if self.in_time.as_ref().is_none_or(|run| !has(run)) {
            self.in_time = self.find_block(index::block(position))?;
        }
        let order = self.query.order;
        Ok(self.in_time.map(|run| match order {
            Order::OldestFirst => Run {
                first: run.first.max(position),
                last: run.last,
            },
            Order::NewestFirst => Run {
                first: run.first,
                last: run.last.min(position),
            },
        }))
    }

    fn find_block(&self, nearest: u64) -> Result<Option<Run>, Fault> {
        // The newest block is not full, and its instants are not written yet.
        let newest = index::block(self.last);
        let mut find = self.connection.prepare_cached(match self.query.order {
            Order::OldestFirst => {
                "SELECT id FROM event_block WHERE id >= ?1 AND latest >= ?2 AND earliest < ?3 ORDER BY id LIMIT 1"
            }
            Order::NewestFirst => {
                "SELECT id FROM event_block WHERE id <= ?1 AND latest >= ?2 AND earliest < ?3 ORDER BY id DESC LIMIT 1"
            }
        })?;
        let from = self.query.from.map_or(i64::MIN, |from| from.as_micros());
        let to = self.query.to.map_or(i64::MAX, |to| to.as_micros());
        let found = match self.query.order {
            Order::NewestFirst if nearest >= newest => Some(newest),
            _ => find
                .query_row(params![signed(nearest), from, to], |row| row.get::<_, i64>(0))
                .optional()?
                .map(i64::cast_unsigned),
        };
        let found = match self.query.order {
            Order::OldestFirst => Some(found.unwrap_or(newest).min(newest)).filter(|id| *id >= nearest),
            Order::NewestFirst => found,
        };
        Ok(found.map(|id| Run {
            first: id * BLOCK + 1,
            last: (id + 1) * BLOCK,
        }))
    }

    fn matching(&self, first: u64, last: u64, limit: usize) -> Result<Vec<(u64, Linked)>, Fault> {
        let query = self.query;
        let sql = match query.order {
            Order::OldestFirst => rows::MATCHING_OLDEST_FIRST,
            Order::NewestFirst => rows::MATCHING_NEWEST_FIRST,
        };
        let kinds = (!query.kinds.is_empty()).then(|| {
            query
                .kinds
                .iter()
                .fold(0_i64, |bits, kind| bits | 1 << *kind as u8)
        });
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_map(
            params![
                signed(first),
                signed(last),
                signed(limit as u64),
                query.tenant.as_str(),
                self.sequence,
                self.counter,
                query.period,
                query.scope.as_ref().map(ToString::to_string),
                query.numbers.map(|(first, _)| signed(first.get())),
                query.numbers.map(|(_, last)| signed(last.get())),
                query.actor.as_ref().map(|label| label.as_str()),
                query.client.as_ref().map(|label| label.as_str()),
                query.request.as_ref().map(|label| label.as_str()),
                query.reference.as_ref().map(|reference| reference.as_str()),
                kinds,
                query.from.map(|from| from.as_micros()),
                query.to.map(|to| to.as_micros()),
            ],
            rows::event,
        )?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

/// The end of a run that comes first in an order.
fn nearest(order: Order, run: Run) -> u64 {
    match order {
        Order::OldestFirst => run.first,
        Order::NewestFirst => run.last,
    }
}

fn counter_row(
    connection: &Connection,
    sequence: i64,
    scope: &str,
    period: &str,
) -> Result<Option<i64>, Fault> {
    let found = connection
        .prepare_cached(rows::FIND_COUNTER)?
        .query_row(params![sequence, scope.to_lowercase(), period], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    Ok(found.filter(|(_, exact)| exact == scope).map(|(id, _)| id))
}

/// Where a counter's events with certain numbers are. Between two turns its numbers rise with the positions.
fn ranges_of_numbers(
    connection: &Connection,
    runs: &mut Runs,
    (counter, last): (i64, u64),
    (least, most): (Number, Number),
) -> Result<Vec<Run>, Fault> {
    let turns: Vec<i64> = connection
        .prepare_cached(
            "SELECT position FROM turn WHERE counter = ?1 AND position <= ?2 ORDER BY position LIMIT ?3",
        )?
        .query_map(
            params![counter, signed(last), signed(MOST_TURNS as u64 + 1)],
            |row| row.get(0),
        )?
        .collect::<Result<_, _>>()?;
    if turns.len() > MOST_TURNS || had_free_numbers(connection, counter)? {
        return Ok(vec![Run { first: 1, last }]);
    }
    let mut ranges = Vec::new();
    let mut begin = 1;
    let ends = turns.iter().map(|turn| turn.cast_unsigned()).chain([last + 1]);
    for end in ends {
        let stretch = Run {
            first: begin,
            last: end - 1,
        };
        // The last event that begins at or before the least number may have it.
        let first = behind_number(connection, runs, stretch, least)?
            .saturating_sub(1)
            .max(begin);
        let behind = behind_number(connection, runs, stretch, most)?;
        if first < behind {
            ranges.push(Run {
                first,
                last: behind - 1,
            });
        }
        if end <= last {
            ranges.push(Run {
                first: end,
                last: end,
            });
        }
        begin = end + 1;
    }
    Ok(ranges)
}

/// Whether numbers of the counter may have been let go, and drawn again behind larger ones.
fn had_free_numbers(connection: &Connection, counter: i64) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM turn JOIN event USING (position) WHERE turn.counter = ?1 AND event.kind = ?2)";
    let expired = EventKind::Expired as u8;
    Ok(connection
        .prepare_cached(sql)?
        .query_row(params![counter, expired], |row| row.get(0))?)
}

/// The position behind the last event of a stretch whose run begins at or before a number.
fn behind_number(
    connection: &Connection,
    runs: &mut Runs,
    stretch: Run,
    number: Number,
) -> Result<u64, Fault> {
    let (mut low, mut high) = (stretch.first, stretch.last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_number(connection, runs, middle, stretch.last)? {
            Some((position, first)) if first <= number.get() => low = position + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The first event at a position or behind it that has numbers, and the first of them.
fn first_number(
    connection: &Connection,
    runs: &mut Runs,
    mut position: u64,
    last: u64,
) -> Result<Option<(u64, u64)>, Fault> {
    while let Some(run) = runs
        .at_or_behind(connection, position)?
        .filter(|run| run.first <= last)
    {
        let first: Option<i64> = connection
            .prepare_cached("SELECT first FROM event WHERE position = ?1")?
            .query_row([signed(run.first)], |row| row.get(0))?;
        if let Some(first) = first {
            return Ok(Some((run.first, first.cast_unsigned())));
        }
        position = run.first + 1;
    }
    Ok(None)
}
