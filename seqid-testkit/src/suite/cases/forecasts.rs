//! How fast a counter is used, and when it ends.

use std::time::Duration;

use super::super::desk::{Desk, counter, next};
use super::super::sequence::{by_year, format, prefix};

use seqid_core::definition::OnExpiry;
use seqid_core::numbering::{DrawRequest, Forecast, Page, PreviewRequest, ReserveRequest, SyncRequest};
use seqid_core::{DefinitionSpec, Number, Tenant};

async fn forecast(desk: &Desk) -> Forecast {
    let status = desk.status(counter("INV")).await;
    status.forecast.expect("an open counter has one")
}

/// Day, week and month, and the end.
async fn told(desk: &Desk) -> String {
    let Forecast {
        last_day,
        last_week,
        last_month,
        ends_on,
    } = forecast(desk).await;
    let ends_on = ends_on.map_or("lasts".into(), |date| date.to_string());
    format!("{last_day} {last_week} {last_month} {ends_on}")
}

fn up_to(max: u64) -> DefinitionSpec {
    DefinitionSpec {
        max: Some(max),
        ..format("INV-{seq}")
    }
}

pub async fn an_unopened_counter_has_no_forecast(desk: Desk) {
    desk.define("INV", up_to(100)).await;
    assert_eq!(desk.status(counter("INV")).await.forecast, None);
    desk.next("INV").await;
    assert!(desk.status(counter("INV")).await.forecast.is_some());
}

pub async fn what_was_used_lately_says_when_a_counter_ends(desk: Desk) {
    desk.define("INV", up_to(100)).await;
    desk.set_clock("2026-06-01T10:00:00Z");
    desk.draw(next("INV").count(10)).await;
    // Younger than a day: 10 a day, and 90 are left.
    assert_eq!(told(&desk).await, "10 10 10 2026-06-10");
    desk.set_clock("2026-06-11T10:00:00Z");
    desk.draw(next("INV").count(20)).await;
    desk.set_clock("2026-06-14T10:00:00Z");
    desk.draw(next("INV").count(5)).await;
    // 65 are left. The week had 25: 18 days. The month had 35, but is 13 days old: 24 days.
    assert_eq!(told(&desk).await, "5 25 35 2026-07-02");
    desk.set_clock("2026-06-30T10:00:00Z");
    // Nothing in the week, 35 in 29 days.
    assert_eq!(told(&desk).await, "0 0 35 2026-08-22");
    desk.set_clock("2026-09-01T10:00:00Z");
    assert_eq!(told(&desk).await, "0 0 0 lasts");
}

pub async fn the_last_instant_of_a_window_counts(desk: Desk) {
    desk.define("INV", up_to(100)).await;
    desk.set_clock("2026-06-01T10:00:00Z");
    desk.next("INV").await;
    desk.set_clock("2026-06-02T10:00:00Z");
    assert_eq!(forecast(&desk).await.last_day, 1);
    desk.set_clock("2026-06-02T10:00:00.000001Z");
    assert_eq!(forecast(&desk).await.last_day, 0);
}

pub async fn a_counter_that_outlasts_its_period_does_not_end(desk: Desk) {
    let spec = DefinitionSpec {
        max: Some(1_000),
        ..by_year()
    };
    desk.define("INV", spec).await;
    desk.set_clock("2026-12-01T10:00:00Z");
    desk.draw(next("INV").count(10)).await;
    assert_eq!(told(&desk).await, "10 10 10 lasts");
    desk.draw(next("INV").count(300)).await;
    assert_eq!(told(&desk).await, "310 310 310 2026-12-03");
}

pub async fn numbers_that_were_jumped_over_are_not_use(desk: Desk) {
    desk.define("INV", up_to(10_000)).await;
    desk.set_clock("2026-06-01T10:00:00Z");
    desk.draw(next("INV").count(10)).await;
    let last_used = Number::new(5_000).expect("a number");
    let sync = SyncRequest::new(counter("INV"), last_used);
    desk.numbering.sync(sync).await.expect("it goes forward");
    desk.draw(next("INV").count(15)).await;
    assert_eq!(forecast(&desk).await.last_day, 25);
    desk.set_clock("2026-06-01T11:00:00Z");
    assert_eq!(forecast(&desk).await.last_month, 25);
}

pub async fn an_ended_counter_has_no_end_to_come(desk: Desk) {
    desk.define("INV", up_to(10)).await;
    desk.draw(next("INV").count(10)).await;
    assert_eq!(told(&desk).await, "10 10 10 lasts");
}

pub async fn numbers_that_were_let_go_are_left_and_come_next(desk: Desk) {
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..up_to(10)
    };
    desk.define("INV", spec).await;
    desk.set_clock("2026-06-01T10:00:00Z");
    let held = ReserveRequest::new(next("INV").count(2), Duration::from_secs(60));
    desk.numbering.reserve(held).await.expect("there are two");
    desk.draw(next("INV").count(8)).await;
    desk.set_clock("2026-06-01T10:01:00Z");
    assert_eq!(desk.next("INV").await, "INV-1");
    let status = desk.status(counter("INV")).await;
    assert_eq!(status.remaining, 1);
    assert_eq!(status.next_id.as_deref(), Some("INV-2"));
    let page = Page {
        after: None,
        limit: 10,
    };
    let listed = desk
        .numbering
        .counters(Tenant::default(), prefix("INV"), page)
        .await;
    assert_eq!(listed.expect("a page").items[0].next_id.as_deref(), Some("INV-2"));
    let preview = desk.numbering.preview(PreviewRequest::new(prefix("INV"))).await;
    assert_eq!(preview.expect("a preview").id.as_deref(), Some("INV-2"));
    let last_day = status.forecast.expect("a forecast").last_day;
    assert_eq!(last_day, 8, "what was let go is not counted again");
    assert_eq!(desk.draw(DrawRequest::new(prefix("INV"))).await, "INV-2");
    assert_eq!(desk.status(counter("INV")).await.next_id, None);
}
