//! Questions consume nothing, and tell what a draw would do.

use super::super::desk::{Desk, counter, counter_on, next};
use super::super::sequence::{by_branch, by_year, day, format, prefix};

use seqid_core::numbering::{Page, ParsedId, PreviewRequest};
use seqid_core::{Code, DefinitionSpec, Error, Number, Tenant};

async fn parse(desk: &Desk, name: Option<&str>, id: &str) -> Result<ParsedId, Error> {
    desk.numbering
        .parse(Tenant::default(), name.map(prefix), id.into())
        .await
}

fn number(value: u64) -> Number {
    Number::new(value).expect("a number")
}

pub async fn questions_consume_nothing(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    let events = desk.events().await;
    for _ in 0..3 {
        let status = desk.status(counter("INV")).await;
        assert_eq!(status.next_id.as_deref(), Some("2026-2"));
        let preview = desk
            .numbering
            .preview(PreviewRequest::new(prefix("INV")))
            .await
            .expect("a preview");
        assert_eq!(
            (preview.id.as_deref(), preview.number),
            (Some("2026-2"), Some(number(2)))
        );
        let mut later = PreviewRequest::new(prefix("INV"));
        later.date = Some(day("2027-01-01"));
        let preview = desk.numbering.preview(later).await.expect("a preview");
        assert_eq!(preview.id.as_deref(), Some("2027-1"));
        parse(&desk, None, "2026-1").await.expect("it is an id");
    }
    assert_eq!(desk.events().await, events);
    assert_eq!(desk.next("INV").await, "2026-2");
}

pub async fn questions_define_nothing(desk: Desk) {
    let status = desk.numbering.status(counter("INV")).await;
    assert_eq!(
        status.expect_err("it is not defined").code(),
        Code::SequenceNotFound
    );
    let preview = desk.numbering.preview(PreviewRequest::new(prefix("INV"))).await;
    assert_eq!(
        preview.expect_err("it is not defined").code(),
        Code::SequenceNotFound
    );
    let counters = desk
        .numbering
        .counters(Tenant::default(), prefix("INV"), Page::default())
        .await;
    assert_eq!(
        counters.expect_err("it is not defined").code(),
        Code::SequenceNotFound
    );
    assert_eq!(desk.events().await, 0);
}

pub async fn a_status_tells_where_the_counter_stands(desk: Desk) {
    desk.define(
        "INV",
        DefinitionSpec {
            max: Some(9),
            step: Some(2),
            ..format("INV-{seq}")
        },
    )
    .await;
    let fresh = desk.status(counter("INV")).await;
    assert_eq!(
        (fresh.opened, fresh.last_number, fresh.next_number),
        (false, None, Some(number(1)))
    );
    assert_eq!((fresh.remaining, fresh.max, fresh.events), (5, number(9), 0));
    desk.draw(next("INV").count(2)).await;
    let status = desk.status(counter("INV")).await;
    assert_eq!(
        (status.opened, status.last_number, status.next_number),
        (true, Some(number(3)), Some(number(5)))
    );
    assert_eq!((status.remaining, status.events), (3, 1));
    assert_eq!(
        (status.generation, status.epoch, status.definition_version),
        (1, 1, 1)
    );
    desk.draw(next("INV").count(3)).await;
    let ended = desk.status(counter("INV")).await;
    assert_eq!(
        (ended.last_number, ended.next_number, ended.next_id),
        (Some(number(9)), None, None)
    );
    assert_eq!(ended.remaining, 0);
}

pub async fn a_definition_is_previewed_unsaved(desk: Desk) {
    let mut request = PreviewRequest::new(prefix("NEW"));
    request.definition = Some(DefinitionSpec {
        start: Some(7),
        ..by_year()
    });
    request.date = Some(day("2030-05-01"));
    let preview = desk.numbering.preview(request.clone()).await.expect("a preview");
    assert_eq!(
        (preview.id.as_deref(), preview.period.to_string().as_str()),
        (Some("2030-7"), "2030")
    );
    request.number = Some(number(42));
    let preview = desk.numbering.preview(request.clone()).await.expect("a preview");
    assert_eq!(preview.id.as_deref(), Some("2030-42"));
    request.definition = Some(format("no number"));
    let refused = desk.numbering.preview(request).await.expect_err("it cannot hold");
    assert_eq!(refused.code(), Code::DefinitionRefused);
    assert_eq!(desk.events().await, 0);
}

pub async fn the_preview_of_an_open_counter_has_the_format_that_it_keeps(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    desk.redefine(
        "INV",
        DefinitionSpec {
            format: "{yyyy}/{seq:3}".into(),
            ..by_year()
        },
        1,
    )
    .await;
    let preview = desk
        .numbering
        .preview(PreviewRequest::new(prefix("INV")))
        .await
        .expect("a preview");
    assert_eq!(preview.id.as_deref(), Some("2026-2"));
    assert_eq!(
        desk.status(counter("INV")).await.next_id.as_deref(),
        Some("2026-2")
    );
    assert_eq!(
        desk.status(counter_on("INV", "2027-01-01"))
            .await
            .next_id
            .as_deref(),
        Some("2027/001")
    );
}

pub async fn every_id_is_read_back(desk: Desk) {
    let spec = DefinitionSpec {
        format: "{branch}/{yyyy}/{seq:4}".into(),
        scope: by_branch().scope,
        ..by_year()
    };
    desk.define("INV", spec).await;
    for (branch, date) in [("JKT", "2026-05-01"), ("SUB", "2027-05-01")] {
        let issued = desk
            .issued(next("INV").scope("branch", branch).date(day(date)).count(3))
            .await;
        for (id, number) in issued.ids.iter().zip(issued.run.numbers()) {
            for name in [None, Some("INV")] {
                let parsed = parse(&desk, name, id).await.expect("it is an id");
                assert_eq!((parsed.prefix.as_str(), parsed.number), ("INV", number));
                assert_eq!(parsed.period, Some(issued.period));
                assert_eq!(parsed.scope.get("branch").map(String::as_str), Some(branch));
            }
        }
    }
}

pub async fn ids_of_every_version_are_read_back(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    desk.redefine(
        "INV",
        DefinitionSpec {
            format: "{yyyy}/{seq:3}".into(),
            ..by_year()
        },
        1,
    )
    .await;
    assert_eq!(desk.draw(next("INV").date(day("2027-01-01"))).await, "2027/001");
    assert_eq!(
        parse(&desk, None, "2026-1")
            .await
            .expect("it is an id")
            .definition_version,
        1
    );
    assert_eq!(
        parse(&desk, None, "2027/001")
            .await
            .expect("it is an id")
            .definition_version,
        2
    );
}

pub async fn what_is_not_an_id_is_not_recognised(desk: Desk) {
    desk.define("INV", by_year()).await;
    for text in ["2026-", "26-1", "2026-x", "", "2026/1", " 2026-1"] {
        for name in [None, Some("INV")] {
            let refused = parse(&desk, name, text).await.expect_err(text);
            assert_eq!(refused.code(), Code::IdNotRecognised, "{text:?}");
        }
    }
}

pub async fn an_id_of_two_sequences_is_ambiguous(desk: Desk) {
    desk.define("A", format("X-{seq}")).await;
    let defined = desk.define("B", format("X-{seq:3}")).await;
    assert!(!defined.remarks.is_empty(), "whoever defines it is told");
    assert_eq!(
        parse(&desk, None, "X-007")
            .await
            .map(|parsed| parsed.prefix.to_string())
            .ok()
            .as_deref(),
        Some("B")
    );
    let refused = parse(&desk, None, "X-1234")
        .await
        .expect_err("it may be of either");
    assert_eq!(refused.code(), Code::AmbiguousId);
    assert_eq!(
        parse(&desk, Some("A"), "X-1234")
            .await
            .expect("it is an id")
            .number,
        number(1_234)
    );
}

pub async fn counters_are_listed_with_their_status(desk: Desk) {
    desk.define("INV", by_year()).await;
    for date in ["2027-01-01", "2025-01-01", "2026-01-01"] {
        desk.draw(next("INV").date(day(date)).count(2)).await;
    }
    let page = |after: Option<String>, limit| {
        desk.numbering
            .counters(Tenant::default(), prefix("INV"), Page { after, limit })
    };
    let first = page(None, 2).await.expect("a page");
    let ids = |listing: &seqid_core::numbering::Listing<seqid_core::numbering::Status>| -> Vec<String> {
        listing
            .items
            .iter()
            .filter_map(|status| status.next_id.clone())
            .collect()
    };
    assert_eq!(ids(&first), ["2027-3", "2025-3"]);
    let second = page(first.next, 2).await.expect("a page");
    assert_eq!((ids(&second), second.next), (vec!["2026-3".to_owned()], None));
}
