//! Definitions: what a sequence prints, when it starts again, and what it guarantees.
//!
//! A [`DefinitionSpec`] is what somebody sent; a [`Definition`] is one that was checked, completed and compiled.

mod check;
mod declaration;
mod profile;
mod range;
mod spec;

use std::sync::Arc;

pub use range::{NumberRange, RangeSpec};
pub use spec::{DefinitionSpec, LARGEST_EXACT, Mode, OnExpiry};

use crate::field::{self, FieldDeclaration, FieldValues, RawValues, ValueRefused};
use crate::names::{Number, Prefix, Tenant};
use crate::period::{Calendar, Period};
use crate::refusal::DefinitionRefused;
use crate::template::{FormatTemplate, RenderError, Repeats, Template, Values};
use crate::time::{Date, Timestamp, Zone};

/// What a definition gets where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The time zone. UTC unless set.
    pub time_zone: Zone,
}

/// A definition that was checked: its ids can be read back, and two counters never print the same one.
///
/// Immutable and cheap to clone.
#[derive(Debug, Clone)]
pub struct Definition(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tenant: Tenant,
    prefix: Prefix,
    /// With every default made explicit.
    spec: DefinitionSpec,
    template: Template,
    calendar: Calendar,
    zone: Zone,
    start: Number,
    step: u64,
    max: Number,
    ranges: Vec<NumberRange>,
    warnings: Vec<String>,
}

impl Definition {
    /// Checks and compiles a definition.
    ///
    /// Whether a store can give the mode, and whether other definitions can print the same ids, is not decided here.
    ///
    /// # Errors
    /// [`DefinitionRefused`] with every reason against it.
    pub fn check(
        tenant: &Tenant,
        prefix: &Prefix,
        spec: DefinitionSpec,
        defaults: &Defaults,
    ) -> Result<Self, DefinitionRefused> {
        check::definition(tenant, prefix, spec, defaults).map(|inner| Self(Arc::new(inner)))
    }

    /// The definition with every default made explicit; checked again it is the same definition.
    #[must_use]
    pub fn spec(&self) -> &DefinitionSpec {
        &self.0.spec
    }

    /// The tenant for which it was compiled.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// The prefix for which it was compiled.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.0.prefix
    }

    /// Writes and reads the ids.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.0.template
    }

    /// Divides the days into periods.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        self.0.calendar
    }

    /// The zone that decides which day today is.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.0.zone
    }

    /// The guarantee.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.spec.mode.unwrap_or_default()
    }

    /// What becomes of expired reservations.
    #[must_use]
    pub fn on_expiry(&self) -> OnExpiry {
        self.0.spec.on_expiry.unwrap_or_default()
    }

    /// Whether one id for two counters was accepted.
    #[must_use]
    pub fn repeats(&self) -> Repeats {
        self.0.spec.repeats.unwrap_or_default()
    }

    /// The first number of every counter.
    #[must_use]
    pub fn start(&self) -> Number {
        self.0.start
    }

    /// From one number to the next, at least 1.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.0.step
    }

    /// No number is larger.
    #[must_use]
    pub fn max(&self) -> Number {
        self.0.max
    }

    /// The only numbers that counters give out, rising; empty where that is all up to [`max`](Self::max).
    #[must_use]
    pub fn ranges(&self) -> &[NumberRange] {
        &self.0.ranges
    }

    /// The sequence that goes on when a counter of this one has ended.
    #[must_use]
    pub fn successor(&self) -> Option<&Prefix> {
        self.0.spec.successor.as_ref()
    }

    /// The largest number whose id is within the proven length: so far may a later version raise `max`.
    #[must_use]
    pub fn largest_printable(&self) -> Number {
        let max_length = self
            .spec()
            .max_length
            .and_then(|length| usize::try_from(length).ok());
        self.template().capacity(max_length).unwrap_or(self.max())
    }

    /// The latest date that a document may have when today is `today`; `None` without limit.
    #[must_use]
    pub fn latest_date(&self, today: Date) -> Option<Date> {
        let days = i32::try_from(self.days_ahead()?).ok()?;
        Date::from_days_since_epoch(today.days_since_epoch().checked_add(days)?)
    }

    /// Values of the free fields for an id that is only shown: the defaults, or the first that are allowed.
    #[must_use]
    pub fn example_fields(&self) -> FieldValues {
        example_values(self.fields())
    }

    /// How many numbers a counter has, at least 1.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        let between = |first: Number, last: Number| (last.get() - first.get()) / self.step() + 1;
        if self.ranges().is_empty() {
            return between(self.start(), self.max());
        }
        let of_ranges = self.ranges().iter();
        of_ranges.map(|range| between(range.first, range.last)).sum()
    }

    /// Whether numbers are printed as texts in JSON: a larger `max` than every reader keeps exactly was asked for.
    #[must_use]
    pub fn numbers_as_text(&self) -> bool {
        self.max().get() > LARGEST_EXACT
    }

    /// Whether a counter refuses a date before the last it gave a number to.
    #[must_use]
    pub fn chronological(&self) -> bool {
        self.0.spec.chronological.unwrap_or_default()
    }

    /// How many days after today a date may be; `None` without limit.
    #[must_use]
    pub fn days_ahead(&self) -> Option<u64> {
        self.0.spec.days_ahead
    }

    /// The most numbers that one fault may skip, where the mode skips any.
    #[must_use]
    pub fn largest_gap(&self) -> u64 {
        self.0.spec.largest_gap.unwrap_or(1)
    }

    /// A warning begins when no more than this many numbers are left.
    #[must_use]
    pub fn warn_at(&self) -> u64 {
        self.0.spec.warn_at.unwrap_or_default()
    }

    /// The fields that choose the counter.
    #[must_use]
    pub fn scope(&self) -> &[FieldDeclaration] {
        self.0.spec.scope.as_deref().unwrap_or_default()
    }

    /// The fields that are printed without choosing the counter.
    #[must_use]
    pub fn fields(&self) -> &[FieldDeclaration] {
        self.0.spec.fields.as_deref().unwrap_or_default()
    }

    /// What whoever wrote the definition should know, in sentences.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Normalises the values of a draw: those that choose the counter, and the others.
    ///
    /// # Errors
    /// [`ValueRefused`] for an undeclared name, a missing value without default, or a value that is not allowed.
    pub fn resolve(
        &self,
        scope: &RawValues,
        fields: &RawValues,
    ) -> Result<(FieldValues, FieldValues), ValueRefused> {
        Ok((
            field::resolve(self.scope(), scope)?,
            field::resolve(self.fields(), fields)?,
        ))
    }

    /// The period of a document date.
    ///
    /// # Errors
    /// [`DateOutOfWindow`] when the printed date could be read as that of another period.
    pub fn period(&self, date: Date) -> Result<Period, DateOutOfWindow> {
        match self.template().window() {
            Some((first, last)) if date < first || date > last => Err(DateOutOfWindow { date, first, last }),
            _ => Ok(self.calendar().period(date)),
        }
    }

    /// The characters of the longest id.
    #[must_use]
    pub fn longest(&self) -> Option<usize> {
        self.template().longest(self.max())
    }

    /// An id with the first number of a counter, made of the first values that the fields allow.
    ///
    /// `{now:...}` prints the beginning of 1970.
    ///
    /// # Errors
    /// [`RenderError`] when the date cannot be printed.
    pub fn first_id(&self, date: Date) -> Result<String, RenderError> {
        self.example(date, self.first_number())
    }

    /// An id with the last number of a counter, made like [`first_id`](Self::first_id).
    ///
    /// # Errors
    /// [`RenderError`] when the date cannot be printed.
    pub fn last_id(&self, date: Date) -> Result<String, RenderError> {
        self.example(date, self.last_number())
    }

    /// The first number that a counter gives out.
    pub(crate) fn first_number(&self) -> Number {
        self.ranges().first().map_or(self.start(), |range| range.first)
    }

    fn last_number(&self) -> Number {
        if let Some(range) = self.ranges().last() {
            return range.last;
        }
        let last = self.start().get() + (self.capacity() - 1) * self.step();
        Number::new(last).unwrap_or(self.max())
    }

    fn example(&self, date: Date, number: Number) -> Result<String, RenderError> {
        let [scope, fields] = [self.scope(), self.fields()].map(example_values);
        let mut id = String::new();
        self.template().render(
            &Values {
                tenant: self.tenant(),
                prefix: self.prefix(),
                date,
                period: &self.calendar().period(date),
                scope: &scope,
                fields: &fields,
                number,
                now: Timestamp::from_micros(0),
            },
            &mut id,
        )?;
        Ok(id)
    }
}

impl PartialEq for Definition {
    /// Equal for equal tenants, prefixes and completed members.
    fn eq(&self, other: &Self) -> bool {
        (self.tenant(), self.prefix(), self.spec()) == (other.tenant(), other.prefix(), other.spec())
    }
}

impl Eq for Definition {}

fn example_values(declarations: &[FieldDeclaration]) -> FieldValues {
    FieldValues::new(declarations.iter().map(|d| (d.name.clone(), example_value(d))))
}

/// The default, the first of those listed, or the first letter or else character as often as it takes.
fn example_value(declaration: &FieldDeclaration) -> String {
    let repeated = || {
        let letter = declaration.chars.iter().find(|c| c.is_alphabetic());
        let filler = letter
            .or_else(|| declaration.chars.iter().next())
            .unwrap_or_default();
        declaration.shaped(&filler.to_string().repeat(usize::from(declaration.min)))
    };
    declaration
        .default
        .clone()
        .or_else(|| declaration.values.first().cloned())
        .unwrap_or_else(repeated)
}

/// A document date whose printed form would name another period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{date} is outside {first} to {last}, the dates that the format can tell apart")]
pub struct DateOutOfWindow {
    /// The date.
    pub date: Date,
    /// The first date allowed.
    pub first: Date,
    /// The last date allowed.
    pub last: Date,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, prefix: &str) -> Definition {
        let spec = serde_json::from_str(json).unwrap();
        let defaults = Defaults {
            time_zone: "Asia/Jakarta".parse().unwrap(),
        };
        Definition::check(&Tenant::default(), &Prefix::new(prefix).unwrap(), spec, &defaults).unwrap()
    }

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_format_alone_gets_every_default() {
        let definition = check(r#"{"format":"INV-{seq}"}"#, "INV");
        assert_eq!(definition.mode(), Mode::Gapless);
        assert_eq!(
            (
                definition.start().get(),
                definition.step(),
                definition.max().get()
            ),
            (1, 1, LARGEST_EXACT)
        );
        assert_eq!((definition.largest_gap(), definition.warn_at()), (10_000, 1_000));
        assert_eq!(definition.zone().name(), "Asia/Jakarta");
        assert_eq!(definition.period(day("2026-03-07")), Ok(Period::ALL));
        assert!(!definition.chronological() && definition.days_ahead().is_none());
        assert!(definition.warnings().is_empty());
    }

    #[test]
    fn a_completed_definition_is_the_same_when_checked_again() {
        for json in [
            r#"{"format":"INV-{seq}"}"#,
            r#"{"format":"INV/{fy}/{seq:4}","profile":"in-gst"}"#,
            r#"{"format":"{branch}-{seq:3}","scope":[{"name":"branch","case":"upper","values":["a","b"],"default":"a"}]}"#,
            r#"{"format":"{yy}{mm}-{seq:4!}","reset":"month","mode":"ordered","chronological":true,"max":"5000"}"#,
            r#"{"format":"{seq}","max":"9223372036854775807","time_zone":"Europe/Berlin"}"#,
        ] {
            let definition = check(json, "INV");
            let stored = serde_json::to_string(definition.spec()).unwrap();
            assert_eq!(check(&stored, "INV"), definition, "{stored}");
        }
    }

    #[test]
    fn the_implicit_definition_counts_from_001() {
        let (tenant, prefix) = (Tenant::default(), Prefix::new("INV").unwrap());
        let definition =
            Definition::check(&tenant, &prefix, DefinitionSpec::implicit(), &Defaults::default()).unwrap();
        assert_eq!(definition.first_id(day("2026-03-07")).unwrap(), "INV-001");
    }

    #[test]
    fn the_first_and_last_ids_are_examples_of_both_ends() {
        let json = r#"{"format":"{branch}/{yyyy}/{seq:4!}","reset":"year","start":3,"step":10,
            "scope":[{"name":"branch","chars":"0-9A-Z","min":3}]}"#;
        let definition = check(json, "INV");
        assert_eq!(definition.first_id(day("2026-03-07")).unwrap(), "AAA/2026/0003");
        assert_eq!(definition.last_id(day("2026-03-07")).unwrap(), "AAA/2026/9993");
        assert_eq!((definition.capacity(), definition.longest()), (1000, Some(42)));
    }

    #[test]
    fn limits_shrink_with_the_numbers() {
        let definition = check(r#"{"format":"{seq}","mode":"leased","max":500}"#, "INV");
        assert_eq!((definition.largest_gap(), definition.warn_at()), (5, 50));
        let definition = check(r#"{"format":"{seq}","mode":"ordered","max":9}"#, "INV");
        assert_eq!((definition.largest_gap(), definition.warn_at()), (1, 0));
    }

    #[test]
    fn a_chronological_sequence_allows_no_future_date_unless_told() {
        assert_eq!(
            check(r#"{"format":"{seq}","chronological":true}"#, "INV").days_ahead(),
            Some(0)
        );
        let definition = check(r#"{"format":"{seq}","chronological":true,"days_ahead":7}"#, "INV");
        assert_eq!(definition.days_ahead(), Some(7));
    }

    #[test]
    fn numbers_are_texts_only_where_they_could_be_rounded() {
        assert!(!check(r#"{"format":"{seq}","max":9007199254740991}"#, "INV").numbers_as_text());
        assert!(check(r#"{"format":"{seq}","max":9007199254740992}"#, "INV").numbers_as_text());
    }

    #[test]
    fn a_draw_is_resolved_into_scope_and_fields() {
        let json = r#"{"format":"{branch}-{kind}-{seq}","scope":[{"name":"branch","case":"upper"}],
            "fields":[{"name":"kind","default":"A"}]}"#;
        let definition = check(json, "INV");
        let raw = |name: &str, value: &str| RawValues::from([(name.to_owned(), value.to_owned())]);
        let (scope, fields) = definition
            .resolve(&raw("branch", "jkt"), &RawValues::new())
            .unwrap();
        assert_eq!(
            (scope.get("branch"), fields.get("kind")),
            (Some("JKT"), Some("A"))
        );
        assert!(definition.resolve(&raw("kind", "A"), &RawValues::new()).is_err());
        assert!(definition.resolve(&RawValues::new(), &RawValues::new()).is_err());
    }
}
