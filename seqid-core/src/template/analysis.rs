//! The proof that ids can be told apart: read in one way, with the period and the scope printed, within bounds.

use std::collections::HashMap;

use super::piece::{self, FieldPiece, Kin, Piece, PieceKind};
use super::plan::Plan;
use super::{Determines, FormatTemplate as _, Language, Repeats, Template, period_check};
use crate::field::{FieldDeclaration, FieldValues};
use crate::names::Number;
use crate::period::Reset;
use crate::refusal::{Refusal, RefusalCode};
use crate::time::{Date, Timestamp};

/// Noon of 2026-03-07, where an example needs an instant.
const EXAMPLE_INSTANT: i64 = 1_772_884_800_000_000;
/// The largest number of a sequence that does not choose one: 2^53 - 1, which JSON numbers hold exactly.
const DEFAULT_MAX: u64 = (1 << 53) - 1;
/// Combinations that are tried for an example of two readings.
const MOST_TRIALS: usize = 60_000;

/// What is missing in a text that another maker's template writes.
///
/// `scope` are the declared scope names. An empty answer means that the counters of a sequence never print the
/// same text.
#[must_use]
pub fn shortcomings(determines: &Determines, scope: &[FieldDeclaration], reset: Reset) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if !determines.number {
        let detail = "two numbers of one counter can have the same text";
        refusals.push(Refusal::new(RefusalCode::NoSeq, "/format", detail));
    }
    if !determines.period && reset != Reset::Never {
        let detail = "two periods can have the same text";
        refusals.push(Refusal::new(RefusalCode::PeriodNotPrinted, "/format", detail));
    }
    for name in unprinted(scope, &determines.scope) {
        refusals.push(scope_not_printed(name));
    }
    refusals
}

/// The template of these pieces, or every reason against it.
pub(super) fn checked(pieces: Vec<Piece>, language: &Language<'_>) -> Result<Template, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let told_apart = language.repeats == Repeats::Refused && language.calendar.reset() != Reset::Never;
    let window = period_check::window(&pieces, language.calendar, language.window, told_apart);
    let plan = Plan::of(&pieces);
    let template = Template {
        plan: plan.clone().unwrap_or_default(),
        window: window.clone().unwrap_or_default(),
        calendar: language.calendar,
        zone: language.zone.clone(),
        scope: language.scope.to_vec(),
        fields: language.fields.to_vec(),
        determines: Determines {
            period: true,
            scope: printed_scope(&pieces),
            number: true,
        },
        pieces,
    };
    if let Err((from, to)) = plan {
        refusals.push(template.ambiguous_join(from, to));
    }
    let alike = match window {
        Ok(window) => template.alike(window),
        Err(refusal) => {
            refusals.push(refusal);
            None
        }
    };
    let scope = unprinted(language.scope, &template.determines.scope);
    if language.repeats == Repeats::Refused {
        refusals.extend(alike.map(|dates| template.period_not_printed(dates)));
        refusals.extend(scope.map(scope_not_printed));
    }
    refusals.extend(template.too_long(language));
    refusals.extend(template.outside_charset(language));
    let determines = Determines {
        period: alike.is_none(),
        ..template.determines.clone()
    };
    if refusals.is_empty() {
        Ok(Template {
            determines,
            ..template
        })
    } else {
        Err(refusals)
    }
}

fn printed_scope(pieces: &[Piece]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in pieces {
        if let PieceKind::Field(FieldPiece {
            kin: Kin::Scope,
            declaration,
            ..
        }) = &piece.kind
            && !names.contains(&declaration.name)
        {
            names.push(declaration.name.clone());
        }
    }
    names
}

fn unprinted<'a>(scope: &'a [FieldDeclaration], printed: &'a [String]) -> impl Iterator<Item = &'a str> {
    scope
        .iter()
        .map(|declaration| declaration.name.as_str())
        .filter(|name| !printed.iter().any(|p| p == name))
}

fn scope_not_printed(name: &str) -> Refusal {
    let detail = format!(
        "two values of {name} have counters of their own, but their ids would be alike; add {{{name}}} to the format"
    );
    Refusal::new(RefusalCode::ScopeNotPrinted, "/format", detail)
}

impl Template {
    fn alike(&self, window: Option<(Date, Date)>) -> Option<(Date, Date)> {
        period_check::collision(&period_check::facts(&self.pieces), self.calendar, window)
    }

    fn period_not_printed(&self, (first, second): (Date, Date)) -> Refusal {
        let (one, other) = (self.calendar.period(first), self.calendar.period(second));
        let detail = format!(
            "{first} (period {one}) and {second} (period {other}) have counters of their own, but both would print {:?}",
            self.example(first)
        );
        Refusal::new(RefusalCode::PeriodNotPrinted, "/format", detail)
    }

    /// Some id.
    pub(super) fn any_id(&self) -> String {
        let date = self.zone.date_at(Timestamp::from_micros(EXAMPLE_INSTANT));
        self.example(self.window.map_or(date, |(first, last)| date.clamp(first, last)))
    }

    /// The id of number 1 on a day, with the shortest plain value for each field.
    fn example(&self, date: Date) -> String {
        let values = |declared: &[FieldDeclaration]| {
            FieldValues::new(declared.iter().map(|d| (d.name.as_str(), example_value(d))))
        };
        let (scope, fields) = (values(&self.scope), values(&self.fields));
        let fixed = self.fixed(date, &self.calendar.period(date), &scope, &fields);
        let mut out = String::new();
        if let (Ok(fixed), Ok(one)) = (fixed, Number::new(1)) {
            // Without a text there is no example, and the message does without.
            let _ = fixed.render(one, Timestamp::from_micros(EXAMPLE_INSTANT), &mut out);
        }
        out
    }

    fn too_long(&self, language: &Language<'_>) -> Option<Refusal> {
        let max_length = language.max_length?;
        let most = self.capacity(None).unwrap_or(Number::MAX);
        let one = Number::new(1).unwrap_or(most);
        let number = language.max.unwrap_or(one).min(most);
        let length = self.longest(number)?;
        if length <= max_length {
            return None;
        }
        let text = piece::longest_text(&self.pieces, number);
        let detail =
            format!("{text:?} with the number {number} has {length} characters, allowed are {max_length}");
        Some(Refusal::new(RefusalCode::TooLong, "/format", detail))
    }

    fn outside_charset(&self, language: &Language<'_>) -> Option<Refusal> {
        let charset = language.charset?;
        let outside = |piece: &Piece| {
            let character = piece.profile().alphabet.first_outside(charset)?;
            Some((piece.label.clone(), character))
        };
        let (label, character) = self.pieces.iter().find_map(outside)?;
        let detail = format!("`{label}` can print `{character}`, allowed are {charset}");
        Some(Refusal::new(RefusalCode::Charset, "/format", detail))
    }

    fn ambiguous_join(&self, from: usize, to: usize) -> Refusal {
        let (left, right) = (&self.pieces[from].label, &self.pieces[to].label);
        let why = match self.two_readings(from, to) {
            Some((text, one, other)) => format!("{text:?} could be {one} or {other}"),
            None => "no character marks where one ends".to_owned(),
        };
        let detail = format!(
            "{left} and {right} cannot be told apart: {why}; give one a fixed length, or separate them by text that neither can contain"
        );
        Refusal::new(RefusalCode::AmbiguousJoin, "/format", detail)
    }

    /// A text of the pieces from `from` to `to` that can be divided in two ways, and the two ways.
    fn two_readings(&self, from: usize, to: usize) -> Option<(String, String, String)> {
        let pieces = &self.pieces[from..=to];
        let starts = shared_starts(pieces);
        let samples: Vec<Vec<String>> = pieces.iter().map(|piece| piece.samples(&starts)).collect();
        let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
        let mut choice = vec![0; samples.len()];
        for _ in 0..MOST_TRIALS {
            let text: String = choice
                .iter()
                .zip(&samples)
                .map(|(&c, texts)| texts[c].as_str())
                .collect();
            let other = seen.entry(text).or_insert_with(|| choice.clone());
            if *other != choice {
                let text = choice
                    .iter()
                    .zip(&samples)
                    .map(|(&c, texts)| texts[c].as_str())
                    .collect();
                return Some((text, divided(other, &samples), divided(&choice, &samples)));
            }
            if !advance(&mut choice, &samples) {
                break;
            }
        }
        None
    }
}

/// Characters that one piece can contain and another can begin with, those that text begins with first.
fn shared_starts(pieces: &[Piece]) -> Vec<char> {
    let is_text = |piece: &&Piece| matches!(piece.kind, PieceKind::Text(_));
    let (text, others): (Vec<&Piece>, Vec<&Piece>) = pieces.iter().partition(is_text);
    let of = |piece: &Piece| {
        let starts = piece.profile().starts;
        let others = others.iter().filter(|other| !std::ptr::eq(**other, piece));
        others
            .filter_map(|other| other.profile().alphabet.first_common(&starts))
            .next()
    };
    text.iter().chain(&others).filter_map(|piece| of(piece)).collect()
}

fn example_value(declaration: &FieldDeclaration) -> String {
    if let Some(value) = declaration.default.iter().chain(&declaration.values).next() {
        return declaration.shaped(value);
    }
    let alphabet = declaration.alphabet();
    let letter = alphabet
        .iter()
        .find(char::is_ascii_uppercase)
        .or_else(|| alphabet.iter().next());
    std::iter::repeat_n(letter.unwrap_or('A'), declaration.shortest().max(1)).collect()
}

/// The next combination; false after the last.
fn advance(choice: &mut [usize], samples: &[Vec<String>]) -> bool {
    for (chosen, texts) in choice.iter_mut().zip(samples) {
        *chosen += 1;
        if *chosen < texts.len() {
            return true;
        }
        *chosen = 0;
    }
    false
}

/// `A + 11`: a text and where it is divided.
fn divided(choice: &[usize], samples: &[Vec<String>]) -> String {
    let texts = choice
        .iter()
        .zip(samples)
        .map(|(&chosen, texts)| format!("{:?}", texts[chosen]));
    texts.collect::<Vec<_>>().join(" + ")
}

impl Piece {
    /// Some texts of the piece, preferably made of these characters; at least one.
    fn samples(&self, characters: &[char]) -> Vec<String> {
        let mut samples: Vec<String> = match &self.kind {
            PieceKind::Text(text) => vec![text.to_string()],
            PieceKind::Date(_, part) => part.texts().take(13).collect(),
            PieceKind::Field(field) if !field.declaration.values.is_empty() => field
                .declaration
                .values
                .iter()
                .take(20)
                .map(|value| field.shown(value))
                .collect(),
            PieceKind::Check(check) => vec!["0".repeat(check.algorithm.length())],
            PieceKind::Seq(seq) => (0..3).map(|more| seq.example(seq.shortest() + more)).collect(),
            PieceKind::Field(_) => Vec::new(),
        };
        if matches!(self.kind, PieceKind::Seq(_) | PieceKind::Field(_)) {
            samples.extend(self.words(characters));
        }
        if samples.is_empty() {
            samples.push(self.longest_text(Number::new(DEFAULT_MAX).unwrap_or(Number::MAX)));
        }
        samples
    }

    /// Short words of the piece over a few characters.
    fn words(&self, characters: &[char]) -> Vec<String> {
        let profile = self.profile();
        let mut letters: Vec<char> = Vec::new();
        let plain = profile.alphabet.iter().find(char::is_ascii_uppercase);
        for c in characters.iter().copied().chain(['1']).chain(plain) {
            if profile.alphabet.contains(c) && !letters.contains(&c) && letters.len() < 3 {
                letters.push(c);
            }
        }
        let mut words = vec![String::new()];
        let mut all = Vec::new();
        for length in 1..=profile.shortest + 2 {
            words = if length < profile.shortest || words.len() > 30 {
                words
                    .iter()
                    .map(|word| format!("{word}{}", letters.first().copied().unwrap_or('1')))
                    .collect()
            } else {
                words
                    .iter()
                    .flat_map(|word| letters.iter().map(move |letter| format!("{word}{letter}")))
                    .collect()
            };
            if (profile.shortest..=profile.longest).contains(&length) {
                all.extend(words.iter().cloned());
            }
        }
        all.retain(|word| self.can_print(word));
        all
    }

    fn can_print(&self, text: &str) -> bool {
        match &self.kind {
            PieceKind::Seq(seq) => seq.read(text).is_some(),
            PieceKind::Field(field) => field.can_print(text),
            _ => true,
        }
    }
}
