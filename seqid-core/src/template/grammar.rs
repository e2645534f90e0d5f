//! The template language: from a text to its parts. What the words mean for one sequence is decided later.

use std::ops::RangeInclusive;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::check_digit::{CheckAlgorithm, Ten};
use super::date_part::{Basis, CONVERSIONS, DatePart, MONTH_STYLES, Shift, Source, WORDS};
use super::seq::{Digits, Growth, SeqFormat};
use crate::field::is_name;
use crate::refusal::{Refusal, RefusalCode};

const LONGEST_TEMPLATE: usize = 256;
const MOST_TOKENS: usize = 32;

/// Words that stand for themselves, besides those of the dates.
const OTHER_WORDS: &[&str] = &[
    "seq",
    "yyyy",
    "yy",
    "y",
    "fy",
    "fy_start",
    "fy_end",
    "period",
    "period_no",
    "prefix",
    "tenant",
    "check:luhn",
    "date:%Y",
    "period_start:%Y",
    "period_end:%Y",
    "now:%Y",
];

/// A part of a template as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Token(Written),
}

/// A token, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Of the opening brace, in characters from 1.
    pub(super) position: usize,
    /// With its braces, for messages.
    pub(super) text: String,
    pub(super) token: Token,
}

impl Written {
    /// The name under which a check digit can read this token.
    pub(super) fn name(&self) -> &str {
        let inside = self.text.trim_matches(['{', '}']);
        inside.split([':', '|']).next().unwrap_or(inside)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Seq(SeqFormat),
    Date(DatePart),
    Strf(Source, Vec<StrfPart>),
    FiscalLabel,
    Period,
    PeriodNumber,
    Prefix,
    Tenant,
    Field {
        name: String,
        transforms: Vec<Transform>,
    },
    Check(CheckToken),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StrfPart {
    Text(String),
    Part(DatePart),
}

/// A change of a field's value in print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    Upper,
    Lower,
    /// Only so many characters from the beginning.
    First(usize),
    /// Only so many characters from the end.
    Last(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckToken {
    pub(super) algorithm: CheckAlgorithm,
    /// The names of the tokens it reads; `None` for all that stands before.
    pub(super) over: Option<Vec<String>>,
    pub(super) ten: Ten,
}

/// Divides a template into its parts.
pub(super) fn parse(template: &str) -> Result<Vec<Part>, Refusal> {
    check_whole(template)?;
    let parts = split(template)?;
    let tokens = parts.iter().filter(|part| matches!(part, Part::Token(_))).count();
    let is_seq = |part: &Part| {
        matches!(
            part,
            Part::Token(Written {
                token: Token::Seq(_),
                ..
            })
        )
    };
    if !parts.iter().any(is_seq) {
        let detail = format!("the format {template:?} has no {{seq}}, so all its ids would be alike");
        return Err(Refusal::new(RefusalCode::NoSeq, "/format", detail));
    }
    if tokens > MOST_TOKENS {
        return Err(invalid(format!(
            "the format has {tokens} tokens, at most {MOST_TOKENS} are allowed"
        )));
    }
    Ok(parts)
}

fn check_whole(template: &str) -> Result<(), Refusal> {
    let length = template.chars().count();
    if length == 0 || length > LONGEST_TEMPLATE {
        return Err(invalid(format!(
            "the format must have 1 to {LONGEST_TEMPLATE} characters, has {length}"
        )));
    }
    let composed = template
        .nfc()
        .zip(template.chars())
        .position(|(composed, given)| composed != given);
    let is_composed = composed.is_none() && template.nfc().count() == length;
    if !is_composed {
        let position = composed.unwrap_or(length - 1) + 1;
        return Err(invalid(format!(
            "at character {position}: the format is not in the composed form NFC"
        )));
    }
    Ok(())
}

fn invalid(detail: String) -> Refusal {
    Refusal::new(RefusalCode::TemplateSyntax, "/format", detail)
}

fn split(template: &str) -> Result<Vec<Part>, Refusal> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = Segment {
        text: template,
        position: 1,
    };
    while let Some(first) = rest.text.chars().next() {
        if let Some(after) = rest.skip("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = rest.skip("}}") {
            text.push('}');
            rest = after;
        } else if first == '{' {
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            let (written, after) = token_at(rest)?;
            parts.push(Part::Token(written));
            rest = after;
        } else {
            check_text(first, rest.position, text.is_empty())?;
            text.push(first);
            rest = rest.after(1);
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

/// Refuses characters that cannot be told apart in print, or not be seen. A combining mark must not begin a
/// text, since it would change what stands before.
fn check_text(c: char, position: usize, begins: bool) -> Result<(), Refusal> {
    let found = |what: &str| {
        let detail = format!(
            "at character {position}: found {what} U+{:04X}, expected printable text",
            u32::from(c)
        );
        Err(invalid(detail))
    };
    match c {
        '}' => Err(invalid(format!(
            "at character {position}: found a single `}}`, expected `}}}}`"
        ))),
        _ if c.is_control() => found("the control character"),
        _ if is_format(c) => found("the invisible character"),
        _ if c != ' ' && c.is_whitespace() => found("the blank"),
        _ if !c.is_ascii() && c.is_numeric() => found("the digit outside ASCII"),
        _ if begins && is_combining_mark(c) => found("the combining mark"),
        _ => Ok(()),
    }
}

/// The general categories Cf, Co and Cs and the noncharacters of Unicode 16.
fn is_format(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 | 0x180E
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
        | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
        | 0xE0000..=0xE007F | 0xE000..=0xF8FF | 0xFDD0..=0xFDEF | 0xF0000..=0x10FFFF)
        || u32::from(c) & 0xFFFE == 0xFFFE
}

/// A stretch of the template and where it begins.
#[derive(Debug, Clone, Copy)]
struct Segment<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Segment<'a> {
    /// What follows the first `count` characters.
    fn after(self, count: usize) -> Self {
        let bytes = self
            .text
            .char_indices()
            .nth(count)
            .map_or(self.text.len(), |(index, _)| index);
        Self {
            text: &self.text[bytes..],
            position: self.position + count,
        }
    }

    fn skip(self, start: &str) -> Option<Self> {
        self.text
            .starts_with(start)
            .then(|| self.after(start.chars().count()))
    }

    /// What stands before the first `mark`, and what follows it.
    fn split(self, mark: char) -> (Self, Option<Self>) {
        match self.text.split_once(mark) {
            Some((before, _)) => {
                let head = Self {
                    text: before,
                    position: self.position,
                };
                (head, Some(self.after(before.chars().count() + 1)))
            }
            None => (self, None),
        }
    }

    fn pieces(self, mark: char) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut rest = Some(self);
        while let Some(segment) = rest {
            let (head, after) = segment.split(mark);
            pieces.push(head);
            rest = after;
        }
        pieces
    }

    fn expected(self, expected: &str) -> Refusal {
        let Self { text, position } = self;
        let found = if text.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{text}`")
        };
        invalid(format!(
            "at character {position}: found {found}, expected {expected}"
        ))
    }

    fn integer<T: std::str::FromStr + PartialOrd>(
        self,
        range: RangeInclusive<T>,
        expected: &str,
    ) -> Result<T, Refusal> {
        let digits = self.text.strip_prefix('-').unwrap_or(self.text);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let value = self
            .text
            .parse()
            .ok()
            .filter(|value| plain && range.contains(value));
        value.ok_or_else(|| self.expected(expected))
    }
}

/// The token at the opening brace, and what follows its closing one.
fn token_at(at: Segment<'_>) -> Result<(Written, Segment<'_>), Refusal> {
    let inside = at.after(1);
    let (body, Some(after)) = inside.split('}') else {
        return Err(at.expected("a closing `}`"));
    };
    if let Some(brace) = body.text.chars().position(|c| c == '{') {
        return Err(body.after(brace).expected("`}` before another `{`"));
    }
    let text = format!("{{{}}}", body.text);
    Ok((
        Written {
            position: at.position,
            text,
            token: token(body)?,
        },
        after,
    ))
}

fn token(body: Segment<'_>) -> Result<Token, Refusal> {
    for (start, source) in [
        ("date:", Source::Date),
        ("period_start:", Source::PeriodStart),
        ("period_end:", Source::PeriodEnd),
        ("now:", Source::Now),
    ] {
        if let Some(format) = body.skip(start) {
            return Ok(Token::Strf(source, strf(format, source)?));
        }
    }
    if let Some(blank) = body.text.chars().position(char::is_whitespace) {
        return Err(body.after(blank).expected("no blanks inside braces"));
    }
    let mut options = body.pieces('|');
    let head = options.remove(0);
    let (word, argument) = head.split(':');
    match (word.text, argument) {
        ("seq", _) => seq(argument, &options),
        ("check", Some(algorithm)) => check(algorithm, &options),
        ("check", None) => Err(word.expected("`check:` and an algorithm, such as `check:luhn`")),
        ("fy_start" | "fy_end", _) => fiscal_year(word, argument, &options),
        (_, Some(_)) => Err(unknown(head)),
        ("yyyy" | "yy" | "y", None) => year(word, &options),
        ("mm", None) => month(word, &options),
        (_, None) => plain(word, &options),
    }
}

fn none_of(options: &[Segment<'_>], word: Segment<'_>) -> Result<(), Refusal> {
    match options.first() {
        Some(option) => Err(option.expected(&format!("no option after `{}`", word.text))),
        None => Ok(()),
    }
}

fn date_word(word: &str) -> Option<DatePart> {
    WORDS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, part)| *part)
}

fn plain(word: Segment<'_>, options: &[Segment<'_>]) -> Result<Token, Refusal> {
    let token = match word.text {
        "fy" => Token::FiscalLabel,
        "period" => Token::Period,
        "period_no" => Token::PeriodNumber,
        "prefix" => Token::Prefix,
        "tenant" => Token::Tenant,
        other => match date_word(other) {
            Some(part) => Token::Date(part),
            None => return field(word, options),
        },
    };
    none_of(options, word)?;
    Ok(token)
}

fn field(word: Segment<'_>, options: &[Segment<'_>]) -> Result<Token, Refusal> {
    if !is_name(word.text) {
        return Err(unknown(word));
    }
    let transforms = options
        .iter()
        .map(|option| transform(*option))
        .collect::<Result<_, _>>()?;
    Ok(Token::Field {
        name: word.text.to_owned(),
        transforms,
    })
}

fn transform(option: Segment<'_>) -> Result<Transform, Refusal> {
    let (name, count) = option.split('=');
    match (name.text, count) {
        ("upper", None) => Ok(Transform::Upper),
        ("lower", None) => Ok(Transform::Lower),
        ("first", Some(n)) => Ok(Transform::First(
            n.integer(1..=LONGEST_TEMPLATE, "1 to 256 characters")?,
        )),
        ("last", Some(n)) => Ok(Transform::Last(
            n.integer(1..=LONGEST_TEMPLATE, "1 to 256 characters")?,
        )),
        _ => Err(option.expected("`upper`, `lower`, `first=3` or `last=3`")),
    }
}

fn seq(width: Option<Segment<'_>>, options: &[Segment<'_>]) -> Result<Token, Refusal> {
    let (width, growth) = match width {
        None => (1, Growth::Grows),
        Some(segment) => {
            let (digits, exact) = segment.split('!');
            if let Some(extra) = exact.filter(|after| !after.text.is_empty()) {
                return Err(extra.expected("nothing after `!`"));
            }
            let growth = if exact.is_some() {
                Growth::Exact
            } else {
                Growth::Grows
            };
            (
                digits.integer(1..=19, "a width of 1 to 19 digits, such as `seq:5` or `seq:5!`")?,
                growth,
            )
        }
    };
    let digits = match options {
        [] => Digits::Decimal,
        [option] => digits(*option)?,
        [_, extra, ..] => return Err(extra.expected("one of `base` and `alphabet`")),
    };
    Ok(Token::Seq(SeqFormat::new(width, growth, digits)))
}

fn digits(option: Segment<'_>) -> Result<Digits, Refusal> {
    match option.split('=') {
        (Segment { text: "base", .. }, Some(base)) => {
            Ok(Digits::base(base.integer(2..=36, "a base of 2 to 36")?))
        }
        (Segment { text: "alphabet", .. }, Some(alphabet)) => {
            let chars: Vec<char> = alphabet.text.chars().collect();
            let repeated = chars
                .iter()
                .enumerate()
                .any(|(index, c)| chars[..index].contains(c));
            let valid = (2..=64).contains(&chars.len()) && chars.iter().all(char::is_ascii_alphanumeric);
            if repeated || !valid {
                return Err(alphabet.expected("2 to 64 different letters and digits of ASCII"));
            }
            Ok(Digits::alphabet(alphabet.text))
        }
        _ => Err(option.expected("`base=36` or `alphabet=0123456789ABCDEF`")),
    }
}

fn year(word: Segment<'_>, options: &[Segment<'_>]) -> Result<Token, Refusal> {
    let shift = match options {
        [] => Shift::None,
        [option] => shift(*option)?,
        [_, extra, ..] => return Err(extra.expected("one of `era` and `add`")),
    };
    let digits = match word.text {
        "yyyy" => shift.full_digits(),
        "yy" => 2,
        _ => 1,
    };
    Ok(Token::Date(DatePart::year(Basis::Calendar, digits, shift)))
}

fn shift(option: Segment<'_>) -> Result<Shift, Refusal> {
    match option.split('=') {
        (Segment { text: "era", .. }, Some(era)) => match era.text {
            "buddhist" => Ok(Shift::Buddhist),
            "minguo" => Ok(Shift::Minguo),
            "reiwa" => Ok(Shift::Reiwa),
            _ => Err(era.expected("`buddhist`, `minguo` or `reiwa`")),
        },
        (Segment { text: "add", .. }, Some(years)) => {
            Ok(Shift::Add(years.integer(-9999..=9999, "-9999 to 9999 years")?))
        }
        _ => Err(option.expected("`era=buddhist` or `add=543`")),
    }
}

fn month(word: Segment<'_>, options: &[Segment<'_>]) -> Result<Token, Refusal> {
    let named = |style: &str| {
        MONTH_STYLES
            .iter()
            .find(|(known, _)| *known == style)
            .map(|(_, part)| *part)
    };
    match options {
        [] => plain(word, options),
        [style] => {
            let part = named(style.text).ok_or_else(|| style.expected("`roman`, `letter` or `en`"))?;
            Ok(Token::Date(part))
        }
        [_, extra, ..] => Err(extra.expected("one option after `mm`")),
    }
}

fn fiscal_year(
    word: Segment<'_>,
    digits: Option<Segment<'_>>,
    options: &[Segment<'_>],
) -> Result<Token, Refusal> {
    none_of(options, word)?;
    let basis = if word.text == "fy_end" {
        Basis::FiscalEnd
    } else {
        Basis::FiscalStart
    };
    let digits = match digits.map(|digits| digits.text) {
        None | Some("4") => 4,
        Some("2") => 2,
        Some(_) => return Err(digits.unwrap_or(word).expected("2 or 4 digits")),
    };
    Ok(Token::Date(DatePart::year(basis, digits, Shift::None)))
}

fn strf(format: Segment<'_>, source: Source) -> Result<Vec<StrfPart>, Refusal> {
    if format.text.is_empty() {
        return Err(format.expected("a conversion, such as `%Y`"));
    }
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = format;
    while let Some(first) = rest.text.chars().next() {
        match first {
            '%' => {
                let found = rest.text.chars().nth(1);
                let part = conversion(rest, found, source)?;
                if let Some(part) = part {
                    if !text.is_empty() {
                        parts.push(StrfPart::Text(std::mem::take(&mut text)));
                    }
                    parts.push(StrfPart::Part(part));
                } else {
                    text.push('%');
                }
                rest = rest.after(2);
            }
            other => {
                check_text(other, rest.position, text.is_empty())?;
                text.push(other);
                rest = rest.after(1);
            }
        }
    }
    if !text.is_empty() {
        parts.push(StrfPart::Text(text));
    }
    Ok(parts)
}

/// The part that a conversion stands for; `None` for `%%`.
fn conversion(at: Segment<'_>, letter: Option<char>, source: Source) -> Result<Option<DatePart>, Refusal> {
    if letter == Some('%') {
        return Ok(None);
    }
    let of_the_clock = |c: char| matches!(c, 'H' | 'I' | 'M' | 'S');
    let known = CONVERSIONS.iter().find(|(known, _)| Some(*known) == letter);
    match known {
        Some((c, part)) if source == Source::Now || !of_the_clock(*c) => Ok(Some(*part)),
        _ => {
            let text: String = at.text.chars().take(2).collect();
            let found = Segment {
                text: &text,
                position: at.position,
            };
            let clock = if source == Source::Now { " H I M S" } else { "" };
            Err(found.expected(&format!(
                "`%` and one of Y y C m d j q G g V u w U W b B a A{clock} %"
            )))
        }
    }
}

fn check(algorithm: Segment<'_>, options: &[Segment<'_>]) -> Result<Token, Refusal> {
    let Ok(known) = algorithm.text.parse::<CheckAlgorithm>() else {
        let names = CheckAlgorithm::ALL.map(CheckAlgorithm::as_str).join(", ");
        return Err(algorithm.expected(&format!("one of {names}")));
    };
    let mut token = CheckToken {
        algorithm: known,
        over: None,
        ten: Ten::default(),
    };
    let mut last = 0;
    for option in options {
        let rank = match option.split('=') {
            (Segment { text: "over", .. }, Some(names)) => {
                token.over = over(names)?;
                1
            }
            (Segment { text: "ten", .. }, Some(ten)) => {
                if !known.has_ten() {
                    return Err(option.expected(&format!("no `ten`, which {known} never needs")));
                }
                token.ten = ten
                    .text
                    .parse()
                    .map_err(|_| ten.expected("`X`, `0`, `1` or `-`"))?;
                2
            }
            _ => 0,
        };
        if rank <= last {
            return Err(option.expected("`over=` and names, then `ten=`, each once"));
        }
        last = rank;
    }
    Ok(Token::Check(token))
}

fn over(names: Segment<'_>) -> Result<Option<Vec<String>>, Refusal> {
    if names.text == "before" {
        return Ok(None);
    }
    let name = |segment: Segment<'_>| {
        let valid = is_name(segment.text);
        if valid {
            Ok(segment.text.to_owned())
        } else {
            Err(segment.expected("`before` or names joined by `+`"))
        }
    };
    names
        .pieces('+')
        .into_iter()
        .map(name)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn unknown(word: Segment<'_>) -> Refusal {
    let Segment { text, position } = word;
    if text.is_empty() {
        return word.expected("a token, such as `seq`");
    }
    unknown_token(text, position, &[])
}

/// The refusal of a word that is neither a token nor one of the declared names.
pub(super) fn unknown_token(word: &str, position: usize, declared: &[&str]) -> Refusal {
    let nearest = nearest(word, declared);
    let detail = format!(
        "at character {position}: found `{word}`, expected a token or a name declared in scope or fields; did you mean `{nearest}`?"
    );
    Refusal::new(RefusalCode::UnknownToken, "/format", detail)
}

fn nearest<'a>(word: &str, declared: &[&'a str]) -> &'a str {
    let known = WORDS
        .iter()
        .map(|(known, _)| *known)
        .chain(OTHER_WORDS.iter().copied());
    let lower = word.to_lowercase();
    known
        .chain(declared.iter().copied())
        .min_by_key(|known| distance(&lower, known))
        .unwrap_or("seq")
}

/// Insertions, deletions and replacements that turn one word into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn refused(template: &str, code: RefusalCode, detail: &str) {
        let refusal = parse(template).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.detail.contains(detail), "{template}: {refusal}");
    }

    #[track_caller]
    fn syntax(template: &str, detail: &str) {
        refused(template, RefusalCode::TemplateSyntax, detail);
    }

    #[test]
    fn doubled_braces_are_text() {
        let parts = parse("{{a}}{seq}}}").unwrap();
        let texts: Vec<_> = parts
            .iter()
            .filter_map(|p| {
                if let Part::Text(t) = p {
                    Some(t.as_str())
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(texts, ["{a}", "}"]);
    }

    #[test]
    fn every_word_of_the_language_is_read() {
        for token in [
            "seq",
            "seq:5",
            "seq:19!",
            "seq|base=36",
            "seq:3|alphabet=ABC",
            "yyyy",
            "yy",
            "y|add=-3",
            "yyyy|era=buddhist",
            "yy|era=minguo",
            "y|era=reiwa",
            "mm",
            "mm|roman",
            "mm|letter",
            "mm|en",
            "m",
            "q",
            "half",
            "dd",
            "d",
            "doy",
            "iso_yyyy",
            "iso_yy",
            "iso_week",
            "iso_day",
            "week",
            "week_sun",
            "week_clamped",
            "fy",
            "fy_start",
            "fy_end:2",
            "fy_start:4",
            "fq",
            "fp",
            "date:%Y|%m %%x",
            "period_start:%d",
            "period_end:%A",
            "now:%H%I%M%S",
            "period",
            "period_no",
            "prefix",
            "tenant",
            "branch",
            "branch|upper|first=3",
            "b_2|lower|last=2",
            "check:luhn",
            "check:mod11_w9|over=before|ten=-",
            "check:rf|over=customer+seq",
            "check:mod11_w7|ten=X",
        ] {
            if let Err(refusal) = parse(&format!("{{seq}}{{{token}}}")) {
                panic!("{token}: {refusal}");
            }
        }
    }

    #[test]
    fn an_error_names_the_place_what_was_found_and_what_is_expected() {
        syntax(
            "INV-{seq:0}",
            "at character 10: found `0`, expected a width of 1 to 19",
        );
        syntax(
            "INV-{seq:5!x}",
            "at character 12: found `x`, expected nothing after `!`",
        );
        syntax("INV-{seq", "at character 5: found `{seq`, expected a closing `}`");
        syntax("INV-{seq}}", "at character 10: found a single `}`");
        syntax(
            "a{se{q}",
            "at character 5: found `{q`, expected `}` before another `{`",
        );
        syntax("{seq }", "at character 5: found ` `, expected no blanks");
        syntax("{seq}{}", "at character 7: found nothing, expected a token");
        syntax(
            "{seq|base=37}",
            "at character 11: found `37`, expected a base of 2 to 36",
        );
        syntax("{seq|base=+9}", "at character 11: found `+9`");
        syntax("{seq|alphabet=AAB}", "at character 15");
        syntax(
            "{seq}{mm|french}",
            "at character 10: found `french`, expected `roman`",
        );
        syntax(
            "{seq}{yyyy|era=heisei}",
            "expected `buddhist`, `minguo` or `reiwa`",
        );
        syntax("{seq}{dd|upper}", "expected no option after `dd`");
        syntax(
            "{seq}{date:%H}",
            "at character 12: found `%H`, expected `%` and one of Y y C",
        );
        syntax("{seq}{date:%}", "at character 12: found `%`");
        syntax("{seq}{check:crc}", "expected one of luhn");
        syntax(
            "{seq}{check:luhn|ten=X}",
            "found `ten=X`, expected no `ten`, which luhn never needs",
        );
        syntax(
            "{seq}{check:mod11_2|ten=X|over=seq}",
            "expected `over=` and names, then `ten=`",
        );
        syntax(
            "{seq}{branch|middle=3}",
            "expected `upper`, `lower`, `first=3` or `last=3`",
        );
        syntax("", "1 to 256 characters, has 0");
        syntax(&"{seq}".repeat(33), "33 tokens");
        syntax(&format!("{{seq}}{}", "x".repeat(252)), "has 257");
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_nearest_known_one() {
        refused(
            "{seq}{YYYY}",
            RefusalCode::UnknownToken,
            "at character 7: found `YYYY`, expected a token or a name declared in scope or fields; did you mean `yyyy`?",
        );
        refused("{Seq}", RefusalCode::UnknownToken, "did you mean `seq`?");
        refused(
            "{seq}{iso-week}",
            RefusalCode::UnknownToken,
            "did you mean `iso_week`?",
        );
    }

    #[test]
    fn text_is_printable_and_unmistakable() {
        syntax("A\t{seq}", "control character U+0009");
        syntax("A\u{200b}{seq}", "invisible character U+200B");
        syntax("A\u{a0}{seq}", "blank U+00A0");
        syntax("٣{seq}", "digit outside ASCII U+0663");
        syntax(
            "{seq}{date:%Y\u{202e}}",
            "at character 14: found the invisible character U+202E",
        );
        syntax(
            "e\u{301}{seq}",
            "at character 1: the format is not in the composed form NFC",
        );
        syntax("{seq}\u{301}", "combining mark U+0301");
        assert!(parse("Rechnung № Ä/{seq}").is_ok());
    }

    #[test]
    fn a_template_without_a_number_is_refused() {
        refused("INV-{yyyy}", RefusalCode::NoSeq, "has no {seq}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[{}|:=!%a-z0-9+\\- é\u{301}]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_words_in_braces_are_read_or_refused(words in proptest::collection::vec("(\\{(seq|yyyy|mm|date:|check:)[:|=%!a-z0-9]{0,8}\\})|[a-z]", 0..6)) {
            let _ = parse(&words.concat());
        }
    }
}
