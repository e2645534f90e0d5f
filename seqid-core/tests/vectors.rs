//! What other systems print, said as definitions: the same ids, and counters that start again on the same days.
//!
//! The rows are examples from the tests and documentation of Odoo (OS sequences, OM journals), Frappe (FR),
//! Dolibarr (DO), Business Central (BC), SAP, Dynamics 365 (FO), Tryton (TR), InvenTree (IT) and others (XX).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use seqid_core::definition::{Defaults, Definition};
use seqid_core::field::RawValues;
use seqid_core::names::{Number, Prefix, Tenant};
use seqid_core::template::{FormatTemplate, Values};
use seqid_core::time::{Date, Timestamp};

const IDS: [&str; 60] = [
    "OS-01", "OS-03", "OS-05", "OS-07", "OS-09", "OS-11", "OS-13", "OS-15", "OS-17", "OM-01", "OM-03",
    "OM-05", "OM-07", "OM-09", "OM-11", "OM-13", "OM-15", "OM-17", "OM-19", "OM-21", "OM-23", "FR-01",
    "FR-03", "FR-05", "FR-07", "FR-09", "FR-11", "FR-13", "FR-15", "FR-17", "FR-19", "FR-21", "DO-01",
    "DO-03", "DO-05", "DO-07", "DO-09", "DO-11", "DO-13", "BC-01", "BC-03", "BC-05", "BC-07", "BC-09",
    "BC-11", "SAP-01", "SAP-03", "SAP-05", "SAP-07", "FO-01", "FO-03", "FO-05", "FO-07", "TR-01", "TR-03",
    "IT-02", "XX-01", "XX-03", "XX-05", "XX-07",
];

/// Rows that no definition says, and why.
const UNSAID: [(&str, &str); 5] = [
    (
        "OS-15",
        "which of two sequences a lookup prefers; here tenant and prefix name exactly one",
    ),
    (
        "FR-13",
        "a value of a type that has no text is dropped; here it is refused where it enters",
    ),
    (
        "DO-13",
        "one id prints two counters, one of the customer and one of all customers",
    ),
    (
        "SAP-07",
        "numbers that people choose are only checked against a range, never drawn",
    ),
    (
        "FO-07",
        "how far a process draws ahead; a lease, not part of the id",
    ),
];

/// One draw from the counter that date and scope choose.
struct Draw {
    date: &'static str,
    scope: &'static [(&'static str, &'static str)],
    fields: &'static [(&'static str, &'static str)],
    /// Sets the counter before the draw, as an import would.
    next: Option<u64>,
    now: &'static str,
    /// The id, or `None` where the counter has come to its end.
    id: Option<String>,
}

impl Draw {
    fn scope(mut self, scope: &'static [(&'static str, &'static str)]) -> Self {
        self.scope = scope;
        self
    }

    fn fields(mut self, fields: &'static [(&'static str, &'static str)]) -> Self {
        self.fields = fields;
        self
    }

    fn next(mut self, next: u64) -> Self {
        self.next = Some(next);
        self
    }

    fn now(mut self, now: &'static str) -> Self {
        self.now = now;
        self
    }
}

fn on(date: &'static str, id: &str) -> Draw {
    Draw {
        date,
        scope: &[],
        fields: &[],
        next: None,
        now: "2024-01-01T00:00:00Z",
        id: Some(id.to_owned()),
    }
}

/// A draw on a day that does not matter.
fn draw(id: &str) -> Draw {
    on("2024-03-07", id)
}

fn exhausted() -> Draw {
    Draw { id: None, ..draw("") }
}

fn draws<const N: usize>(ids: [&str; N]) -> Vec<Draw> {
    ids.into_iter().map(draw).collect()
}

struct Row {
    id: &'static str,
    definition: String,
    draws: Vec<Draw>,
}

fn row(id: &'static str, definition: &str, draws: impl Into<Vec<Draw>>) -> Row {
    Row {
        id,
        definition: definition.to_owned(),
        draws: draws.into(),
    }
}

/// A row whose definition is the format alone.
fn plain(id: &'static str, format: &str, draws: impl Into<Vec<Draw>>) -> Row {
    row(id, &format!(r#"{{"format":"{format}"}}"#), draws)
}

fn reset(id: &'static str, format: &str, reset: &str, draws: impl Into<Vec<Draw>>) -> Row {
    row(
        id,
        &format!(r#"{{"format":"{format}","reset":"{reset}"}}"#),
        draws,
    )
}

fn fiscal(id: &'static str, format: &str, start: &str, draws: impl Into<Vec<Draw>>) -> Row {
    row(
        id,
        &format!(r#"{{"format":"{format}","reset":"fiscal_year","fiscal_year_start":"{start}"}}"#),
        draws,
    )
}

fn odoo() -> Vec<Row> {
    vec![
        plain(
            "OS-01",
            "{seq}",
            (1..=9).map(|n| draw(&n.to_string())).collect::<Vec<_>>(),
        ),
        plain(
            "OS-03",
            "{yyyy}/{mm}/{dd}/{seq}/{yy}/{doy}/{week}",
            [on("2024-03-07", "2024/03/07/1/24/067/10")],
        ),
        plain(
            "OS-05",
            "{iso_yyyy}/{iso_yy}/{seq}/{iso_week}/{date:%w}",
            [on("2021-01-01", "2020/20/1/53/5")],
        ),
        // The row shows the text before the number; the time of day is that of the issue.
        reset(
            "OS-07",
            "{period_start:%Y/%m/%d/%y/%j/%W/%w}/{now:%H/%I/%M/%S}/{period_start:%G/%g/%V}/{seq}",
            "day",
            [
                on("2023-11-30", "2023/11/30/23/334/48/4/03/03/45/58/2023/23/48/1")
                    .now("2023-11-30T03:45:58Z"),
            ],
        ),
        plain("OS-09", "INV/{seq}/X", [draw("INV/1/X")]),
        row(
            "OS-11",
            r#"{"format":"{seq:3}","start":5,"step":2}"#,
            draws(["005", "007", "009"]),
        ),
        plain(
            "OS-13",
            "N-{seq:4}",
            (1..=7).map(|n| draw(&format!("N-000{n}"))).collect::<Vec<_>>(),
        ),
        reset(
            "OM-01",
            "JRNL/{yyyy}/{seq:5}",
            "year",
            [
                on("2016-01-01", "JRNL/2016/00001"),
                on("2016-03-12", "JRNL/2016/00002"),
                on("2016-04-12", "JRNL/2016/00003"),
                on("2017-03-12", "JRNL/2017/00001"),
            ],
        ),
        fiscal(
            "OM-03",
            "JRNL/{fy}/{seq:5}",
            "04-01",
            [
                on("2016-01-01", "JRNL/2015-16/00001"),
                on("2016-03-12", "JRNL/2015-16/00002"),
                on("2016-04-12", "JRNL/2016-17/00001"),
                on("2017-03-12", "JRNL/2016-17/00002"),
            ],
        ),
        plain(
            "OM-05",
            "{seq}",
            [
                on("2016-01-01", "1234567").next(1_234_567),
                on("2016-03-12", "1234568"),
                on("2016-04-12", "1234569"),
                on("2017-03-12", "1234570"),
            ],
        ),
        reset(
            "OM-07",
            "{yyyy}-{seq:4}",
            "year",
            [
                on("2016-01-01", "2016-0910").next(910),
                on("2016-03-12", "2016-0911"),
                on("2016-04-12", "2016-0912"),
                on("2017-03-12", "2017-0001"),
            ],
        ),
        reset(
            "OM-09",
            "{yy}-{mm}-{seq:2}",
            "month",
            [
                on("2016-03-01", "16-03-10").next(10),
                on("2016-03-12", "16-03-11"),
                on("2016-04-12", "16-04-01"),
                on("2017-03-12", "17-03-01"),
            ],
        ),
        plain(
            "OM-11",
            "045-001-{seq:6}",
            [
                on("2016-01-01", "045-001-000002").next(2),
                on("2016-03-12", "045-001-000003"),
                on("2016-04-12", "045-001-000004"),
                on("2017-03-12", "045-001-000005"),
            ],
        ),
        reset(
            "OM-13",
            "MISC/{yyyy}/{mm}/{seq:4}",
            "month",
            [
                on("2016-01-01", "MISC/2016/01/0001"),
                on("2020-02-02", "MISC/2020/02/0001"),
            ],
        ),
        reset(
            "OM-15",
            "TEST_ORDER/{yyyy}/{seq}",
            "year",
            (1..=24)
                .map(|n| on("2016-01-01", &format!("TEST_ORDER/2016/{n}")))
                .collect::<Vec<_>>(),
        ),
        // Odoo took the year for the number; a definition can say that as well.
        plain(
            "OM-17",
            "00000876-G 0002/{seq}",
            [
                draw("00000876-G 0002/2020").next(2020),
                draw("00000876-G 0002/2021"),
            ],
        ),
        // The batch in the order of its dates.
        reset(
            "OM-19",
            "XMISC/{yyyy}/{seq:5}",
            "year",
            [
                on("2019-03-04", "XMISC/2019/00001"),
                on("2019-03-05", "XMISC/2019/00002"),
                on("2019-03-05", "XMISC/2019/00003"),
                on("2019-03-05", "XMISC/2019/00004"),
                on("2019-03-06", "XMISC/2019/00005"),
                on("2019-03-07", "XMISC/2019/00006"),
            ],
        ),
        fiscal(
            "OM-21",
            "XMISC/{fy_start:4}-{fy_end:4}/{seq:5}",
            "04-01",
            [
                on("2016-03-31", "XMISC/2015-2016/00001"),
                on("2023-03-01", "XMISC/2022-2023/00001"),
                on("2023-03-02", "XMISC/2022-2023/00002"),
                on("2023-03-03", "XMISC/2022-2023/00003"),
                on("2023-04-01", "XMISC/2023-2024/00001"),
                on("2023-04-02", "XMISC/2023-2024/00002"),
            ],
        ),
        row(
            "OM-23",
            r#"{"format":"MISC/{yy}-{mm}/{seq:5}","reset":"month","window":[2100,2199]}"#,
            [
                on("2101-02-01", "MISC/01-02/00001"),
                on("2101-03-01", "MISC/01-03/00001"),
            ],
        ),
    ]
}

fn frappe() -> Vec<Row> {
    vec![
        reset(
            "FR-01",
            "SINV-{yy}-{seq:4}",
            "year",
            [
                on("2024-03-07", "SINV-24-0001"),
                on("2024-12-31", "SINV-24-0002"),
                on("2025-01-01", "SINV-25-0001"),
            ],
        ),
        plain("FR-03", "SINV{seq:5}", [draw("SINV00001")]),
        plain("FR-05", "ABC{seq:4}", draws(["ABC0001", "ABC0002"])),
        row(
            "FR-07",
            r#"{"format":"TODO-{mm}-{some_fieldname}-{seq:2}","fields":["some_fieldname"]}"#,
            [on("2024-03-07", "TODO-03-Format-07")
                .next(7)
                .fields(&[("some_fieldname", "Format")])],
        ),
        // The row shows the week alone.
        plain(
            "FR-09",
            "{week_clamped}-{seq}",
            [
                on("2019-12-31", "53-1"),
                on("2020-01-01", "01-2"),
                on("2020-01-15", "03-3"),
                on("2021-01-01", "00-4"),
                on("2021-12-31", "52-5"),
            ],
        ),
        row(
            "FR-11",
            r#"{"format":"KOOH-{webhook_docevent}-{seq:4}","fields":[{"name":"webhook_docevent","chars":"a-z_"}]}"#,
            [draw("KOOH-on_update-0001").fields(&[("webhook_docevent", "on_update")])],
        ),
        reset(
            "FR-15",
            "TEST-{yyyy}-{seq:5}",
            "year",
            [on("2024-01-01", "TEST-2024-00001")],
        ),
        plain(
            "FR-17",
            "TEST1-{seq:5}-2021-22",
            [draw("TEST1-00003-2021-22").next(3)],
        ),
        row(
            "FR-19",
            r#"{"format":"{amended}-{seq}","scope":[{"name":"amended","chars":"A-Z0-9-"}]}"#,
            [
                draw("X-1").scope(&[("amended", "X")]),
                draw("X-2").scope(&[("amended", "X")]),
            ],
        ),
        row(
            "FR-21",
            r#"{"format":"{title}-{seq}","scope":["title"]}"#,
            [draw("Bottle-1").scope(&[("title", "Bottle")])],
        ),
        row(
            "FR-21",
            r#"{"format":"{title}_{seq}","scope":["title"]}"#,
            [draw("Bottle_1").scope(&[("title", "Bottle")])],
        ),
    ]
}

fn dolibarr() -> Vec<Row> {
    vec![
        plain(
            "DO-01",
            "{yyyy}-{seq:4}",
            [on("1915-01-01", "1915-0001"), on("1916-01-01", "1916-0002")],
        ),
        reset(
            "DO-03",
            "{yyyy}{mm}-{seq:4}",
            "year",
            [on("1920-01-01", "192001-0001"), on("1921-01-01", "192101-0001")],
        ),
        fiscal(
            "DO-05",
            "{yyyy}{mm}-{seq:4}",
            "06-01",
            [
                on("1930-01-01", "193001-0001"),
                on("1930-12-01", "193012-0001"),
                on("1931-01-01", "193101-0002"),
                on("1931-12-01", "193112-0001"),
            ],
        ),
        fiscal(
            "DO-07",
            "{yyyy}{mm}-{seq:4}",
            "06-01",
            [
                on("1950-01-01", "195001-0001"),
                on("1950-12-01", "195012-0001"),
                on("1951-01-01", "195101-0002"),
                on("1951-12-01", "195112-0001"),
            ],
        ),
        fiscal(
            "DO-09",
            "{fy_end}{mm}-{seq:4}",
            "06-01",
            [
                on("1970-01-01", "197001-0001"),
                on("1970-12-01", "197112-0001"),
                on("1971-01-01", "197101-0002"),
                on("1971-12-01", "197212-0001"),
            ],
        ),
        row(
            "DO-11",
            r#"{"format":"{t|first=1}{yyyy}{mm}-{seq:4}","fields":[{"name":"t","chars":"A-Z"}]}"#,
            [on("1982-01-01", "A198201-0001").fields(&[("t", "ABC")])],
        ),
    ]
}

fn microsoft() -> Vec<Row> {
    let ten =
        |numbers: std::ops::RangeInclusive<u32>| numbers.map(|n| draw(&n.to_string())).chain([exhausted()]);
    vec![
        row(
            "BC-01",
            r#"{"format":"{seq}","max":10}"#,
            ten(1..=10).collect::<Vec<_>>(),
        ),
        row(
            "BC-03",
            r#"{"format":"{seq}","max":10,"step":2}"#,
            [draw("5").next(5), draw("7"), draw("9"), exhausted()],
        ),
        // The second line follows when the first is at its end.
        row(
            "BC-05",
            r#"{"format":"A{seq:2}","max":10,"step":7}"#,
            [draw("A01"), draw("A08"), exhausted()],
        ),
        row(
            "BC-05",
            r#"{"format":"B{seq:2}","max":10,"step":7}"#,
            [draw("B01"), draw("B08"), exhausted()],
        ),
        row(
            "BC-07",
            r#"{"format":"A{seq:2}TEST","max":10}"#,
            [draw("A01TEST")],
        ),
        reset(
            "BC-09",
            "{yyyy}-{mm}-{dd}-{seq:3}",
            "day",
            [
                on("2024-02-28", "2024-02-28-001"),
                on("2024-02-29", "2024-02-29-001"),
                on("2024-02-28", "2024-02-28-002"),
                on("2024-02-29", "2024-02-29-002"),
                on("2024-03-01", "2024-03-01-001"),
                on("2024-03-01", "2024-03-01-002"),
                on("2024-02-29", "2024-02-29-003"),
            ],
        ),
        plain("BC-11", "SCI{seq:7}", draws(["SCI0000001", "SCI0000002"])),
        plain("FO-01", "{seq:5}_2009", draws(["00001_2009", "00002_2009"])),
        row(
            "FO-03",
            r#"{"format":"{legal_entity}-EXPENSE-{seq:4}","scope":[{"name":"legal_entity","chars":"A-Z"}]}"#,
            [draw("CS-EXPENSE-0039").next(39).scope(&[("legal_entity", "CS")])],
        ),
        plain("FO-05", "Req{seq:4}", [draw("Req0052").next(52)]),
    ]
}

fn others() -> Vec<Row> {
    vec![
        row(
            "SAP-01",
            r#"{"format":"{seq}","max":1000,"warn_at":100}"#,
            [draw("899").next(899), draw("900")],
        ),
        row(
            "SAP-03",
            r#"{"format":"{seq}","max":2}"#,
            [draw("1"), draw("2"), exhausted()],
        ),
        row(
            "SAP-05",
            r#"{"format":"{type}{company}-{yyyy}{seq:3}","reset":"year","scope":[
                {"name":"type","chars":"A-Z","min":2,"max":2},{"name":"company","chars":"0-9","min":4,"max":4}]}"#,
            [on("2017-05-01", "CP6008-2017001").scope(&[("type", "CP"), ("company", "6008")])],
        ),
        plain("TR-01", "{seq}", [draw("1")]),
        row(
            "TR-01",
            r#"{"format":"{seq}","step":10}"#,
            [draw("2").next(2), draw("12")],
        ),
        row(
            "TR-01",
            r#"{"format":"{seq:3}","step":10}"#,
            [draw("022").next(22)],
        ),
        plain(
            "TR-03",
            "{yyyy}-{mm}-{dd}/{seq}/{dd}.{mm}.{yyyy}",
            [on("2010-08-15", "2010-08-15/2/15.08.2010").next(2)],
        ),
        plain("IT-02", "PO-{seq}", [draw("PO-123").next(123)]),
        plain("IT-02", "PO-{seq:5}", [draw("PO-00123").next(123)]),
        row(
            "IT-02",
            r#"{"format":"PO-{seq:5}-{variant}","fields":[{"name":"variant","chars":"A-Z","max":1,"default":"A"}]}"#,
            [
                draw("PO-00123-A").next(123),
                draw("PO-00123-B").next(123).fields(&[("variant", "B")]),
            ],
        ),
        plain(
            "XX-01",
            "{seq}",
            (1..=20).map(|n| draw(&n.to_string())).collect::<Vec<_>>(),
        ),
        plain("XX-03", "TEST1{seq:5}-2022", [draw("TEST101001-2022").next(1001)]),
        plain("XX-05", "{seq:4}", [draw("0001")]),
        row(
            "XX-07",
            r#"{"format":"ATCUD:{validation_code}-{seq}","scope":[{"name":"validation_code","chars":"A-Z0-9","min":8}]}"#,
            [draw("ATCUD:AAJFSBT3D9-1129")
                .next(1129)
                .scope(&[("validation_code", "AAJFSBT3D9")])],
        ),
    ]
}

/// Definitions that are refused here as they are there.
const REFUSED: [(&str, &str, &str); 1] = [(
    "OS-17",
    r#"{"format":"{seq}","step":0}"#,
    "invalid-value at /step",
)];

fn rows() -> Vec<Row> {
    [odoo(), frappe(), dolibarr(), microsoft(), others()]
        .into_iter()
        .flatten()
        .collect()
}

fn tenant() -> Tenant {
    Tenant::default()
}

fn prefix() -> Prefix {
    Prefix::new("DOC").unwrap()
}

fn define(definition: &str) -> Result<Definition, String> {
    let spec = serde_json::from_str(definition).map_err(|error| error.to_string())?;
    Definition::check(&tenant(), &prefix(), spec, &Defaults::default()).map_err(|error| error.to_string())
}

fn raw(values: &[(&str, &str)]) -> RawValues {
    values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Draws one after the other, each from the counter of its period and scope.
fn run(row: &Row) {
    let context = format!("{} {}", row.id, row.definition);
    let definition = define(&row.definition).unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut counters = BTreeMap::new();
    for draw in &row.draws {
        let date: Date = draw.date.parse().unwrap();
        let (scope, fields) = definition.resolve(&raw(draw.scope), &raw(draw.fields)).unwrap();
        let period = definition.period(date).unwrap();
        let next = counters
            .entry((period, scope.clone()))
            .or_insert(definition.start().get());
        *next = draw.next.unwrap_or(*next);
        let number = Number::new(*next).unwrap();
        *next += definition.step();
        let Some(expected) = &draw.id else {
            assert!(number > definition.max(), "{context}: {number} is left");
            continue;
        };
        assert!(number <= definition.max(), "{context}: no number is left");
        let values = Values {
            tenant: &tenant(),
            prefix: &prefix(),
            date,
            period: &period,
            scope: &scope,
            fields: &fields,
            number,
            now: draw.now.parse::<Timestamp>().unwrap(),
        };
        let mut id = String::new();
        definition.template().render(&values, &mut id).unwrap();
        assert_eq!(&id, expected, "{context}");
        let parsed = definition
            .template()
            .parse(&id)
            .unwrap_or_else(|| panic!("{context}: {id} is not read"));
        assert_eq!(
            (parsed.number, parsed.scope, parsed.period),
            (number, scope, Some(period)),
            "{context}: {id}"
        );
    }
}

#[test]
fn every_definition_prints_what_the_other_system_printed() {
    rows().iter().for_each(run);
}

#[test]
fn what_another_system_refuses_is_refused() {
    for (id, definition, reason) in REFUSED {
        let error = define(definition).expect_err(id);
        assert!(error.contains(reason), "{id}: {error}");
    }
}

#[test]
fn every_row_is_said_or_has_a_reason_why_not() {
    let said: BTreeSet<&str> = rows()
        .iter()
        .map(|row| row.id)
        .chain(REFUSED.map(|(id, ..)| id))
        .collect();
    let unsaid = BTreeSet::from(UNSAID.map(|(id, _)| id));
    assert!(said.is_disjoint(&unsaid));
    assert_eq!(
        said.union(&unsaid).copied().collect::<BTreeSet<_>>(),
        BTreeSet::from(IDS)
    );
    assert!(UNSAID.iter().all(|(_, reason)| reason.len() > 20));
}

#[test]
fn a_warning_of_ten_percent_begins_with_the_number_900_of_1000() {
    let definition = define(r#"{"format":"{seq}","max":1000,"warn_at":100}"#).unwrap();
    let left = |number: u64| definition.max().get() - number;
    assert!(left(899) > definition.warn_at() && left(900) <= definition.warn_at());
}
