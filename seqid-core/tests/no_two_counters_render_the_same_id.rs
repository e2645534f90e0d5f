//! Random definitions: those that are accepted never print one id twice, and read back what they printed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use seqid_core::definition::{Defaults, Definition, DefinitionSpec};
use seqid_core::field::{Case, FieldDeclaration, FieldValues};
use seqid_core::names::{Number, Prefix, Tenant};
use seqid_core::period::{FiscalLabel, MonthDay, Period, Reset};
use seqid_core::template::{FormatTemplate, Values};
use seqid_core::time::{Date, Timestamp};

const CASES: u32 = 1_200;
const ACCEPTED_AT_LEAST: u32 = 350;
/// Accepted definitions whose counters start again.
const RESETTING_AT_LEAST: u32 = 250;

/// Tokens that tell the periods of a reset, in most cases.
fn telling(reset: Reset) -> &'static [&'static [&'static str]] {
    match reset {
        Reset::Never => &[&[], &["{yyyy}"], &["{mm|en}"]],
        Reset::Day => &[
            &["{yyyy}", "{mm}", "{dd}"],
            &["{yy}", "{doy}"],
            &["{date:%Y%m%d}"],
            &["{iso_yyyy}", "{iso_week}", "{iso_day}"],
            &["{dd}", "{mm|roman}", "{yyyy}"],
        ],
        Reset::Week => &[
            &["{iso_yyyy}", "{iso_week}"],
            &["{iso_yy}", "{iso_week}"],
            &["{yyyy}", "{week_clamped}"],
            &["{period_start:%Y-%m-%d}"],
            &["{yyyy}", "{week}"],
        ],
        Reset::Month => &[
            &["{yy}", "{mm}"],
            &["{yyyy}", "{mm|roman}"],
            &["{y}", "{mm|letter}"],
            &["{date:%y%b}"],
        ],
        Reset::Quarter => &[&["{yyyy}", "{q}"], &["{yy}", "{mm}"], &["{period_no}", "{yyyy}"]],
        Reset::HalfYear => &[&["{yyyy}", "{half}"], &["{yy}", "{q}"]],
        Reset::Year => &[
            &["{yyyy}"],
            &["{yy}"],
            &["{y}"],
            &["{yyyy|add=543}"],
            &["{yy|era=minguo}"],
        ],
        Reset::FiscalYear => &[
            &["{fy}"],
            &["{fy_start:2}"],
            &["{fy_end}"],
            &["{yyyy}", "{mm}", "{dd}"],
            &["{yyyy}", "{mm}"],
        ],
        Reset::FiscalQuarter => &[&["{fy}", "{fq}"], &["{fy_end:2}", "{fp}"], &["{yyyy}", "{q}"]],
        Reset::FiscalPeriod => &[&["{fy_start}", "{fp}"], &["{fy}", "{fp}"], &["{yyyy}", "{mm}"]],
    }
}

const DATES: &[&str] = &[
    "{yyyy}",
    "{yy}",
    "{y}",
    "{mm}",
    "{m}",
    "{mm|roman}",
    "{mm|letter}",
    "{mm|en}",
    "{q}",
    "{half}",
    "{dd}",
    "{d}",
    "{doy}",
    "{iso_yyyy}",
    "{iso_yy}",
    "{iso_week}",
    "{iso_day}",
    "{week}",
    "{week_sun}",
    "{week_clamped}",
    "{fy}",
    "{fy_start}",
    "{fy_end:2}",
    "{fq}",
    "{fp}",
    "{date:%a}",
    "{date:%B}",
    "{period_start:%j}",
    "{period_end:%m%d}",
    "{period}",
    "{period_no}",
];

const NUMBERS: &[&str] = &[
    "{seq}",
    "{seq:3}",
    "{seq:5}",
    "{seq:4!}",
    "{seq:2!}",
    "{seq:3|base=36}",
    "{seq|base=16}",
    "{seq:4!|base=2}",
    "{seq:2|alphabet=ABCDEFGH}",
    "{seq|alphabet=zyx}",
];

const SEPARATORS: &[&str] = &["-", "-", "-", "-", "/", "/", ".", "", "", "X", "0", "--"];

const CHECKS: &[&str] = &[
    "",
    "",
    "",
    "",
    "{check:mod97_10}",
    "{check:mod37_36}",
    "{check:luhn|over=seq}",
    "{check:mod11_2|over=seq|ten=-}",
    "{check:mod11_w7|over=seq}",
];

const ALPHABETS: &[&str] = &[
    "A-Z",
    "0-9",
    "A-Za-z0-9",
    "A-Z-",
    "a-z",
    "0-9A-F",
    "AB/",
    "01",
    "IVX",
    "É-Ý",
];

fn declaration(name: &'static str) -> impl Strategy<Value = FieldDeclaration> {
    let case = prop_oneof![4 => Just(None), 1 => Just(Some(Case::Upper)), 1 => Just(Some(Case::Lower))];
    let pad = prop_oneof![5 => Just(None), 1 => Just(Some(3))];
    (select(ALPHABETS), 1..=3u16, 0..=2u16, case, pad).prop_map(move |(chars, min, more, case, pad)| {
        FieldDeclaration {
            chars: chars.parse().unwrap(),
            min,
            max: (min + more).max(pad.unwrap_or(0)),
            case,
            pad: pad.filter(|_| chars.contains('0')),
            ..FieldDeclaration::new(name)
        }
    })
}

fn chance(percent: u32) -> impl Strategy<Value = bool> {
    (0..100u32).prop_map(move |roll| roll < percent)
}

fn dates(reset: Reset) -> impl Strategy<Value = Vec<&'static str>> {
    let told = select(telling(reset)).prop_map(<[&str]>::to_vec);
    let random = proptest::collection::vec(select(DATES), 0..4);
    let more = proptest::collection::vec(select(DATES), 0..2);
    let told =
        (told, more, chance(25)).prop_map(|(told, more, add)| if add { [told, more].concat() } else { told });
    prop_oneof![3 => told, 1 => random]
}

#[derive(Debug, Clone)]
struct Names {
    scope: Vec<FieldDeclaration>,
    fields: Vec<FieldDeclaration>,
    tokens: Vec<String>,
}

fn names() -> impl Strategy<Value = Names> {
    let printed = prop_oneof![6 => Just("{branch}"), 1 => Just("{branch|first=1}"), 1 => Just("x")];
    let free = prop_oneof![
        Just("{kind}"),
        Just("{kind|upper}"),
        Just("{kind|first=1}"),
        Just("")
    ];
    let declarations = (declaration("branch"), declaration("dept"), declaration("kind"));
    (declarations, 0..4u8, printed, free).prop_map(|((branch, dept, kind), many, printed, free)| {
        let scope: Vec<_> = [branch, dept]
            .into_iter()
            .take(usize::from(many.min(2)))
            .collect();
        let tokens = [printed, "{dept}"].into_iter().take(scope.len()).chain([free]);
        let tokens = tokens
            .filter(|token| !token.is_empty())
            .map(str::to_owned)
            .collect();
        Names {
            scope,
            fields: vec![kind],
            tokens,
        }
    })
}

/// The tokens in any order, with any separators.
fn format(names: Vec<String>, reset: Reset) -> impl Strategy<Value = String> {
    let number = prop_oneof![6 => Just(""), 1 => Just("{seq}")];
    let tokens = (dates(reset), select(NUMBERS), number, select(CHECKS)).prop_map(
        move |(dates, seq, again, check)| {
            let tokens = names
                .iter()
                .map(String::as_str)
                .chain(dates)
                .chain([seq, again, check]);
            tokens
                .filter(|token| !token.is_empty())
                .map(str::to_owned)
                .collect::<Vec<String>>()
        },
    );
    let separators = proptest::collection::vec(select(SEPARATORS), 16);
    (tokens.prop_shuffle(), separators).prop_map(|(tokens, separators)| {
        tokens
            .iter()
            .zip(separators)
            .map(|(token, separator)| format!("{token}{separator}"))
            .collect()
    })
}

fn definition() -> impl Strategy<Value = DefinitionSpec> {
    let start = select(&[(1i8, 1i8), (4, 1), (4, 6), (7, 1), (10, 1), (1, 31), (12, 31)][..]);
    let label = select(&[FiscalLabel::Span, FiscalLabel::Start, FiscalLabel::End][..]);
    (names(), select(&Reset::ALL[..])).prop_flat_map(move |(names, reset)| {
        let format = format(names.tokens.clone(), reset);
        let window = prop_oneof![19 => Just(Some((2019, 2027))), 1 => Just(None)];
        let bounds = (
            select(&[None, None, Some(24u64)][..]),
            select(&[None, None, Some(5_000u64)][..]),
        );
        (format, start.clone(), label.clone(), window, bounds).prop_map(
            move |(format, start, label, window, bounds)| DefinitionSpec {
                format,
                reset: Some(reset),
                fiscal_year_start: MonthDay::new(start.0, start.1).ok(),
                fiscal_label: Some(label),
                scope: Some(names.scope.clone()),
                fields: Some(names.fields.clone()),
                window,
                max_length: bounds.0,
                max: bounds.1,
                start: Some(0),
                ..DefinitionSpec::default()
            },
        )
    })
}

/// What is drawn: each date with each scope, field and number.
#[derive(Debug, Clone)]
struct Draws {
    days: Vec<i32>,
    values: Vec<[String; 3]>,
    numbers: Vec<Index>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-C]{1,5}",
        "[0-1]{1,5}",
        "[IVX]{1,4}",
        "[a-c]{1,5}",
        "[AB/-]{1,5}",
        "[A-F0-2]{1,5}",
        "[É-Î]{1,5}"
    ]
}

fn draws() -> impl Strategy<Value = Draws> {
    // Days of 2019 to 2027, some of them close together.
    let days = (
        17_897..21_180i32,
        select(&[1, 6, 7, 28, 31, 92, 365, 366][..]),
        select(&[1, 7, 30, 365, 1461][..]),
    )
        .prop_map(|(day, near, far)| vec![day, day + near, day - far, day + far]);
    let values = proptest::collection::vec([text(), text(), text()], 3);
    let numbers = proptest::collection::vec(any::<Index>(), 3);
    (days, values, numbers).prop_map(|(days, values, numbers)| Draws {
        days,
        values,
        numbers,
    })
}

/// The text cut, lengthened and, where need be, replaced until the declaration allows it.
fn fitting(declaration: &FieldDeclaration, text: &str) -> Option<String> {
    let known: Vec<char> = declaration.alphabet().iter().take(40).collect();
    let pick = |c: char| {
        if declaration.alphabet().contains(c) {
            Some(c)
        } else {
            known.get(c as usize % known.len()).copied()
        }
    };
    let mut chars: Vec<char> = text
        .chars()
        .filter_map(pick)
        .take(declaration.longest())
        .collect();
    while chars.len() < declaration.shortest() {
        chars.push(known[chars.len() % known.len()]);
    }
    let text: String = chars.into_iter().collect();
    declaration.normalise(Some(&text)).ok()
}

fn values(declarations: &[FieldDeclaration], texts: &[String]) -> Option<FieldValues> {
    let value = |(d, text): (&FieldDeclaration, &String)| Some((d.name.clone(), fitting(d, text)?));
    declarations
        .iter()
        .zip(texts)
        .map(value)
        .collect::<Option<Vec<_>>>()
        .map(FieldValues::new)
}

fn numbers(definition: &Definition, picks: &[Index]) -> Vec<Number> {
    let max = definition.max().get();
    let edges = [
        0, 1, 9, 10, 11, 35, 36, 99, 100, 101, 110, 999, 1000, 1001, 1100, 9999, 10_000, 12_026, max,
    ];
    let possible: Vec<u64> = edges.into_iter().filter(|&n| n <= max).collect();
    picks
        .iter()
        .map(|pick| Number::new(*pick.get(&possible)).unwrap())
        .collect()
}

type Line = (Period, FieldValues, Number);

/// The lines of each id; two draws of one line may well differ in their other fields.
#[derive(Default)]
struct Printed(HashMap<String, Line>);

impl Printed {
    fn add(&mut self, id: String, line: Line) -> Result<(), TestCaseError> {
        match self.0.get(&id) {
            Some(other) if *other != line => {
                Err(TestCaseError::fail(format!("{id:?} is {other:?} and {line:?}")))
            }
            _ => {
                self.0.insert(id, line);
                Ok(())
            }
        }
    }
}

fn print_and_read(definition: &Definition, draws: &Draws) -> Result<(), TestCaseError> {
    let mut printed = Printed::default();
    for day in &draws.days {
        let date = Date::from_days_since_epoch(*day).unwrap();
        let Ok(period) = definition.period(date) else {
            continue;
        };
        for texts in &draws.values {
            let (Some(scope), Some(fields)) = (
                values(definition.scope(), &texts[..2]),
                values(definition.fields(), &texts[2..]),
            ) else {
                continue;
            };
            for number in numbers(definition, &draws.numbers) {
                let line = (period, scope.clone(), number);
                let id = render(definition, date, &line, &fields)?;
                check_read(definition, &id, &line)?;
                printed.add(id, line)?;
            }
        }
    }
    Ok(())
}

fn render(
    definition: &Definition,
    date: Date,
    line: &Line,
    fields: &FieldValues,
) -> Result<String, TestCaseError> {
    let values = Values {
        tenant: definition.tenant(),
        prefix: definition.prefix(),
        date,
        period: &line.0,
        scope: &line.1,
        fields,
        number: line.2,
        now: Timestamp::from_micros(0),
    };
    let mut id = String::new();
    let rendered = definition.template().render(&values, &mut id);
    rendered.map_err(|error| TestCaseError::fail(format!("{date} {line:?}: {error}")))?;
    let length = id.chars().count();
    prop_assert!(
        definition.longest().is_none_or(|longest| length <= longest),
        "{id:?} is longer than promised"
    );
    prop_assert!(
        definition
            .spec()
            .max_length
            .is_none_or(|max| length as u64 <= max),
        "{id:?} is too long"
    );
    Ok(id)
}

fn check_read(definition: &Definition, id: &str, line: &Line) -> Result<(), TestCaseError> {
    let Some(parsed) = definition.template().parse(id) else {
        return Err(TestCaseError::fail(format!("{id:?} is not read")));
    };
    prop_assert_eq!(
        (parsed.period, parsed.scope, parsed.number),
        (Some(line.0), line.1.clone(), line.2),
        "{:?}",
        id
    );
    Ok(())
}

#[test]
fn no_two_counters_render_the_same_id() {
    let (accepted, resetting) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let (tenant, prefix) = (Tenant::default(), Prefix::new("INV").unwrap());
    let result = runner.run(&(definition(), draws()), |(spec, draws)| {
        let Ok(definition) = Definition::check(&tenant, &prefix, spec, &Defaults::default()) else {
            return Ok(());
        };
        accepted.set(accepted.get() + 1);
        resetting.set(resetting.get() + u32::from(definition.calendar().reset() != Reset::Never));
        print_and_read(&definition, &draws)
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    let (accepted, resetting) = (accepted.get(), resetting.get());
    assert!(
        accepted >= ACCEPTED_AT_LEAST,
        "only {accepted} of {CASES} definitions were accepted"
    );
    assert!(
        resetting >= RESETTING_AT_LEAST,
        "only {resetting} of {accepted} counters start again"
    );
}
