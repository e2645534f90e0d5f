//! Draws as callers see them: ids, batches, ends and warnings.

use super::super::desk::{Desk, counter, next};
use super::super::sequence::{by_branch, format, prefix};
use super::concurrency::{all_at_once, sentences};
use crate::evidence::{Evidence, counter_name, key_name, outcome_of_draw};
use crate::history::{Order, Recorder};

use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::event::Origin;
use seqid_core::field::{FieldDeclaration, FieldValues};
use seqid_core::names::{Label, Reference};
use seqid_core::numbering::Warning;
use seqid_core::period::Period;
use seqid_core::{Code, DefinitionSpec, Mode, Number, Tenant};

pub async fn an_undefined_sequence_is_defined_by_its_first_draw(desk: Desk) {
    let issued = desk.issued(next("INV")).await;
    assert_eq!((issued.id(), issued.run.first.get()), ("INV-001", 1));
    assert!(issued.warnings.contains(&Warning::ImplicitDefinition));
    assert_eq!(desk.next("INV").await, "INV-002");
}

pub async fn an_answer_says_what_was_issued(desk: Desk) {
    let customer = Some(vec![FieldDeclaration::new("customer")]);
    let spec = DefinitionSpec {
        fields: customer,
        format: "{branch}/{customer}/{seq:4}".into(),
        ..by_branch()
    };
    desk.define("INV", spec).await;
    let mut request = next("INV")
        .scope("branch", "JKT")
        .field("customer", "c7")
        .count(3);
    request.reference = Some(Reference::new("order 7").expect("a reference"));
    request.origin = Origin {
        request: Some(Label::new("req-1").expect("a label")),
        ..Origin::default()
    };
    let issued = desk.issued(request.clone()).await;
    assert_eq!(issued.ids, ["JKT/c7/0001", "JKT/c7/0002", "JKT/c7/0003"]);
    assert_eq!(
        (issued.run.first.get(), issued.run.step, issued.run.count),
        (1, 1, 3)
    );
    assert_eq!(
        (issued.prefix.as_str(), issued.period.to_string().as_str()),
        ("INV", "all")
    );
    assert_eq!(issued.date.to_string(), "2026-03-07");
    assert_eq!(issued.scope, FieldValues::new([("branch", "JKT")]));
    assert_eq!(
        (issued.generation, issued.epoch, issued.definition_version),
        (1, 1, 1)
    );
    assert_eq!(issued.mode, Mode::Gapless);
    assert_eq!(
        (&issued.reference, &issued.request_id),
        (&request.reference, &request.origin.request)
    );
    assert_eq!(issued.issued_at.to_string(), "2026-03-07T10:00:00.000000Z");
    assert!(!issued.replayed && !issued.numbers_as_text);
    assert_eq!(issued.warnings, []);
}

pub async fn a_request_without_a_name_gets_one(desk: Desk) {
    let [first, second] = [desk.issued(next("INV")).await, desk.issued(next("INV")).await];
    assert!(first.request_id.is_some() && second.request_id.is_some());
    assert_ne!(first.request_id, second.request_id);
}

pub async fn a_batch_has_1_to_10_000_numbers(desk: Desk) {
    assert_eq!(desk.draw(next("INV").count(0)).await, "invalid-request");
    assert_eq!(desk.draw(next("INV").count(10_001)).await, "invalid-request");
    assert_eq!(desk.draw(next("INV").count(u32::MAX)).await, "invalid-request");
    assert_eq!(desk.draw(next("INV").count(1)).await, "INV-001..INV-001");
    let issued = desk.issued(next("INV").count(10_000)).await;
    assert_eq!(issued.ids.len(), 10_000);
    assert_eq!(
        (issued.id(), issued.ids[9_999].as_str()),
        ("INV-002", "INV-10001")
    );
    assert_eq!(desk.next("INV").await, "INV-10002");
}

pub async fn a_batch_that_does_not_fit_draws_nothing(desk: Desk) {
    desk.define(
        "INV",
        DefinitionSpec {
            max: Some(5),
            ..format("INV-{seq}")
        },
    )
    .await;
    assert_eq!(desk.next("INV").await, "INV-1");
    let error = desk
        .numbering
        .draw(next("INV").count(5))
        .await
        .expect_err("only 4 are left");
    assert_eq!(
        (error.code(), error.remaining()),
        (Code::BatchDoesNotFit, Some(4))
    );
    assert_eq!(desk.draw(next("INV").count(4)).await, "INV-2..INV-5");
    assert_eq!(desk.next("INV").await, "exhausted");
    assert_eq!(desk.draw(next("INV").count(2)).await, "exhausted");
}

pub async fn the_near_end_is_announced(desk: Desk) {
    let spec = DefinitionSpec {
        max: Some(5),
        warn_at: Some(2),
        ..format("INV-{seq}")
    };
    desk.define("INV", spec).await;
    for number in 1..=5 {
        let warned = desk
            .issued(next("INV"))
            .await
            .warnings
            .contains(&Warning::NearEnd);
        assert_eq!(warned, number >= 3, "after number {number}");
        let warned = desk
            .status(counter("INV"))
            .await
            .warnings
            .contains(&Warning::NearEnd);
        assert_eq!(warned, number >= 3, "after number {number}");
    }
}

pub async fn scopes_have_counters_of_their_own(desk: Desk) {
    desk.define("INV", by_branch()).await;
    let of = |branch: &str| next("INV").scope("branch", branch);
    assert_eq!(desk.draw(of("JKT")).await, "JKT-1");
    assert_eq!(desk.draw(of("SUB")).await, "SUB-1");
    assert_eq!(desk.draw(of("JKT")).await, "JKT-2");
    assert_eq!(desk.draw(of("jkt")).await, "case-variant");
}

pub async fn values_that_do_not_fit_are_refused(desk: Desk) {
    desk.define("INV", by_branch()).await;
    assert_eq!(desk.next("INV").await, "scope-mismatch");
    assert_eq!(
        desk.draw(next("INV").scope("branch", "J K")).await,
        "scope-mismatch"
    );
    assert_eq!(desk.draw(next("INV").scope("branch", "")).await, "scope-mismatch");
    assert_eq!(
        desk.draw(next("INV").scope("branch", "A").scope("dept", "B"))
            .await,
        "scope-mismatch"
    );
    assert_eq!(
        desk.draw(next("INV").scope("branch", "A").field("dept", "B"))
            .await,
        "scope-mismatch"
    );
    assert_eq!(desk.events().await, 1, "nothing happened but the definition");
}

pub async fn values_are_brought_into_their_shape_first(desk: Desk) {
    let branch = FieldDeclaration {
        case: Some(seqid_core::field::Case::Upper),
        ..FieldDeclaration::new("branch")
    };
    desk.define(
        "INV",
        DefinitionSpec {
            scope: Some(vec![branch]),
            ..by_branch()
        },
    )
    .await;
    assert_eq!(desk.draw(next("INV").scope("branch", "jkt")).await, "JKT-1");
    assert_eq!(desk.draw(next("INV").scope("branch", "Jkt")).await, "JKT-2");
}

pub async fn prefixes_that_differ_by_case_are_not_two(desk: Desk) {
    assert_eq!(desk.next("Inv").await, "Inv-001");
    assert_eq!(desk.next("INV").await, "case-variant");
    assert_eq!(desk.next("Inv").await, "Inv-002");
}

pub async fn tenants_have_sequences_of_their_own(desk: Desk) {
    let of = |tenant: &str| {
        let mut request = next("INV");
        request.tenant = Tenant::new(tenant).expect("a tenant");
        request
    };
    for (tenant, id) in [
        ("acme", "INV-001"),
        ("globex", "INV-001"),
        ("acme", "INV-002"),
        ("default", "INV-001"),
    ] {
        assert_eq!(desk.draw(of(tenant)).await, id);
    }
    assert_eq!(desk.next("INV").await, "INV-002");
}

pub async fn numbers_above_2_to_the_53_are_exact(desk: Desk) {
    let last = Number::MAX.get();
    let spec = DefinitionSpec {
        start: Some(last - 1),
        max: Some(last),
        ..format("INV-{seq}")
    };
    desk.define("INV", spec).await;
    let issued = desk.issued(next("INV").count(2)).await;
    assert_eq!(issued.run.first.get(), last - 1);
    assert_eq!(issued.ids, [format!("INV-{}", last - 1), format!("INV-{last}")]);
    assert!(issued.numbers_as_text);
    assert_eq!(desk.next("INV").await, "exhausted");
}

pub async fn concurrent_callers_get_numbers_of_their_own(desk: Desk) {
    let recorder = Recorder::new();
    let sequence = SequenceKey::new(Tenant::default(), prefix("INV"));
    let name = counter_name(&CounterKey::new(
        sequence.clone(),
        FieldValues::default(),
        Period::ALL,
    ));
    all_at_once(|caller| {
        let (numbering, recorder) = (desk.numbering.clone(), recorder.clone());
        let (sequence, name) = (sequence.clone(), name.clone());
        async move {
            let mut dice = super::concurrency::Dice::new(caller + 1);
            for _ in 0..10 {
                let twin = dice.below(60);
                let key = super::super::desk::key(&format!("key {twin}"));
                let (request, key) = match dice.below(2) {
                    0 => (next("INV").count(1 + dice.below(4)), None),
                    _ => (next("INV").count(1 + twin % 4).key(key.clone()), Some(key)),
                };
                let count = request.count.unwrap_or(1);
                let key = key.map(|key| key_name(&sequence, &key));
                let pending = recorder.begin(&name, key.as_deref(), format!("{count}"), count);
                let answer = numbering.draw(request).await;
                pending.end(outcome_of_draw(&answer));
                answer.expect("nothing is in the way");
            }
        }
    })
    .await;
    let evidence = Evidence::read(&*desk.ledger)
        .await
        .expect("the audit can be read");
    if let Err(violations) = evidence.against(recorder.calls(), Order::Generation).check() {
        panic!("{}", sentences(&violations));
    }
}
