//! Versions of definitions, and which one a counter keeps.

use super::super::backend::Backend;
use super::super::commands::{draw, reset, sync};
use super::super::sequence::{Sequence, by_year, format};

use seqid_core::command::{Expected, Implicit};
use seqid_core::names::Label;
use seqid_core::refusal::{Refusal, RefusalCode};
use seqid_core::{DefinitionSpec, Tenant};

async fn record(backend: &Backend, sequence: &Sequence) -> seqid_core::store::SequenceRecord {
    backend
        .ledger
        .sequence(sequence.key())
        .await
        .expect("a sequence")
        .expect("it is defined")
}

fn prefixes(records: &[seqid_core::store::SequenceRecord]) -> Vec<&str> {
    records.iter().map(|record| record.key.prefix.as_str()).collect()
}

pub async fn an_undefined_sequence_gives_nothing(backend: Backend) {
    let sequence = Sequence::plain("INV");
    let line = sequence.line();
    let batch = [draw(&line, 1), reset(&line, 5), sync(&line, 5)];
    assert_eq!(backend.tell(batch).await, ["not defined"; 3]);
    assert!(
        backend
            .ledger
            .sequence(sequence.key())
            .await
            .expect("no sequence")
            .is_none()
    );
    assert!(backend.events().await.is_empty());
}

pub async fn an_equal_definition_is_kept(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    assert_eq!(
        backend.tell([sequence.define(), sequence.define()]).await,
        ["v1 kept", "v1 kept"]
    );
    let stale = sequence.define_expecting(Expected::Version(9));
    assert_eq!(backend.tell_one(stale).await, "v1 kept");
    assert_eq!(backend.events().await.len(), 1);
}

pub async fn a_change_names_the_version_that_it_replaces(backend: Backend) {
    let first = backend.sequence("INV").await;
    let second = first.changed(format("INV/{seq}"));
    assert_eq!(
        backend.tell_one(second.define_expecting(Expected::Nothing)).await,
        "version 1 required"
    );
    assert_eq!(
        backend
            .tell_one(second.define_expecting(Expected::Version(2)))
            .await,
        "version is 1"
    );
    assert_eq!(
        backend
            .tell_one(second.define_expecting(Expected::Version(1)))
            .await,
        "v2 saved"
    );
    let third = second.changed(format("INV.{seq}"));
    assert_eq!(
        backend
            .tell_one(third.define_expecting(Expected::Version(1)))
            .await,
        "version is 2"
    );
    assert_eq!(backend.tell_one(third.define()).await, "v3 saved");
}

pub async fn a_version_of_an_undefined_sequence_cannot_be_replaced(backend: Backend) {
    let sequence = Sequence::plain("INV");
    assert_eq!(
        backend
            .tell_one(sequence.define_expecting(Expected::Version(1)))
            .await,
        "not defined"
    );
}

pub async fn two_changes_of_one_version_do_not_both_hold(backend: Backend) {
    let first = backend.sequence("INV").await;
    let changes = ["INV/{seq}", "INV.{seq}"].map(|text| first.changed(format(text)).define());
    assert_eq!(backend.tell(changes).await, ["v2 saved", "version is 2"]);
}

pub async fn an_earlier_definition_may_come_back_as_a_new_version(backend: Backend) {
    let first = backend.sequence("INV").await;
    let back = first.changed(format("INV/{seq}"));
    backend.define(&back).await;
    let back = back.changed(first.definition().spec().clone());
    backend.define(&back).await;
    assert_eq!(record(&backend, &first).await.head(), 3);
}

pub async fn all_versions_are_kept_as_they_were_saved(backend: Backend) {
    let full = DefinitionSpec {
        start: Some(0),
        step: Some(3),
        max: Some(i64::MAX as u64),
        description: Some("naïve \"quotes\" \u{1f600}".into()),
        ..by_year()
    };
    let first = Sequence::new("INV", full);
    let mut define = first.define();
    let actor = Label::new("ada").expect("a label");
    std::sync::Arc::make_mut(&mut define.origin).actor = Some(actor.clone());
    backend.tell_one(define).await;
    backend.set_clock("2026-03-08T00:00:00.000001Z");
    let second = first.changed(DefinitionSpec {
        step: Some(4),
        ..by_year()
    });
    backend.define(&second).await;
    let record = record(&backend, &first).await;
    assert_eq!(
        (&record.key, record.archived, record.implicit),
        (first.key(), false, false)
    );
    let specs: Vec<_> = record.versions.iter().map(|version| &version.spec).collect();
    assert_eq!(specs, [first.definition().spec(), second.definition().spec()]);
    let times: Vec<_> = record
        .versions
        .iter()
        .map(|version| version.at.to_string())
        .collect();
    assert_eq!(
        times,
        ["2026-03-07T10:00:00.000000Z", "2026-03-08T00:00:00.000001Z"]
    );
    let actors: Vec<_> = record
        .versions
        .iter()
        .map(|version| version.actor.clone())
        .collect();
    assert_eq!(actors, [Some(actor), None]);
}

pub async fn a_draw_by_an_older_version_is_sent_back(backend: Backend) {
    let first = backend.sequence("INV").await;
    assert_eq!(backend.tell_one(draw(&first.line(), 1)).await, "1");
    let second = first.changed(format("INV/{seq}"));
    backend.define(&second).await;
    let stale = [
        draw(&first.line(), 1),
        reset(&first.line(), 9),
        sync(&first.line(), 9),
    ];
    assert_eq!(backend.tell(stale).await, ["changed to v2, opened with v1"; 3]);
    let wrong_opening = draw(&second.line(), 1);
    assert_eq!(
        backend.tell_one(wrong_opening).await,
        "changed to v2, opened with v1"
    );
    assert_eq!(
        backend
            .tell_one(draw(&second.opened_with(1, "2026-03-07"), 1))
            .await,
        "2"
    );
}

pub async fn a_counter_keeps_the_version_that_it_opened_with(backend: Backend) {
    let first = Sequence::new("INV", by_year());
    backend.define(&first).await;
    assert_eq!(backend.tell_one(draw(&first.on("2026-05-01"), 2)).await, "1..2");
    let second = first.changed(DefinitionSpec {
        start: Some(100),
        step: Some(10),
        ..by_year()
    });
    backend.define(&second).await;
    assert_eq!(
        backend
            .tell_one(draw(&second.opened_with(1, "2026-05-01"), 2))
            .await,
        "3..4"
    );
    let stale = second.opened_with(1, "2027-05-01");
    assert_eq!(
        backend.tell_one(draw(&stale, 1)).await,
        "changed to v2, opened with v2"
    );
    assert_eq!(
        backend.tell_one(draw(&second.on("2027-05-01"), 2)).await,
        "100..110"
    );
    assert_eq!(backend.state(&second.on("2027-05-01")).await.version, 2);
    assert_eq!(backend.state(&second.on("2026-05-01")).await.version, 1);
}

pub async fn a_larger_max_holds_at_once(backend: Backend) {
    let first = Sequence::new(
        "INV",
        DefinitionSpec {
            max: Some(2),
            ..format("{seq}")
        },
    );
    backend.define(&first).await;
    assert_eq!(
        backend
            .tell([draw(&first.line(), 2), draw(&first.line(), 1)])
            .await,
        ["1..2", "exhausted at 2"]
    );
    let second = first.changed(DefinitionSpec {
        max: Some(4),
        ..format("{seq}")
    });
    backend.define(&second).await;
    let line = second.opened_with(1, "2026-03-07");
    assert_eq!(
        backend.tell([draw(&line, 3), draw(&line, 2)]).await,
        ["2 left", "3..4"]
    );
}

pub async fn objections_hold_once_a_counter_has_opened(backend: Backend) {
    let objections = || vec![Refusal::new(RefusalCode::Overlaps, "/format", "it overlaps")];
    let first = backend.sequence("INV").await;
    let second = first.changed(format("INV/{seq}"));
    let command = second.define_as(Expected::Version(1), None, objections());
    assert_eq!(backend.tell_one(command).await, "v2 saved");
    assert_eq!(backend.tell_one(draw(&second.line(), 1)).await, "1");
    let third = second.changed(format("INV.{seq}"));
    let command = || third.define_as(Expected::Version(2), None, objections());
    assert_eq!(backend.tell_one(command()).await, "definition refused");
    assert_eq!(backend.tell_one(third.define()).await, "v3 saved");
}

pub async fn an_implicit_definition_says_so(backend: Backend) {
    let sequence = Sequence::new("INV", DefinitionSpec::implicit());
    let implicit = || sequence.define_implicitly(Implicit::Always);
    assert_eq!(
        backend.tell([implicit(), implicit()]).await,
        ["v1 saved", "v1 kept"]
    );
    assert!(record(&backend, &sequence).await.implicit);
    let written = sequence.changed(format("INV/{seq}"));
    backend.define(&written).await;
    assert!(!record(&backend, &sequence).await.implicit);
    assert_eq!(backend.tell_one(implicit()).await, "v2 kept");
}

pub async fn implicit_definitions_may_end_with_the_first_written_one(backend: Backend) {
    let implicit = |tenant, prefix| {
        let sequence = Sequence::of_tenant(tenant, prefix, DefinitionSpec::implicit());
        sequence.define_implicitly(Implicit::UntilFirstDefinition)
    };
    assert_eq!(backend.tell_one(implicit("acme", "A")).await, "v1 saved");
    backend
        .define(&Sequence::of_tenant("acme", "B", format("B{seq}")))
        .await;
    assert_eq!(backend.tell_one(implicit("acme", "C")).await, "implicit ended");
    assert_eq!(backend.tell_one(implicit("acme", "A")).await, "v1 kept");
    assert_eq!(backend.tell_one(implicit("globex", "C")).await, "v1 saved");
}

pub async fn a_tenant_has_1000_implicit_definitions_at_most(backend: Backend) {
    let sequence =
        |tenant, at: usize| Sequence::of_tenant(tenant, &format!("S{at}"), DefinitionSpec::implicit());
    let implicit = |tenant, at| sequence(tenant, at).define_implicitly(Implicit::Always);
    for from in (0..900).step_by(100) {
        let batch: Vec<_> = (from..from + 100).map(|at| implicit("acme", at)).collect();
        assert_eq!(backend.tell(batch).await, ["v1 saved"; 100]);
    }
    let batch: Vec<_> = (900..1_010).map(|at| implicit("acme", at)).collect();
    let replies = backend.tell(batch).await;
    assert_eq!(replies.iter().filter(|reply| *reply == "v1 saved").count(), 100);
    assert_eq!(
        replies
            .iter()
            .filter(|reply| *reply == "more than 1000 implicit")
            .count(),
        10
    );
    assert_eq!(
        backend.tell_one(implicit("acme", 2_000)).await,
        "more than 1000 implicit"
    );
    assert_eq!(backend.tell_one(implicit("acme", 7)).await, "v1 kept");
    assert_eq!(backend.tell_one(implicit("globex", 2_000)).await, "v1 saved");
    backend
        .define(&Sequence::of_tenant("acme", "WRITTEN", format("W{seq}")))
        .await;
}

pub async fn sequences_are_listed_by_prefix_in_pages(backend: Backend) {
    for prefix in ["b", "C", "A.1", "A", "a-2", "10", "9"] {
        backend.sequence(prefix).await;
    }
    let list = |after: Option<&'static str>, limit| {
        let ledger = backend.ledger.clone();
        async move {
            ledger
                .sequences(&Tenant::default(), after, limit)
                .await
                .expect("a page")
        }
    };
    let all = list(None, 100).await;
    assert_eq!(prefixes(&all), ["10", "9", "A", "A.1", "C", "a-2", "b"]);
    assert!(all.iter().all(|record| record.head() == 1));
    assert_eq!(prefixes(&list(None, 3).await), ["10", "9", "A"]);
    assert_eq!(prefixes(&list(Some("A"), 3).await), ["A.1", "C", "a-2"]);
    assert_eq!(prefixes(&list(Some("a-2"), 3).await), ["b"]);
    assert_eq!(prefixes(&list(Some("B"), 1).await), ["C"]);
    assert!(list(Some("b"), 3).await.is_empty());
}
