//! The audit is searched by what an auditor knows.

use std::sync::Arc;

use super::super::backend::Backend;
use super::super::commands::{draw, number, reset, restart, sync};
use super::super::sequence::{Sequence, by_branch, by_year, format};

use seqid_core::Tenant;
use seqid_core::command::{Act, Command};
use seqid_core::event::{EventKind, Origin, Recorded};
use seqid_core::field::FieldValues;
use seqid_core::line::Line;
use seqid_core::names::{Label, Reference};
use seqid_core::query::{EventPage, EventQuery, Order};
use seqid_core::time::Timestamp;

fn all() -> EventQuery {
    EventQuery::new(Tenant::default())
}

fn of(sequence: &Sequence) -> EventQuery {
    let mut query = EventQuery::new(sequence.key().tenant.clone());
    query.prefix = Some(sequence.key().prefix.clone());
    query
}

fn of_counter(line: &Line) -> EventQuery {
    let key = line.key();
    let mut query = EventQuery::new(key.sequence().tenant.clone());
    query.prefix = Some(key.sequence().prefix.clone());
    query.period = Some(key.period().to_string());
    query.scope = Some(key.scope().clone());
    query
}

fn with(mut query: EventQuery, change: impl FnOnce(&mut EventQuery)) -> EventQuery {
    change(&mut query);
    query
}

fn at(instant: &str) -> Timestamp {
    instant.parse().expect("an instant")
}

fn label(text: &str) -> Label {
    Label::new(text).expect("a label")
}

async fn page(backend: &Backend, query: &EventQuery) -> EventPage {
    let page = backend.ledger.query(query).await.expect("a page");
    assert!(page.events.len() <= query.limit, "at most {}", query.limit);
    page
}

/// Every event of a query, page by page.
async fn found(backend: &Backend, query: &EventQuery) -> Vec<Recorded> {
    let (mut query, mut events) = (query.clone(), Vec::new());
    loop {
        let page = page(backend, &query).await;
        events.extend(page.events);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return events,
        }
    }
}

/// What the whole audit has of a query, with no help from the store's search.
async fn expected(backend: &Backend, query: &EventQuery) -> Vec<Recorded> {
    let mut events = backend.events().await;
    events.retain(|recorded| query.matches(&recorded.event));
    if query.order == Order::NewestFirst {
        events.reverse();
    }
    events
}

/// Finds exactly what is there, in either order and in pages of any size, and that it is so many events.
async fn finds(backend: &Backend, query: EventQuery, count: usize) {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        for limit in [1, 3, 1_000] {
            let query = with(query.clone(), |query| (query.order, query.limit) = (order, limit));
            let found = found(backend, &query).await;
            assert_eq!(found, expected(backend, &query).await, "{query:?}");
            assert_eq!(found.len(), count, "{query:?}");
        }
    }
}

pub async fn without_a_filter_every_event_of_the_tenant_is_found(backend: Backend) {
    finds(&backend, all(), 0).await;
    let line = backend.sequence("INV").await.line();
    for _ in 0..4 {
        backend.tell([draw(&line, 1), draw(&line, 2)]).await;
    }
    finds(&backend, all(), 9).await;
}

pub async fn a_tenant_finds_none_but_its_own_events(backend: Backend) {
    let sequences =
        ["acme", "globex"].map(|tenant| Sequence::of_tenant(tenant, "INV", format("{prefix}-{seq}")));
    for sequence in &sequences {
        backend.define(sequence).await;
    }
    let [ours, theirs] = &sequences;
    for _ in 0..3 {
        backend
            .tell([
                draw(&ours.line(), 1),
                draw(&theirs.line(), 1),
                draw(&theirs.line(), 1),
            ])
            .await;
    }
    for (sequence, count) in [(ours, 3), (theirs, 6)] {
        let tenant = sequence.key().tenant.clone();
        finds(&backend, EventQuery::new(tenant), count + 1).await;
        finds(&backend, of(sequence), count + 1).await;
        finds(&backend, of_counter(&sequence.line()), count).await;
    }
    finds(&backend, all(), 0).await;
}

pub async fn events_are_found_by_sequence(backend: Backend) {
    let (inv, ord) = (backend.sequence("INV").await, backend.sequence("ORD").await);
    for _ in 0..3 {
        backend
            .tell([draw(&inv.line(), 1), draw(&ord.line(), 1), draw(&inv.line(), 1)])
            .await;
    }
    finds(&backend, of(&inv), 7).await;
    finds(&backend, of(&ord), 4).await;
    finds(&backend, of(&Sequence::plain("NONE")), 0).await;
    finds(&backend, of(&Sequence::plain("inv")), 0).await;
}

/// Draws of two branches and of two years, each counter's in turn.
async fn branches_and_years(backend: &Backend) -> Vec<Arc<Line>> {
    let (branches, years) = (Sequence::new("BR", by_branch()), Sequence::new("YR", by_year()));
    backend.define(&branches).await;
    backend.define(&years).await;
    let lines = vec![
        branches.of_branch("JKT"),
        branches.of_branch("SUB"),
        years.on("2025-05-05"),
        years.on("2026-05-05"),
    ];
    for _ in 0..3 {
        backend
            .tell(lines.iter().map(|line| draw(line, 1)).collect::<Vec<_>>())
            .await;
    }
    lines
}

pub async fn events_are_found_by_counter(backend: Backend) {
    for line in branches_and_years(&backend).await {
        finds(&backend, of_counter(&line), 3).await;
    }
    let other = Sequence::new("BR", by_branch()).of_branch("MES");
    finds(&backend, of_counter(&other), 0).await;
    let other_case = Sequence::new("BR", by_branch()).of_branch("jkt");
    finds(&backend, of_counter(&other_case), 0).await;
}

pub async fn events_are_found_by_period_or_scope_alone(backend: Backend) {
    branches_and_years(&backend).await;
    let year = with(of(&Sequence::new("YR", by_year())), |query| {
        query.period = Some("2025".into());
    });
    finds(&backend, year, 3).await;
    let branch = with(all(), |query| {
        query.scope = Some(FieldValues::new([("branch", "SUB")]));
    });
    finds(&backend, branch, 3).await;
    finds(
        &backend,
        with(all(), |query| query.period = Some("2026".into())),
        3,
    )
    .await;
}

pub async fn events_are_found_by_number(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let other = backend.sequence("ORD").await.line();
    for _ in 0..10 {
        backend
            .tell([draw(&line, 1), draw(&other, 5), draw(&line, 4)])
            .await;
    }
    for (first, last, count) in [
        (1, 1, 1),
        (6, 6, 1),
        (9, 9, 1),
        (5, 6, 2),
        (1, 50, 20),
        (50, 99, 1),
        (51, 99, 0),
    ] {
        let numbers = Some((number(first), number(last)));
        finds(
            &backend,
            with(of_counter(&line), |query| query.numbers = numbers),
            count,
        )
        .await;
    }
    let numbers = Some((number(7), number(7)));
    finds(&backend, with(all(), |query| query.numbers = numbers), 2).await;
}

pub async fn numbers_are_found_across_resets_and_generations(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let said = backend
        .tell([
            draw(&line, 3),
            reset(&line, 20),
            reset(&line, 10),
            draw(&line, 1),
            sync(&line, 30),
            draw(&line, 2),
            restart(&line, 2),
            draw(&line, 1),
            draw(&line, 10),
            reset(&line, 40),
            draw(&line, 1),
        ])
        .await;
    assert_eq!(said[2], "20 -> 10");
    for first in 1..=42 {
        for last in [first, first + 1, first + 7] {
            let query = with(of_counter(&line), |query| {
                query.numbers = Some((number(first), number(last)));
            });
            let count = expected(&backend, &query).await.len();
            finds(&backend, query, count).await;
        }
    }
}

pub async fn events_are_found_by_who_asked(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let by = |actor: &str, client: &str, request: &str| {
        let mut command = draw(&line, 1);
        command.origin = Arc::new(Origin {
            actor: Some(label(actor)),
            client: Some(label(client)),
            request: Some(label(request)),
        });
        command
    };
    backend
        .tell([
            by("ada", "erp", "r1"),
            by("bob", "erp", "r2"),
            by("ada", "web", "r3"),
            draw(&line, 1),
        ])
        .await;
    finds(&backend, with(all(), |query| query.actor = Some(label("ada"))), 2).await;
    finds(
        &backend,
        with(all(), |query| query.client = Some(label("erp"))),
        2,
    )
    .await;
    finds(
        &backend,
        with(all(), |query| query.request = Some(label("r2"))),
        1,
    )
    .await;
    finds(&backend, with(all(), |query| query.actor = Some(label("Ada"))), 0).await;
}

pub async fn events_are_found_by_reference(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let reference = |text: &str| Some(Reference::new(text).expect("a reference"));
    let of_document = |text: &str| -> Command {
        let mut command = draw(&line, 1);
        if let Act::Draw(draw) = &mut command.act {
            draw.reference = reference(text);
        }
        command
    };
    backend
        .tell([
            of_document("a"),
            of_document("b"),
            draw(&line, 1),
            of_document("a"),
        ])
        .await;
    finds(&backend, with(all(), |query| query.reference = reference("a")), 2).await;
    finds(&backend, with(all(), |query| query.reference = reference("c")), 0).await;
}

pub async fn events_are_found_by_kind(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend
        .tell([
            draw(&line, 1),
            reset(&line, 10),
            reset(&line, 5),
            sync(&line, 30),
            restart(&line, 1),
        ])
        .await;
    use EventKind::{Defined, External, Issued, Restarted, Returned, Skipped};
    let happened = [Issued, Skipped, External, Returned, Restarted, Defined];
    for kind in EventKind::ALL {
        let count = usize::from(happened.contains(&kind));
        finds(&backend, with(all(), |query| query.kinds = vec![kind]), count).await;
    }
    let kinds = vec![Issued, Defined, External];
    finds(&backend, with(all(), |query| query.kinds = kinds), 3).await;
    let kinds = vec![Skipped, Returned, Restarted];
    finds(&backend, with(of_counter(&line), |query| query.kinds = kinds), 3).await;
}

const MINUTES: [&str; 5] = [
    "2026-03-07T10:01:00Z",
    "2026-03-07T10:02:00Z",
    "2026-03-07T10:03:00Z",
    "2026-03-07T10:04:00Z",
    "2026-03-07T10:05:00Z",
];

async fn drawn_at(backend: &Backend, instants: &[&str]) -> Arc<Line> {
    let line = backend.sequence("INV").await.line();
    for now in instants {
        backend.set_clock(now);
        backend.tell([draw(&line, 1), draw(&line, 1)]).await;
    }
    line
}

pub async fn events_are_found_by_time(backend: Backend) {
    let line = drawn_at(&backend, &MINUTES).await;
    let between = |from: Option<&str>, to: Option<&str>| {
        with(of_counter(&line), |query| {
            (query.from, query.to) = (from.map(at), to.map(at));
        })
    };
    finds(&backend, between(Some(MINUTES[1]), Some(MINUTES[3])), 4).await;
    finds(&backend, between(Some(MINUTES[1]), None), 8).await;
    finds(&backend, between(None, Some(MINUTES[1])), 2).await;
    finds(
        &backend,
        between(Some("2026-03-07T10:01:00.000001Z"), Some(MINUTES[1])),
        0,
    )
    .await;
    finds(&backend, between(Some("2030-01-01T00:00:00Z"), None), 0).await;
    finds(&backend, between(None, Some("1990-01-01T00:00:00Z")), 0).await;
}

pub async fn events_are_found_by_time_although_the_clock_went_back(backend: Backend) {
    let instants = [
        MINUTES[0],
        "2093-01-01T00:00:00Z",
        MINUTES[1],
        "1971-01-01T00:00:00Z",
        MINUTES[2],
    ];
    drawn_at(&backend, &instants).await;
    let between = |from: &str, to: &str| {
        with(all(), |query| {
            (query.from, query.to) = (Some(at(from)), Some(at(to)));
        })
    };
    finds(&backend, between(MINUTES[0], MINUTES[3]), 6).await;
    finds(
        &backend,
        between("2090-01-01T00:00:00Z", "2100-01-01T00:00:00Z"),
        2,
    )
    .await;
    finds(
        &backend,
        between("1970-01-01T00:00:00Z", "1972-01-01T00:00:00Z"),
        2,
    )
    .await;
}

pub async fn filters_hold_together(backend: Backend) {
    let line = drawn_at(&backend, &MINUTES).await;
    backend.tell([reset(&line, 50), draw(&line, 1)]).await;
    let query = with(of_counter(&line), |query| {
        query.numbers = Some((number(4), number(100)));
        (query.from, query.to) = (Some(at(MINUTES[2])), None);
        query.kinds = vec![EventKind::Issued];
    });
    finds(&backend, query, 7).await;
}

pub async fn pages_in_either_order_lose_and_repeat_nothing(backend: Backend) {
    let lines = branches_and_years(&backend).await;
    for _ in 0..20 {
        backend
            .tell(lines.iter().map(|line| draw(line, 1)).collect::<Vec<_>>())
            .await;
    }
    finds(&backend, all(), 94).await;
    finds(&backend, of(&Sequence::new("BR", by_branch())), 47).await;
}

pub async fn pages_lose_and_repeat_nothing_while_events_are_added(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let draw_two = async || drop(backend.tell([draw(&line, 1), draw(&line, 1)]).await);
    for _ in 0..5 {
        draw_two().await;
    }
    let before = backend.events().await;
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let mut query = with(all(), |query| (query.order, query.limit) = (order, 3));
        let mut seen = Vec::new();
        for _ in 0..20 {
            let page = page(&backend, &query).await;
            seen.extend(page.events.into_iter().map(|recorded| recorded.position));
            draw_two().await;
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        match order {
            Order::NewestFirst => assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}"),
            Order::OldestFirst => assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}"),
        }
        for recorded in &before {
            assert!(
                seen.contains(&recorded.position),
                "{} of {seen:?}",
                recorded.position
            );
        }
    }
}

pub async fn a_page_may_begin_anywhere(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell([draw(&line, 1), draw(&line, 1)]).await;
    let begin = async |order, after| {
        let query = with(all(), |query| (query.order, query.after) = (order, Some(after)));
        page(&backend, &query).await.events.len()
    };
    assert_eq!(begin(Order::OldestFirst, 0).await, 3);
    assert_eq!(begin(Order::OldestFirst, u64::MAX).await, 0);
    assert_eq!(begin(Order::NewestFirst, u64::MAX).await, 3);
    assert_eq!(begin(Order::NewestFirst, 0).await, 0);
}

pub async fn a_page_is_bounded_work(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = || -> Vec<Command> { (0..1_000).map(|_| draw(&line, 1)).collect() };
    for _ in 0..=EventQuery::WORK / 1_000 {
        backend.apply(batch()).await;
    }
    let by_nobody = with(all(), |query| query.actor = Some(label("nobody")));
    let first = page(&backend, &by_nobody).await;
    assert!(first.events.is_empty() && first.next.is_some(), "{first:?}");
    assert!(found(&backend, &by_nobody).await.is_empty());
}

pub async fn a_page_tells_how_far_the_log_went(backend: Backend) {
    assert_eq!(page(&backend, &all()).await.last, 0);
    let line = backend.sequence("INV").await.line();
    backend.tell([draw(&line, 1), draw(&line, 1)]).await;
    let newest = backend
        .events()
        .await
        .last()
        .map_or(0, |recorded| recorded.position);
    let nothing = with(all(), |query| query.kinds = vec![EventKind::Recovered]);
    for query in [all(), nothing] {
        let page = page(&backend, &with(query, |query| query.order = Order::OldestFirst)).await;
        assert_eq!((page.next, page.last), (None, newest));
    }
}
