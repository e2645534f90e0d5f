//! From the words of a template to its pieces: names get their declarations, and compound words are
//! divided into their parts.

use super::Language;
use super::date_part::{Basis, DatePart, Function, Shift, Source, WeekRule};
use super::grammar::{self, CheckToken, Part, StrfPart, Token, Written};
use super::piece::{CheckPiece, CheckedText, FieldPiece, Kin, Piece, PieceKind};
use crate::field::FieldDeclaration;
use crate::period::{FiscalLabel, MonthDay, Reset};
use crate::refusal::{Refusal, RefusalCode};

/// The pieces of a template, or every reason against its words.
pub(super) fn pieces(parts: &[Part], language: &Language<'_>) -> Result<Vec<Piece>, Vec<Refusal>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut refusals = Vec::new();
    let mut spans = Vec::new();
    for part in parts {
        let begin = pieces.len();
        match part {
            Part::Text(text) => pieces.push(Piece {
                kind: text_kind(text),
                label: text.as_str().into(),
            }),
            Part::Token(written) => match kinds(written, language) {
                Ok(kinds) => {
                    let piece = |kind| Piece {
                        kind,
                        label: written.text.as_str().into(),
                    };
                    pieces.extend(kinds.into_iter().map(piece));
                    spans.push((written, begin..pieces.len()));
                }
                Err(refusal) => refusals.push(refusal),
            },
        }
    }
    if refusals.is_empty() {
        for (written, span) in &spans {
            if let Token::Check(check) = &written.token {
                match checked_text(check, written, &spans, language) {
                    Ok(input) => set_input(&mut pieces[span.start], input),
                    Err(refusal) => refusals.push(refusal),
                }
            }
        }
    }
    if refusals.is_empty() {
        refusals.extend(unreadable_inputs(&pieces));
    }
    if refusals.is_empty() {
        Ok(pieces)
    } else {
        Err(refusals)
    }
}

fn text_kind(text: &str) -> PieceKind {
    PieceKind::Text(text.into())
}

fn kinds(written: &Written, language: &Language<'_>) -> Result<Vec<PieceKind>, Refusal> {
    Ok(match &written.token {
        Token::Seq(seq) => vec![PieceKind::Seq(seq.clone())],
        Token::Date(part) => vec![PieceKind::Date(Source::Date, *part)],
        Token::Strf(source, parts) => strf(written, *source, parts, language)?,
        Token::FiscalLabel => fiscal_label(language.fiscal_label, language),
        Token::Period => period(language),
        Token::PeriodNumber => vec![period_number(language)],
        Token::Prefix => vec![text_kind(language.prefix.as_str())],
        Token::Tenant => vec![text_kind(language.tenant.as_str())],
        Token::Field { name, transforms } => {
            let (kin, declaration) = declared(name, language).ok_or_else(|| undeclared(written, language))?;
            if kin == Kin::Scope && !transforms.is_empty() {
                return Err(lossy(written, name));
            }
            let field = FieldPiece {
                kin,
                declaration: declaration.clone(),
                transforms: transforms.clone(),
            };
            vec![PieceKind::Field(field)]
        }
        Token::Check(CheckToken { algorithm, ten, .. }) => {
            vec![PieceKind::Check(CheckPiece {
                algorithm: *algorithm,
                ten: *ten,
                input: CheckedText::Before,
            })]
        }
    })
}

fn declared<'a>(name: &str, language: &Language<'a>) -> Option<(Kin, &'a FieldDeclaration)> {
    let scope = language.scope.iter().map(|declaration| (Kin::Scope, declaration));
    let free = language.fields.iter().map(|declaration| (Kin::Free, declaration));
    scope
        .chain(free)
        .find(|(_, declaration)| declaration.name == name)
}

fn undeclared(written: &Written, language: &Language<'_>) -> Refusal {
    let names: Vec<&str> = language
        .scope
        .iter()
        .chain(language.fields)
        .map(|d| d.name.as_str())
        .collect();
    grammar::unknown_token(written.name(), written.position + 1, &names)
}

fn lossy(written: &Written, name: &str) -> Refusal {
    let Written { position, text, .. } = written;
    let detail = format!(
        "at character {position}: {text} prints {name} changed, so two values of it, such as `a` and `A` or `abc` and `abd`, could look alike; print it as {{{name}}} and declare its case"
    );
    Refusal::new(RefusalCode::LossyScope, "/format", detail)
}

fn strf(
    written: &Written,
    source: Source,
    parts: &[StrfPart],
    language: &Language<'_>,
) -> Result<Vec<PieceKind>, Refusal> {
    let of_the_period = matches!(source, Source::PeriodStart | Source::PeriodEnd);
    if of_the_period && language.calendar.reset() == Reset::Never {
        let detail = format!(
            "at character {}: {} needs a period, but the sequence never resets; choose a reset or use `date:`",
            written.position, written.text
        );
        return Err(Refusal::new(RefusalCode::TemplateSyntax, "/format", detail));
    }
    let kind = |part: &StrfPart| match part {
        StrfPart::Text(text) => text_kind(text),
        StrfPart::Part(part) => PieceKind::Date(source, *part),
    };
    Ok(parts.iter().map(kind).collect())
}

fn year(basis: Basis, digits: u8) -> PieceKind {
    PieceKind::Date(Source::Date, DatePart::year(basis, digits, Shift::None))
}

fn number(function: Function, width: usize) -> PieceKind {
    PieceKind::Date(Source::Date, DatePart::padded(function, width))
}

fn fiscal_label(label: FiscalLabel, language: &Language<'_>) -> Vec<PieceKind> {
    let spans = language.calendar.fiscal_year_start() != MonthDay::JANUARY_1;
    match label {
        FiscalLabel::Span if spans => {
            vec![
                year(Basis::FiscalStart, 4),
                text_kind("-"),
                year(Basis::FiscalEnd, 2),
            ]
        }
        FiscalLabel::Span | FiscalLabel::Start => vec![year(Basis::FiscalStart, 4)],
        FiscalLabel::End => vec![year(Basis::FiscalEnd, 4)],
    }
}

/// The text of the period, part by part.
fn period(language: &Language<'_>) -> Vec<PieceKind> {
    let reset = language.calendar.reset();
    let mark = match reset {
        Reset::Never => return vec![text_kind("all")],
        Reset::Year => return vec![year(Basis::Calendar, 4)],
        Reset::Week => "-W",
        Reset::Day | Reset::Month => "-",
        Reset::Quarter => "-Q",
        Reset::HalfYear => "-H",
        Reset::FiscalYear | Reset::FiscalQuarter | Reset::FiscalPeriod => {
            return fiscal_period(reset, language);
        }
    };
    let basis = if reset == Reset::Week {
        Basis::Iso
    } else {
        Basis::Calendar
    };
    if reset == Reset::Day {
        let (month, day) = (number(Function::Month, 2), number(Function::Day, 2));
        return vec![year(basis, 4), text_kind(mark), month, text_kind(mark), day];
    }
    vec![year(basis, 4), text_kind(mark), period_number(language)]
}

fn fiscal_period(reset: Reset, language: &Language<'_>) -> Vec<PieceKind> {
    let mut kinds = vec![text_kind("FY")];
    kinds.extend(fiscal_label(FiscalLabel::Span, language));
    match reset {
        Reset::FiscalQuarter => kinds.extend([text_kind("-Q"), period_number(language)]),
        Reset::FiscalPeriod => kinds.extend([text_kind("-P"), period_number(language)]),
        _ => (),
    }
    kinds
}

/// Which period of its year it is; always 1 where there is one a year or none.
fn period_number(language: &Language<'_>) -> PieceKind {
    match language.calendar.reset() {
        Reset::Day => number(Function::DayOfYear, 3),
        Reset::Week => number(Function::Week(WeekRule::Iso), 2),
        Reset::Month => number(Function::Month, 2),
        Reset::Quarter => number(Function::Quarter, 1),
        Reset::HalfYear => number(Function::Half, 1),
        Reset::FiscalQuarter => number(Function::FiscalQuarter, 1),
        Reset::FiscalPeriod => number(Function::FiscalPeriod, 2),
        Reset::Never | Reset::Year | Reset::FiscalYear => text_kind("1"),
    }
}

type Span<'a> = (&'a Written, std::ops::Range<usize>);

fn checked_text(
    check: &CheckToken,
    written: &Written,
    spans: &[Span<'_>],
    language: &Language<'_>,
) -> Result<CheckedText, Refusal> {
    let Some(names) = &check.over else {
        return Ok(CheckedText::Before);
    };
    let mut pieces = Vec::new();
    for name in names {
        let named = |(other, _): &&Span<'_>| other.name() == name && !matches!(other.token, Token::Check(_));
        match spans.iter().find(named) {
            Some((_, span)) => pieces.extend(span.clone()),
            None => return Err(unprinted(name, written, language)),
        }
    }
    Ok(CheckedText::Pieces(pieces))
}

fn unprinted(name: &str, written: &Written, language: &Language<'_>) -> Refusal {
    let Written { position, text, .. } = written;
    let known = declared(name, language).is_some() || crate::field::is_reserved(name);
    let (code, why) = if known {
        (RefusalCode::CheckInput, "which the format does not print")
    } else {
        (
            RefusalCode::UndeclaredField,
            "which is neither a token nor declared in scope or fields",
        )
    };
    Refusal::new(
        code,
        "/format",
        format!("at character {position}: {text} reads `{name}`, {why}"),
    )
}

fn set_input(piece: &mut Piece, input: CheckedText) {
    if let PieceKind::Check(check) = &mut piece.kind {
        check.input = input;
    }
}

fn unreadable_inputs(pieces: &[Piece]) -> Vec<Refusal> {
    let inputs = |index: usize, check: &CheckPiece| match &check.input {
        CheckedText::Before => (0..index).collect(),
        CheckedText::Pieces(named) => named.clone(),
    };
    let mut refusals = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let PieceKind::Check(check) = &piece.kind else {
            continue;
        };
        let input: Vec<usize> = inputs(index, check);
        if input.is_empty() {
            let detail = format!(
                "{} reads what stands before it, and nothing does; name it with |over=",
                piece.label
            );
            refusals.push(Refusal::new(RefusalCode::CheckInput, "/format", detail));
        }
        let unreadable = input.iter().find_map(|&other| {
            let character = pieces[other]
                .profile()
                .alphabet
                .iter()
                .find(|&c| !check.algorithm.reads(c))?;
            Some((&pieces[other].label, character))
        });
        if let Some((label, character)) = unreadable {
            let detail = format!(
                "{} cannot read `{character}`, which `{label}` can print; name what it shall read, such as |over=seq",
                piece.label
            );
            refusals.push(Refusal::new(RefusalCode::CheckInput, "/format", detail));
        }
    }
    refusals
}
