//! From a definition as sent to one that is complete, consistent and compiled.

use crate::definition::profile::Profile;
use crate::definition::spec::{DefinitionSpec, LARGEST_EXACT, Mode, OnExpiry};
use crate::definition::{Defaults, Inner, NumberRange, declaration, range};
use crate::names::{Number, Prefix, Tenant};
use crate::period::Calendar;
use crate::refusal::{DefinitionRefused, Refusal, RefusalCode};
use crate::template::{Language, Repeats, Template};
use crate::time::Zone;

const LONGEST_DESCRIPTION: usize = 500;
const LANGUAGE_VERSION: u64 = 1;
const LARGEST_GAP: u64 = 10_000;
const WARN_AT: u64 = 1_000;
/// As many days as the calendar has.
const MOST_DAYS_AHEAD: u64 = 3_652_059;

/// Checks and compiles; every reason against the definition is collected.
pub(super) fn definition(
    tenant: &Tenant,
    prefix: &Prefix,
    spec: DefinitionSpec,
    defaults: &Defaults,
) -> Result<Inner, DefinitionRefused> {
    let mut check = Check {
        spec,
        refusals: Vec::new(),
        warnings: Vec::new(),
    };
    check.profile();
    check.texts();
    check.modes();
    let calendar = check.calendar();
    let zone = check.zone(defaults);
    let ranges = check.ranges();
    let line = check.line(&ranges);
    let granted = ranges.last().map(|range| range.last);
    let template = check.template(tenant, prefix, calendar, (&zone, line.max.or(granted)));
    let max = check.max(line, &ranges, template.as_ref());
    check.limits(line, max, &ranges);
    check.warn(template.as_ref());
    let Check {
        spec,
        refusals,
        warnings,
    } = check;
    match template {
        Some(template) if refusals.is_empty() => Ok(Inner {
            tenant: tenant.clone(),
            prefix: prefix.clone(),
            spec,
            template,
            calendar,
            zone,
            start: line.start,
            step: line.step,
            max,
            ranges,
            warnings,
        }),
        _ => Err(DefinitionRefused::from(refusals)),
    }
}

/// The integers of a counter as they were sent, within their bounds.
#[derive(Clone, Copy)]
struct Line {
    start: Number,
    step: u64,
    max: Option<Number>,
}

/// A definition on the way from sent to complete.
struct Check {
    spec: DefinitionSpec,
    refusals: Vec<Refusal>,
    warnings: Vec<String>,
}

impl Check {
    fn refuse(&mut self, code: RefusalCode, pointer: &str, detail: impl Into<String>) {
        self.refusals.push(Refusal::new(code, pointer, detail));
    }

    fn invalid(&mut self, pointer: &str, detail: impl Into<String>) {
        self.refuse(RefusalCode::InvalidValue, pointer, detail);
    }

    fn profile(&mut self) {
        match self.spec.profile.as_deref().map(Profile::find) {
            None => {}
            Some(Err(unknown)) => self.refusals.push(unknown),
            Some(Ok(profile)) => {
                profile.complete(&mut self.spec);
                self.refusals.extend(profile.breaches(&self.spec));
            }
        }
    }

    fn texts(&mut self) {
        let described = self
            .spec
            .description
            .as_deref()
            .map_or(0, |text| text.chars().count());
        if described > LONGEST_DESCRIPTION {
            let detail =
                format!("a description has at most {LONGEST_DESCRIPTION} characters, this has {described}");
            self.invalid("/description", detail);
        }
        let version = *self.spec.language.get_or_insert(LANGUAGE_VERSION);
        if version != LANGUAGE_VERSION {
            let detail =
                format!("there is no version {version} of the template language, only {LANGUAGE_VERSION}");
            self.invalid("/language", detail);
        }
        if self.spec.max_length == Some(0) {
            self.invalid(
                "/max_length",
                "an id has at least one character, so max_length is at least 1",
            );
        }
        if let Some((first, last)) = self.spec.window
            && !(1..=last).contains(&first)
        {
            self.spec.window = None;
            self.invalid(
                "/window",
                format!(
                    "the window {first} to {last} must begin in year 1 or later and not end before it begins"
                ),
            );
        }
    }

    fn modes(&mut self) {
        let mode = *self.spec.mode.get_or_insert_default();
        let on_expiry = *self.spec.on_expiry.get_or_insert_default();
        let chronological = *self.spec.chronological.get_or_insert_default();
        self.spec.repeats.get_or_insert_default();
        if on_expiry == OnExpiry::Reuse && mode != Mode::Gapless {
            let detail = "expired numbers can be reused in gapless sequences only: the other modes have no reservations";
            self.refuse(RefusalCode::ModeUnavailable, "/on_expiry", detail);
        }
        if chronological && mode == Mode::Leased {
            let detail = "a leased sequence cannot be chronological: two processes draw from their ranges at the same time, \
                          so 1001 can be dated before 1";
            self.refuse(RefusalCode::ChronologicalUnavailable, "/chronological", detail);
        }
        if chronological && on_expiry == OnExpiry::Reuse {
            let detail = "a chronological sequence cannot reuse expired numbers: 5 would be dated after 6";
            self.refuse(RefusalCode::ChronologicalUnavailable, "/on_expiry", detail);
        }
        if chronological {
            self.spec.days_ahead.get_or_insert(0);
        }
        if self.spec.days_ahead.is_some_and(|days| days > MOST_DAYS_AHEAD) {
            self.invalid("/days_ahead", format!("days_ahead is at most {MOST_DAYS_AHEAD}"));
        }
    }

    fn calendar(&mut self) -> Calendar {
        self.spec.fiscal_label.get_or_insert_default();
        let reset = *self.spec.reset.get_or_insert_default();
        Calendar::new(reset, *self.spec.fiscal_year_start.get_or_insert_default())
    }

    fn zone(&mut self, defaults: &Defaults) -> Zone {
        let sent = self.spec.time_zone.as_deref().map(str::parse::<Zone>);
        let zone = sent
            .unwrap_or_else(|| Ok(defaults.time_zone.clone()))
            .unwrap_or_else(|error| {
                self.refuse(RefusalCode::UnknownZone, "/time_zone", error.to_string());
                Zone::UTC
            });
        self.spec.time_zone = Some(zone.name().to_owned());
        zone
    }

    fn ranges(&mut self) -> Vec<NumberRange> {
        let ranges = self.spec.ranges.as_deref();
        ranges.map_or_else(Vec::new, |ranges| range::checked(ranges, &mut self.refusals))
    }

    fn line(&mut self, ranges: &[NumberRange]) -> Line {
        let first = ranges.first().map_or(1, |range| range.first.get());
        let start = self.number("/start", self.spec.start.unwrap_or(first));
        let step = *self.spec.step.get_or_insert(1);
        self.number("/step", step);
        if step == 0 {
            self.invalid(
                "/step",
                "with step 0 every document would get the same number; step is at least 1",
            );
        }
        self.spec.start = Some(start.get());
        let line = Line {
            start,
            step: step.max(1),
            max: self.spec.max.map(|max| self.number("/max", max)),
        };
        for (index, range) in ranges.iter().enumerate() {
            self.member(&format!("/ranges/{index}/first"), range.first, line);
            self.member(&format!("/ranges/{index}/last"), range.last, line);
        }
        line
    }

    /// Refuses a number that no counter comes to.
    fn member(&mut self, pointer: &str, number: Number, Line { start, step, .. }: Line) {
        let distance = number.get().checked_sub(start.get());
        if !distance.is_some_and(|distance| distance.is_multiple_of(step)) {
            let second = start.get().saturating_add(step);
            let detail =
                format!("{number} is not a number of a counter, which has {start}, {second} and so on");
            self.invalid(pointer, detail);
        }
    }

    fn number(&mut self, pointer: &str, sent: u64) -> Number {
        Number::new(sent).unwrap_or_else(|too_large| {
            self.invalid(pointer, too_large.to_string());
            Number::MAX
        })
    }

    fn template(
        &mut self,
        tenant: &Tenant,
        prefix: &Prefix,
        calendar: Calendar,
        (zone, max): (&Zone, Option<Number>),
    ) -> Option<Template> {
        let (scope, fields) = self.declarations();
        let spec = &self.spec;
        let language = Language {
            tenant,
            prefix,
            scope: &scope,
            fields: &fields,
            calendar,
            fiscal_label: spec.fiscal_label.unwrap_or_default(),
            zone,
            window: spec.window,
            max,
            max_length: self.max_length(),
            charset: spec.charset.as_ref(),
            repeats: spec.repeats.unwrap_or_default(),
        };
        let compiled = Template::compile(&spec.format, &language);
        (self.spec.scope, self.spec.fields) = (Some(scope), Some(fields));
        compiled.map_err(|refusals| self.refusals.extend(refusals)).ok()
    }

    fn max_length(&self) -> Option<usize> {
        self.spec
            .max_length
            .map(|max| usize::try_from(max).unwrap_or(usize::MAX))
    }

    fn declarations(&mut self) -> (declaration::List, declaration::List) {
        let scope = self.spec.scope.take().unwrap_or_default();
        let fields = self.spec.fields.take().unwrap_or_default();
        declaration::checked(scope, fields, &mut self.refusals)
    }

    /// The largest number: the one sent, or else the last of the ranges, or else the largest that fits.
    fn max(&mut self, line: Line, ranges: &[NumberRange], template: Option<&Template>) -> Number {
        let fits = template
            .and_then(|template| template.capacity(self.max_length()))
            .unwrap_or(Number::MAX);
        let default = Number::new(LARGEST_EXACT).unwrap_or(Number::MAX);
        if let Some(range) = ranges.last() {
            return self.max_of_ranges(line, range, ranges.len() - 1, fits);
        }
        let max = line.max.unwrap_or(fits.min(default));
        if line.max.is_none() && fits < default {
            self.warnings.push(format!(
                "max is {fits}, the largest number that the format can print"
            ));
        }
        if max > fits {
            let detail = format!("the format can print numbers up to {fits}, so {max} would have no id");
            self.refuse(RefusalCode::TooLong, "/max", detail);
        }
        if max < line.start {
            self.invalid(
                "/start",
                format!("the first number, {}, is larger than the last, {max}", line.start),
            );
        }
        self.spec.max = Some(max.get());
        max
    }

    /// The largest number of a sequence with ranges. It is not written down unless sent, so that it follows them.
    fn max_of_ranges(&mut self, line: Line, last: &NumberRange, index: usize, fits: Number) -> Number {
        let max = line.max.unwrap_or(last.last);
        if max < last.last {
            let detail =
                format!("max is {max}, but the range {last} goes further; leave max out, or raise it");
            self.invalid("/max", detail);
            return last.last;
        }
        if max > fits {
            let pointer = line
                .max
                .map_or_else(|| format!("/ranges/{index}/last"), |_| "/max".to_owned());
            let detail = format!("the format can print numbers up to {fits}, so {max} would have no id");
            self.refuse(RefusalCode::TooLong, &pointer, detail);
        }
        max
    }

    /// What is in proportion to the numbers that a counter has.
    fn limits(&mut self, line: Line, max: Number, ranges: &[NumberRange]) {
        let start = line.start;
        let between = |first: Number, last: Number| last.get().saturating_sub(first.get()).saturating_add(1);
        let numbers = if ranges.is_empty() {
            between(start, max)
        } else {
            let of_ranges = ranges.iter();
            of_ranges.map(|range| between(range.first, range.last)).sum()
        };
        let proportionate = (numbers / 100).max(1);
        let largest_gap = *self
            .spec
            .largest_gap
            .get_or_insert(proportionate.min(LARGEST_GAP));
        if largest_gap == 0 {
            self.invalid("/largest_gap", "largest_gap is at least 1");
        }
        if self.spec.mode != Some(Mode::Gapless) && largest_gap > proportionate {
            let detail = format!(
                "with the numbers {start} to {max}, one fault may skip at most {proportionate} (1 %), not {largest_gap}"
            );
            self.invalid("/largest_gap", detail);
        }
        self.spec.warn_at.get_or_insert((numbers / 10).min(WARN_AT));
    }

    fn warn(&mut self, template: Option<&Template>) {
        if self.spec.repeats == Some(Repeats::Accepted) {
            self.warnings
                .push("two counters may print the same id, because repeats are accepted".to_owned());
        }
        if template.is_some_and(Template::uses_now) {
            self.warnings
                .push("ids name the instant of issue, so the next id is not known before".to_owned());
        }
    }
}
