use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::period::Reset;
use crate::refusal::RefusalCode;

/// A definition under test: what the template's words refer to.
#[derive(Debug, Clone)]
struct Setup {
    reset: Reset,
    fiscal_year_start: &'static str,
    scope: Vec<FieldDeclaration>,
    fields: Vec<FieldDeclaration>,
    window: Option<(i16, i16)>,
    max: Option<u64>,
    max_length: Option<usize>,
    charset: Option<&'static str>,
    repeats: Repeats,
}

fn reset(reset: Reset) -> Setup {
    Setup {
        reset,
        fiscal_year_start: "01-01",
        scope: Vec::new(),
        fields: Vec::new(),
        window: None,
        max: None,
        max_length: None,
        charset: None,
        repeats: Repeats::Refused,
    }
}

fn field(name: &str, chars: &str, min: u16, max: u16) -> FieldDeclaration {
    FieldDeclaration {
        chars: chars.parse().unwrap(),
        min,
        max,
        ..FieldDeclaration::new(name)
    }
}

impl Setup {
    fn scope(self, scope: &[FieldDeclaration]) -> Self {
        Self {
            scope: scope.to_vec(),
            ..self
        }
    }

    fn fields(self, fields: &[FieldDeclaration]) -> Self {
        Self {
            fields: fields.to_vec(),
            ..self
        }
    }

    fn from(self, fiscal_year_start: &'static str) -> Self {
        Self {
            fiscal_year_start,
            ..self
        }
    }

    fn window(self, first: i16, last: i16) -> Self {
        Self {
            window: Some((first, last)),
            ..self
        }
    }

    fn calendar(&self) -> Calendar {
        Calendar::new(self.reset, self.fiscal_year_start.parse().unwrap())
    }

    fn compile(&self, text: &str) -> Result<Template, Vec<Refusal>> {
        let charset = self.charset.map(|chars| chars.parse::<CharSet>().unwrap());
        let (tenant, prefix, zone) = (Tenant::default(), Prefix::new("INV").unwrap(), Zone::UTC);
        let language = Language {
            scope: &self.scope,
            fields: &self.fields,
            window: self.window,
            max: self.max.map(|max| Number::new(max).unwrap()),
            max_length: self.max_length,
            charset: charset.as_ref(),
            repeats: self.repeats,
            ..Language::new(&tenant, &prefix, &zone, self.calendar())
        };
        Template::compile(text, &language)
    }

    #[track_caller]
    fn accepts(&self, text: &str) -> Template {
        self.compile(text)
            .unwrap_or_else(|refusals| panic!("{text}: {refusals:?}"))
    }

    #[track_caller]
    fn refuses(&self, text: &str, code: RefusalCode) -> String {
        let refusals = self.compile(text).expect_err(text);
        let found = refusals.iter().find(|refusal| refusal.code == code);
        found
            .unwrap_or_else(|| panic!("{text}: {refusals:?}"))
            .detail
            .clone()
    }

    #[track_caller]
    fn prints(&self, text: &str, date: &str, given: &[(&str, &str)], number: u64, expected: &str) {
        let document = Document::new(self, date, given);
        assert_eq!(document.id(&self.accepts(text), number), expected, "{text}");
    }
}

struct Document {
    tenant: Tenant,
    prefix: Prefix,
    date: Date,
    period: Period,
    scope: FieldValues,
    fields: FieldValues,
}

impl Document {
    fn new(setup: &Setup, date: &str, given: &[(&str, &str)]) -> Self {
        let date: Date = date.parse().unwrap();
        let of = |declared: &[FieldDeclaration]| {
            let named = given
                .iter()
                .filter(|(name, _)| declared.iter().any(|d| d.name == *name));
            FieldValues::new(named.copied())
        };
        Self {
            tenant: Tenant::default(),
            prefix: Prefix::new("INV").unwrap(),
            date,
            period: setup.calendar().period(date),
            scope: of(&setup.scope),
            fields: of(&setup.fields),
        }
    }

    fn values(&self, number: u64) -> Values<'_> {
        Values {
            tenant: &self.tenant,
            prefix: &self.prefix,
            date: self.date,
            period: &self.period,
            scope: &self.scope,
            fields: &self.fields,
            number: Number::new(number).unwrap(),
            now: Timestamp::from_micros(1_772_894_706_000_000),
        }
    }

    /// The id, written in both ways.
    #[track_caller]
    fn id(&self, template: &Template, number: u64) -> String {
        let values = self.values(number);
        let mut out = "before ".to_owned();
        template.render(&values, &mut out).unwrap();
        let fixed = template
            .fixed(self.date, &self.period, &self.scope, &self.fields)
            .unwrap();
        let mut again = "before ".to_owned();
        fixed.render(values.number, values.now, &mut again).unwrap();
        assert_eq!(out, again);
        out.split_off("before ".len())
    }
}

#[test]
fn texts_that_could_be_read_in_two_ways_are_refused_with_both() {
    let never = || reset(Reset::Never);
    let branch = FieldDeclaration::new("branch");
    let detail = never()
        .scope(&[branch])
        .refuses("{branch}{seq}", RefusalCode::AmbiguousJoin);
    assert!(detail.contains("could be"), "{detail}");
    never()
        .scope(&[field("branch", "A-Z", 1, 32)])
        .accepts("{branch}{seq}");
    never()
        .scope(&[field("branch", "A-Z", 3, 3)])
        .accepts("{branch}{seq:4}");
    let hyphens = [field("branch", "A-Z-", 1, 32), field("dept", "A-Z-", 1, 32)];
    let detail = never()
        .scope(&hyphens)
        .refuses("{branch}-{dept}-{seq}", RefusalCode::AmbiguousJoin);
    assert!(detail.contains("could be"), "{detail}");
    let detail = never().refuses("{m}{seq}", RefusalCode::AmbiguousJoin);
    assert!(
        detail.contains(r#""111" could be "11" + "1" or "1" + "11""#),
        "{detail}"
    );
    reset(Reset::Year).accepts("{seq}{yy}");
    reset(Reset::Month).accepts("{seq:3}/INV/{mm|roman}/{yyyy}");
    let detail = reset(Reset::Month).refuses("{seq|base=36}{mm|roman}{yyyy}", RefusalCode::AmbiguousJoin);
    assert!(detail.contains("could be"), "{detail}");
}

#[track_caller]
fn period_not_printed(setup: &Setup, text: &str, witness: &str) {
    let detail = setup.refuses(text, RefusalCode::PeriodNotPrinted);
    assert!(detail.contains(witness), "{text}: {detail}");
}

#[test]
fn periods_that_print_the_same_text_are_refused_with_two_dates() {
    let week = reset(Reset::Week);
    period_not_printed(&week, "{yyyy}-W{iso_week}-{seq}", "W01");
    week.accepts("{iso_yyyy}-W{iso_week}-{seq}");
    week.accepts("{yyyy}-{week_clamped}-{seq}");
    let month = reset(Reset::Month);
    period_not_printed(
        &month,
        "{yyyy}-{seq:4}",
        "1900-01-01 (period 1900-01) and 1900-02-01 (period 1900-02)",
    );
    let window = month.accepts("{yy}{mm}-{seq:4}").window().unwrap();
    assert_eq!(
        (window.0.to_string(), window.1.to_string()),
        ("1970-01-01".to_owned(), "2069-12-31".to_owned())
    );
    month.refuses("{iso_yyyy}{mm}-{seq}", RefusalCode::PeriodNotPrinted);
    let detail = reset(Reset::Year).refuses("{y}{mm}-{seq:4}", RefusalCode::WindowNeeded);
    assert!(detail.contains("at most 10 years"), "{detail}");
    reset(Reset::Year).window(2020, 2029).accepts("{y}{mm}-{seq:4}");
    reset(Reset::Year)
        .window(2020, 2030)
        .refuses("{y}{mm}-{seq:4}", RefusalCode::WindowNeeded);
    reset(Reset::Year).refuses("{now:%Y}-{seq:4}", RefusalCode::PeriodNotPrinted);
    reset(Reset::Year)
        .window(2000, 2100)
        .refuses("{yy}-{seq:4}", RefusalCode::PeriodNotPrinted);
}

#[test]
fn fiscal_periods_are_checked_day_by_day() {
    let fiscal = |start| reset(Reset::FiscalYear).from(start);
    fiscal("06-01").accepts("{yyyy}{mm}-{seq}");
    fiscal("04-06").refuses("{yyyy}{mm}-{seq}", RefusalCode::PeriodNotPrinted);
    fiscal("04-06").accepts("{yyyy}{mm}{dd}-{seq}");
    fiscal("04-01").refuses("{yyyy}-{seq:4}", RefusalCode::PeriodNotPrinted);
    fiscal("04-01").accepts("{fy}-{seq:4}");
    fiscal("04-01").accepts("{period_start:%y}-{seq:4}");
    fiscal("04-01").accepts("{fy_end:2}-{seq:4}");
}

#[test]
fn a_window_counts_years_of_the_kind_that_is_printed() {
    let window = |setup: Setup, text: &str| {
        let (first, last) = setup.accepts(text).window().unwrap();
        format!("{first}..{last}")
    };
    assert_eq!(
        window(reset(Reset::Week), "{iso_yy}{iso_week}-{seq}"),
        "1969-12-29..2069-12-29"
    );
    assert_eq!(
        window(reset(Reset::FiscalYear).from("04-01"), "{fy_end:2}-{seq}"),
        "1969-04-01..2069-03-31"
    );
    assert_eq!(
        window(reset(Reset::Year), "{yyyy}{yy}-{seq}"),
        "1900-01-01..2999-12-31"
    );
    assert_eq!(
        window(reset(Reset::Year), "{yyyy|era=minguo}-{seq}"),
        "1912-01-01..2910-12-31"
    );
    assert_eq!(
        window(reset(Reset::Never), "{yyyy|era=reiwa}-{seq}"),
        "2019-05-01..2117-12-31"
    );
    assert_eq!(reset(Reset::Never).accepts("{yy}{mm}-{seq}").window(), None);
    reset(Reset::Year)
        .window(1800, 1805)
        .refuses("{yyyy|era=minguo}-{seq}", RefusalCode::WindowNeeded);
}

#[test]
fn the_longest_id_fits_and_lowers_the_largest_number() {
    let gst = Setup {
        max_length: Some(16),
        ..reset(Reset::FiscalYear).from("04-01")
    };
    assert_eq!(
        gst.accepts("INV/{fy}/{seq:4}")
            .capacity(Some(16))
            .map(Number::get),
        Some(9999)
    );
    let detail = Setup {
        max: Some(99_999),
        ..gst.clone()
    }
    .refuses("INV/{fy}/{seq:4}", RefusalCode::TooLong);
    assert!(
        detail.contains("has 17 characters, allowed are 16") && detail.contains("99999"),
        "{detail}"
    );
    gst.refuses("INVOICE/{fy}/{seq:4}", RefusalCode::TooLong);
    let exact = reset(Reset::Never).accepts("{seq:5!}");
    assert_eq!(exact.capacity(None).map(Number::get), Some(99_999));
    assert_eq!(exact.longest(Number::MAX), Some(5));
}

#[test]
fn characters_outside_the_charset_are_named() {
    let plain = Setup {
        charset: Some("A-Z0-9/"),
        ..reset(Reset::Never)
    };
    plain.accepts("INV/{seq}");
    assert!(
        plain
            .refuses("Inv/{seq}", RefusalCode::Charset)
            .contains("`Inv/` can print `n`")
    );
    let free = plain.fields(&[FieldDeclaration::new("branch")]);
    assert!(
        free.refuses("{branch}/{seq}", RefusalCode::Charset)
            .contains("`{branch}` can print `a`")
    );
    free.accepts("{branch|upper}/{seq}");
}

#[test]
fn every_scope_name_is_printed_as_it_is() {
    let branch = reset(Reset::Never).scope(&[field("branch", "A-Z", 1, 3)]);
    assert!(
        branch
            .refuses("{seq}", RefusalCode::ScopeNotPrinted)
            .contains("{branch}")
    );
    branch.refuses("{branch|first=2}-{seq}", RefusalCode::LossyScope);
    assert!(
        branch
            .refuses("{brnach}-{seq}", RefusalCode::UnknownToken)
            .contains("did you mean `branch`?")
    );
    let accepted = Setup {
        repeats: Repeats::Accepted,
        reset: Reset::Year,
        ..branch
    };
    let template = accepted.accepts("{seq}");
    assert_eq!(
        template.determines(),
        Determines {
            period: false,
            scope: Vec::new(),
            number: true
        }
    );
}

#[test]
fn check_digits_read_what_their_algorithm_knows() {
    let customer = reset(Reset::Never).fields(&[field("customer", "0-9", 5, 5)]);
    let detail = customer.refuses("INV-{seq:5}-{check:luhn}", RefusalCode::CheckInput);
    assert!(
        detail.contains("cannot read `I`") && detail.contains("|over="),
        "{detail}"
    );
    customer.refuses("{seq}{check:luhn|over=customer}", RefusalCode::CheckInput);
    customer.refuses("{seq}{check:luhn|over=shop}", RefusalCode::UndeclaredField);
    customer.refuses("{check:luhn}{seq}", RefusalCode::CheckInput);
    let values = &[("customer", "12345")];
    customer.prints(
        "RF{check:rf|over=customer+seq}{customer}{seq:7!}",
        "2026-03-07",
        values,
        42,
        "RF32123450000042",
    );
    customer.prints(
        "INV-{seq:5}-{check:luhn|over=seq}",
        "2026-03-07",
        &[],
        42,
        "INV-00042-2",
    );
    let template = customer.accepts("INV-{seq:5}-{check:luhn|over=seq}");
    assert!(template.parse("INV-00042-2").is_some());
    assert!(template.parse("INV-00042-3").is_none());
}

#[test]
fn templates_print_what_other_systems_print() {
    let on = |text: &str, number, expected: &str| {
        reset(Reset::Never).prints(text, "2024-03-07", &[], number, expected);
    };
    on(
        "{date:%Y/%m/%d}/{seq}/{yy}/{doy}/{week}",
        1,
        "2024/03/07/1/24/067/10",
    );
    on("{yyyy}-W{iso_week}-{seq:4}", 12, "2024-W10-0012");
    on("{prefix}-{tenant}-{seq:3}", 7, "INV-default-007");
    on(
        "{seq:2}/{mm|roman}/{mm|letter}/{mm|en}/{m}/{d}",
        7,
        "07/III/C/MAR/3/7",
    );
    on("{yyyy|era=buddhist}.{yyyy|add=-1}-{seq}", 1, "2567.2023-1");
    on("{seq|alphabet=ABCDEFGHIJ}{{x}}", 107, "BAH{x}");
    on("{now:%Y%m%d %H %I%M%S}-{seq}", 1, "20260307 14 024506-1");
    on("{period}-{period_no}-{seq}", 1, "all-1-1");
    on("{date:%A %a %B %b %C%%}{seq}", 1, "Thursday Thu March Mar 20%1");
    reset(Reset::FiscalYear)
        .from("04-01")
        .prints("X{fy}{seq:3}", "2024-03-07", &[], 5, "X2023-24005");
}

#[test]
fn the_period_token_prints_the_period() {
    let resets = [
        Reset::Never,
        Reset::Day,
        Reset::Week,
        Reset::Month,
        Reset::Quarter,
        Reset::HalfYear,
        Reset::Year,
        Reset::FiscalYear,
        Reset::FiscalQuarter,
        Reset::FiscalPeriod,
    ];
    for reset_by in resets {
        for start in ["01-01", "04-01", "04-06"] {
            let setup = reset(reset_by).from(start).window(2020, 2029);
            let template = setup.accepts("{period}.{seq}");
            for date in ["2024-12-30", "2026-01-01", "2026-04-05", "2026-04-06"] {
                let document = Document::new(&setup, date, &[]);
                let id = document.id(&template, 1);
                assert_eq!(id, format!("{}.1", document.period));
                assert_eq!(
                    template.parse(&id).and_then(|read| read.period),
                    Some(document.period)
                );
            }
        }
    }
}

#[track_caller]
fn unreadable(setup: &Setup, template: &str, ids: &[&str]) {
    let template = setup.accepts(template);
    for id in ids {
        assert_eq!(template.parse(id), None, "{id}");
    }
}

#[test]
fn only_ids_that_could_have_been_written_are_read() {
    let never = reset(Reset::Never);
    unreadable(
        &never,
        "INV-{seq:3}",
        &["", "INV-", "INV-1", "INV-0001", "inv-001", "INV-001 ", "INV-٠٠١"],
    );
    unreadable(&never, "{seq}/{seq:3}", &["1/002", "01/001"]);
    unreadable(
        &never,
        "{yyyy}-{mm}-{dd}-{seq}",
        &["2026-02-29-1", "2026-13-01-1", "0000-01-01-1"],
    );
    unreadable(&never, "{yyyy}/{yy}-{seq}", &["2026/27-1"]);
    unreadable(&never, "{iso_yyyy}W{iso_week}-{seq}", &["2025W53-1"]);
    unreadable(&reset(Reset::Year), "{yyyy}-{seq}", &["1899-1", "3000-1"]);
    let read = reset(Reset::Quarter)
        .accepts("{yyyy}{mm}-{seq}")
        .parse("202605-7")
        .unwrap();
    assert_eq!(
        (read.number.get(), read.period.unwrap().to_string()),
        (7, "2026-Q2".to_owned())
    );
}

#[test]
fn changed_fields_are_read_as_they_are_printed() {
    let setup = reset(Reset::Never).fields(&[field("name", "A-Za-z", 1, 8)]);
    setup.prints(
        "{name|upper|first=3}-{name|last=2|lower}-{seq}",
        "2026-03-07",
        &[("name", "Meyers")],
        1,
        "MEY-rs-1",
    );
    let read = setup
        .accepts("{name|upper|first=3}-{seq}")
        .parse("MEY-1")
        .unwrap();
    assert_eq!(read.fields.get("name"), Some("MEY"));
    unreadable(&setup, "{name|upper|first=3}-{seq}", &["Mey-1", "MEYE-1", "-1"]);
    let both = setup.accepts("{name|first=1}.{name}-{seq}");
    assert_eq!(
        both.parse("M.Meyers-1").unwrap().fields.get("name"),
        Some("Meyers")
    );
    assert_eq!(both.parse("N.Meyers-1"), None);
}

#[test]
fn ids_of_the_instant_are_read_by_their_shape() {
    let template = reset(Reset::Never).accepts("{now:%Y-%m}/{seq}");
    assert!(template.uses_now());
    assert_eq!(template.parse("2026-11/5").unwrap().number.get(), 5);
    assert_eq!(template.parse("2026-13/5"), None);
}

#[test]
fn a_number_beyond_an_exact_width_is_not_written() {
    let setup = reset(Reset::Never);
    let template = setup.accepts("A{seq:2!}");
    let document = Document::new(&setup, "2026-03-07", &[]);
    let mut out = "kept".to_owned();
    let refused = template.render(&document.values(100), &mut out);
    assert!(matches!(refused, Err(RenderError::NumberTooLarge { .. })));
    let fixed = template
        .fixed(document.date, &document.period, &document.scope, &document.fields)
        .unwrap();
    assert!(
        fixed
            .render(Number::new(100).unwrap(), document.values(1).now, &mut out)
            .is_err()
    );
    assert_eq!(out, "kept");
}

#[test]
fn the_usual_shape_prints_as_format_does() {
    let setup = reset(Reset::Year);
    let template = setup.accepts("INV-{yyyy}-{seq:5}");
    let document = Document::new(&setup, "2026-03-07", &[]);
    for number in [0, 1, 99_999, 100_000, i64::MAX as u64] {
        let mut expected = String::new();
        write!(expected, "INV-2026-{number:05}").unwrap();
        assert_eq!(document.id(&template, number), expected);
    }
}

#[test]
fn shortcomings_of_other_templates_are_named() {
    let branch = [FieldDeclaration::new("branch")];
    let codes = |determines: &Determines| {
        let refusals = analysis::shortcomings(determines, &branch, Reset::Year);
        refusals
            .into_iter()
            .map(|refusal| refusal.code)
            .collect::<Vec<_>>()
    };
    let all = [
        RefusalCode::NoSeq,
        RefusalCode::PeriodNotPrinted,
        RefusalCode::ScopeNotPrinted,
    ];
    assert_eq!(codes(&Determines::default()), all);
    assert_eq!(
        codes(&Determines {
            period: true,
            scope: vec!["branch".to_owned()],
            number: true
        }),
        []
    );
}

fn any_token() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        1 => Just("{seq}"),
        2 => proptest::sample::select(vec![
            "{seq:4}", "{seq:6!}", "{seq|base=36}", "{seq:2|alphabet=XYZ}", "{prefix}", "{tenant}", "{branch}", "{dept}",
            "{name}", "{name|upper}", "{name|first=2}", "{check:luhn|over=seq}", "{check:mod97_10}", "{check:mod37_2}",
        ]),
        4 => proptest::sample::select(vec![
            "{yyyy}", "{yy}", "{y}", "{yyyy|era=minguo}", "{yy|era=buddhist}", "{mm}", "{m}", "{mm|roman}", "{mm|en}",
            "{q}", "{half}", "{dd}", "{d}", "{doy}", "{iso_yyyy}", "{iso_yy}", "{iso_week}", "{iso_day}", "{week}",
            "{week_sun}", "{week_clamped}", "{fy}", "{fy_start}", "{fy_end:2}", "{fq}", "{fp}", "{period}",
            "{period_no}", "{date:%G-%j}", "{period_start:%Y%m%d}", "{period_end:%d.%b}", "{date:%A}", "{date:%w}",
        ]),
        1 => proptest::sample::select(vec!["A", "1", " "]),
    ]
}

/// Tokens, each with the text that follows it.
#[derive(Debug, Clone)]
struct Words(Vec<(&'static str, &'static str)>);

impl Words {
    /// The template with every scope name, unless chance left one out.
    fn for_scope(&self, setup: &Setup) -> String {
        let mut text: String = self
            .0
            .iter()
            .map(|(token, mark)| format!("{token}{mark}"))
            .collect();
        for declared in &setup.scope {
            write!(text, "{{{}}}/", declared.name).unwrap();
        }
        text + "{seq}"
    }
}

fn any_template() -> impl Strategy<Value = Words> {
    let mark = proptest::sample::select(vec!["-", "/", ".", "/", "."]);
    let mark = prop_oneof![3 => mark, 1 => Just("")];
    proptest::collection::vec((any_token(), mark), 0..6).prop_map(Words)
}

fn any_setup() -> impl Strategy<Value = Setup> {
    let resets = proptest::sample::select(vec![
        Reset::Never,
        Reset::Never,
        Reset::Day,
        Reset::Week,
        Reset::Month,
        Reset::Quarter,
        Reset::HalfYear,
        Reset::Year,
        Reset::FiscalYear,
        Reset::FiscalQuarter,
        Reset::FiscalPeriod,
    ]);
    let starts = proptest::sample::select(vec!["01-01", "04-01", "04-06", "01-02"]);
    let chars = proptest::sample::select(vec!["A-Z", "A-Z0-9", "a-zA-Z0-9-", "0-9", "äöü"]);
    let lengths = proptest::sample::select(vec![(1, 3), (2, 2), (1, 40), (0, 2)]);
    let windows = proptest::sample::select(vec![Some((2020, 2022)), Some((2021, 2029)), Some((2019, 2024))]);
    let windows = (windows, any::<bool>())
        .prop_map(|(window, printed)| if printed { window } else { Some((2024, 2024)) });
    (resets, starts, chars, lengths, windows, 0..3usize).prop_map(
        |(by, start, chars, (min, max), window, scopes)| {
            let declared = [field("branch", chars, min, max), field("dept", "A-Z", 3, 3)];
            let (scope, free) = declared.split_at(scopes);
            let name = field("name", "a-zA-Z", 2, 5);
            let fields = [free, &[name]].concat();
            Setup {
                window,
                ..reset(by).from(start).scope(scope).fields(&fields)
            }
        },
    )
}

/// A value of a field, chosen by a seed.
fn value_of(declaration: &FieldDeclaration, seed: u64) -> String {
    let members: Vec<char> = declaration.chars.iter().collect();
    let lengths = u64::from(declaration.max - declaration.min) + 1;
    let length = u64::from(declaration.min) + seed % lengths;
    let pick = |i: u64| members[usize::try_from((seed >> (i % 40)) + i).unwrap() % members.len()];
    (0..length).map(pick).collect()
}

fn document_of(setup: &Setup, template: &Template, seed: u64) -> Option<Document> {
    let (year_first, year_last) = setup.window?;
    let first = Date::new(year_first, 1, 1).unwrap().days_since_epoch();
    let last = Date::new(year_last, 12, 31).unwrap().days_since_epoch();
    let span = u64::from((last - first).unsigned_abs());
    let date = Date::from_days_since_epoch(first + i32::try_from(seed % span).unwrap())?;
    if template
        .window()
        .is_some_and(|(first, last)| date < first || date > last)
    {
        return None;
    }
    let declared = setup.scope.iter().chain(&setup.fields);
    let values: Vec<(String, String)> = declared.map(|d| (d.name.clone(), value_of(d, seed))).collect();
    let given: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Some(Document::new(setup, &date.to_string(), &given))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn an_accepted_template_reads_its_own_ids(
        setup in any_setup(),
        text in any_template(),
        seeds in proptest::collection::vec(any::<u64>(), 4),
    ) {
        let text = text.for_scope(&setup);
        let Ok(template) = setup.compile(&text) else { return Ok(()) };
        for seed in seeds {
            let Some(document) = document_of(&setup, &template, seed) else { continue };
            let largest = template.capacity(None).unwrap();
            let number = Number::new((seed >> (seed % 64)).min(largest.get())).unwrap();
            let id = document.id(&template, number.get());
            let read = template.parse(&id);
            prop_assert!(read.is_some(), "{} wrote {:?}", text, id);
            let read = read.unwrap();
            prop_assert_eq!(read.number, number);
            prop_assert_eq!(read.period, Some(document.period), "{} wrote {:?}", text, id);
            prop_assert_eq!(&read.scope, &document.scope, "{} wrote {:?}", text, id);
            for (name, value) in read.fields.iter().filter(|(name, _)| text.contains(&format!("{{{name}}}"))) {
                prop_assert_eq!(document.fields.get(name), Some(value));
            }
            prop_assert!(id.chars().count() <= template.longest(number).unwrap());
            prop_assert!(id.chars().all(|c| template.alphabet().contains(c)));
        }
    }

    #[test]
    fn any_text_is_compiled_or_refused_and_read_or_not(
        setup in any_setup(),
        text in "(\\{(seq|yyyy|branch|name|mm|check:luhn|y)[|:=a-z0-9!]{0,7}\\}|[-A1ä{}]){1,8}",
        id in "[0-9A-Zäa-z/. -]{0,20}",
    ) {
        if let Ok(template) = setup.compile(&text) {
            let _ = template.parse(&id);
        }
        let _ = reset(Reset::Never).accepts("{seq}-{yyyy}{mm|roman}").parse(&id);
    }

    #[test]
    fn templates_that_write_one_id_overlap(
        setup in any_setup(),
        one in any_template(),
        other in any_template(),
        seed in any::<u64>(),
    ) {
        let texts = [one, other].map(|text| text.for_scope(&setup));
        let (Ok(one), Ok(other)) = (setup.compile(&texts[0]), setup.compile(&texts[1])) else { return Ok(()) };
        let Some(document) = document_of(&setup, &one, seed) else { return Ok(()) };
        let id = document.id(&one, seed % 1000);
        if other.parse(&id).is_some() {
            prop_assert!(overlap::common_id(&one, &other).is_some(), "{:?} both write {:?}", texts, id);
        }
        let own = overlap::common_id(&one, &one);
        prop_assert!(own.is_some(), "{:?}", texts);
    }
}

#[test]
fn an_outline_says_all_that_ids_are_made_of() {
    let setup = reset(Reset::FiscalYear)
        .scope(&[field("b", "A-Z", 2, 2)])
        .fields(&[field("c", "a-z", 5, 5)]);
    let text = "{b}/{fy}-{mm|en}{c|last=3|upper}{seq:4!|base=8}{now:%H}{check:mod11_2|over=seq|ten=0}";
    let outline = setup.compile(text).unwrap().outline();
    let json = serde_json::to_value(&outline).unwrap();
    assert_eq!(
        json,
        serde_json::json!([
            {"field": {"scope": true, "name": "b", "transforms": []}},
            {"text": "/"},
            {"date": {"day": "date", "value": "fiscal_year_start", "text": {"year": {"digits": 4, "add": 0}}}},
            {"text": "-"},
            {"date": {"day": "date", "value": "month", "text": {"names": {"first": 1, "names": [
                "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]}}}},
            {"field": {"scope": false, "name": "c", "transforms": [{"last": 3}, "upper"]}},
            {"seq": {"digits": "01234567", "width": 4}},
            {"date": {"day": "now", "value": "hour", "text": {"padded": 2}}},
            {"check": {"algorithm": "mod11_2", "ten": "0", "over": [6]}},
        ])
    );
}
