//! Which counter a document date belongs to.

use super::super::desk::{Desk, counter, counter_in, counter_on, next};
use super::super::sequence::{by_year, day, format};

use seqid_core::DefinitionSpec;
use seqid_core::period::Reset;

async fn ids(desk: &Desk, dates_and_ids: &[(&str, &str)]) {
    for (date, id) in dates_and_ids {
        assert_eq!(desk.draw(next("INV").date(day(date))).await, *id, "on {date}");
    }
}

fn reset(reset: Reset, text: &str) -> DefinitionSpec {
    DefinitionSpec {
        reset: Some(reset),
        ..format(text)
    }
}

pub async fn a_year_begins_by_the_document_date(desk: Desk) {
    desk.define("INV", by_year()).await;
    ids(
        &desk,
        &[
            ("2026-12-31", "2026-1"),
            ("2027-01-01", "2027-1"),
            ("2026-01-01", "2026-2"),
        ],
    )
    .await;
    assert_eq!(desk.next("INV").await, "2026-3");
    desk.set_clock("2027-01-01T00:00:00Z");
    assert_eq!(desk.next("INV").await, "2027-2");
}

pub async fn today_is_that_of_the_zone(desk: Desk) {
    desk.define(
        "INV",
        DefinitionSpec {
            time_zone: Some("Asia/Jakarta".into()),
            ..by_year()
        },
    )
    .await;
    desk.set_clock("2026-12-31T16:59:59.999999Z");
    assert_eq!(desk.next("INV").await, "2026-1");
    desk.set_clock("2026-12-31T17:00:00Z");
    assert_eq!(desk.next("INV").await, "2027-1");
}

pub async fn a_clock_that_goes_back_opens_the_old_counter_again(desk: Desk) {
    desk.define("INV", by_year()).await;
    desk.set_clock("2027-01-01T00:00:00Z");
    assert_eq!(desk.next("INV").await, "2027-1");
    desk.set_clock("2026-12-31T23:59:59Z");
    assert_eq!(desk.next("INV").await, "2026-1");
    desk.set_clock("2027-01-01T00:00:00Z");
    assert_eq!(desk.next("INV").await, "2027-2");
}

pub async fn a_fiscal_year_begins_on_its_first_day(desk: Desk) {
    let start = Some("04-01".parse().expect("a day"));
    let spec = DefinitionSpec {
        fiscal_year_start: start,
        ..reset(Reset::FiscalYear, "INV/{fy}/{seq:4}")
    };
    desk.define("INV", spec).await;
    let expected = [
        ("2026-03-31", "INV/2025-26/0001"),
        ("2026-04-01", "INV/2026-27/0001"),
        ("2025-04-01", "INV/2025-26/0002"),
        ("2027-03-31", "INV/2026-27/0002"),
    ];
    ids(&desk, &expected).await;
    let status = desk.status(counter_on("INV", "2026-03-31")).await;
    assert_eq!(status.period.to_string(), "FY2025-26");
    assert_eq!(status.period.first(), Some(day("2025-04-01")));
    assert_eq!(status.period.last(), Some(day("2026-03-31")));
}

pub async fn a_leap_day_is_a_day(desk: Desk) {
    desk.define("INV", reset(Reset::Day, "{yyyy}{mm}{dd}-{seq}"))
        .await;
    ids(
        &desk,
        &[
            ("2028-02-29", "20280229-1"),
            ("2028-03-01", "20280301-1"),
            ("2028-02-29", "20280229-2"),
        ],
    )
    .await;
    desk.set_clock("2028-02-29T12:00:00Z");
    assert_eq!(desk.next("INV").await, "20280229-3");
}

pub async fn months_and_quarters_begin_on_their_first_day(desk: Desk) {
    desk.define("INV", reset(Reset::Month, "{yyyy}{mm}-{seq}")).await;
    ids(
        &desk,
        &[
            ("2026-01-31", "202601-1"),
            ("2026-02-01", "202602-1"),
            ("2026-02-28", "202602-2"),
        ],
    )
    .await;
    desk.define("Q", reset(Reset::Quarter, "Q{yyyy}-{q}-{seq}")).await;
    for (date, id) in [
        ("2026-03-31", "Q2026-1-1"),
        ("2026-04-01", "Q2026-2-1"),
        ("2026-06-30", "Q2026-2-2"),
    ] {
        assert_eq!(desk.draw(next("Q").date(day(date))).await, id);
    }
}

pub async fn a_week_belongs_to_one_year(desk: Desk) {
    desk.define("INV", reset(Reset::Week, "{iso_yyyy}-W{iso_week}-{seq}"))
        .await;
    // 2026-12-28 to 2027-01-03 is week 53 of 2026.
    ids(
        &desk,
        &[
            ("2026-12-28", "2026-W53-1"),
            ("2027-01-03", "2026-W53-2"),
            ("2027-01-04", "2027-W01-1"),
        ],
    )
    .await;
}

pub async fn a_counter_is_named_by_date_or_by_period(desk: Desk) {
    desk.define("INV", by_year()).await;
    ids(
        &desk,
        &[
            ("2025-05-01", "2025-1"),
            ("2025-06-01", "2025-2"),
            ("2026-01-01", "2026-1"),
        ],
    )
    .await;
    for selector in [counter_in("INV", "2025"), counter_on("INV", "2025-12-31")] {
        assert_eq!(desk.status(selector).await.next_id.as_deref(), Some("2025-3"));
    }
    assert_eq!(
        desk.status(counter("INV")).await.next_id.as_deref(),
        Some("2026-2")
    );
    for text in ["2025-01", "FY2025", "all", ""] {
        assert_eq!(
            desk.numbering
                .status(counter_in("INV", text))
                .await
                .expect_err("no period")
                .code()
                .as_str(),
            "invalid-request"
        );
    }
}

pub async fn dates_that_would_print_alike_are_refused(desk: Desk) {
    desk.define("INV", reset(Reset::Year, "{yy}-{seq}")).await;
    ids(&desk, &[("1970-01-01", "70-1"), ("2069-12-31", "69-1")]).await;
    ids(
        &desk,
        &[
            ("1969-12-31", "date-out-of-window"),
            ("2070-01-01", "date-out-of-window"),
        ],
    )
    .await;
}

pub async fn a_chronological_sequence_takes_no_earlier_date(desk: Desk) {
    let spec = DefinitionSpec {
        chronological: Some(true),
        ..format("INV-{seq}")
    };
    desk.define("INV", spec).await;
    ids(
        &desk,
        &[
            ("2026-03-05", "INV-1"),
            ("2026-03-04", "date-before-last"),
            ("2026-03-08", "date-out-of-window"),
        ],
    )
    .await;
    assert_eq!(desk.next("INV").await, "INV-2");
    desk.set_clock("2026-03-01T00:00:00Z");
    let issued = desk.issued(next("INV")).await;
    assert_eq!(
        (issued.id(), issued.date),
        ("INV-3", day("2026-03-07")),
        "an undated draw takes the last date"
    );
}
