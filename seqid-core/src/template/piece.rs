//! The pieces of a compiled template, and what is known of their texts before any is written.

use super::check_digit::{CheckAlgorithm, Ten};
use super::date_part::{DatePart, Source};
use super::grammar::Transform;
use super::seq::SeqFormat;
use crate::charset::CharSet;
use crate::field::FieldDeclaration;
use crate::names::Number;

/// One piece, and the token that it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) kind: PieceKind,
    /// The token as written, with its braces; the text itself for text.
    pub(super) label: Box<str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum PieceKind {
    Text(Box<str>),
    Seq(SeqFormat),
    Date(Source, DatePart),
    Field(FieldPiece),
    Check(CheckPiece),
}

/// Which declarations a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    Scope,
    Free,
}

/// A field in print.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldPiece {
    pub(super) kin: Kin,
    pub(super) declaration: FieldDeclaration,
    pub(super) transforms: Vec<Transform>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckPiece {
    pub(super) algorithm: CheckAlgorithm,
    pub(super) ten: Ten,
    pub(super) input: CheckedText,
}

/// What a check digit is computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CheckedText {
    Before,
    /// Of these pieces, in this order.
    Pieces(Vec<usize>),
}

/// What is known of a piece's text.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) alphabet: CharSet,
    pub(super) shortest: usize,
    pub(super) longest: usize,
    /// The characters with which the text can begin.
    pub(super) starts: CharSet,
    /// The characters with which the text can end.
    pub(super) ends: CharSet,
}

impl Profile {
    fn uniform(alphabet: CharSet, shortest: usize, longest: usize) -> Self {
        Self {
            starts: alphabet.clone(),
            ends: alphabet.clone(),
            alphabet,
            shortest,
            longest,
        }
    }

    fn of_texts<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Self {
        let lengths = texts.clone().map(|text| text.chars().count());
        Self {
            alphabet: texts.clone().flat_map(str::chars).collect(),
            shortest: lengths.clone().min().unwrap_or(0),
            longest: lengths.max().unwrap_or(0),
            starts: texts.clone().filter_map(|text| text.chars().next()).collect(),
            ends: texts.filter_map(|text| text.chars().next_back()).collect(),
        }
    }
}

impl Piece {
    pub(super) fn profile(&self) -> Profile {
        match &self.kind {
            PieceKind::Text(text) => Profile::of_texts(std::iter::once(text.as_ref())),
            PieceKind::Seq(seq) => Profile::uniform(seq.alphabet(), seq.shortest(), seq.longest()),
            PieceKind::Date(_, part) => {
                let (shortest, longest) = part.lengths();
                Profile::uniform(part.alphabet(), shortest, longest)
            }
            PieceKind::Field(field) => field.profile(),
            PieceKind::Check(check) => {
                let length = check.algorithm.length();
                Profile::uniform(check.algorithm.alphabet(check.ten), length, length)
            }
        }
    }

    /// A text as long as any that the piece can have for numbers up to `max`.
    pub(super) fn longest_text(&self, max: Number) -> String {
        let mut out = String::new();
        match &self.kind {
            PieceKind::Seq(seq) => seq.push(max, &mut out),
            PieceKind::Text(text) => out.push_str(text),
            PieceKind::Date(_, part) => {
                out = part.texts().max_by_key(String::len).unwrap_or_default();
            }
            PieceKind::Field(field) => out = field.longest_text(),
            PieceKind::Check(check) => out = "0".repeat(check.algorithm.length()),
        }
        out
    }
}

impl FieldPiece {
    /// Appends the value as it is printed.
    pub(super) fn push(&self, value: &str, out: &mut String) {
        let shown = self
            .transforms
            .iter()
            .fold(value, |text, transform| transform.slice(text));
        if self.transforms.is_empty() {
            out.push_str(shown);
        } else {
            out.extend(shown.chars().map(|c| self.cased(c)));
        }
    }

    fn cased(&self, c: char) -> char {
        self.transforms.iter().fold(c, |c, transform| transform.map(c))
    }

    pub(super) fn shown(&self, value: &str) -> String {
        let mut out = String::new();
        self.push(value, &mut out);
        out
    }

    fn profile(&self) -> Profile {
        let declared = &self.declaration;
        if !declared.values.is_empty() {
            let shown: Vec<String> = declared.values.iter().map(|value| self.shown(value)).collect();
            return Profile::of_texts(shown.iter().map(String::as_str));
        }
        let cut = |length| {
            self.transforms
                .iter()
                .fold(length, |length: usize, t| length.min(t.most()))
        };
        let alphabet = declared.alphabet();
        let shown = if self.transforms.is_empty() {
            alphabet
        } else {
            alphabet.iter().map(|c| self.cased(c)).collect()
        };
        Profile::uniform(shown, cut(declared.shortest()), cut(declared.longest()))
    }

    fn longest_text(&self) -> String {
        let values = self.declaration.values.iter().map(|value| self.shown(value));
        if let Some(longest) = values.max_by_key(|value| value.chars().count()) {
            return longest;
        }
        let profile = self.profile();
        let letter = profile.alphabet.iter().find(char::is_ascii_alphanumeric);
        let character = letter.or_else(|| profile.alphabet.iter().next()).unwrap_or('X');
        std::iter::repeat_n(character, profile.longest).collect()
    }

    /// Whether a text is one that a value can have in print.
    pub(super) fn can_print(&self, text: &str) -> bool {
        let declared = &self.declaration;
        if self.transforms.is_empty() {
            return declared.normalise(Some(text)).is_ok_and(|value| value == text);
        }
        if !declared.values.is_empty() {
            return declared.values.iter().any(|value| self.shown(value) == text);
        }
        let profile = self.profile();
        let length = text.chars().count();
        (profile.shortest..=profile.longest).contains(&length)
            && text.chars().all(|c| profile.alphabet.contains(c))
    }
}

impl Transform {
    fn slice(self, text: &str) -> &str {
        let starts = || text.char_indices().map(|(index, _)| index);
        match self {
            Self::Upper | Self::Lower => text,
            Self::First(count) => &text[..starts().nth(count).unwrap_or(text.len())],
            Self::Last(count) => &text[starts().rev().nth(count.saturating_sub(1)).unwrap_or(0)..],
        }
    }

    fn most(self) -> usize {
        match self {
            Self::Upper | Self::Lower => usize::MAX,
            Self::First(count) | Self::Last(count) => count,
        }
    }

    /// Letters whose other case is more than one character stay as they are.
    fn map(self, c: char) -> char {
        fn only(mut chars: impl ExactSizeIterator<Item = char>) -> Option<char> {
            if chars.len() == 1 { chars.next() } else { None }
        }
        match self {
            Self::Upper => only(c.to_uppercase()).unwrap_or(c),
            Self::Lower => only(c.to_lowercase()).unwrap_or(c),
            Self::First(_) | Self::Last(_) => c,
        }
    }
}

/// The characters of the longest id with numbers up to `max`.
pub(super) fn longest(pieces: &[Piece], max: Number) -> usize {
    let length = |piece: &Piece| match &piece.kind {
        PieceKind::Seq(seq) => seq.length(max.min(seq.capacity())),
        _ => piece.profile().longest,
    };
    pieces.iter().map(length).sum()
}

/// A text as long as the longest id with numbers up to `max`.
pub(super) fn longest_text(pieces: &[Piece], max: Number) -> String {
    pieces.iter().map(|piece| piece.longest_text(max)).collect()
}

/// The largest number whose id always has at most `max_length` characters.
pub(super) fn capacity(pieces: &[Piece], max_length: Option<usize>) -> Option<Number> {
    let seqs: Vec<&SeqFormat> = pieces.iter().filter_map(Piece::seq).collect();
    let texts = seqs.iter().map(|seq| seq.capacity()).min().unwrap_or(Number::MAX);
    let Some(max_length) = max_length else {
        return Some(texts);
    };
    let others = pieces
        .iter()
        .filter(|piece| piece.seq().is_none())
        .map(|piece| piece.profile().longest);
    let room = max_length.checked_sub(others.sum())?;
    let fits =
        |n: u64| Number::new(n).is_ok_and(|n| seqs.iter().map(|seq| seq.length(n)).sum::<usize>() <= room);
    if !fits(0) {
        return None;
    }
    let (mut fitting, mut beyond) = (0, texts.get() + 1);
    while beyond - fitting > 1 {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            beyond = middle;
        }
    }
    Number::new(fitting).ok()
}

/// The characters that an id can have.
pub(super) fn alphabet(pieces: &[Piece]) -> CharSet {
    pieces
        .iter()
        .fold(CharSet::EMPTY, |all, piece| all.union(&piece.profile().alphabet))
}

impl Piece {
    pub(super) fn seq(&self) -> Option<&SeqFormat> {
        match &self.kind {
            PieceKind::Seq(seq) => Some(seq),
            _ => None,
        }
    }
}
