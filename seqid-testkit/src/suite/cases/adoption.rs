//! Adopting: numbers of another system are taken in all counters of a list or in none, and every number is explained.

use std::sync::Arc;

use super::super::backend::{Backend, End};
use super::super::commands::{CommandExt, adopt, draw, reserve, reset, restart, sync, void};
use super::super::desk::{Desk, key, next};
use super::super::sequence::{Sequence, by_branch, by_year, format, prefix};
use super::chain::verify;

use seqid_core::command::Expected;
use seqid_core::definition::OnExpiry;
use seqid_core::error::WrongId;
use seqid_core::event::EventKind;
use seqid_core::field::FieldDeclaration;
use seqid_core::line::Line;
use seqid_core::names::Reason;
use seqid_core::numbering::{AdoptRequest, Adoption};
use seqid_core::period::Reset;
use seqid_core::refusal::{Refusal, RefusalCode};
use seqid_core::{Code, DefinitionSpec, Error};

/// The events of a counter as kinds with their numbers and dates.
async fn audit(backend: &Backend, line: &Line) -> Vec<String> {
    let events = backend.events_of(line).await;
    let told = events.iter().map(|recorded| {
        let run = recorded.event.run.expect("numbers");
        format!("{} {}..{}", recorded.event.kind.as_str(), run.first, run.last())
    });
    told.collect()
}

pub async fn adopted_numbers_are_external_and_those_between_are_skipped(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 1),
        adopt(&[(&line, 4, 3), (&line, 9, 1)]),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1", "adopted 4, skipped 4, next 10", "10"]
    );
    let expected = [
        "issued 1..1",
        "skipped 2..3",
        "external 4..6",
        "skipped 7..8",
        "external 9..9",
        "issued 10..10",
    ];
    assert_eq!(audit(&backend, &line).await, expected);
    let events = backend.events_of(&line).await;
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|recorded| recorded.event.reason.as_ref().map(Reason::as_str))
        .collect();
    let [gap, own] = ["not among the adopted ids", "from the old system"];
    assert_eq!(reasons, [gap, own, gap, own]);
    assert_eq!(
        backend.marked(&line).await,
        ["skipped 2..3", "external 4..6", "skipped 7..8", "external 9"]
    );
    verify(&backend.events().await);
}

pub async fn adopting_is_all_or_nothing_over_the_counters(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    let [old, new] = [sequence.on("2025-05-01"), sequence.on("2026-05-01")];
    assert_eq!(backend.tell_one(draw(&new, 5)).await, "1..5");
    let events = backend.events().await;
    for wrong in [(5, 1), (3, 4)] {
        let list = [(&old, 1, 1_000), (&new, wrong.0, wrong.1)];
        let expected = format!("{} is issued", wrong.0);
        assert_eq!(backend.tell_one(adopt(&list)).await, expected);
        let list = [(&new, wrong.0, wrong.1), (&old, 1, 1_000)];
        assert_eq!(backend.tell_one(adopt(&list)).await, expected);
    }
    assert_eq!(backend.events().await, events);
    assert_eq!(backend.ledger.counter(old.key()).await.expect("a state"), None);
    let batch = [
        adopt(&[(&old, 1, 1_000), (&new, 6, 1)]),
        draw(&old, 1),
        draw(&new, 1),
    ];
    let told = "adopted 1000, skipped 0, next 1001; adopted 1, skipped 0, next 7";
    assert_eq!(backend.tell(batch).await, [told, "1001", "7"]);
    verify(&backend.events().await);
}

pub async fn an_adoption_that_is_repeated_changes_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let list = [(&line, 2, 2), (&line, 6, 1)];
    assert_eq!(
        backend.tell_one(adopt(&list)).await,
        "adopted 3, skipped 3, next 7"
    );
    let events = backend.events().await;
    assert_eq!(
        backend.tell([adopt(&list), adopt(&list)]).await,
        ["again 3, next 7", "again 3, next 7"]
    );
    assert_eq!(backend.events().await, events);
    let more = adopt(&[(&line, 2, 2), (&line, 6, 3)]);
    let batch = [sync(&line, 10), more, draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["7 -> 11", "again 5, next 11", "11"]);
}

pub async fn numbers_with_another_use_are_not_adopted(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 1),
        void(&line, 1, 1),
        reserve(&line, 1, 1, 60),
        reset(&line, 5),
        draw(&line, 1),
    ];
    backend.tell(batch).await;
    let list = |first, count| adopt(&[(&line, first, count)]);
    let batch = [list(1, 1), list(2, 1), list(3, 1), list(5, 9), list(4, 1)];
    let expected = [
        "1 is voided",
        "2 is reserved",
        "3 is skipped",
        "5 is issued",
        "4 is skipped",
    ];
    assert_eq!(backend.tell(batch).await, expected);
    assert_eq!(backend.next(&line).await, 6);
}

pub async fn a_list_must_rise_and_name_each_counter_once(backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    let [old, new] = [sequence.on("2025-05-01"), sequence.on("2026-05-01")];
    let lists = [
        adopt(&[(&new, 3, 2), (&new, 4, 1)]),
        adopt(&[(&new, 3, 1), (&old, 1, 1), (&new, 1, 1)]),
    ];
    assert_eq!(
        backend.tell(lists).await,
        ["4 is in the list before", "1 is in the list before"]
    );
    assert!(backend.events_of(&new).await.is_empty());
}

pub async fn a_counter_may_end_with_adopted_numbers_and_takes_none_beyond(backend: Backend) {
    let spec = DefinitionSpec {
        start: Some(10),
        step: Some(5),
        max: Some(50),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    let list = |first, count| adopt(&[(&line, first, count)]);
    let batch = [list(12, 1), list(5, 1), list(55, 1), list(45, 3), list(45, 2)];
    let expected = [
        "12 is no member",
        "5 is no member",
        "55 is no member",
        "2 left",
        "adopted 2, skipped 7, next 55",
    ];
    assert_eq!(backend.tell(batch).await, expected);
    let batch = [draw(&line, 1), list(50, 1), list(40, 1)];
    assert_eq!(
        backend.tell(batch).await,
        ["exhausted at 50", "again 1, next 55", "40 is skipped"]
    );
    verify(&backend.events().await);
}

pub async fn free_numbers_can_be_adopted_and_the_others_stay_free(backend: Backend) {
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..format("{prefix}-{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    backend.tell([reserve(&line, 8, 1, 10), draw(&line, 1)]).await;
    backend.at(10);
    let list = [(&line, 2, 1), (&line, 5, 2), (&line, 12, 1)];
    assert_eq!(
        backend.tell_one(adopt(&list)).await,
        "adopted 4, skipped 2, next 13"
    );
    assert_eq!(
        backend.marked(&line).await,
        [
            "free 1",
            "external 2",
            "free 3..4",
            "external 5..6",
            "free 7..8",
            "skipped 10..11",
            "external 12"
        ]
    );
    assert_eq!(backend.figures(&line).await, [0, 0, 5]);
    let batch = [
        adopt(&[(&line, 2, 1), (&line, 7, 1)]),
        draw(&line, 2),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["adopted 1, again 1, skipped 0, next 13", "3..4", "1"]
    );
    verify(&backend.events().await);
}

pub async fn an_adoption_under_a_key_is_done_once(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let list = || adopt(&[(&line, 3, 1), (&line, 5, 1)]).under("adopt");
    let batch = [list(), list(), draw(&line, 1)];
    assert_eq!(
        backend.tell(batch).await,
        ["adopted 2, skipped 3, next 6", "again 1..2", "6"]
    );
    let events = backend.events_of(&line).await;
    let keyed = events.iter().filter(|recorded| recorded.event.key.is_some());
    assert_eq!(keyed.count(), 1, "one event has the key");
}

pub async fn numbers_of_a_new_generation_can_be_adopted_again(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        adopt(&[(&line, 1, 3)]),
        restart(&line, 1),
        adopt(&[(&line, 2, 1)]),
        draw(&line, 1),
    ];
    let expected = [
        "adopted 3, skipped 0, next 4",
        "4 -> 1 g2",
        "adopted 1, skipped 1, next 3",
        "3 g2",
    ];
    assert_eq!(backend.tell(batch).await, expected);
    verify(&backend.events().await);
}

pub async fn adopting_opens_a_sequence(backend: Backend) {
    let first = backend.sequence("INV").await;
    let told = backend.tell_one(adopt(&[(&first.line(), 4, 1)])).await;
    assert_eq!(told, "adopted 1, skipped 3, next 5");
    let second = first.changed(format("INV.{seq}"));
    let objections = vec![Refusal::new(RefusalCode::Overlaps, "/format", "it overlaps")];
    let command = second.define_as(Expected::Version(1), None, objections);
    assert_eq!(backend.tell_one(command).await, "definition refused");
}

pub async fn scopes_that_differ_by_case_are_not_adopted_together(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    let [upper, lower] = [sequence.of_branch("JKT"), sequence.of_branch("jkt")];
    let list = adopt(&[(&upper, 1, 1), (&lower, 1, 1)]);
    let told = backend.tell_one(list).await;
    assert!(told.contains("JKT"), "{told}");
    assert!(backend.events_of(&upper).await.is_empty());
    // A counter that opened by being adopted is seen by the rest of its batch.
    let batch = [adopt(&[(&upper, 3, 1)]), draw(&lower, 1)];
    let told = backend.tell(batch).await;
    assert_eq!(told[0], "adopted 1, skipped 2, next 4");
    assert!(told[1].contains("JKT"), "{told:?}");
}

pub async fn adopted_numbers_are_kept(mut backend: Backend) {
    let sequence = Sequence::new("INV", by_year());
    backend.define(&sequence).await;
    let [old, new] = [sequence.on("2025-05-01"), sequence.on("2026-05-01")];
    let list = || adopt(&[(&old, 5, 2), (&new, 7, 1)]).under("adopt");
    let told = "adopted 2, skipped 4, next 7; adopted 1, skipped 6, next 8";
    assert_eq!(backend.tell_one(list()).await, told);
    for end in [End::Crashed, End::Closed] {
        let events = backend.events().await;
        backend = backend.end(end).await;
        assert_eq!(backend.events().await, events);
        assert_eq!(backend.tell_one(list()).await, "again 1..4");
        let again = adopt(&[(&old, 5, 2), (&new, 7, 1)]);
        assert_eq!(backend.tell_one(again).await, "again 2, next 7; again 1, next 8");
        assert_eq!(backend.marked(&old).await, ["skipped 1..4", "external 5..6"]);
    }
    assert_eq!(backend.tell([draw(&old, 1), draw(&new, 1)]).await, ["7", "8"]);
    verify(&backend.events().await);
}

fn request(name: &str, ids: &[&str]) -> AdoptRequest {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    AdoptRequest::new(
        prefix(name),
        ids,
        Reason::new("from the old system").expect("a reason"),
    )
}

/// Adopts ids.
async fn adopted(desk: &Desk, name: &str, ids: &[&str]) -> Adoption {
    let adopted = desk.numbering.adopt(request(name, ids)).await;
    adopted.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Tries to adopt ids, and tells the places of the wrong ones with the codes of what is wrong.
async fn wrong(desk: &Desk, name: &str, ids: &[&str]) -> Vec<String> {
    let events = desk.events().await;
    let told = match desk.numbering.adopt(request(name, ids)).await {
        Err(Error::AdoptionRefused(refused)) => {
            assert_eq!(refused.total, refused.wrong.len());
            let told = |WrongId { index, reason }: &WrongId| format!("{index} {}", reason.code().as_str());
            refused.wrong.iter().map(told).collect()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(desk.events().await, events, "nothing was done");
    told
}

/// The ids of the external runs, as the audit renders them.
async fn external(desk: &Desk) -> Vec<String> {
    let events = crate::evidence::all_events(&*desk.ledger).await.expect("events");
    let told = events.into_iter().filter_map(|recorded| {
        let (first, last) = recorded.ids?;
        (recorded.event.kind == EventKind::External).then(|| format!("{first}..{last}"))
    });
    told.collect()
}

pub async fn ids_of_several_periods_are_adopted_together(desk: Desk) {
    desk.define("INV", by_year()).await;
    let adoption = adopted(&desk, "INV", &["2026-2", "2025-1", "2025-3", "2025-2", "2026-4"]).await;
    assert_eq!(
        (adoption.adopted, adoption.already_adopted, adoption.skipped),
        (5, 0, 2)
    );
    let counters: Vec<_> = adoption
        .counters
        .iter()
        .map(|counter| {
            let next = counter.next_id.as_deref().unwrap_or("none");
            format!(
                "{}: {} of {} to {}, then {next}",
                counter.period, counter.adopted, counter.first, counter.last
            )
        })
        .collect();
    assert_eq!(
        counters,
        ["2025: 3 of 1 to 3, then 2025-4", "2026: 2 of 2 to 4, then 2026-5"]
    );
    assert_eq!(desk.next("INV").await, "2026-5");
    let again = adopted(&desk, "INV", &["2026-2", "2025-1", "2026-4"]).await;
    assert_eq!((again.adopted, again.already_adopted, again.skipped), (0, 3, 0));
    assert_eq!(desk.next("INV").await, "2026-6");
}

pub async fn a_counter_that_begins_with_a_gap_has_opened(desk: Desk) {
    let yearly = by_year();
    desk.define("INV", yearly.clone()).await;
    adopted(&desk, "INV", &["2026-3"]).await;
    let monthly = DefinitionSpec {
        reset: Some(Reset::Month),
        ..format("{yyyy}{mm}-{seq}")
    };
    let refused = desk.try_define("INV", monthly, Some(1)).await;
    let refused = refused.expect_err("numbers were given out");
    assert_eq!(refused.refusals()[0].pointer, "/reset");
}

pub async fn ids_that_show_more_than_their_period_keep_their_text(desk: Desk) {
    let spec = DefinitionSpec {
        reset: Some(Reset::Year),
        ..format("{yyyy}{mm}-{seq}")
    };
    desk.define("INV", spec).await;
    let ids = ["202601-1", "202601-2", "202602-3", "202602-4", "202603-5"];
    assert_eq!(adopted(&desk, "INV", &ids).await.adopted, 5);
    assert_eq!(
        external(&desk).await,
        ["202601-1..202601-2", "202602-3..202602-4", "202603-5..202603-5"]
    );
    assert_eq!(desk.next("INV").await, "202603-6");
}

pub async fn consecutive_ids_make_one_event(desk: Desk) {
    desk.define("INV", format("INV-{yyyy}-{seq:6}")).await;
    let ids: Vec<String> = (1..=5_000).rev().map(|n| format!("INV-2025-{n:06}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let events = desk.events().await;
    assert_eq!(adopted(&desk, "INV", &ids).await.adopted, 5_000);
    assert_eq!(desk.events().await, events + 1);
    assert_eq!(external(&desk).await, ["INV-2025-000001..INV-2025-005000"]);
}

pub async fn ids_of_several_scopes_and_fields_are_adopted_together(desk: Desk) {
    let spec = DefinitionSpec {
        fields: Some(vec![FieldDeclaration::new("kind")]),
        scope: Some(vec![FieldDeclaration::new("branch")]),
        ..format("{branch}-{kind}-{seq}")
    };
    desk.define("INV", spec).await;
    let ids = ["JKT-A-1", "JKT-A-2", "JKT-B-3", "SUB-A-1"];
    let adoption = adopted(&desk, "INV", &ids).await;
    assert_eq!((adoption.adopted, adoption.counters.len()), (4, 2));
    assert_eq!(
        external(&desk).await,
        ["JKT-A-1..JKT-A-2", "JKT-B-3..JKT-B-3", "SUB-A-1..SUB-A-1"]
    );
    let draw = next("INV").scope("branch", "JKT").field("kind", "C");
    assert_eq!(desk.draw(draw).await, "JKT-C-4");
}

pub async fn wrong_ids_are_all_named_and_nothing_is_adopted(desk: Desk) {
    let spec = DefinitionSpec {
        max: Some(99),
        step: Some(2),
        reset: Some(Reset::Year),
        ..format("INV-{yyyy}-{seq:2}")
    };
    desk.define("INV", spec).await;
    assert_eq!(desk.next("INV").await, "INV-2026-01");
    let ids = [
        "INV-2026-03",
        "INV-2026-3",
        "inv-2026-05",
        "INV-2026-01",
        "INV-2026-03",
        "INV-2026-04",
        "INV-2025-101",
        "",
        "INV-2025-99",
    ];
    let expected = [
        "1 id-not-recognised",
        "2 id-not-recognised",
        "3 id-taken",
        "4 id-taken",
        "5 invalid-request",
        "6 exhausted",
        "7 id-not-recognised",
    ];
    assert_eq!(wrong(&desk, "INV", &ids).await, expected);
    assert_eq!(desk.next("INV").await, "INV-2026-03");
}

pub async fn ids_that_do_not_tell_their_counter_are_not_adopted(desk: Desk) {
    let spec = DefinitionSpec {
        reset: Some(Reset::Year),
        repeats: Some(seqid_core::template::Repeats::Accepted),
        ..format("M{seq}")
    };
    desk.define("MUTE", spec).await;
    assert_eq!(wrong(&desk, "MUTE", &["M1"]).await, ["0 id-not-recognised"]);
    desk.define("NOW", format("{seq}-{now:%S}")).await;
    let refused = desk.numbering.adopt(request("NOW", &["1-00"])).await;
    let code = refused.expect_err("the id shows the instant of issue").code();
    assert_eq!(code, Code::InvalidRequest);
    let none = desk.numbering.adopt(request("NONE", &["1"])).await;
    assert_eq!(
        none.expect_err("it is not defined").code().as_str(),
        "sequence-not-found"
    );
    desk.define("INV", by_branch()).await;
    let empty = desk.numbering.adopt(request("INV", &[])).await;
    assert_eq!(empty.expect_err("there is no id").code(), Code::InvalidRequest);
}

pub async fn ids_of_an_older_format_are_adopted_where_their_counter_has_it(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    let changed = DefinitionSpec {
        reset: Some(Reset::Year),
        ..format("R{yyyy}/{seq}")
    };
    desk.redefine("INV", changed, 1).await;
    assert_eq!(
        wrong(&desk, "INV", &["2026-4", "2025-4", "R2026/5", "R2025/4"]).await,
        ["1 id-not-recognised", "2 id-not-recognised"]
    );
    assert_eq!(adopted(&desk, "INV", &["2026-4", "R2025/4"]).await.adopted, 2);
    assert_eq!(external(&desk).await, ["2026-4..2026-4", "R2025/4..R2025/4"]);
    assert_eq!(desk.next("INV").await, "2026-5");
}

pub async fn a_dry_run_tells_what_would_be_and_does_nothing(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    let events = desk.events().await;
    let mut dry = request("INV", &["2026-3", "2026-6", "2025-9"]);
    dry.dry_run = true;
    let foreseen = desk.numbering.adopt(dry).await.expect("a list that fits");
    assert_eq!((foreseen.adopted, foreseen.skipped), (3, 11));
    assert_eq!(desk.events().await, events);
    let done = adopted(&desk, "INV", &["2026-3", "2026-6", "2025-9"]).await;
    assert!(foreseen.dry_run && !done.dry_run);
    assert_eq!((foreseen.adopted, foreseen.skipped), (done.adopted, done.skipped));
    assert_eq!(foreseen.counters, done.counters);
}

pub async fn an_adoption_under_a_key_is_answered_alike(desk: Desk) {
    desk.define("INV", by_year()).await;
    let list = |ids: &[&str]| {
        let mut list = request("INV", ids);
        list.key = Some(key("adopt"));
        list
    };
    let ids = ["2026-3", "2026-6", "2025-9"];
    let first = desk.numbering.adopt(list(&ids)).await.expect("a list that fits");
    let again = desk.numbering.adopt(list(&ids)).await.expect("the same answer");
    assert!(!first.replayed && again.replayed);
    assert_eq!(
        Adoption {
            replayed: false,
            ..again
        },
        first
    );
    let other = desk.numbering.adopt(list(&["2026-7"])).await;
    assert_eq!(
        other.expect_err("another list").code().as_str(),
        "idempotency-mismatch"
    );
}

pub async fn draws_beside_an_adoption_get_numbers_of_their_own(desk: Desk) {
    desk.define("INV", by_year()).await;
    let desk = Arc::new(desk);
    let drawing = {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let mut drawn = Vec::new();
            for _ in 0..50 {
                drawn.push(desk.next("INV").await);
            }
            drawn
        })
    };
    let ids: Vec<String> = (30..40).map(|n| format!("2026-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let adoption = desk.numbering.adopt(request("INV", &ids)).await;
    let drawn = drawing.await.expect("the draws");
    if adoption.is_ok() {
        assert!(drawn.iter().all(|id| !ids.contains(&id.as_str())), "{drawn:?}");
    }
    let drawn: std::collections::HashSet<_> = drawn.into_iter().collect();
    assert_eq!(drawn.len(), 50);
}
