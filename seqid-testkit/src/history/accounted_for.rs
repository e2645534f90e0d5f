//! P5.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::audit::{CounterEnd, MarkRow, Row, RowKind};
use super::violation::{Fault, Line, Report};

type Ends<'a> = HashMap<(&'a str, u32), &'a CounterEnd>;
type Marks<'a> = BTreeMap<(&'a str, u32), Vec<&'a MarkRow>>;

pub(super) fn check(rows: &[Row], ends: &[CounterEnd], marks: Option<&[MarkRow]>, report: &mut Report) {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (row.counter.as_str(), row.n));
    let newest = newest_generations(ends);
    for counter in rows.chunk_by(|a, b| a.counter == b.counter) {
        check_places(counter, report);
        let newest = newest.get(counter[0].counter.as_str()).copied();
        check_generations(counter, newest, report);
    }

    // A row that was delivered twice has been reported and says nothing new.
    rows.dedup();
    rows.sort_by_key(|row| (row.counter.as_str(), row.generation));
    let mut ends: Ends<'_> = ends
        .iter()
        .map(|end| ((end.counter.as_str(), end.generation), end))
        .collect();
    let mut marks_of = marks.map(by_line);
    for line in rows.chunk_by(|a, b| (&a.counter, a.generation) == (&b.counter, b.generation)) {
        let name = (line[0].counter.as_str(), line[0].generation);
        let end = ends.remove(&name);
        let marks = marks_of
            .as_mut()
            .map(|marks| marks.remove(&name).unwrap_or_default());
        check_line(line, end, marks, report);
    }
    for (_, marks) in marks_of.into_iter().flatten() {
        let lowest = marks[0];
        let line = Ledger::new(&lowest.counter, lowest.generation, lowest.first, lowest.step);
        line.check_marks(marks, report);
    }
    let mut without_rows: Vec<&CounterEnd> = ends.into_values().collect();
    without_rows.sort_unstable_by_key(|end| (&end.counter, end.generation));
    for end in without_rows {
        Ledger::of(end).check_complete(end, report);
    }
}

fn by_line(marks: &[MarkRow]) -> Marks<'_> {
    let mut lines = Marks::new();
    for mark in marks {
        let line = lines.entry((mark.counter.as_str(), mark.generation)).or_default();
        line.push(mark);
    }
    lines
        .values_mut()
        .for_each(|line| line.sort_by_key(|mark| mark.first));
    lines
}

fn newest_generations(ends: &[CounterEnd]) -> HashMap<&str, u32> {
    let mut newest = HashMap::new();
    for end in ends {
        let generation = newest.entry(end.counter.as_str()).or_insert(end.generation);
        *generation = end.generation.max(*generation);
    }
    newest
}

/// The places of a counter's rows are 1, 2, 3 and so on.
fn check_places(counter: &[&Row], report: &mut Report) {
    let mut place = 0;
    for row in counter {
        let Row { n, counter, .. } = row;
        let fault = match n - place {
            0 if *n == 0 => Some(Fault::NoPlace {
                counter: counter.clone(),
            }),
            0 => Some(Fault::DoubleRow {
                counter: counter.clone(),
                n: *n,
            }),
            1 => None,
            _ => Some(Fault::MissingRows {
                counter: counter.clone(),
                from: place + 1,
                to: n - 1,
            }),
        };
        if let Some(fault) = fault {
            report.add(fault, &[], &[row]);
        }
        place = *n;
    }
}

/// A generation opens with a reset. Rows of an older one may follow, because evidence about lost
/// numbers may turn up late.
fn check_generations(counter: &[&Row], newest: Option<u32>, report: &mut Report) {
    let mut current = counter[0].generation;
    for row in &counter[1..] {
        let (counter, generation, before) = (row.counter.clone(), row.generation, current);
        let is_reset = row.kind.raises_the_generation();
        if is_reset && generation <= current {
            report.add(
                Fault::NotRaised {
                    counter,
                    before,
                    generation,
                },
                &[],
                &[row],
            );
        } else if !is_reset && generation > current {
            report.add(
                Fault::NotReset {
                    counter,
                    before,
                    generation,
                },
                &[],
                &[row],
            );
        }
        current = current.max(generation);
    }
    if let Some(counter_has) = newest.filter(|&newest| newest != current) {
        let counter = counter[0].counter.clone();
        report.add(
            Fault::EndsElsewhere {
                counter,
                counter_has,
                audit_has: current,
            },
            &[],
            &[],
        );
    }
}

fn check_line(line: &[&Row], end: Option<&CounterEnd>, marks: Option<Vec<&MarkRow>>, report: &mut Report) {
    let about_numbers = || line.iter().copied().filter(|row| row.kind.has_numbers());
    let mut ledger = match (end, about_numbers().min_by_key(|row| row.first)) {
        (Some(end), _) => Ledger::of(end),
        (None, Some(lowest)) => Ledger::new(&lowest.counter, lowest.generation, lowest.first, lowest.step),
        (None, None) => return,
    };
    for row in about_numbers() {
        ledger.play(row, report);
    }
    match end {
        Some(end) => ledger.check_complete(end, report),
        None => ledger.check_dense(report),
    }
    if let Some(marks) = marks {
        ledger.check_marks(marks, report);
    }
}

/// The state of every number of one line, as the rows played so far leave it.
///
/// Counts positions on the line, so that number = start + position * step.
struct Ledger<'a> {
    counter: &'a str,
    generation: u32,
    start: u64,
    step: u64,
    /// The runs that are not open, by their first position.
    spans: BTreeMap<u64, Span<'a>>,
}

/// Numbers whose state comes from one row.
#[derive(Clone, Copy)]
struct Span<'a> {
    /// The first position after it.
    end: u64,
    row: &'a Row,
}

impl<'a> Ledger<'a> {
    fn new(counter: &'a str, generation: u32, start: u64, step: u64) -> Self {
        Self {
            counter,
            generation,
            start,
            step: step.max(1),
            spans: BTreeMap::new(),
        }
    }

    fn of(end: &'a CounterEnd) -> Self {
        Self::new(&end.counter, end.generation, end.start, end.step)
    }

    fn play(&mut self, row: &'a Row, report: &mut Report) {
        let Some(positions) = self.positions(row) else {
            let Row {
                first, step, count, ..
            } = *row;
            report.add(
                Fault::OffLine {
                    line: self.name(),
                    first,
                    step,
                    count,
                },
                &[],
                &[row],
            );
            return;
        };
        let replaced = self.take_out(positions.clone());
        if row.kind == RowKind::Lost {
            for (from, span) in replaced {
                let is_pending = span.row.kind == RowKind::Pending;
                let row = if is_pending { row } else { span.row };
                self.spans.insert(from, Span { row, ..span });
            }
            return;
        }
        if let Some((position, before)) = first_conflict(&positions, &replaced, row.kind) {
            let fault = Fault::WrongState {
                line: self.name(),
                number: self.number(position),
                before: before.map(|row| row.kind),
                after: row.kind,
            };
            let concerned: Vec<&Row> = before.into_iter().chain([row]).collect();
            report.add(fault, &[], &concerned);
        }
        if row.kind != RowKind::Returned {
            self.spans.insert(
                positions.start,
                Span {
                    end: positions.end,
                    row,
                },
            );
        }
    }

    /// Where on the line the numbers of a row are; `None` if they are not all on it.
    fn positions(&self, row: &Row) -> Option<Range<u64>> {
        let offset = row.first.checked_sub(self.start)?;
        let on_the_line = offset % self.step == 0
            && (row.count == 1 || row.count > 1 && row.step == self.step)
            && row.run().last() <= u64::MAX.into();
        let position = offset / self.step;
        let end = position.checked_add(row.count)?;
        on_the_line.then_some(position..end)
    }

    /// Removes what is known about these positions, and returns it.
    fn take_out(&mut self, positions: Range<u64>) -> Vec<(u64, Span<'a>)> {
        self.cut(positions.start);
        self.cut(positions.end);
        let replaced: Vec<_> = self
            .spans
            .range(positions)
            .map(|(&from, &span)| (from, span))
            .collect();
        for (from, _) in &replaced {
            self.spans.remove(from);
        }
        replaced
    }

    /// Makes two spans of one that lies across a position.
    fn cut(&mut self, position: u64) {
        let Some((_, span)) = self.spans.range_mut(..position).next_back() else {
            return;
        };
        if span.end > position {
            let upper = *span;
            span.end = position;
            self.spans.insert(position, upper);
        }
    }

    /// Every number below `next` has a state, and no other number has.
    fn check_complete(&self, end: &CounterEnd, report: &mut Report) {
        let positions = end.next.saturating_sub(self.start).div_ceil(self.step);
        self.check_gaps(0..positions, report);
        for (&from, span) in self
            .spans
            .iter()
            .rev()
            .take_while(|(_, span)| span.end > positions)
        {
            let fault = Fault::BeyondNext {
                line: self.name(),
                number: self.number(from.max(positions)),
                state: span.row.kind,
                next: end.next,
            };
            report.add(fault, &[], &[span.row]);
        }
    }

    /// Every number between two that have a state has one.
    fn check_dense(&self, report: &mut Report) {
        if let (Some((&from, _)), Some((_, last))) =
            (self.spans.first_key_value(), self.spans.last_key_value())
        {
            self.check_gaps(from..last.end, report);
        }
    }

    /// The marks, by their first numbers, are what the rows left of the numbers.
    fn check_marks(&self, marks: Vec<&MarkRow>, report: &mut Report) {
        let recorded = self
            .spans
            .iter()
            .map(|(&from, span)| (from..span.end, span.row.kind.mark()));
        let recorded = joined(recorded);
        let marked = joined(marks.into_iter().filter_map(|mark| {
            let from = mark.first.checked_sub(self.start)? / self.step;
            let to = from.checked_add(mark.run().count)?;
            Some((from..to, Some(mark.kind)))
        }));
        if let Some(position) = first_difference(&recorded, &marked) {
            let fault = Fault::OtherMark {
                line: self.name(),
                number: self.number(position),
                marked: kind_at(&marked, position),
                recorded: kind_at(&recorded, position),
            };
            report.add(fault, &[], &[]);
        }
    }

    fn check_gaps(&self, positions: Range<u64>, report: &mut Report) {
        let mut expected = positions.start;
        for (&from, span) in self.spans.range(positions.clone()) {
            self.check_gap(expected..from, report);
            expected = span.end;
        }
        self.check_gap(expected..positions.end, report);
    }

    fn check_gap(&self, gap: Range<u64>, report: &mut Report) {
        if !gap.is_empty() {
            let (from, to) = (self.number(gap.start), self.number(gap.end - 1));
            report.add(
                Fault::Unaccounted {
                    line: self.name(),
                    from,
                    to,
                },
                &[],
                &[],
            );
        }
    }

    fn number(&self, position: u64) -> u64 {
        self.start + position * self.step
    }

    fn name(&self) -> Line {
        Line::new(self.counter, self.generation)
    }
}

/// Positions with the kind of mark that they bear.
type Marked = Vec<(Range<u64>, RowKind)>;

/// Neighbours that bear the same mark as one, and those that bear none left out.
fn joined(ranges: impl Iterator<Item = (Range<u64>, Option<RowKind>)>) -> Marked {
    let mut marked = Marked::new();
    for (range, kind) in ranges {
        let Some(kind) = kind else { continue };
        match marked.last_mut() {
            Some((last, same)) if *same == kind && last.end == range.start => last.end = range.end,
            _ => marked.push((range, kind)),
        }
    }
    marked
}

fn first_difference(one: &Marked, other: &Marked) -> Option<u64> {
    let alike = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    match (one.get(alike), other.get(alike)) {
        (None, None) => None,
        (Some((range, _)), None) | (None, Some((range, _))) => Some(range.start),
        (Some((a, kind)), Some((b, same))) if a.start == b.start && kind == same => Some(a.end.min(b.end)),
        (Some((a, _)), Some((b, _))) => Some(a.start.min(b.start)),
    }
}

fn kind_at(marked: &Marked, position: u64) -> Option<RowKind> {
    let here = marked.iter().find(|(range, _)| range.contains(&position));
    here.map(|(_, kind)| *kind)
}

/// The lowest position whose state the new row must not follow, with the row that it is from.
fn first_conflict<'a>(
    positions: &Range<u64>,
    replaced: &[(u64, Span<'a>)],
    kind: RowKind,
) -> Option<(u64, Option<&'a Row>)> {
    let mut expected = positions.start;
    for &(from, span) in replaced {
        if from > expected && !kind.may_follow(None) {
            return Some((expected, None));
        }
        if !kind.may_follow(Some(span.row.kind)) {
            return Some((from, Some(span.row)));
        }
        expected = span.end;
    }
    (expected < positions.end && !kind.may_follow(None)).then_some((expected, None))
}
