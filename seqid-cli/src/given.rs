//! Reading what stands on the command line: each text once, into a type that cannot be wrong.

use std::time::Duration;

use seqid_core::field::RawValues;
use seqid_core::names::Number;
use seqid_core::numbering::{CounterSelector, When};
use seqid_core::time::{Date, Timestamp};
use seqid_core::{Prefix, Tenant};

use crate::failure::Failure;

/// Which counter of a sequence is meant.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// Value of a scope field, which chooses the counter; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    scope: Vec<(String, String)>,

    /// A date in the counter's period; today in the sequence's zone unless given
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "period")]
    date: Option<Date>,

    /// The counter's period, such as 2026-03
    #[arg(long, value_name = "PERIOD")]
    period: Option<String>,
}

impl Which {
    /// The counter of a sequence.
    pub(crate) fn counter(&self, tenant: &Tenant, prefix: &Prefix) -> Result<CounterSelector, Failure> {
        let mut counter = CounterSelector::new(prefix.clone());
        counter.tenant = tenant.clone();
        counter.scope = values("--scope", &self.scope)?;
        counter.when = match (self.date, &self.period) {
            (Some(date), _) => When::On(date),
            (None, Some(period)) => When::In(period.clone()),
            (None, None) => When::Today,
        };
        Ok(counter)
    }
}

/// What an id depends on besides its number.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DateAndValues {
    /// Document date; today in the sequence's zone unless given
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<Date>,

    /// Value of a scope field, which chooses the counter; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    scope: Vec<(String, String)>,

    /// Value of a free field, which is printed; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    field: Vec<(String, String)>,
}

impl DateAndValues {
    /// The values of the scope fields.
    pub(crate) fn scope(&self) -> Result<RawValues, Failure> {
        values("--scope", &self.scope)
    }

    /// The values of the free fields.
    pub(crate) fn fields(&self) -> Result<RawValues, Failure> {
        values("--field", &self.field)
    }
}

/// Values by their names. A name that is there twice is refused: one of its values would be lost.
pub(crate) fn values(option: &str, pairs: &[(String, String)]) -> Result<RawValues, Failure> {
    let mut values = RawValues::new();
    for (name, value) in pairs {
        if values.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("{option} names {name:?} more than once")));
        }
    }
    Ok(values)
}

/// `branch=JKT`.
pub(crate) fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must be NAME=VALUE, such as branch=JKT")?;
    if name.is_empty() {
        return Err("must be NAME=VALUE, such as branch=JKT");
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A number of a counter.
pub(crate) fn number(text: &str) -> Result<Number, String> {
    let number = text.parse().ok().and_then(|number| Number::new(number).ok());
    number.ok_or_else(|| format!("must be an integer of 0 to {}", Number::MAX))
}

/// `INV`, or `*` for what concerns all sequences.
pub(crate) fn prefix_of_event(text: &str) -> Result<Prefix, String> {
    Prefix::of_event(text).map_err(|error| error.to_string())
}

/// An instant, or the beginning of a date in UTC.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    let instant = |text: &str| text.parse::<Timestamp>();
    instant(text)
        .or_else(|_| instant(&format!("{text}T00:00:00Z")))
        .map_err(|_| {
            "must be an instant such as 2026-03-07T08:30:00Z, or a date, which begins in UTC".to_owned()
        })
}

/// `90s`, `10m`, `2h`, `7d`, or seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "must be a duration such as 500ms, 90s, 10m, 2h or 7d";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let amount: u64 = digits.parse().map_err(|_| FORM)?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(FORM),
    };
    amount.checked_mul(millis).map(Duration::from_millis).ok_or(FORM)
}

/// How long an answer may be waited for.
pub(crate) fn patience(text: &str) -> Result<Duration, &'static str> {
    within(text, Duration::from_millis(100), Duration::from_secs(600)).ok_or("must be 100ms to 10m")
}

/// How long a load is kept up.
pub(crate) fn load(text: &str) -> Result<Duration, &'static str> {
    within(text, Duration::from_secs(1), Duration::from_secs(3_600)).ok_or("must be 1s to 1h")
}

fn within(text: &str, shortest: Duration, longest: Duration) -> Option<Duration> {
    duration(text)
        .ok()
        .filter(|duration| (shortest..=longest).contains(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        for (text, millis) in [
            ("600", 600_000),
            ("1ms", 1),
            ("90s", 90_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "-1",
            "1.5s",
            "1w",
            "10 m",
            "99999999999999999999",
            "18446744073709551615d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_hold_at_their_edges() {
        assert!(patience("99ms").is_err() && patience("100ms").is_ok());
        assert!(patience("10m").is_ok() && patience("601s").is_err());
        assert!(load("999ms").is_err() && load("1s").is_ok());
        assert!(load("1h").is_ok() && load("3601s").is_err());
        assert!(number("9223372036854775807").is_ok() && number("9223372036854775808").is_err());
    }

    #[test]
    fn a_pair_has_a_name() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }

    #[test]
    fn a_date_is_its_beginning() {
        assert_eq!(
            instant("2026-03-07").unwrap(),
            instant("2026-03-07T00:00:00Z").unwrap()
        );
        assert!(instant("yesterday").is_err());
    }
}
