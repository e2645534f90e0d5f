//! Versions, archived sequences and closed dates as callers see them.

use std::time::Duration;

use super::super::desk::{Desk, counter, counter_in, key, next, told};
use super::super::sequence::{by_year, day, format, prefix};

use seqid_core::names::Reason;
use seqid_core::numbering::{
    ArchiveRequest, AuditRequest, CloseRequest, Closed, DefinitionVersion, DrawRequest, Page, PreviewRequest,
    ReopenRequest, ReserveRequest, ResetRequest, Sequence, SettleRequest, SyncRequest,
};
use seqid_core::period::Reset;
use seqid_core::query::Order;
use seqid_core::reservation::ReservationId;
use seqid_core::{DefinitionSpec, Error, Number, Prefix, Tenant};

const SECONDS: Duration = Duration::from_secs(60);

fn because(text: &str) -> Reason {
    Reason::new(text).expect("a reason")
}

fn number(value: u64) -> Number {
    Number::new(value).expect("a number")
}

async fn archive(desk: &Desk, name: &str) -> String {
    let request = ArchiveRequest::new(prefix(name), because("replaced"));
    match desk.numbering.archive(request).await {
        Ok(archived) => {
            assert!(archived.sequence.archived);
            if archived.repeated { "again" } else { "archived" }.into()
        }
        Err(error) => error.code().as_str().into(),
    }
}

fn said(closed: Result<Closed, Error>) -> String {
    match closed {
        Ok(closed) => format!(
            "{}{}{}",
            if closed.replayed { "again " } else { "" },
            if closed.changed { "" } else { "still " },
            closed
                .closed_through
                .map_or("open".into(), |date| date.to_string())
        ),
        Err(error) => error.code().as_str().into(),
    }
}

/// Closes through a date: one sequence, or all where the name is empty.
async fn close(desk: &Desk, name: &str, through: &str) -> String {
    let mut request = CloseRequest::new(day(through), because("return filed"));
    request.prefix = Prefix::new(name).ok();
    said(desk.numbering.close(request).await)
}

async fn reopen(desk: &Desk, name: &str, from: &str) -> String {
    let mut request = ReopenRequest::new(day(from), because("a forgotten invoice"));
    request.prefix = Prefix::new(name).ok();
    said(desk.numbering.reopen(request).await)
}

async fn draw_on(desk: &Desk, name: &str, date: &str) -> String {
    desk.draw(next(name).date(day(date))).await
}

async fn shown(desk: &Desk, name: &str) -> Sequence {
    let shown = desk.numbering.sequence(Tenant::default(), prefix(name)).await;
    shown.unwrap_or_else(|error| panic!("{error}"))
}

async fn reserve(desk: &Desk, draw: DrawRequest, ttl: Duration) -> ReservationId {
    let reserved = desk.numbering.reserve(ReserveRequest::new(draw, ttl)).await;
    reserved.unwrap_or_else(|error| panic!("{error}")).reservation
}

async fn confirm(desk: &Desk, reservation: ReservationId) -> String {
    match desk.numbering.settle(SettleRequest::confirm(reservation)).await {
        Ok(held) => held.state.as_str().into(),
        Err(error) => error.code().as_str().into(),
    }
}

async fn versions(desk: &Desk, page: Page) -> (Vec<DefinitionVersion>, Option<String>) {
    let listing = desk
        .numbering
        .versions(Tenant::default(), prefix("INV"), page)
        .await;
    let listing = listing.unwrap_or_else(|error| panic!("{error}"));
    (listing.items, listing.next)
}

pub async fn versions_tell_what_changed(desk: Desk) {
    desk.define("INV", format("INV-{seq}")).await;
    desk.set_clock("2026-03-08T00:00:00Z");
    let second = DefinitionSpec {
        description: Some("Invoices".into()),
        ..format("INV/{seq}")
    };
    desk.redefine("INV", second, 1).await;
    let third = DefinitionSpec {
        max: Some(i64::MAX as u64),
        ..format("INV/{seq}")
    };
    desk.redefine("INV", third, 2).await;
    let (items, next) = versions(&desk, Page::default()).await;
    assert_eq!(next, None);
    let numbers: Vec<u32> = items.iter().map(|item| item.version).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(items[1].changed_at.to_string(), "2026-03-08T00:00:00.000000Z");
    let changes: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let told = |change: &seqid_core::numbering::MemberChange| {
                format!("{}: {} -> {}", change.member, change.before, change.after)
            };
            item.changes.iter().map(told).collect()
        })
        .collect();
    assert_eq!(changes[0], Vec::<String>::new());
    assert_eq!(
        changes[1],
        [
            "format: \"INV-{seq}\" -> \"INV/{seq}\"",
            "description: null -> \"Invoices\""
        ]
    );
    assert_eq!(
        changes[2],
        [
            "max: 9007199254740991 -> \"9223372036854775807\"",
            "description: \"Invoices\" -> null"
        ]
    );
    let newest = shown(&desk, "INV").await;
    assert_eq!(&items[2].definition, newest.definition.spec());
}

pub async fn versions_are_listed_in_pages(desk: Desk) {
    desk.define("INV", format("{seq}")).await;
    for version in 1..5 {
        let spec = DefinitionSpec {
            description: Some(version.to_string()),
            ..format("{seq}")
        };
        desk.redefine("INV", spec, version).await;
    }
    let (whole, _) = versions(&desk, Page::default()).await;
    assert_eq!(whole.len(), 5);
    let mut page = Page {
        after: None,
        limit: 2,
    };
    let mut parts = Vec::new();
    loop {
        let (items, next) = versions(&desk, page.clone()).await;
        assert!(items.len() <= 2);
        parts.extend(items);
        match next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(parts, whole);
    let request = |name: &str, page| desk.numbering.versions(Tenant::default(), prefix(name), page);
    let code = |error: Error| error.code().as_str();
    let missing = request("ORD", Page::default()).await.map_err(code);
    assert_eq!(missing, Err("sequence-not-found"));
    for (after, limit) in [(Some("x"), 1), (None, 0), (None, 1_001)] {
        let page = Page {
            after: after.map(Into::into),
            limit,
        };
        assert_eq!(request("INV", page).await.map_err(code), Err("invalid-request"));
    }
}

pub async fn an_archived_sequence_can_be_read_and_gives_nothing(desk: Desk) {
    assert_eq!(desk.next("INV").await, "INV-001");
    assert_eq!(desk.next("INV").await, "INV-002");
    assert!(!desk.status(counter("INV")).await.archived);
    assert_eq!(archive(&desk, "INV").await, "archived");
    assert_eq!(archive(&desk, "INV").await, "again");
    for request in [
        next("INV"),
        next("INV").count(2),
        next("INV").date(day("2027-01-01")),
    ] {
        assert_eq!(desk.draw(request).await, "sequence-archived");
    }
    let code = |error: Error| error.code().as_str();
    let reserved = desk
        .numbering
        .reserve(ReserveRequest::new(next("INV"), SECONDS))
        .await;
    assert_eq!(reserved.map_err(code).err(), Some("sequence-archived"));
    let reset = ResetRequest::new(counter("INV"), number(9), because("x"));
    assert_eq!(told(&desk.numbering.reset(reset).await), "sequence-archived");
    let sync = SyncRequest::new(counter("INV"), number(9));
    assert_eq!(told(&desk.numbering.sync(sync).await), "sequence-archived");
    for version in [None, Some(1)] {
        let defined = desk.try_define("INV", format("INV-{seq}"), version).await;
        assert_eq!(defined.map_err(code).err(), Some("sequence-archived"));
    }

    let status = desk.status(counter("INV")).await;
    assert_eq!((status.archived, status.last_number), (true, Some(number(2))));
    let sequence = shown(&desk, "INV").await;
    assert_eq!((sequence.archived, sequence.version), (true, 1));
    let listed = desk.numbering.sequences(Tenant::default(), Page::default()).await;
    assert!(listed.expect("a list").items.iter().all(|item| item.archived));
    let counters = desk
        .numbering
        .counters(Tenant::default(), prefix("INV"), Page::default())
        .await;
    assert!(counters.expect("a list").items.iter().all(|item| item.archived));
    let gaps = desk.numbering.gaps(counter("INV"), Page::default()).await;
    let gaps = gaps.expect("a report");
    assert_eq!((gaps.offered, gaps.status.archived), (2, true));
    let parsed = desk
        .numbering
        .parse(Tenant::default(), None, "INV-002".into())
        .await;
    assert_eq!(parsed.expect("an id").number, number(2));
    let mut preview = PreviewRequest::new(prefix("INV"));
    preview.number = Some(number(1));
    let preview = desk.numbering.preview(preview).await.expect("an id");
    assert_eq!(preview.id.as_deref(), Some("INV-001"));
    assert_eq!(versions(&desk, Page::default()).await.0.len(), 1);
    let mut audit = AuditRequest::new(Tenant::default());
    audit.prefix = Some(prefix("INV"));
    let audit = desk.numbering.audit(audit).await.expect("events");
    assert_eq!(audit.events.len(), 4);
}

pub async fn a_sequence_with_reservations_is_archived_when_they_have_ended(desk: Desk) {
    let held = reserve(&desk, next("INV"), SECONDS).await;
    for _ in 0..70 {
        reserve(&desk, next("INV"), Duration::from_secs(10)).await;
    }
    let before = desk.events().await;
    assert_eq!(archive(&desk, "INV").await, "has-open-reservations");
    assert_eq!(desk.events().await, before);
    desk.set_clock("2026-03-07T10:00:10Z");
    assert_eq!(archive(&desk, "INV").await, "has-open-reservations");
    assert_eq!(desk.status(counter("INV")).await.reserved, 1);
    assert_eq!(confirm(&desk, held).await, "confirmed");
    assert_eq!(archive(&desk, "INV").await, "archived");
    assert_eq!(confirm(&desk, held).await, "confirmed");
}

pub async fn many_holds_that_have_ended_do_not_stand_in_the_way(desk: Desk) {
    for name in ["INV", "ORD"] {
        for _ in 0..70 {
            reserve(&desk, next(name), Duration::from_secs(10)).await;
        }
    }
    desk.set_clock("2026-03-07T10:00:10Z");
    assert_eq!(archive(&desk, "ORD").await, "archived");
    let mut reset = ResetRequest::new(counter("INV"), number(1), because("a new year"));
    reset.repeats_accepted = true;
    assert_eq!(told(&desk.numbering.reset(reset).await), "71 -> 1");
}

pub async fn an_archived_sequence_is_not_defined_by_a_draw(desk: Desk) {
    let archived = archive(&desk, "INV").await;
    assert_eq!(archived, "sequence-not-found");
    desk.define("INV", format("{seq}")).await;
    assert_eq!(archive(&desk, "INV").await, "archived");
    assert_eq!(desk.next("INV").await, "sequence-archived");
    assert_eq!(desk.next("inv").await, "case-variant");
    let request = ArchiveRequest::new(prefix("inv"), because("x"));
    let variant = desk.numbering.archive(request).await;
    assert_eq!(
        variant.err().map(|error| error.code().as_str()),
        Some("case-variant")
    );
}

pub async fn archiving_may_name_the_version(desk: Desk) {
    desk.define("INV", format("{seq}")).await;
    let mut request = ArchiveRequest::new(prefix("INV"), because("x"));
    request.if_version = Some(2);
    let stale = desk.numbering.archive(request.clone()).await;
    assert_eq!(
        stale.err().map(|error| error.code().as_str()),
        Some("version-mismatch")
    );
    request.if_version = Some(1);
    assert!(desk.numbering.archive(request).await.is_ok());
}

pub async fn closed_dates_are_refused_and_opened_again(desk: Desk) {
    let monthly = DefinitionSpec {
        reset: Some(Reset::Month),
        ..format("INV-{yyyy}{mm}-{seq}")
    };
    desk.define("INV", monthly).await;
    let (march, april) = ("2026-03-31", "2026-04-01");
    let held = reserve(&desk, next("INV").date(day(march)), SECONDS).await;
    assert_eq!(close(&desk, "INV", march).await, march);
    assert_eq!(close(&desk, "INV", "2026-02-28").await, format!("still {march}"));
    assert_eq!(draw_on(&desk, "INV", march).await, "period-closed");
    assert_eq!(desk.next("INV").await, "period-closed");
    assert_eq!(draw_on(&desk, "INV", april).await, "INV-202604-1");
    assert_eq!(confirm(&desk, held).await, "period-closed");
    let sync = SyncRequest::new(counter_in("INV", "2026-03"), number(9));
    assert_eq!(told(&desk.numbering.sync(sync).await), "period-closed");
    assert_eq!(shown(&desk, "INV").await.closed_through, Some(day(march)));
    assert_eq!(reopen(&desk, "INV", "2026-03-15").await, "2026-03-14");
    assert_eq!(draw_on(&desk, "INV", "2026-03-14").await, "period-closed");
    assert_eq!(confirm(&desk, held).await, "confirmed");
    assert_eq!(draw_on(&desk, "INV", "2026-03-15").await, "INV-202603-2");
    assert_eq!(close(&desk, "ORD", march).await, "sequence-not-found");
}

pub async fn all_sequences_are_closed_and_opened_together(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    assert_eq!(close(&desk, "", "2026-03-31").await, "2026-03-31");
    assert_eq!(desk.next("INV").await, "period-closed");
    assert_eq!(desk.next("NEW").await, "period-closed");
    assert_eq!(shown(&desk, "NEW").await.closed_through, Some(day("2026-03-31")));
    assert_eq!(reopen(&desk, "INV", "2026-03-01").await, "period-closed");
    let listed = desk.numbering.sequences(Tenant::default(), Page::default()).await;
    let listed = listed.expect("a list").items;
    let names: Vec<_> = listed.iter().map(|item| item.prefix.as_str()).collect();
    assert_eq!(names, ["INV", "NEW"]);
    let mut audit = AuditRequest::new(Tenant::default());
    audit.prefix = Some(Prefix::whole());
    audit.order = Order::OldestFirst;
    let audit = desk.numbering.audit(audit).await.expect("events");
    let kinds: Vec<_> = audit
        .events
        .iter()
        .map(|recorded| recorded.event.kind.as_str())
        .collect();
    assert_eq!(kinds, ["closed"]);
    assert_eq!(reopen(&desk, "", "2026-03-01").await, "2026-02-28");
    assert_eq!(desk.next("INV").await, "2026-2");
    assert_eq!(desk.next("NEW").await, "NEW-001");
    assert_eq!(reopen(&desk, "", "2026-03-01").await, "still 2026-02-28");
}

pub async fn a_close_under_a_key_is_done_once(desk: Desk) {
    desk.define("INV", format("{seq}")).await;
    for name in ["INV", ""] {
        let closing = |through: &str| {
            let mut request = CloseRequest::new(day(through), because("x"));
            request.prefix = Prefix::new(name).ok();
            request.key = Some(key("k"));
            desk.numbering.close(request)
        };
        assert_eq!(said(closing("2026-03-31").await), "2026-03-31");
        assert_eq!(reopen(&desk, name, "2026-01-01").await, "2025-12-31");
        assert_eq!(said(closing("2026-03-31").await), "again 2026-03-31");
        assert_eq!(said(closing("2026-04-30").await), "idempotency-mismatch");
        assert!(desk.next("INV").await.parse::<u64>().is_ok());
    }
}
