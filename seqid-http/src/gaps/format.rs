//! Which of the formats a report is written in.

use axum::http::{HeaderMap, HeaderName, header};
use seqid_core::Code;
use seqid_core::gap_report::Head;

use super::sheet::Sheet;
use super::{csv, html, json};
use crate::problem::Problem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
    Html,
}

impl Format {
    /// The first is preferred where the caller takes several as gladly.
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Html];

    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }

    const fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application", "json"),
            Self::Csv => ("text", "csv"),
            Self::Html => ("text", "html"),
        }
    }

    pub(super) fn named(name: &str) -> Result<Self, &'static str> {
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.name() == name)
            .ok_or("must be json, csv or html")
    }

    /// The format that the header `Accept` wants most (RFC 9110, 12.5.1).
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let values = headers.get_all(header::ACCEPT).iter();
        let ranges: Vec<Range> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::parse)
            .collect();
        if ranges.is_empty() {
            return Ok(Self::Json);
        }
        let mut best = None;
        for format in Self::ALL {
            let named = ranges.iter().filter_map(|range| range.matches(format));
            let quality = named
                .max_by_key(|(precision, _)| *precision)
                .map_or(0, |(_, q)| q);
            if quality > best.map_or(0, |(_, best)| best) {
                best = Some((format, quality));
            }
        }
        best.map(|(format, _)| format).ok_or_else(|| {
            let detail = "the report is application/json, text/csv or text/html; ?format= names one of them \
                whatever the header Accept says";
            Problem::new(Code::NotAcceptable, detail)
        })
    }

    pub(super) fn sheet(self) -> Box<dyn Sheet> {
        match self {
            Self::Json => Box::new(json::Document::default()),
            Self::Csv => Box::new(csv::Table),
            Self::Html => Box::new(html::Page),
        }
    }

    pub(super) fn headers(self, head: &Head) -> Vec<(HeaderName, String)> {
        match self {
            Self::Json => vec![(header::CONTENT_TYPE, "application/json".into())],
            Self::Csv => vec![
                (
                    header::CONTENT_TYPE,
                    "text/csv; charset=utf-8; header=present".into(),
                ),
                (
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{}\"", file_name(head, "csv")),
                ),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
            ],
            Self::Html => vec![
                (header::CONTENT_TYPE, "text/html; charset=utf-8".into()),
                (
                    header::CONTENT_DISPOSITION,
                    format!("inline; filename=\"{}\"", file_name(head, "html")),
                ),
                (
                    header::CONTENT_SECURITY_POLICY,
                    html::CONTENT_SECURITY_POLICY.into(),
                ),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
                (header::REFERRER_POLICY, "no-referrer".into()),
            ],
        }
    }
}

/// One of the ranges of a header `Accept`.
struct Range {
    kind: String,
    subtype: String,
    /// In thousandths.
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            quality: quality.map_or(Some(1_000), thousandths)?,
        })
    }

    /// How precisely it names a format, and how gladly it is taken.
    fn matches(&self, format: Format) -> Option<(u8, u16)> {
        let (kind, subtype) = format.media_type();
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", "*") => Some((0, self.quality)),
            (range, "*") if range == kind => Some((1, self.quality)),
            (range, of) if range == kind && of == subtype => Some((2, self.quality)),
            _ => None,
        }
    }
}

fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{rest:0<3}")
        .parse()
        .ok()
        .filter(|quality| *quality <= 1_000)
}

/// A name that every system takes: other characters become `_`.
fn file_name(head: &Head, extension: &str) -> String {
    let mut name = format!("gaps-{}-{}", head.status.prefix, head.status.period);
    for (_, value) in head.status.scope.iter() {
        name.push('-');
        name.push_str(value);
    }
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(plain).collect();
    format!("{name}.{extension}")
}
