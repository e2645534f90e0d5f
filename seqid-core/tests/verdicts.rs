//! Which definitions are accepted, and by which rule the others are refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use seqid_core::definition::{Defaults, Definition};
use seqid_core::names::{Prefix, Tenant};
use seqid_core::refusal::{DefinitionRefused, RefusalCode};

fn check(definition: &str) -> Result<Definition, DefinitionRefused> {
    let spec = serde_json::from_str(definition).unwrap_or_else(|error| panic!("{definition}: {error}"));
    Definition::check(
        &Tenant::default(),
        &Prefix::new("INV").unwrap(),
        spec,
        &Defaults::default(),
    )
}

#[track_caller]
fn accepted(definition: &str) -> Definition {
    check(definition).unwrap_or_else(|refused| panic!("{definition}\n{refused}"))
}

/// Every reason must have one of the codes, each code a reason, and each reason a place that exists
/// or, for a window, is missing.
#[track_caller]
fn refused(definition: &str, codes: &[&str]) -> DefinitionRefused {
    let refused = check(definition).expect_err(definition);
    let mut found: Vec<&str> = refused
        .refusals()
        .iter()
        .map(|refusal| refusal.code.as_str())
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, codes, "{definition}\n{refused}");
    let sent: serde_json::Value = serde_json::from_str(definition).unwrap();
    for refusal in refused.refusals() {
        let member = refusal.pointer.split('/').nth(1).unwrap_or_default();
        let place = sent.get(member).is_some() || refusal.code == RefusalCode::WindowNeeded;
        assert!(place, "{} is not in {definition}", refusal.pointer);
        assert!(
            refusal.detail.len() > 20,
            "{definition}: {refusal} does not explain itself"
        );
    }
    refused
}

#[test]
fn a_value_and_a_number_side_by_side_must_differ_in_alphabet_or_have_a_fixed_length() {
    refused(
        r#"{"format":"{branch}{seq}","scope":["branch"]}"#,
        &["ambiguous-join"],
    );
    accepted(r#"{"format":"{branch}{seq}","scope":[{"name":"branch","chars":"A-Z"}]}"#);
    accepted(r#"{"format":"{branch}{seq:4}","scope":[{"name":"branch","chars":"A-Z","min":3,"max":3}]}"#);
    accepted(r#"{"format":"{branch}{seq}","scope":[{"name":"branch","min":3,"max":3}]}"#);
}

#[test]
fn a_separator_that_both_neighbours_can_contain_separates_nothing() {
    refused(
        r#"{"format":"{branch}-{dept}-{seq}","scope":[{"name":"branch","chars":"A-Z-"},{"name":"dept","chars":"A-Z-"}]}"#,
        &["ambiguous-join"],
    );
    accepted(r#"{"format":"{branch}-{dept}-{seq}","scope":[{"name":"branch","chars":"A-Z-"},"dept"]}"#);
    accepted(r#"{"format":"{branch}-{dept}-{seq}","scope":["branch","dept"]}"#);
}

#[test]
fn a_weekly_counter_prints_the_year_of_the_week() {
    refused(
        r#"{"format":"{yyyy}-W{iso_week}-{seq}","reset":"week"}"#,
        &["period-not-printed"],
    );
    accepted(r#"{"format":"{iso_yyyy}-W{iso_week}-{seq}","reset":"week"}"#);
    accepted(r#"{"format":"{yyyy}-{week_clamped}-{seq}","reset":"week"}"#);
}

#[test]
fn a_monthly_counter_prints_year_and_month() {
    refused(
        r#"{"format":"{yyyy}-{seq:4}","reset":"month"}"#,
        &["period-not-printed"],
    );
    refused(
        r#"{"format":"{iso_yyyy}{mm}-{seq}","reset":"month"}"#,
        &["period-not-printed"],
    );
    let two_digits = accepted(r#"{"format":"{yy}{mm}-{seq:4}","reset":"month"}"#);
    for (date, allowed) in [
        ("1969-12-31", false),
        ("1970-01-01", true),
        ("2069-12-31", true),
        ("2070-01-01", false),
    ] {
        assert_eq!(
            two_digits.period(date.parse().unwrap()).is_ok(),
            allowed,
            "{date}"
        );
    }
}

#[test]
fn one_digit_of_the_year_needs_a_window() {
    refused(
        r#"{"format":"{y}{mm}-{seq:4}","reset":"year"}"#,
        &["window-needed"],
    );
    let definition = accepted(r#"{"format":"{y}{mm}-{seq:4}","reset":"year","window":[2020,2029]}"#);
    assert!(definition.period("2029-12-31".parse().unwrap()).is_ok());
    let error = definition.period("2030-01-01".parse().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2030-01-01 is outside 2020-01-01 to 2029-12-31, the dates that the format can tell apart"
    );
}

#[test]
fn a_fiscal_year_may_be_told_by_calendar_dates_that_do_not_straddle_its_start() {
    let fiscal = |format: &str, start: &str| {
        format!(r#"{{"format":"{format}","reset":"fiscal_year","fiscal_year_start":"{start}"}}"#)
    };
    accepted(&fiscal("{yyyy}{mm}-{seq}", "06-01"));
    refused(&fiscal("{yyyy}{mm}-{seq}", "04-06"), &["period-not-printed"]);
    accepted(&fiscal("{yyyy}{mm}{dd}-{seq}", "04-06"));
    refused(&fiscal("{yyyy}-{seq:4}", "04-01"), &["period-not-printed"]);
}

#[test]
fn one_part_of_open_length_may_have_neighbours_of_fixed_length() {
    accepted(r#"{"format":"{seq}{yy}","reset":"year"}"#);
    refused(r#"{"format":"{m}{seq}"}"#, &["ambiguous-join"]);
}

#[test]
fn roman_months_need_a_separator_only_from_letters() {
    accepted(r#"{"format":"{seq:3}/INV/{mm|roman}/{yyyy}","reset":"month"}"#);
    refused(
        r#"{"format":"{seq|base=36}{mm|roman}{yyyy}","reset":"month"}"#,
        &["ambiguous-join"],
    );
}

#[test]
fn the_indian_profile_bounds_the_length_and_so_the_largest_number() {
    let gst = r#""format":"INV/{fy}/{seq:4}","profile":"in-gst""#;
    let fiscal = r#""reset":"fiscal_year","fiscal_year_start":"04-01""#;
    for definition in [format!("{{{gst},{fiscal}}}"), format!("{{{gst}}}")] {
        let definition = accepted(&definition);
        assert_eq!(definition.max().get(), 9999);
        assert_eq!(definition.warnings().len(), 1, "{:?}", definition.warnings());
        let date = "2026-03-31".parse().unwrap();
        assert_eq!(definition.last_id(date).unwrap(), "INV/2025-26/9999");
    }
    refused(&format!(r#"{{{gst},{fiscal},"max":99999}}"#), &["too-long"]);
    refused(
        &format!(r#"{{{gst},"fiscal_year_start":"01-01"}}"#),
        &["invalid-value"],
    );
    refused(&format!(r#"{{{gst},"max_length":20}}"#), &["too-long"]);
    refused(
        r#"{"format":"INV_{fy}-{seq:4}","profile":"in-gst"}"#,
        &["charset"],
    );
}

#[test]
fn the_instant_of_issue_tells_no_period() {
    refused(
        r#"{"format":"{now:%Y}-{seq:4}","reset":"year"}"#,
        &["period-not-printed"],
    );
}

#[test]
fn every_scope_name_is_printed_unchanged() {
    refused(r#"{"format":"{seq}","scope":["branch"]}"#, &["scope-not-printed"]);
    refused(
        r#"{"format":"{branch|upper}-{seq}","scope":["branch"]}"#,
        &["lossy-scope"],
    );
    refused(
        r#"{"format":"{branch|first=2}-{seq}","scope":[{"name":"branch","min":3}]}"#,
        &["lossy-scope"],
    );
    accepted(r#"{"format":"{branch|first=2}-{seq}","fields":[{"name":"branch","min":3}]}"#);
}

#[test]
fn repeats_have_to_be_accepted_in_so_many_words() {
    let definition = accepted(r#"{"format":"{seq}","scope":["branch"],"reset":"year","repeats":"accepted"}"#);
    assert_eq!(definition.warnings().len(), 1);
    refused(
        r#"{"format":"{seq}","scope":["branch"],"reset":"year"}"#,
        &["period-not-printed", "scope-not-printed"],
    );
    refused(
        r#"{"format":"{m}{seq}","repeats":"accepted"}"#,
        &["ambiguous-join"],
    );
}

#[test]
fn a_format_must_be_readable_and_have_a_number() {
    refused(r#"{"format":"INV-{seq"}"#, &["template-syntax"]);
    refused(r#"{"format":"INV-{ seq }"}"#, &["template-syntax"]);
    refused(r#"{"format":""}"#, &["template-syntax"]);
    refused(r#"{"format":"INV-{yyyy}"}"#, &["no-seq"]);
    refused(
        r#"{"format":"{brnach}-{seq}","scope":[{"name":"branch","default":"HQ"}],"repeats":"accepted"}"#,
        &["unknown-token"],
    );
    refused(
        r#"{"format":"{seq}{check:luhn|over=customer}"}"#,
        &["undeclared-field"],
    );
}

#[test]
fn a_check_digit_reads_what_its_algorithm_knows() {
    refused(r#"{"format":"INV-{seq:5}{check:luhn}"}"#, &["check-input"]);
    accepted(r#"{"format":"INV-{seq:5}{check:luhn|over=seq}"}"#);
    accepted(r#"{"format":"INV-{seq:5!}{check:mod97_10}"}"#);
    accepted(
        r#"{"format":"RF{check:rf|over=customer+seq}{customer}{seq:7!}","scope":[{"name":"customer","chars":"0-9","min":4,"max":4}]}"#,
    );
}

#[test]
fn ids_keep_to_the_length_and_characters_asked_for() {
    refused(r#"{"format":"INVOICE-{seq:5}","max_length":10}"#, &["too-long"]);
    refused(r#"{"format":"{seq:5!}","max":100000}"#, &["too-long"]);
    refused(r#"{"format":"INV-{seq}","charset":"A-Z0-9"}"#, &["charset"]);
    assert_eq!(
        accepted(r#"{"format":"INV-{seq}","max_length":10}"#).max().get(),
        999_999
    );
    assert_eq!(accepted(r#"{"format":"{seq:5!}"}"#).max().get(), 99_999);
    accepted(r#"{"format":"INV-{seq}","charset":"A-Z0-9-","max":99999999}"#);
}

#[test]
fn declared_names_and_values_must_be_possible() {
    let declared = |declaration: &str| format!(r#"{{"format":"{{seq}}","fields":[{declaration}]}}"#);
    refused(&declared(r#""prefix""#), &["reserved-name"]);
    refused(&declared(r#""Branch""#), &["invalid-value"]);
    refused(&declared(r#""a","a""#), &["invalid-value"]);
    refused(&declared(r#"{"name":"a","min":5,"max":4}"#), &["invalid-value"]);
    refused(&declared(r#"{"name":"a","max":0}"#), &["invalid-value"]);
    refused(&declared(r#"{"name":"a","max":60000}"#), &["invalid-value"]);
    refused(
        &declared(r#"{"name":"a","chars":"A-Z","pad":4}"#),
        &["invalid-value"],
    );
    refused(&declared(r#"{"name":"a","pad":65535}"#), &["invalid-value"]);
    refused(
        &declared(r#"{"name":"a","chars":"a-z","case":"upper"}"#),
        &["invalid-value"],
    );
    refused(
        &declared(r#"{"name":"a","chars":"A-Z","values":["A","7"]}"#),
        &["invalid-value"],
    );
    refused(
        &declared(r#"{"name":"a","values":["A"],"default":"B"}"#),
        &["invalid-value"],
    );
    accepted(&declared(
        r#"{"name":"a","case":"upper","values":["a","B"],"default":"b"}"#,
    ));
}

#[test]
fn a_guarantee_that_contradicts_another_is_refused() {
    let with = |members: &str| format!(r#"{{"format":"{{seq}}",{members}}}"#);
    refused(
        &with(r#""mode":"leased","chronological":true"#),
        &["chronological-unavailable"],
    );
    refused(
        &with(r#""chronological":true,"on_expiry":"reuse""#),
        &["chronological-unavailable"],
    );
    refused(
        &with(r#""mode":"ordered","on_expiry":"reuse""#),
        &["mode-unavailable"],
    );
    refused(
        &with(r#""mode":"ordered","max":1000,"largest_gap":11"#),
        &["invalid-value"],
    );
    accepted(&with(r#""mode":"ordered","max":1000,"largest_gap":10"#));
    accepted(&with(r#""mode":"gapless","chronological":true,"days_ahead":30"#));
}

#[test]
fn integers_and_texts_have_bounds() {
    let with = |members: &str| format!(r#"{{"format":"{{seq}}",{members}}}"#);
    refused(&with(r#""step":0"#), &["invalid-value"]);
    refused(&with(r#""start":10,"max":9"#), &["invalid-value"]);
    refused(&with(r#""max":"9223372036854775808""#), &["invalid-value"]);
    refused(&with(r#""start":"9223372036854775808""#), &["invalid-value"]);
    refused(&with(r#""largest_gap":0"#), &["invalid-value"]);
    refused(&with(r#""max_length":0"#), &["invalid-value", "too-long"]);
    refused(&with(r#""window":[2029,2020]"#), &["invalid-value"]);
    refused(&with(r#""language":2"#), &["invalid-value"]);
    refused(
        &with(&format!(r#""description":"{}""#, "x".repeat(501))),
        &["invalid-value"],
    );
    accepted(&with(&format!(r#""description":"{}""#, "é".repeat(500))));
    accepted(&with(r#""start":0,"max":0"#));
    accepted(&with(r#""max":"9223372036854775807""#));
}

#[test]
fn an_unknown_zone_or_profile_is_refused_with_those_that_there_are() {
    refused(
        r#"{"format":"{seq}","time_zone":"Asia/Jakatra"}"#,
        &["unknown-zone"],
    );
    let refused = refused(r#"{"format":"{seq}","profile":"in_gst"}"#, &["invalid-value"]);
    assert!(
        refused.to_string().contains("those known are in-gst"),
        "{refused}"
    );
}

#[test]
fn all_reasons_are_collected() {
    let definition = r#"{"format":"{yyyy}-{seq:4}","reset":"month","step":0,"time_zone":"Nowhere","scope":["branch"],
        "mode":"leased","chronological":true}"#;
    refused(
        definition,
        &[
            "chronological-unavailable",
            "invalid-value",
            "period-not-printed",
            "scope-not-printed",
            "unknown-zone",
        ],
    );
}
