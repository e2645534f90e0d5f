//! The audit of each counter, and of each sequence's definitions, is one chain without a gap.

use std::collections::{HashMap, HashSet};

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw, reset, restart, sync};
use super::super::sequence::{Sequence, by_year, format};

use seqid_core::DefinitionSpec;
use seqid_core::chain::{EventId, Link};
use seqid_core::checkpoint::Checkpoint;
use seqid_core::event::{Recorded, Subject};
use seqid_core::time::Timestamp;
use seqid_core::verify::Verifier;

/// Recomputes every chain from its beginning, and returns their heads.
#[track_caller]
pub(super) fn verify(events: &[Recorded]) -> HashMap<Subject, Link> {
    let mut heads: HashMap<Subject, Link> = HashMap::new();
    for Recorded {
        authority,
        event,
        hash,
        ..
    } in events
    {
        let head = heads.entry(event.subject.clone()).or_insert(Link::GENESIS);
        assert_eq!(event.n, head.n + 1, "the places of {:?} are dense", event.subject);
        *head = head.follow(authority, event);
        assert_eq!(
            head.hash, *hash,
            "event {} of {:?} follows the one before it",
            event.n, event.subject
        );
    }
    heads
}

/// Does something of every kind to counters of two sequences.
pub(super) async fn live(backend: &Backend) -> [Sequence; 2] {
    let years = Sequence::new("INV", by_year());
    backend.define(&years).await;
    let plain = backend.sequence("ORD").await;
    let [old, new, other] = [years.on("2026-05-01"), years.on("2027-05-01"), plain.line()];
    let batch = [
        draw(&old, 1),
        draw(&new, 3),
        draw(&old, 2).under("k"),
        reset(&new, 10),
        sync(&other, 99),
    ];
    backend.tell(batch).await;
    backend.set_clock("2026-03-07T12:00:00.123456Z");
    let batch = [
        draw(&old, 2).under("k"),
        restart(&new, 2),
        draw(&new, 1),
        reset(&other, 200),
        draw(&old, 1),
    ];
    backend.tell(batch).await;
    let changed = plain.changed(DefinitionSpec {
        description: Some("changed".into()),
        ..format("ORD-{seq}")
    });
    backend.define(&changed).await;
    backend
        .tell([reset(&changed.opened_with(1, "2026-03-07"), 150)])
        .await;
    [years, changed]
}

pub async fn each_event_links_to_the_one_before_it(backend: Backend) {
    live(&backend).await;
    let heads = verify(&backend.events().await);
    let mut lengths: Vec<u64> = heads.values().map(|head| head.n).collect();
    lengths.sort_unstable();
    // One chain for the definition of INV, two of ORD's, and three counters.
    assert_eq!(lengths, [1, 2, 3, 3, 4]);
}

pub async fn a_counter_knows_the_head_of_its_chain(backend: Backend) {
    let [years, plain] = live(&backend).await;
    let heads = verify(&backend.events().await);
    let plain = plain.opened_with(1, "2026-03-07");
    for line in [years.on("2026-05-01"), years.on("2027-05-01"), plain] {
        let head = heads.get(&Subject::Counter(line.key().clone()));
        assert_eq!(Some(&backend.state(&line).await.chain), head, "{}", line.key());
    }
}

pub async fn the_heads_are_those_that_the_events_lead_to(backend: Backend) {
    let before = backend.ledger.heads().await.expect("the heads are known");
    live(&backend).await;
    let after = backend.ledger.heads().await.expect("the heads are known");
    assert_eq!((before.chains, after.chains), (0, 5));
    let checkpoints = [before, after].map(|heads| Checkpoint::new(heads, Timestamp::from_micros(0)));
    let mut verifier = Verifier::new()
        .store(after.authority)
        .ids()
        .checkpoints(checkpoints);
    for recorded in backend.events().await {
        verifier.event(&recorded);
    }
    let report = verifier.finish();
    assert_eq!(report.faults, []);
    assert_eq!((report.checkpoints, report.heads), (2, after));
}

pub async fn a_batch_of_many_draws_is_chained_draw_by_draw(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend
        .tell((0..50).map(|_| draw(&line, 2)).collect::<Vec<_>>())
        .await;
    backend
        .tell((0..50).map(|_| draw(&line, 1)).collect::<Vec<_>>())
        .await;
    let events = backend.events_of(&line).await;
    assert_eq!(
        verify(&events).values().map(|head| head.n).collect::<Vec<_>>(),
        [100]
    );
}

pub async fn each_event_has_an_id_of_its_own(backend: Backend) {
    live(&backend).await;
    let events = backend.events().await;
    let ids: HashSet<EventId> = events.iter().map(|recorded| recorded.id).collect();
    assert_eq!(ids.len(), events.len());
    let again: HashSet<EventId> = backend
        .events()
        .await
        .iter()
        .map(|recorded| recorded.id)
        .collect();
    assert_eq!(again, ids, "an event keeps its id");
}

pub async fn all_events_name_the_same_store(backend: Backend) {
    live(&backend).await;
    let events = backend.events().await;
    let authorities: HashSet<_> = events.iter().map(|recorded| recorded.authority).collect();
    assert_eq!(authorities.len(), 1);
}
