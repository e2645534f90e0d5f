//! Names that differ by letter case alone are not two.

use super::super::backend::Backend;
use super::super::commands::draw;
use super::super::sequence::{Sequence, by_branch, by_year, prefix};

use seqid_core::DefinitionSpec;
use seqid_core::counter::SequenceKey;
use seqid_core::field::FieldDeclaration;

pub async fn a_prefix_in_other_case_is_refused(backend: Backend) {
    backend.sequence("Inv").await;
    let variant = Sequence::plain("INV");
    assert_eq!(backend.tell_one(variant.define()).await, "case variant of Inv");
    assert_eq!(
        backend.tell_one(draw(&variant.line(), 1)).await,
        "case variant of Inv"
    );
}

pub async fn a_prefix_in_other_case_is_refused_within_one_batch(backend: Backend) {
    let [first, variant] = [Sequence::plain("Inv"), Sequence::plain("iNV")];
    let replies = backend.tell([first.define(), variant.define()]).await;
    // Stores with several lanes may decide the second first.
    let expected: [[&str; 2]; 2] = [
        ["v1 saved", "case variant of Inv"],
        ["case variant of iNV", "v1 saved"],
    ];
    assert!(expected.iter().any(|expected| replies == expected), "{replies:?}");
}

pub async fn a_sequence_is_not_found_by_another_case(backend: Backend) {
    let sequence = backend.sequence("Inv").await;
    let variant = SequenceKey::new(sequence.key().tenant.clone(), prefix("INV"));
    assert!(
        backend
            .ledger
            .sequence(sequence.key())
            .await
            .expect("a sequence")
            .is_some()
    );
    assert!(
        backend
            .ledger
            .sequence(&variant)
            .await
            .expect("no sequence")
            .is_none()
    );
}

pub async fn a_scope_in_other_case_is_refused(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    assert_eq!(backend.tell_one(draw(&sequence.of_branch("Jkt"), 1)).await, "1");
    let variant = sequence.of_branch("JKT");
    assert_eq!(
        backend.tell_one(draw(&variant, 1)).await,
        "case variant of branch=Jkt"
    );
    assert_eq!(
        backend.ledger.counter(variant.key()).await.expect("no counter"),
        None
    );
    assert_eq!(backend.tell_one(draw(&sequence.of_branch("Jkt"), 1)).await, "2");
}

pub async fn a_scope_in_other_case_is_refused_within_one_batch(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    let replies = backend
        .tell([
            draw(&sequence.of_branch("a"), 1),
            draw(&sequence.of_branch("A"), 1),
        ])
        .await;
    let expected: [[&str; 2]; 2] = [
        ["1", "case variant of branch=a"],
        ["case variant of branch=A", "1"],
    ];
    assert!(expected.iter().any(|expected| replies == expected), "{replies:?}");
}

pub async fn a_scope_in_other_case_is_refused_in_another_period(backend: Backend) {
    let scope = Some(vec![FieldDeclaration::new("branch")]);
    let spec = DefinitionSpec {
        scope,
        format: "{yyyy}-{branch}-{seq}".into(),
        ..by_year()
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = |date, branch| sequence.drawn(date, &[("branch", branch)], &[], 1);
    assert_eq!(backend.tell_one(draw(&line("2026-05-01", "Jkt"), 1)).await, "1");
    assert_eq!(
        backend.tell_one(draw(&line("2027-05-01", "JKT"), 1)).await,
        "case variant of branch=Jkt"
    );
    assert_eq!(backend.tell_one(draw(&line("2027-05-01", "Jkt"), 1)).await, "1");
}

pub async fn case_variants_of_two_sequences_are_independent(backend: Backend) {
    let [a, b] = [Sequence::new("A", by_branch()), Sequence::new("B", by_branch())];
    backend.define(&a).await;
    backend.define(&b).await;
    let batch = [draw(&a.of_branch("jkt"), 1), draw(&b.of_branch("JKT"), 1)];
    assert_eq!(backend.tell(batch).await, ["1", "1"]);
}

pub async fn case_variants_of_two_tenants_are_independent(backend: Backend) {
    let plain = || seqid_core::DefinitionSpec::of_format("{prefix}-{seq}");
    let [a, b] = [
        Sequence::of_tenant("acme", "inv", plain()),
        Sequence::of_tenant("ACME", "INV", plain()),
    ];
    backend.define(&a).await;
    backend.define(&b).await;
    assert_eq!(
        backend.tell([draw(&a.line(), 2), draw(&b.line(), 1)]).await,
        ["1..2", "1"]
    );
}
