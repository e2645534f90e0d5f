//! What the audit keeps, and how it is read.

use std::sync::Arc;

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw, reset};
use super::super::sequence::{Sequence, by_year, day, format};
use super::chain::live;

use seqid_core::command::{Act, Command};
use seqid_core::event::{EventKind, Origin, Recorded};
use seqid_core::field::FieldDeclaration;
use seqid_core::names::{Label, Reference};
use seqid_core::{DefinitionSpec, Mode};

fn positions(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|recorded| recorded.position).collect()
}

fn label(text: &str) -> Option<Label> {
    Some(Label::new(text).expect("a label"))
}

/// A draw that says everything that a draw can say.
fn full(sequence: &Sequence) -> Command {
    let scope = [("branch", "JKT")];
    let mut command = draw(
        &sequence.drawn("2026-02-03", &scope, &[("customer", "c=1&é%")], 1),
        3,
    )
    .under("key 1");
    command.origin = Arc::new(Origin {
        actor: label("ada"),
        client: label("erp/7.1"),
        request: label("req-1"),
    });
    let Act::Draw(draw) = &mut command.act else {
        panic!("a draw")
    };
    draw.reference = Some(Reference::new("ordre № 7").expect("a reference"));
    draw.relates_to = Some(Reference::new("ordre № 6").expect("a reference"));
    command
}

fn full_definition() -> DefinitionSpec {
    let customer = FieldDeclaration {
        chars: "c0-9=&é%".parse().expect("characters"),
        ..FieldDeclaration::new("customer")
    };
    DefinitionSpec {
        scope: Some(vec![FieldDeclaration::new("branch")]),
        fields: Some(vec![customer]),
        ..format("{branch}/{customer}/{seq:3}")
    }
}

pub async fn an_event_keeps_all_that_a_draw_says(backend: Backend) {
    let sequence = Sequence::new("INV", full_definition());
    backend.define(&sequence).await;
    backend.set_clock("2026-03-07T10:11:12.131415Z");
    let command = full(&sequence);
    assert_eq!(backend.tell_one(command.clone()).await, "1..3");
    let events = backend.events().await;
    let Recorded { event, ids, .. } = &events[1];
    let Act::Draw(drawn) = &command.act else {
        panic!("a draw")
    };
    assert_eq!(event.kind, EventKind::Issued);
    assert_eq!(event.subject.counter(), Some(drawn.line.key()));
    assert_eq!(
        event.run.map(|run| (run.first.get(), run.step, run.count)),
        Some((1, 1, 3))
    );
    assert_eq!(
        (event.n, event.generation, event.epoch, event.version),
        (1, 1, 1, 1)
    );
    assert_eq!((event.mode, event.date), (Mode::Gapless, Some(day("2026-02-03"))));
    assert_eq!(event.fields, *drawn.line.fields());
    assert_eq!(event.origin, command.origin);
    assert_eq!(
        (&event.reference, &event.relates_to),
        (&drawn.reference, &drawn.relates_to)
    );
    assert_eq!((&event.reason, &event.detail), (&None, &None));
    assert_eq!(event.key, command.key);
    assert_eq!(event.at.to_string(), "2026-03-07T10:11:12.131415Z");
    let expected = ("JKT/c=1&é%/001".to_owned(), "JKT/c=1&é%/003".to_owned());
    assert_eq!(*ids, Some(expected));
}

pub async fn a_replay_gives_back_the_event_as_it_was_recorded(backend: Backend) {
    let sequence = Sequence::new("INV", full_definition());
    backend.define(&sequence).await;
    backend.tell_one(full(&sequence)).await;
    backend.set_clock("2026-03-09T00:00:00Z");
    let replies = backend.apply([full(&sequence)]).await;
    let Ok(seqid_core::command::Reply::Replayed(event)) = &replies[0] else {
        panic!("{replies:?}")
    };
    assert_eq!(**event, backend.events().await[1].event);
}

pub async fn an_event_of_a_definition_holds_the_definition(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let events = backend.events().await;
    let event = &events[0].event;
    assert_eq!((event.kind, event.n, event.version), (EventKind::Defined, 1, 1));
    assert_eq!((event.run, event.date, event.generation), (None, None, 0));
    assert_eq!(event.subject.counter(), None);
    assert_eq!(event.subject.sequence(), sequence.key());
    assert_eq!(
        event.detail.as_deref(),
        Some(sequence.definition().spec().to_json().as_str())
    );
}

pub async fn ids_are_those_of_the_version_that_the_counter_opened_with(backend: Backend) {
    let first = backend.sequence("INV").await;
    backend.tell_one(draw(&first.line(), 1)).await;
    let second = first.changed(format("INV/{seq:5}"));
    backend.define(&second).await;
    backend
        .tell([draw(&second.opened_with(1, "2026-03-07"), 2)])
        .await;
    let events = backend.events_of(&first.line()).await;
    let ids: Vec<_> = events.into_iter().filter_map(|recorded| recorded.ids).collect();
    assert_eq!(
        ids,
        [
            ("INV-1".to_owned(), "INV-1".to_owned()),
            ("INV-2".to_owned(), "INV-3".to_owned())
        ]
    );
}

pub async fn a_period_is_kept_with_its_days(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    backend.tell_one(draw(&sequence.on("2024-02-29"), 1)).await;
    let events = backend.events().await;
    let period = events[1].event.subject.counter().expect("a counter").period();
    assert_eq!(period.to_string(), "2024");
    assert_eq!(
        (period.first(), period.last()),
        (Some(day("2024-01-01")), Some(day("2024-12-31")))
    );
}

pub async fn events_are_read_in_the_order_in_which_they_happened(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    for _ in 0..5 {
        backend.tell([draw(&line, 1), draw(&line, 2)]).await;
    }
    let events = backend.events().await;
    assert!(positions(&events).is_sorted_by(|a, b| a < b));
    assert_eq!(events[0].event.kind, EventKind::Defined);
    let numbers: Vec<u64> = events
        .iter()
        .filter_map(|recorded| Some(recorded.event.run?.first.get()))
        .collect();
    assert_eq!(numbers, [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]);
}

pub async fn events_are_read_in_pages(backend: Backend) {
    live(&backend).await;
    let all = backend.events().await;
    for limit in [1, 3, all.len()] {
        let mut paged = Vec::new();
        let mut after = 0;
        loop {
            let page = backend.ledger.events(after, limit).await.expect("a page");
            assert!(page.len() <= limit, "at most {limit}");
            let Some(last) = page.last() else { break };
            assert!(page[0].position > after, "a page begins behind the one before");
            after = last.position;
            paged.extend(page);
        }
        assert_eq!(paged, all);
    }
    let last = all[all.len() - 1].position;
    assert!(backend.ledger.events(last, 10).await.expect("a page").is_empty());
    assert!(
        backend
            .ledger
            .events(u64::MAX, 10)
            .await
            .expect("a page")
            .is_empty()
    );
}

pub async fn counters_are_listed_in_the_order_in_which_they_opened(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    let other = backend.sequence("ORD").await;
    let years = ["2027-01-01", "2025-01-01", "2026-01-01"];
    for year in years {
        backend
            .tell([draw(&sequence.on(year), 1), draw(&other.line(), 1)])
            .await;
    }
    backend
        .tell([
            reset(&sequence.on("2024-01-01"), 7),
            draw(&sequence.on("2025-01-01"), 2),
        ])
        .await;
    let listed = backend
        .ledger
        .counters(sequence.key(), 0, 10)
        .await
        .expect("a list");
    let text: Vec<String> = listed
        .iter()
        .map(|counter| counter.key.period().to_string())
        .collect();
    assert_eq!(text, ["2027", "2025", "2026", "2024"]);
    assert!(listed.is_sorted_by(|a, b| a.position < b.position));
    for counter in &listed {
        let state = backend.ledger.counter(&counter.key).await.expect("a state");
        assert_eq!(Some(&counter.state), state.as_ref());
    }
    let page = backend
        .ledger
        .counters(sequence.key(), listed[0].position, 2)
        .await
        .expect("a list");
    assert_eq!(page, listed[1..3]);
    let page = backend
        .ledger
        .counters(sequence.key(), listed[3].position, 2)
        .await
        .expect("a list");
    assert!(page.is_empty());
    let none = backend
        .ledger
        .counters(Sequence::plain("NONE").key(), 0, 10)
        .await
        .expect("a list");
    assert!(none.is_empty());
}
