//! An auditor asks who got which number.

use super::super::desk::{Desk, key, next};
use super::super::sequence::{by_branch, by_year, prefix};

use seqid_core::event::EventKind;
use seqid_core::numbering::AuditRequest;
use seqid_core::query::{EventPage, EventQuery, Order};
use seqid_core::{Code, Number, Tenant};

fn request(name: Option<&str>) -> AuditRequest {
    let mut request = AuditRequest::new(Tenant::default());
    request.prefix = name.map(prefix);
    request
}

fn with(mut request: AuditRequest, change: impl FnOnce(&mut AuditRequest)) -> AuditRequest {
    change(&mut request);
    request
}

fn numbers(first: u64, last: u64) -> Option<(Number, Number)> {
    let number = |value| Number::new(value).expect("a number");
    Some((number(first), number(last)))
}

async fn audit(desk: &Desk, request: AuditRequest) -> EventPage {
    let page = desk.numbering.audit(request).await;
    page.unwrap_or_else(|error| panic!("{error}"))
}

async fn refusal(desk: &Desk, request: AuditRequest) -> Code {
    let page = desk.numbering.audit(request).await;
    page.expect_err("it is refused").code()
}

/// The first id of each event.
fn ids(page: &EventPage) -> Vec<&str> {
    page.events
        .iter()
        .map(|recorded| recorded.ids.as_ref().map_or("-", |(first, _)| first.as_str()))
        .collect()
}

pub async fn the_newest_events_come_first(desk: Desk) {
    for _ in 0..3 {
        desk.next("INV").await;
    }
    let page = audit(&desk, request(None)).await;
    assert_eq!(ids(&page), ["INV-003", "INV-002", "INV-001", "-"]);
    let oldest = with(request(Some("INV")), |request| request.order = Order::OldestFirst);
    assert_eq!(
        ids(&audit(&desk, oldest).await),
        ["-", "INV-001", "INV-002", "INV-003"]
    );
}

pub async fn a_number_has_its_history(desk: Desk) {
    desk.next("INV").await;
    let mut draw = next("INV").count(5).key(key("k"));
    draw.origin.client = Some(seqid_core::names::Label::new("erp").expect("a label"));
    desk.draw(draw).await;
    let page = audit(
        &desk,
        with(request(Some("INV")), |request| request.numbers = numbers(4, 4)),
    )
    .await;
    assert_eq!(page.events.len(), 1);
    let event = &page.events[0].event;
    let run = event.run.expect("numbers");
    assert_eq!(
        (run.first.get(), run.count, event.kind),
        (2, 5, EventKind::Issued)
    );
    assert_eq!(event.origin.client.as_ref().map(AsRef::as_ref), Some("erp"));
    assert_eq!(ids(&page), ["INV-002"]);
    let none = audit(
        &desk,
        with(request(Some("INV")), |request| request.numbers = numbers(7, 9)),
    )
    .await;
    assert_eq!((none.events.len(), none.next), (0, None));
}

pub async fn an_id_has_its_history(desk: Desk) {
    for _ in 0..3 {
        desk.next("INV").await;
        desk.next("ORD").await;
    }
    for name in [None, Some("INV")] {
        let page = audit(
            &desk,
            with(request(name), |request| request.id = Some("INV-002".into())),
        )
        .await;
        assert_eq!(ids(&page), ["INV-002"]);
    }
    let no_id = with(request(None), |request| request.id = Some("no id".into()));
    assert_eq!(refusal(&desk, no_id).await, Code::IdNotRecognised);
}

pub async fn an_id_of_a_period_and_a_scope_has_its_history(desk: Desk) {
    desk.define("YR", by_year()).await;
    desk.define("BR", by_branch()).await;
    for year in ["2025-01-01", "2026-01-01"] {
        desk.draw(next("YR").date(year.parse().expect("a date"))).await;
    }
    for branch in ["JKT", "SUB"] {
        desk.draw(next("BR").scope("branch", branch)).await;
    }
    for (name, id) in [("YR", "2025-1"), ("BR", "SUB-1")] {
        let page = audit(
            &desk,
            with(request(Some(name)), |request| request.id = Some(id.into())),
        )
        .await;
        assert_eq!(ids(&page), [id]);
    }
    let year = with(request(Some("YR")), |request| {
        request.period = Some("2026".into());
    });
    assert_eq!(ids(&audit(&desk, year).await), ["2026-1"]);
    let branch = with(request(Some("BR")), |request| {
        request.scope.insert("branch".into(), "JKT".into());
    });
    assert_eq!(ids(&audit(&desk, branch).await), ["JKT-1"]);
}

pub async fn the_whole_audit_is_read_in_pages(desk: Desk) {
    for _ in 0..10 {
        desk.next("INV").await;
        desk.next("ORD").await;
    }
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let mut asked = with(request(Some("INV")), |request| {
            (request.limit, request.order) = (3, order);
        });
        let mut seen = Vec::new();
        loop {
            let page = audit(&desk, asked.clone()).await;
            seen.extend(page.events.into_iter().map(|recorded| recorded.event.n));
            match page.next {
                Some(next) => asked.after = Some(next),
                None => break,
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }
}

pub async fn what_was_defined_is_in_the_audit(desk: Desk) {
    desk.define("YR", by_year()).await;
    desk.next("YR").await;
    let kinds = |kinds: Vec<EventKind>| with(request(Some("YR")), |request| request.kinds = kinds);
    let page = audit(&desk, kinds(vec![EventKind::Defined])).await;
    assert_eq!(page.events.len(), 1);
    assert!(page.events[0].event.detail.is_some());
    assert_eq!(
        audit(&desk, kinds(vec![EventKind::Defined, EventKind::Issued]))
            .await
            .events
            .len(),
        2
    );
}

pub async fn an_audit_of_an_undefined_sequence_is_refused(desk: Desk) {
    assert_eq!(
        refusal(&desk, request(Some("NONE"))).await,
        Code::SequenceNotFound
    );
    assert_eq!(desk.events().await, 0);
}

pub async fn bounds_that_cannot_hold_are_refused(desk: Desk) {
    desk.next("INV").await;
    let instant = |text: &str| Some(text.parse().expect("an instant"));
    let bad: [fn(&mut AuditRequest); 6] = [
        |request| request.limit = 0,
        |request| request.limit = EventQuery::LARGEST + 1,
        |request| request.numbers = numbers(5, 4),
        |request| (request.id, request.numbers) = (Some("INV-001".into()), numbers(1, 1)),
        |request| (request.id, request.period) = (Some("INV-001".into()), Some("all".into())),
        |request| (request.prefix, request.period) = (None, Some("all".into())),
    ];
    for change in bad {
        assert_eq!(
            refusal(&desk, with(request(Some("INV")), change)).await,
            Code::InvalidRequest
        );
    }
    let (early, late) = (instant("2026-01-01T00:00:00Z"), instant("2026-01-02T00:00:00Z"));
    for (from, to) in [(late, early), (early, early)] {
        let request = with(request(None), |request| (request.from, request.to) = (from, to));
        assert_eq!(refusal(&desk, request).await, Code::InvalidRequest);
    }
}

pub async fn a_period_that_the_sequence_does_not_have_is_refused(desk: Desk) {
    desk.define("YR", by_year()).await;
    for period in ["2026-03", "all", ""] {
        let request = with(request(Some("YR")), |request| {
            request.period = Some(period.into());
        });
        assert_eq!(refusal(&desk, request).await, Code::InvalidRequest, "{period}");
    }
}

pub async fn scope_values_that_do_not_fit_are_refused(desk: Desk) {
    desk.define("BR", by_branch()).await;
    let request = with(request(Some("BR")), |request| {
        request.scope.insert("no_field".into(), "x".into());
    });
    assert_eq!(refusal(&desk, request).await, Code::ScopeMismatch);
}

pub async fn tenants_have_audits_of_their_own(desk: Desk) {
    let acme = Tenant::new("acme").expect("a tenant");
    let mut draw = next("INV");
    draw.tenant = acme.clone();
    desk.draw(draw).await;
    desk.next("INV").await;
    desk.next("INV").await;
    assert_eq!(audit(&desk, AuditRequest::new(acme)).await.events.len(), 2);
    assert_eq!(audit(&desk, request(None)).await.events.len(), 3);
}
