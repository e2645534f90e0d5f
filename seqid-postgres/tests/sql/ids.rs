//! Ids that SQL writes are those that Rust writes.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use seqid_core::names::Prefix;
use seqid_core::numbering::{DrawRequest, Numbering};

use crate::desk::{Desk, Drawn, Session};

/// A draw, once for each of both.
#[derive(Debug, Clone, Default)]
struct Asked {
    date: Option<String>,
    scope: Vec<(&'static str, String)>,
    fields: Vec<(&'static str, String)>,
}

impl Asked {
    fn on(date: &str) -> Self {
        Self {
            date: Some(date.to_owned()),
            ..Self::default()
        }
    }

    fn scope(mut self, name: &'static str, value: &str) -> Self {
        self.scope.push((name, value.to_owned()));
        self
    }

    fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    fn request(&self, prefix: &str) -> DrawRequest {
        let mut request = DrawRequest::new(Prefix::new(prefix).unwrap());
        if let Some(date) = &self.date {
            request = request.date(date.parse().unwrap());
        }
        for (name, value) in &self.scope {
            request = request.scope(name, value);
        }
        for (name, value) in &self.fields {
            request = request.field(name, value);
        }
        request
    }

    fn arguments(&self, prefix: &str) -> String {
        let mut arguments = format!("'{prefix}'");
        if let Some(date) = &self.date {
            arguments += &format!(", date => '{date}'");
        }
        for (argument, values) in [("scope", &self.scope), ("fields", &self.fields)] {
            if !values.is_empty() {
                let values: HashMap<_, _> = values.iter().cloned().collect();
                let json = serde_json::to_string(&values).unwrap();
                arguments += &format!(", {argument} => '{json}'");
            }
        }
        arguments
    }
}

/// Draws by turns through SQL and through Rust from one counter. Answers what SQL drew.
async fn by_turns(desk: &Desk, session: &mut Session, prefix: &str, asked: &Asked) -> Vec<Drawn> {
    let arguments = asked.arguments(prefix);
    let first = session.draw(&arguments).await;
    let issued = desk.issuer.draw(asked.request(prefix)).await.unwrap();
    let second = session.draw(&arguments).await;
    let step = i64::try_from(issued.run.step).unwrap();
    assert_eq!(
        [first.number + step, second.number - step],
        [i64::try_from(issued.run.first.get()).unwrap(); 2]
    );
    assert_eq!(first.period, issued.period.to_string(), "{asked:?}");
    assert_eq!(
        u32::try_from(first.version).unwrap(),
        issued.definition_version,
        "{asked:?}"
    );
    vec![first, second]
}

/// Every id that SQL wrote is the one that Rust writes for the event.
async fn compare(desk: &Desk, drawn: &[(String, Drawn)]) {
    let mut events: HashMap<(String, String, i64), Vec<String>> = HashMap::new();
    for recorded in desk.events().await {
        let event = &recorded.event;
        if let (Some(counter), Some((first, _))) = (event.subject.counter(), &recorded.ids) {
            let number = i64::try_from(event.run.unwrap().first.get()).unwrap();
            let name = (
                counter.sequence().prefix.to_string(),
                counter.period().to_string(),
                number,
            );
            events.entry(name).or_default().push(first.clone());
        }
    }
    for (prefix, drawn) in drawn {
        let ids = events.get(&(prefix.clone(), drawn.period.clone(), drawn.number));
        let ids = ids.unwrap_or_else(|| panic!("{prefix}: no event of {drawn:?}"));
        assert!(
            ids.contains(&drawn.id),
            "{prefix}: SQL wrote {}, Rust {ids:?}",
            drawn.id
        );
    }
}

const DAYS: [&str; 9] = [
    "2026-03-07",
    "2024-02-29",
    "2023-12-31",
    "2024-12-30",
    "2021-01-01",
    "2020-04-05",
    "2020-04-06",
    "2022-05-31",
    "2025-07-01",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_reset_and_every_date_word_is_written_as_rust_writes_it() {
    let desk = Desk::new().await;
    let mut session = desk.session().await;
    let mut drawn = Vec::new();
    let words = [
        "{yyyy}{yy}{mm}.{m}{q}{half}{dd}.{d}.{doy}{mm|roman}.{mm|letter}{mm|en}{period}.{period_no}{prefix}{tenant}",
        "{yyyy|era=buddhist}{yy|era=buddhist}{yyyy|era=minguo}{yyyy|add=-1000}{fy}.{fy_start}{fy_end:2}{fq}{fp}",
        "{iso_yyyy}{iso_yy}{iso_week}{iso_day}{week}{week_sun}{week_clamped}{now:%Y%y%m%d%H%I%M%S}",
        "{date:%C%j%q%G%g%V%u%w%U%W%b%B.%a%A.%%}{period_start:%Y%m%d}{period_end:%Y%m%d}",
    ];
    let resets = [
        ("never", "01-01"),
        ("day", "01-01"),
        ("week", "01-01"),
        ("month", "04-06"),
        ("quarter", "04-01"),
        ("half_year", "02-28"),
        ("year", "07-01"),
        ("fiscal_year", "01-01"),
        ("fiscal_year", "04-06"),
        ("fiscal_quarter", "04-06"),
        ("fiscal_period", "04-06"),
        ("fiscal_period", "05-31"),
        ("fiscal_quarter", "05-31"),
    ];
    let mut defined = 0;
    for (at, word) in words.iter().enumerate() {
        for (of, (reset, start)) in resets.iter().enumerate() {
            let prefix = format!("W{at}-{of}");
            let json = format!(
                r#"{{"format":"{word}/{{yyyy}}{{mm}}{{dd}}/{{seq}}","reset":"{reset}","fiscal_year_start":"{start}","time_zone":"Pacific/Apia","window":[2019,2027]}}"#
            );
            if let Err(error) = desk.define(&prefix, &json).await {
                // What begins and ends a period is not there without one.
                assert!(
                    *reset == "never" && word.contains("period_start"),
                    "{json}: {error}"
                );
                continue;
            }
            defined += 1;
            for day in DAYS {
                let asked = Asked::on(day);
                for one in by_turns(&desk, &mut session, &prefix, &asked).await {
                    drawn.push((prefix.clone(), one));
                }
            }
        }
    }
    assert_eq!(defined, words.len() * resets.len() - 1);
    compare(&desk, &drawn).await;
    desk.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_fields_and_check_digits_are_written_as_rust_writes_them() {
    let desk = Desk::new().await;
    let mut session = desk.session().await;
    let mut drawn = Vec::new();
    let day = || Asked::on("2026-03-07");
    let plain: Vec<(String, Asked)> = [
        r#"{"format":"{seq}"}"#,
        r#"{"format":"INV-{seq:5}","start":0,"step":7}"#,
        r#"{"format":"{seq:2}","start":98}"#,
        r#"{"format":"{seq:3!|base=36}","start":1290}"#,
        r#"{"format":"{seq:4|alphabet=BCDFGHJK}-{seq:4|alphabet=BCDFGHJK}","start":4090,"step":3}"#,
        r#"{"format":"{seq|base=2}","start":"9223372036854775000","max":"9223372036854775807","step":100}"#,
        r#"{"format":"{{{seq}}}äß√"}"#,
    ]
    .into_iter()
    .map(|json| (json.to_owned(), day()))
    .collect();
    let with_fields = [
        (
            r#"{"format":"{branch}/{seq}","scope":[{"name":"branch","case":"upper","chars":"A-Z"}]}"#,
            day().scope("branch", "jkt"),
        ),
        (
            r#"{"format":"{branch}.{dept}/{seq}","scope":[{"name":"dept","values":["a&b","c=d%"],"chars":"a-d%&="},{"name":"branch","chars":"0-9","pad":4}]}"#,
            day().scope("branch", "12").scope("dept", "c=d%"),
        ),
        (
            r#"{"format":"{b}/{seq}","scope":[{"name":"b","default":"HQ"}]}"#,
            day(),
        ),
        (
            r#"{"format":"{c|first=3|upper}-{c|last=2|lower}-{seq}","fields":[{"name":"c","chars":"A-Za-z0-9_"}]}"#,
            day().field("c", "aCmE_x9Z"),
        ),
        (
            r#"{"format":"{c}-{seq}","fields":[{"name":"c","chars":"é-íA-Z]^\\-","max":9}]}"#,
            day().field("c", "e\u{301}]^A-"),
        ),
        (
            r#"{"format":"{c}-{seq}","fields":[{"name":"c","case":"lower","min":0,"max":3,"default":""}]}"#,
            day(),
        ),
        (
            r#"{"format":"RF{check:rf|over=c+seq}{c}{seq:7!}","fields":[{"name":"c","min":3,"max":3}]}"#,
            day().field("c", "aB1"),
        ),
    ];
    let digits = [
        "luhn",
        "verhoeff",
        "damm",
        "mod11_2",
        "mod11_10",
        "mod10_731",
        "mod11_w7",
        "mod11_w9",
    ];
    let letters = ["mod37_2", "mod37_36", "mod97_10", "rf"];
    let checks = digits
        .iter()
        .flat_map(|name| {
            ["X", "0", "1", "-"].map(|ten| {
                format!(r#"{{"format":"{{yy}}.{{seq:4!}}-{{check:{name}|ten={ten}}}","start":17}}"#)
            })
        })
        .chain(
            letters
                .iter()
                .map(|name| format!(r#"{{"format":"aZ{{seq:4!}}-{{check:{name}}}","start":17}}"#)),
        )
        .filter(|json| {
            !json.contains("ten")
                || json.contains("mod11_2")
                || json.contains("mod11_w")
                || json.contains("ten=X")
        })
        .map(|json| (json.replace("|ten=X", ""), day()));
    let with_fields = with_fields.map(|(json, asked)| (json.to_owned(), asked));
    for (at, (json, asked)) in plain.into_iter().chain(with_fields).chain(checks).enumerate() {
        let prefix = format!("F{at}");
        desk.define(&prefix, &json)
            .await
            .unwrap_or_else(|error| panic!("{json}: {error}"));
        // Enough for every value of a check digit.
        let rounds = if json.contains("check") { 20 } else { 2 };
        for _ in 0..rounds {
            for one in by_turns(&desk, &mut session, &prefix, &asked).await {
                drawn.push((prefix.clone(), one));
            }
        }
    }
    compare(&desk, &drawn).await;
    desk.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn today_is_the_day_in_the_zone_of_the_definition() {
    let desk = Desk::new().await;
    let mut session = desk.session().await;
    let mut drawn = Vec::new();
    // It is never the same day in all of them.
    for (at, zone) in ["Pacific/Kiritimati", "UTC", "Pacific/Niue"].iter().enumerate() {
        let prefix = format!("Z{at}");
        let json = format!(
            r#"{{"format":"{{now:%d%H%M%S}}/{{yyyy}}{{mm}}{{dd}}-{{seq}}","reset":"day","time_zone":"{zone}"}}"#
        );
        desk.define(&prefix, &json).await.unwrap();
        for one in by_turns(&desk, &mut session, &prefix, &Asked::default()).await {
            drawn.push((prefix.clone(), one));
        }
    }
    compare(&desk, &drawn).await;
    desk.verify().await;
}

/// A template, its reset and the first day of its fiscal years.
fn any_definition() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "{yyyy}",
        "{yy}",
        "{mm}",
        "{m}",
        "{q}",
        "{half}",
        "{dd}",
        "{doy}",
        "{iso_yyyy}",
        "{iso_week}",
        "{iso_day}",
        "{week}",
        "{week_sun}",
        "{week_clamped}",
        "{fy}",
        "{fy_start}",
        "{fy_end:4}",
        "{fq}",
        "{fp}",
        "{period}",
        "{period_no}",
        "{period_end:%y%j}",
        "{mm|roman}",
        "{mm|en}",
        "{check:mod37_36}",
        "{check:mod97_10}",
        "{check:luhn|over=seq}",
        "{now:%y%m%d%H}",
    ]);
    let reset = proptest::sample::select(vec![
        "never",
        "day",
        "week",
        "month",
        "quarter",
        "half_year",
        "year",
        "fiscal_year",
        "fiscal_quarter",
        "fiscal_period",
    ]);
    let zone = proptest::sample::select(vec![
        "UTC",
        "Asia/Jakarta",
        "America/St_Johns",
        "Pacific/Kiritimati",
        "Asia/Kathmandu",
    ]);
    let start = (1..=12u8, 1..=28u8);
    (proptest::collection::vec(piece, 1..6), reset, zone, start, 1..5u8, 1..50u64).prop_map(
        |(pieces, reset, zone, (month, day), width, step)| {
            let format = pieces.join("-");
            format!(
                r#"{{"format":"{format}-{{seq:{width}}}/{{date:%Y%m%d}}","reset":"{reset}","time_zone":"{zone}","fiscal_year_start":"{month:02}-{day:02}","step":{step},"window":[2019,2028]}}"#
            )
        },
    )
}

#[test]
fn random_definitions_are_written_as_rust_writes_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let desk = runtime.block_on(Desk::new());
    let mut session = runtime.block_on(desk.session());
    let mut drawn = Vec::new();
    let mut runner = TestRunner::new(Config::with_cases(1));
    let strategy = (
        any_definition(),
        proptest::collection::vec((2020..=2026i32, 1..=12u8, 1..=28u8, 0..4u8), 2..4),
    );
    let mut accepted = 0;
    for case in 0..40 {
        let (json, days) = strategy.new_tree(&mut runner).unwrap().current();
        let prefix = format!("R{case}");
        runtime.block_on(async {
            if desk.define(&prefix, &json).await.is_err() {
                return;
            }
            accepted += 1;
            for (year, month, day, extra) in days {
                let day = if day == 28 && month != 2 {
                    day + extra.min(2)
                } else {
                    day
                };
                let asked = Asked::on(&format!("{year}-{month:02}-{day:02}"));
                for one in by_turns(&desk, &mut session, &prefix, &asked).await {
                    drawn.push((prefix.clone(), one));
                }
            }
        });
    }
    assert!(accepted > 10, "only {accepted} definitions were accepted");
    runtime.block_on(async {
        compare(&desk, &drawn).await;
        desk.verify().await;
    });
}
