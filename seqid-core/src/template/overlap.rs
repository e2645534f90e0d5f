//! Whether two templates can write the same id: a walk through both at once, as automata.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Template;
use super::date_part::{Basis, Function, Source, YearKind};
use super::period_check::YearOf;
use super::piece::{FieldPiece, Piece, PieceKind};
use crate::charset::CharSet;

/// Beyond this length a text without a fixed one is taken to be endless, which can only find more overlaps.
const LONGEST_COUNTED: usize = 32;
/// Pairs of states that are looked at; usual templates have some hundreds.
const MOST_PAIRS: usize = 1_000_000;

/// An id that both templates could write, or `None` if there is none.
///
/// What one piece prints is taken to be independent of the others, so that an id may be named that neither
/// writes; but an id that both write is never missed. Where it would take too long to tell, an id of `one` is
/// named.
#[must_use]
pub fn common_id(one: &Template, other: &Template) -> Option<String> {
    match Automaton::of(one).common_word(&Automaton::of(other)) {
        Walk::Found(id) => Some(id),
        Walk::Ended => None,
        Walk::GivenUp => Some(one.any_id()),
    }
}

/// How a walk through two automata ended.
enum Walk {
    Found(String),
    /// Without a common text.
    Ended,
    GivenUp,
}

/// Whether a common id of two versions of one prefix always names the same counter and number.
///
/// So it is if they differ in the width and the digits of the number only: the id then names one counter, and a
/// counter keeps the version that it was opened with.
#[must_use]
pub fn same_counter(one: &Template, other: &Template) -> bool {
    let words = one.pieces.len() == other.pieces.len();
    let alike = words
        && one
            .pieces
            .iter()
            .zip(&other.pieces)
            .all(|(a, b)| same_words(&a.kind, &b.kind));
    let names = |template: &Template| template.scope.iter().map(|d| d.name.clone()).collect::<Vec<_>>();
    let years = one.window == other.window || (one.years_are_absolute() && other.years_are_absolute());
    let told = one.tells_its_counter() && other.tells_its_counter();
    alike && told && years && one.calendar == other.calendar && names(one) == names(other)
}

fn same_words(one: &PieceKind, other: &PieceKind) -> bool {
    match (one, other) {
        (PieceKind::Seq(_), PieceKind::Seq(_)) => true,
        (PieceKind::Field(a), PieceKind::Field(b)) => {
            a.kin == b.kin && a.declaration.name == b.declaration.name && a.transforms == b.transforms
        }
        _ => one == other,
    }
}

impl Template {
    fn tells_its_counter(&self) -> bool {
        self.determines.period && self.determines.scope.len() == self.scope.len()
    }

    /// Whether the years in an id mean the same whatever the window: one kind of year, told in full.
    fn years_are_absolute(&self) -> bool {
        let mut kinds: Vec<(Source, Basis)> = Vec::new();
        for piece in &self.pieces {
            let PieceKind::Date(source, part) = piece.kind else {
                continue;
            };
            let Some(told) = part.year_told() else { continue };
            if told.kind != YearKind::Full {
                return false;
            }
            if !kinds.contains(&(source, told.basis)) {
                kinds.push((source, told.basis));
            }
        }
        kinds.len() == 1
    }
}

/// What can be read, and where that leads.
#[derive(Debug, Default)]
struct State {
    without_reading: Vec<usize>,
    reading: Vec<(CharSet, usize)>,
}

/// All texts of a template: from state 0 to the last.
#[derive(Debug)]
struct Automaton {
    states: Vec<State>,
    end: usize,
}

impl Automaton {
    fn of(template: &Template) -> Self {
        let mut automaton = Self {
            states: vec![State::default()],
            end: 0,
        };
        for piece in &template.pieces {
            automaton.append(piece, template);
        }
        automaton
    }

    fn state(&mut self) -> usize {
        self.states.push(State::default());
        self.states.len() - 1
    }

    fn step(&mut self, set: &CharSet) {
        let next = self.state();
        self.states[self.end].reading.push((set.clone(), next));
        self.end = next;
    }

    fn append(&mut self, piece: &Piece, template: &Template) {
        let profile = piece.profile();
        match &piece.kind {
            PieceKind::Text(text) => text.chars().for_each(|c| self.step(&CharSet::from_iter([c]))),
            PieceKind::Seq(seq) => {
                let rest = seq.alphabet();
                let first: CharSet = rest.iter().filter(|&c| c != seq.zero()).collect();
                self.number(&first, &rest, (seq.shortest(), seq.longest()));
            }
            PieceKind::Date(source, part) => {
                let values = years(*source, part.function, template);
                let texts: Vec<String> = match values {
                    Some(values) => values.into_iter().map(|value| part.text(value)).collect(),
                    None => part.texts().collect(),
                };
                self.words(&texts);
            }
            PieceKind::Field(field) if !field.declaration.values.is_empty() => self.words(&listed(field)),
            PieceKind::Field(_) | PieceKind::Check(_) => {
                self.repeat(&profile.alphabet, profile.shortest, profile.longest);
            }
        }
    }

    /// `shortest` to `longest` characters of a set.
    fn repeat(&mut self, set: &CharSet, shortest: usize, longest: usize) {
        for _ in 0..shortest {
            self.step(set);
        }
        if longest == shortest {
            return;
        }
        if longest > LONGEST_COUNTED {
            let (here, looping) = (self.end, self.state());
            self.states[here].without_reading.push(looping);
            self.states[looping].reading.push((set.clone(), looping));
            self.end = looping;
            return;
        }
        let mut ends = Vec::new();
        for _ in shortest..longest {
            ends.push(self.end);
            self.step(set);
        }
        for early in ends {
            let end = self.end;
            self.states[early].without_reading.push(end);
        }
    }

    /// A number: of its width, or longer without a zero in front.
    fn number(&mut self, first: &CharSet, digits: &CharSet, (width, longest): (usize, usize)) {
        let begin = self.end;
        self.repeat(digits, width, width);
        let short_end = self.end;
        if longest > width {
            self.end = begin;
            self.step(first);
            self.repeat(digits, width, longest - 1);
            let end = self.end;
            self.states[short_end].without_reading.push(end);
        }
    }

    /// One of several texts. Equal endings share their states.
    fn words(&mut self, texts: &[String]) {
        let begin = self.end;
        let end = self.state();
        let mut known = HashMap::from([(vec![""], end)]);
        let mut endings: Vec<&str> = texts.iter().map(String::as_str).collect();
        endings.sort_unstable();
        endings.dedup();
        let entry = self.endings(endings, end, &mut known);
        self.states[begin].without_reading.push(entry);
        self.end = end;
    }

    fn endings<'a>(
        &mut self,
        texts: Vec<&'a str>,
        end: usize,
        known: &mut HashMap<Vec<&'a str>, usize>,
    ) -> usize {
        if let Some(&state) = known.get(&texts) {
            return state;
        }
        let mut by_first: BTreeMap<char, Vec<&'a str>> = BTreeMap::new();
        for text in &texts {
            let mut chars = text.chars();
            if let Some(first) = chars.next() {
                by_first.entry(first).or_default().push(chars.as_str());
            }
        }
        let state = self.state();
        if texts.contains(&"") {
            self.states[state].without_reading.push(end);
        }
        for (first, rest) in by_first {
            let next = self.endings(rest, end, known);
            self.states[state]
                .reading
                .push((CharSet::from_iter([first]), next));
        }
        known.insert(texts, state);
        state
    }

    /// A text of both automata, among the shortest.
    fn common_word(&self, other: &Self) -> Walk {
        let mut from: HashMap<(usize, usize), Option<Step>> = HashMap::from([((0, 0), None)]);
        let mut queue = VecDeque::from([(0, 0)]);
        while let Some((a, b)) = queue.pop_front() {
            if (a, b) == (self.end, other.end) {
                return Walk::Found(spelled(&from, (a, b)));
            }
            if from.len() > MOST_PAIRS {
                return Walk::GivenUp;
            }
            for (pair, character) in self.steps(other, (a, b)) {
                if let std::collections::hash_map::Entry::Vacant(entry) = from.entry(pair) {
                    entry.insert(Some(Step {
                        before: (a, b),
                        character,
                    }));
                    if character.is_none() {
                        queue.push_front(pair);
                    } else {
                        queue.push_back(pair);
                    }
                }
            }
        }
        Walk::Ended
    }

    fn steps(&self, other: &Self, (a, b): (usize, usize)) -> Vec<((usize, usize), Option<char>)> {
        let (one, two) = (&self.states[a], &other.states[b]);
        let mut steps: Vec<_> = one
            .without_reading
            .iter()
            .map(|&next| ((next, b), None))
            .collect();
        steps.extend(two.without_reading.iter().map(|&next| ((a, next), None)));
        for (set, next) in &one.reading {
            for (also, beside) in &two.reading {
                if let Some(character) = set.first_common(also) {
                    steps.push(((*next, *beside), Some(character)));
                }
            }
        }
        steps
    }
}

/// How a pair of states was reached.
struct Step {
    before: (usize, usize),
    character: Option<char>,
}

fn spelled(from: &HashMap<(usize, usize), Option<Step>>, end: (usize, usize)) -> String {
    let mut characters = Vec::new();
    let mut pair = end;
    while let Some(Some(step)) = from.get(&pair) {
        characters.extend(step.character);
        pair = step.before;
    }
    characters.into_iter().rev().collect()
}

fn listed(field: &FieldPiece) -> Vec<String> {
    field
        .declaration
        .values
        .iter()
        .map(|value| field.shown(value))
        .collect()
}

/// The values of a year within the template's window; `None` for other facts, or without a window.
fn years(source: Source, function: Function, template: &Template) -> Option<Vec<u16>> {
    let Function::Year { basis, .. } = function else {
        return None;
    };
    let (first, last) = template.window.filter(|_| source != Source::Now)?;
    let of = YearOf {
        source,
        basis,
        calendar: template.calendar,
    };
    let mut values: Vec<u16> = (of.year(first)..=of.year(last))
        .map(|year| function.last_digits(year))
        .collect();
    values.sort_unstable();
    values.dedup();
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldDeclaration;
    use crate::names::{Prefix, Tenant};
    use crate::period::{Calendar, MonthDay, Reset};
    use crate::template::Language;
    use crate::time::Zone;

    fn template(prefix: &str, text: &str, reset: Reset, window: Option<(i16, i16)>) -> Template {
        let (tenant, prefix) = (Tenant::default(), Prefix::new(prefix).unwrap());
        let calendar = Calendar::new(reset, MonthDay::JANUARY_1);
        let branch = [FieldDeclaration::new("branch")];
        let scope: &[_] = if text.contains("{branch}") { &branch } else { &[] };
        let zone = Zone::UTC;
        let language = Language {
            window,
            scope,
            ..Language::new(&tenant, &prefix, &zone, calendar)
        };
        Template::compile(text, &language).unwrap()
    }

    #[track_caller]
    fn common(one: &str, other: &str, expected: Option<&str>) {
        let window = Some((2020, 2039));
        let reset = |text: &str| {
            if text.contains("yy}") {
                Reset::Year
            } else {
                Reset::Never
            }
        };
        let (a, b) = (
            template("INV", one, reset(one), window),
            template("ORD", other, reset(other), window),
        );
        let found = common_id(&a, &b);
        assert_eq!(found.as_deref(), expected, "{one} and {other}");
        assert_eq!(common_id(&b, &a).map(|id| id.len()), found.map(|id| id.len()));
    }

    #[test]
    fn different_text_separates() {
        common("{prefix}-{seq}", "{prefix}-{seq}", None);
        common("INV-{seq:4}", "INV-{seq:5}", Some("INV-10000"));
        common("INV-{seq:4!}", "INV-{seq:5}", None);
        common("INV-{yyyy}-{seq:4}", "INV-{seq:4}", None);
        common("INV{yyyy}{seq:4}", "INV{seq:4}", Some("INV20200000"));
        common("INV-{branch}-{seq}", "INV-{yyyy}-{seq}", Some("INV-2020-0"));
    }

    #[test]
    fn years_are_those_of_the_window() {
        common("A{yyyy}-{seq}", "A{yy}{mm}-{seq}", None);
        common("A{yyyy}-{seq}", "A{mm}{yy}-{seq}", None);
        common("A{yyyy}-{seq}", "A20{yy}-{seq}", Some("A2020-0"));
    }

    #[test]
    fn versions_that_differ_in_width_name_the_same_counter() {
        let of = |text: &str, reset| template("INV", text, reset, None);
        let yearly = of("INV-{yyyy}-{seq:4}", Reset::Year);
        assert!(same_counter(
            &yearly,
            &of("INV-{yyyy}-{seq:6|base=36}", Reset::Year)
        ));
        assert!(!same_counter(&yearly, &of("INV-{yyyy}-{seq:4}", Reset::Never)));
        assert!(!same_counter(&yearly, &of("INV-{fy}-{seq:4}", Reset::Year)));
    }

    #[test]
    fn years_that_a_window_gives_their_meaning_name_other_counters() {
        let of = |text: &str, window| template("INV", text, Reset::Year, Some(window));
        assert!(!same_counter(
            &of("{yy}-{seq}", (1970, 2069)),
            &of("{yy}-{seq:3}", (2000, 2099))
        ));
        assert!(same_counter(
            &of("{yyyy}-{seq}", (1970, 2069)),
            &of("{yyyy}-{seq:3}", (2000, 2099))
        ));
    }
}
