use super::Warning;
use crate::definition::Mode;
use crate::field::FieldValues;
use crate::names::{Number, Prefix};
use crate::period::Period;
use crate::time::Date;

/// Where a counter stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The sequence.
    pub prefix: Prefix,
    /// The sequence's guarantee.
    pub mode: Mode,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// Whether the counter has opened: whether anything ever happened to it.
    pub opened: bool,
    /// The largest number that was given out in this generation.
    pub last_number: Option<Number>,
    /// What is issued next; `None` when the counter has ended.
    pub next_number: Option<Number>,
    /// The text of that number on the date asked for; `None` when the id shows the instant of issue.
    pub next_id: Option<String>,
    /// How many numbers are left.
    pub remaining: u64,
    /// The last number that the counter may give out.
    pub max: Number,
    /// The counter's generation.
    pub generation: u32,
    /// The counter's epoch.
    pub epoch: u32,
    /// The definition version that the counter opened with, or would.
    pub definition_version: u32,
    /// How many numbers are held.
    pub reserved: u64,
    /// How many numbers were voided or let go for good.
    pub voided: u64,
    /// How many events the counter's audit has.
    pub events: u64,
    /// How fast it is used and when it ends; `None` for a counter that has not opened, in lists, after a move, and where no
    /// audit is kept.
    pub forecast: Option<Forecast>,
    /// Whether the sequence was archived: it gives no numbers any more, whatever is left.
    pub archived: bool,
    /// What should be looked at.
    pub warnings: Vec<Warning>,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// How fast a counter is used, and when it ends if that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// How many numbers were issued or reserved in the last 24 hours.
    pub last_day: u64,
    /// In the last 7 days.
    pub last_week: u64,
    /// In the last 30 days.
    pub last_month: u64,
    /// When no number will be left, at the higher rate of the last week and month; `None` when nothing was drawn, or
    /// when the counter's period ends before that.
    pub ends_on: Option<Date>,
}
