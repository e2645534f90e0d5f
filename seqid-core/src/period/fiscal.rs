//! Fiscal years and their names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Date;

/// How `{fy}` names a fiscal year.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FiscalLabel {
    /// `2025-26`, or `2026` where the fiscal year is the calendar year.
    #[default]
    Span,
    /// The year in which it begins.
    Start,
    /// The year in which it ends.
    End,
}

/// A fiscal year: it begins on the same day of every year and is named after the years in which it begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FiscalYear {
    /// The calendar year of its first day.
    pub start_year: i16,
    /// The calendar year of its last day.
    pub end_year: i16,
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
}

impl FiscalYear {
    /// The text that `{fy}` prints.
    #[must_use]
    pub fn label(self, label: FiscalLabel) -> FiscalYearText {
        match label {
            FiscalLabel::Span => FiscalYearText {
                year: self.start_year,
                spans: self.start_year != self.end_year,
            },
            FiscalLabel::Start => FiscalYearText {
                year: self.start_year,
                spans: false,
            },
            FiscalLabel::End => FiscalYearText {
                year: self.end_year,
                spans: false,
            },
        }
    }
}

/// A fiscal year in figures: `2025-26` or `2026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FiscalYearText {
    pub(super) year: i16,
    pub(super) spans: bool,
}

impl fmt::Display for FiscalYearText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.spans {
            write!(f, "-{:02}", (self.year + 1).rem_euclid(100))
        } else {
            Ok(())
        }
    }
}
