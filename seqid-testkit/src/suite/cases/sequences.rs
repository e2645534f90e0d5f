//! Definitions as callers see them: new, changed, and what cannot change any more.

use super::super::desk::{Desk, counter_on, next};
use super::super::sequence::{by_branch, by_year, day, format, prefix};

use seqid_core::field::FieldDeclaration;
use seqid_core::numbering::{DefineRequest, Page};
use seqid_core::period::Reset;
use seqid_core::refusal::RefusalCode;
use seqid_core::{Code, DefinitionSpec, Mode, Tenant};

pub async fn a_new_definition_is_created(desk: Desk) {
    let defined = desk.define("INV", format("INV-{seq:3}")).await;
    assert!(defined.created && defined.saved);
    let sequence = &defined.sequence;
    assert_eq!((sequence.prefix.as_str(), sequence.version), ("INV", 1));
    assert!(!sequence.implicit && !sequence.archived);
    assert_eq!(sequence.first_id.as_deref(), Some("INV-001"));
    assert_eq!(sequence.definition.mode(), Mode::Gapless);
    assert_eq!(sequence.changed_at.to_string(), "2026-03-07T10:00:00.000000Z");
}

pub async fn an_equal_definition_makes_no_version(desk: Desk) {
    desk.define("INV", format("INV-{seq:3}")).await;
    for version in [None, Some(1), Some(7)] {
        let spelt_out = DefinitionSpec {
            start: Some(1),
            step: Some(1),
            ..format("INV-{seq:3}")
        };
        let same = desk
            .try_define("INV", spelt_out, version)
            .await
            .expect("it is there");
        assert_eq!(
            (same.created, same.saved, same.sequence.version),
            (false, false, 1)
        );
    }
}

pub async fn a_change_names_the_version_that_it_replaces(desk: Desk) {
    desk.define("INV", format("INV-{seq:3}")).await;
    let change = || format("INV-{seq:4}");
    let code = |result: Result<seqid_core::numbering::Defined, seqid_core::Error>| {
        result.expect_err("refused").code()
    };
    assert_eq!(
        code(desk.try_define("INV", change(), None).await),
        Code::VersionRequired
    );
    assert_eq!(
        code(desk.try_define("INV", change(), Some(2)).await),
        Code::VersionMismatch
    );
    let changed = desk.redefine("INV", change(), 1).await;
    assert_eq!(
        (changed.created, changed.saved, changed.sequence.version),
        (false, true, 2)
    );
    assert_eq!(
        code(desk.try_define("INV", format("INV-{seq:5}"), Some(1)).await),
        Code::VersionMismatch
    );
}

pub async fn a_definition_that_cannot_hold_is_refused_with_every_reason(desk: Desk) {
    let spec = DefinitionSpec {
        step: Some(0),
        time_zone: Some("Mars/Olympus".into()),
        ..by_year()
    };
    let refused = desk
        .try_define("INV", spec, None)
        .await
        .expect_err("it cannot hold");
    assert_eq!(refused.code(), Code::DefinitionRefused);
    let pointers: Vec<_> = refused
        .refusals()
        .iter()
        .map(|refusal| refusal.pointer.as_str())
        .collect();
    assert!(
        pointers.contains(&"/step") && pointers.contains(&"/time_zone"),
        "{pointers:?}"
    );
    let no_year = DefinitionSpec {
        reset: Some(Reset::Year),
        ..format("INV-{seq}")
    };
    let refused = desk
        .try_define("INV", no_year, None)
        .await
        .expect_err("it cannot hold");
    assert!(
        refused
            .refusals()
            .iter()
            .any(|refusal| refusal.code == RefusalCode::PeriodNotPrinted)
    );
    assert_eq!(desk.events().await, 0);
}

pub async fn a_dry_run_saves_nothing(desk: Desk) {
    let mut request = DefineRequest::new(prefix("INV"), format("INV-{seq:3}"));
    request.dry_run = true;
    let would = desk.numbering.define(request).await.expect("it would hold");
    assert_eq!((would.created, would.saved), (true, false));
    let missing = desk.numbering.sequence(Tenant::default(), prefix("INV")).await;
    assert_eq!(
        missing.expect_err("it is not defined").code(),
        Code::SequenceNotFound
    );
    assert_eq!(desk.events().await, 0);
}

pub async fn a_format_holds_from_the_next_counter(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    let changed = DefinitionSpec {
        format: "{yyyy}/{seq:4}".into(),
        start: Some(5),
        ..by_year()
    };
    desk.redefine("INV", changed, 1).await;
    assert_eq!(desk.next("INV").await, "2026-2");
    let opened = |date| next("INV").date(day(date));
    assert_eq!(desk.draw(opened("2027-01-01")).await, "2027/0005");
    assert_eq!(desk.draw(opened("2026-12-31")).await, "2026-3");
    assert_eq!(desk.draw(opened("2027-01-02")).await, "2027/0006");
    assert_eq!(
        desk.status(counter_on("INV", "2026-05-01"))
            .await
            .definition_version,
        1
    );
    assert_eq!(
        desk.status(counter_on("INV", "2027-05-01"))
            .await
            .definition_version,
        2
    );
    assert_eq!(
        desk.status(counter_on("INV", "2028-05-01"))
            .await
            .next_id
            .as_deref(),
        Some("2028/0005")
    );
}

pub async fn a_counter_keeps_the_fields_that_it_opened_with(desk: Desk) {
    let customer = Some(vec![FieldDeclaration::new("customer")]);
    let with_customer = DefinitionSpec {
        fields: customer,
        format: "{customer}-{yyyy}-{seq}".into(),
        ..by_year()
    };
    desk.define("INV", with_customer).await;
    let of_customer = || next("INV").field("customer", "c7");
    assert_eq!(desk.draw(of_customer()).await, "c7-2026-1");
    desk.redefine(
        "INV",
        DefinitionSpec {
            format: "{yyyy}/{seq}".into(),
            ..by_year()
        },
        1,
    )
    .await;
    assert_eq!(desk.draw(of_customer()).await, "c7-2026-2");
    assert_eq!(
        desk.next("INV").await,
        "scope-mismatch",
        "its ids show a customer"
    );
    desk.set_clock("2027-01-01T00:00:00Z");
    assert_eq!(desk.next("INV").await, "2027/1");
    assert_eq!(desk.draw(of_customer()).await, "scope-mismatch");
}

pub async fn what_numbers_mean_cannot_change_after_the_first(desk: Desk) {
    desk.define("INV", by_year()).await;
    let changes = || {
        [
            DefinitionSpec {
                reset: Some(Reset::Never),
                ..by_year()
            },
            DefinitionSpec {
                reset: Some(Reset::Month),
                format: "{yyyy}{mm}-{seq}".into(),
                ..by_year()
            },
            DefinitionSpec {
                format: "{branch}/{yyyy}-{seq}".into(),
                scope: by_branch().scope,
                ..by_year()
            },
            DefinitionSpec {
                fiscal_year_start: Some("04-01".parse().expect("a day")),
                ..by_year()
            },
        ]
    };
    assert_eq!(desk.next("INV").await, "2026-1");
    for change in changes() {
        let refused = desk
            .try_define("INV", change, Some(1))
            .await
            .expect_err("a counter has opened");
        assert_eq!(refused.code(), Code::DefinitionRefused);
    }
    let free = DefinitionSpec {
        description: Some("invoices".into()),
        max: Some(99_999),
        ..by_year()
    };
    assert_eq!(desk.redefine("INV", free, 1).await.sequence.version, 2);
}

pub async fn before_the_first_number_everything_may_change(desk: Desk) {
    desk.define("INV", by_year()).await;
    desk.redefine("INV", by_branch(), 1).await;
    assert_eq!(desk.draw(next("INV").scope("branch", "A")).await, "A-1");
}

pub async fn a_format_that_could_repeat_older_ids_is_refused(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    let alike = DefinitionSpec {
        format: "20{yy}-{seq}".into(),
        ..by_year()
    };
    let month = DefinitionSpec {
        format: "{yyyy}-{seq}0".into(),
        ..by_year()
    };
    for change in [alike, month] {
        if let Err(refused) = desk.try_define("INV", change, Some(1)).await {
            assert_eq!(refused.code(), Code::DefinitionRefused);
            continue;
        }
        // It was proved to give each counter ids of its own.
        assert_ne!(desk.draw(next("INV").date(day("2027-01-01"))).await, "2026-1");
    }
}

pub async fn an_implicit_definition_can_be_replaced(desk: Desk) {
    assert_eq!(desk.next("INV").await, "INV-001");
    let sequence = desk
        .numbering
        .sequence(Tenant::default(), prefix("INV"))
        .await
        .expect("it is defined");
    assert!(sequence.implicit);
    let same_counter = DefinitionSpec {
        description: Some("invoices".into()),
        ..DefinitionSpec::implicit()
    };
    let defined = desk.redefine("INV", same_counter, 1).await;
    assert!(!defined.sequence.implicit);
    assert_eq!(desk.next("INV").await, "INV-002");
}

pub async fn a_definition_is_shown_as_it_was_saved(desk: Desk) {
    let defined = desk.define("INV", by_branch()).await;
    let shown = desk
        .numbering
        .sequence(Tenant::default(), prefix("INV"))
        .await
        .expect("it is defined");
    assert_eq!(shown.definition.spec(), defined.sequence.definition.spec());
    assert_eq!(shown.version, 1);
    assert_eq!(
        shown.definition.spec().step,
        Some(1),
        "defaults are made explicit"
    );
}

pub async fn a_mode_that_the_store_cannot_serve_is_refused(desk: Desk) {
    for mode in [Mode::Gapless, Mode::Ordered, Mode::Leased] {
        let spec = DefinitionSpec {
            mode: Some(mode),
            ..format("{prefix}-{seq}")
        };
        let defined = desk.try_define(mode.as_str(), spec, None).await;
        assert_eq!(
            defined.is_ok(),
            desk.ledger.capabilities().serves(mode),
            "{mode:?}"
        );
    }
}

pub async fn sequences_are_listed_in_pages(desk: Desk) {
    for prefix in ["C", "A", "B"] {
        desk.next(prefix).await;
    }
    let page =
        |after: Option<String>, limit| desk.numbering.sequences(Tenant::default(), Page { after, limit });
    let first = page(None, 2).await.expect("a page");
    let names = |listing: &seqid_core::numbering::Listing<seqid_core::numbering::Sequence>| -> Vec<String> {
        listing
            .items
            .iter()
            .map(|sequence| sequence.prefix.to_string())
            .collect()
    };
    assert_eq!(names(&first), ["A", "B"]);
    let second = page(first.next, 2).await.expect("a page");
    assert_eq!((names(&second), second.next), (vec!["C".to_owned()], None));
    for limit in [0, 1_001] {
        assert_eq!(
            page(None, limit).await.expect_err("refused").code(),
            Code::InvalidRequest
        );
    }
}
