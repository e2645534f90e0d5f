//! Tenants share nothing.

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw, reset};
use super::super::sequence::{Sequence, format};

fn two(prefix: &str) -> [Sequence; 2] {
    ["acme", "globex"].map(|tenant| Sequence::of_tenant(tenant, prefix, format("{prefix}-{seq}")))
}

async fn defined(backend: &Backend, prefix: &str) -> [Sequence; 2] {
    let sequences = two(prefix);
    for sequence in &sequences {
        backend.define(sequence).await;
    }
    sequences
}

pub async fn a_sequence_of_one_tenant_is_not_defined_for_another(backend: Backend) {
    let [ours, theirs] = two("INV");
    backend.define(&ours).await;
    assert_eq!(backend.tell_one(draw(&theirs.line(), 1)).await, "not defined");
    assert!(
        backend
            .ledger
            .sequence(theirs.key())
            .await
            .expect("no sequence")
            .is_none()
    );
}

pub async fn numbers_of_two_tenants_are_independent(backend: Backend) {
    let [ours, theirs] = defined(&backend, "INV").await.map(|sequence| sequence.line());
    let batch = [
        draw(&ours, 3),
        draw(&theirs, 1),
        reset(&ours, 10),
        draw(&theirs, 1),
        draw(&ours, 1),
    ];
    assert_eq!(backend.tell(batch).await, ["1..3", "1", "4 -> 10", "2", "10"]);
    assert_eq!((backend.next(&ours).await, backend.next(&theirs).await), (11, 3));
}

pub async fn keys_of_two_tenants_are_independent(backend: Backend) {
    let [ours, theirs] = defined(&backend, "INV").await.map(|sequence| sequence.line());
    assert_eq!(backend.tell_one(draw(&ours, 2).under("k")).await, "1..2");
    assert_eq!(backend.tell_one(draw(&theirs, 3).under("k")).await, "1..3");
    assert_eq!(backend.tell_one(draw(&ours, 2).under("k")).await, "again 1..2");
}

pub async fn versions_of_two_tenants_are_independent(backend: Backend) {
    let [ours, theirs] = defined(&backend, "INV").await;
    backend.define(&ours.changed(format("{prefix}/{seq}"))).await;
    assert_eq!(backend.tell_one(draw(&theirs.line(), 1)).await, "1");
    let record = backend
        .ledger
        .sequence(theirs.key())
        .await
        .expect("a sequence")
        .expect("defined");
    assert_eq!(record.head(), 1);
}

pub async fn a_tenant_lists_its_own_sequences_and_counters(backend: Backend) {
    let [ours, theirs] = defined(&backend, "INV").await;
    backend.define(&two("ORD")[0]).await;
    for line in [ours.line(), theirs.line()] {
        backend.tell_one(draw(&line, 1)).await;
    }
    let prefixes = |listed: Vec<seqid_core::store::SequenceRecord>| -> Vec<String> {
        listed.iter().map(|record| record.key.to_string()).collect()
    };
    let list = |sequence: &Sequence| {
        let (ledger, tenant) = (backend.ledger.clone(), sequence.key().tenant.clone());
        async move { ledger.sequences(&tenant, None, 10).await.expect("a list") }
    };
    assert_eq!(prefixes(list(&ours).await), ["acme/INV", "acme/ORD"]);
    assert_eq!(prefixes(list(&theirs).await), ["globex/INV"]);
    let counters = backend
        .ledger
        .counters(theirs.key(), 0, 10)
        .await
        .expect("a list");
    assert_eq!(
        counters.iter().map(|counter| &counter.key).collect::<Vec<_>>(),
        [theirs.line().key()]
    );
}
