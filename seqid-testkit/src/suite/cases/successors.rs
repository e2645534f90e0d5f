//! Successors: sequences that go on where another has ended, and the keys that both know.

use std::time::Duration;

use super::super::desk::{Desk, counter, key, next};
use super::super::sequence::{by_branch, by_year, day, format};

use seqid_core::definition::RangeSpec;
use seqid_core::names::Reason;
use seqid_core::numbering::{HoldState, ReserveRequest, ResetRequest, SettleRequest, Warning};
use seqid_core::period::Reset;
use seqid_core::refusal::RefusalCode;
use seqid_core::{Code, DefinitionSpec, Number};

use super::super::sequence::prefix;

fn up_to(max: u64, successor: Option<&str>) -> DefinitionSpec {
    DefinitionSpec {
        max: Some(max),
        successor: successor.map(prefix),
        ..format("{prefix}{seq}")
    }
}

/// A with two numbers, then B with two, then C with one.
async fn chain(desk: &Desk) {
    desk.define("C", up_to(1, None)).await;
    desk.define("B", up_to(2, Some("C"))).await;
    desk.define("A", up_to(2, Some("B"))).await;
}

fn restart(name: &str) -> ResetRequest {
    let reason = Reason::new("again").expect("a reason");
    let mut request = ResetRequest::new(counter(name), Number::new(1).expect("a number"), reason);
    request.repeats_accepted = true;
    request
}

pub async fn an_ended_sequence_is_followed_by_its_successor(desk: Desk) {
    chain(&desk).await;
    for id in ["A1", "A2", "B1", "B2", "C1", "exhausted", "exhausted"] {
        let answer = desk.numbering.draw(next("A")).await;
        match answer {
            Ok(issued) => {
                assert_eq!(issued.id(), id);
                assert!(id.starts_with(issued.prefix.as_str()));
                let followed = issued.warnings.contains(&Warning::Successor);
                assert_eq!(followed, issued.prefix.as_str() != "A");
            }
            Err(error) => assert_eq!(error.code().as_str(), id),
        }
    }
    assert_eq!(desk.status(counter("A")).await.next_number, None);
}

pub async fn a_batch_that_does_not_fit_stays_where_it_is(desk: Desk) {
    chain(&desk).await;
    assert_eq!(desk.next("A").await, "A1");
    assert_eq!(desk.draw(next("A").count(2)).await, "batch-does-not-fit");
    assert_eq!(desk.next("A").await, "A2");
    assert_eq!(desk.draw(next("A").count(2)).await, "B1..B2");
    assert_eq!(desk.draw(next("A").count(2)).await, "batch-does-not-fit");
}

pub async fn a_range_that_ended_is_followed_by_the_successor(desk: Desk) {
    desk.define("B", up_to(2, None)).await;
    let range = RangeSpec {
        valid_until: Some(day("2026-03-31")),
        ..RangeSpec::new(1, 9)
    };
    let spec = DefinitionSpec {
        max: None,
        ranges: Some(vec![range]),
        ..up_to(9, Some("B"))
    };
    desk.define("A", spec).await;
    let on = |date| next("A").date(day(date));
    assert_eq!(desk.draw(on("2026-04-01")).await, "range-expired");
    assert_eq!(desk.draw(on("2026-03-31")).await, "A1");
    desk.set_clock("2026-04-01T00:00:00Z");
    assert_eq!(desk.draw(on("2026-04-01")).await, "B1");
    // Never back.
    assert_eq!(desk.draw(on("2026-03-31")).await, "B2");
}

pub async fn a_retry_finds_the_number_of_the_successor(desk: Desk) {
    chain(&desk).await;
    assert_eq!(desk.draw(next("A").count(2)).await, "A1..A2");
    assert_eq!(desk.draw(next("A").count(2)).await, "B1..B2");
    let keyed = || next("A").key(key("one"));
    assert_eq!(desk.draw(keyed()).await, "C1");
    let events = desk.events().await;
    assert_eq!(desk.draw(keyed()).await, "C1");
    // The first begins again.
    desk.numbering.reset(restart("A")).await.expect("a move");
    let again = desk.issued(keyed()).await;
    assert_eq!(
        (again.id(), again.prefix.as_str(), again.replayed),
        ("C1", "C", true)
    );
    assert!(again.warnings.contains(&Warning::Successor));
    assert_eq!(desk.events().await, events + 1);
    assert_eq!(desk.next("A").await, "A1");
}

pub async fn a_retry_finds_the_number_of_a_successor_that_was_replaced(desk: Desk) {
    let ended = |successor| DefinitionSpec {
        max: None,
        ranges: Some(vec![RangeSpec {
            valid_until: Some(day("2026-02-28")),
            ..RangeSpec::new(1, 9)
        }]),
        ..up_to(9, successor)
    };
    desk.define("B", up_to(2, None)).await;
    desk.define("C", up_to(2, None)).await;
    desk.define("A", ended(Some("B"))).await;
    let keyed = || next("A").key(key("one"));
    assert_eq!(desk.draw(keyed()).await, "B1");
    // A itself gave no number yet, so that it may change.
    for (version, successor) in [(1, Some("C")), (2, None)] {
        desk.redefine("A", ended(successor), version).await;
        assert_eq!(desk.draw(keyed()).await, "B1");
    }
    desk.redefine("A", ended(Some("C")), 3).await;
    assert_eq!(desk.next("A").await, "C1");
    assert_eq!(desk.draw(keyed()).await, "B1");
}

pub async fn a_retry_finds_the_number_of_the_first_although_it_has_ended(desk: Desk) {
    chain(&desk).await;
    let keyed = || next("A").key(key("one"));
    assert_eq!(desk.draw(keyed()).await, "A1");
    assert_eq!(desk.next("A").await, "A2");
    assert_eq!(desk.next("A").await, "B1");
    assert_eq!(desk.draw(keyed()).await, "A1");
    let other = next("A").key(key("one")).count(2);
    assert_eq!(desk.draw(other).await, "idempotency-mismatch");
}

pub async fn a_key_of_the_successor_is_not_used_twice(desk: Desk) {
    chain(&desk).await;
    let keyed = |name| next(name).key(key("one"));
    assert_eq!(desk.draw(keyed("B")).await, "B1");
    // A request of another sequence is another request.
    assert_eq!(desk.draw(keyed("A")).await, "idempotency-mismatch");
    assert_eq!(desk.draw(keyed("B")).await, "B1");
}

pub async fn a_new_period_begins_with_the_first_sequence_again(desk: Desk) {
    let yearly = |successor: Option<&str>| DefinitionSpec {
        reset: Some(Reset::Year),
        format: "{prefix}{yyyy}-{seq}".into(),
        ..up_to(1, successor)
    };
    desk.define("B", yearly(None)).await;
    desk.define("A", yearly(Some("B"))).await;
    desk.set_clock("2026-12-31T23:00:00Z");
    assert_eq!(desk.next("A").await, "A2026-1");
    let keyed = || next("A").key(key("one"));
    assert_eq!(desk.draw(keyed()).await, "B2026-1");
    // A retry after midnight would get a number of the new year otherwise.
    desk.set_clock("2027-01-01T00:00:00Z");
    assert_eq!(desk.draw(keyed()).await, "B2026-1");
    assert_eq!(desk.next("A").await, "A2027-1");
    assert_eq!(desk.next("A").await, "B2027-1");
}

pub async fn numbers_are_reserved_of_the_successor(desk: Desk) {
    chain(&desk).await;
    assert_eq!(desk.draw(next("A").count(2)).await, "A1..A2");
    let reserve = |name: &str| {
        let draw = next("A").key(key(name));
        desk.numbering
            .reserve(ReserveRequest::new(draw, Duration::from_secs(60)))
    };
    let first = reserve("one").await.expect("a reservation");
    assert_eq!((first.numbers.id(), first.numbers.prefix.as_str()), ("B1", "B"));
    assert_eq!(
        reserve("one").await.expect("the same").reservation,
        first.reservation
    );
    let second = reserve("two").await.expect("a reservation");
    let confirmed = desk
        .numbering
        .settle(SettleRequest::confirm(first.reservation))
        .await;
    let confirmed = confirmed.expect("it is held");
    assert_eq!(
        (confirmed.state, confirmed.numbers.id()),
        (HoldState::Confirmed, "B1")
    );
    let reason = Reason::new("given up").expect("a reason");
    let voided = desk
        .numbering
        .settle(SettleRequest::void(second.reservation, reason))
        .await;
    let voided = voided.expect("it is held");
    assert_eq!((voided.state, voided.numbers.id()), (HoldState::Voided, "B2"));
    assert_eq!(desk.next("A").await, "C1");
}

pub async fn concurrent_retries_have_one_number(desk: Desk) {
    chain(&desk).await;
    assert_eq!(desk.draw(next("A").count(2)).await, "A1..A2");
    let draws = (0..8).map(|_| {
        let numbering = desk.numbering.clone();
        tokio::spawn(async move { numbering.draw(next("A").key(key("one"))).await })
    });
    for drawn in draws.collect::<Vec<_>>() {
        assert_eq!(drawn.await.expect("an answer").expect("a number").id(), "B1");
    }
    assert_eq!(desk.next("A").await, "B2");
}

pub async fn a_successor_that_does_not_fit_is_refused(desk: Desk) {
    desk.define("B", up_to(5, None)).await;
    desk.define("SCOPED", by_branch()).await;
    desk.define("YEARS", by_year()).await;
    let refused = async |name: &str, spec: DefinitionSpec, version: Option<u32>| {
        let refused = desk.try_define(name, spec, version).await.expect_err("refused");
        let [refusal] = refused.refusals() else {
            panic!("{refused}")
        };
        assert_eq!(refusal.pointer, "/successor");
        refusal.code
    };
    let after = |successor: &'static str| up_to(5, Some(successor));
    assert_eq!(refused("A", after("NONE"), None).await, RefusalCode::InvalidValue);
    assert_eq!(refused("A", after("A"), None).await, RefusalCode::SuccessorCycle);
    assert_eq!(
        refused("A", after("SCOPED"), None).await,
        RefusalCode::InvalidValue
    );
    let same = DefinitionSpec {
        format: "B{seq}".into(),
        ..after("B")
    };
    assert_eq!(refused("A", same, None).await, RefusalCode::Overlaps);
    desk.define("A", after("B")).await;
    assert_eq!(
        refused("B", after("A"), Some(1)).await,
        RefusalCode::SuccessorCycle
    );
    // At most 8 go on after one.
    for names in ["A", "X1", "X2", "X3", "X4", "X5", "X6", "X7"].windows(2) {
        let spec = DefinitionSpec {
            format: "{prefix}-{seq}".into(),
            ..up_to(5, Some(names[0]))
        };
        desk.define(names[1], spec).await;
    }
    assert_eq!(refused("X8", after("X7"), None).await, RefusalCode::InvalidValue);
}

pub async fn the_end_stays_where_a_successor_goes_on(desk: Desk) {
    chain(&desk).await;
    desk.define("D", up_to(9, None)).await;
    // Before the first number everything may change.
    desk.redefine("A", up_to(3, Some("C")), 1).await;
    desk.redefine("A", up_to(2, Some("B")), 2).await;
    assert_eq!(desk.next("A").await, "A1");
    for (spec, pointer) in [
        (up_to(3, Some("B")), "/max"),
        (up_to(2, Some("D")), "/successor"),
        (up_to(2, None), "/successor"),
    ] {
        let refused = desk.try_define("A", spec, Some(3)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::DefinitionRefused);
        assert_eq!(refused.refusals()[0].pointer, pointer);
    }
    // A successor can be declared at any time.
    assert_eq!(desk.next("C").await, "C1");
    assert_eq!(desk.next("C").await, "exhausted");
    desk.redefine("C", up_to(1, Some("D")), 1).await;
    assert_eq!(desk.next("C").await, "D1");
    for id in ["A2", "B1", "B2", "D2"] {
        assert_eq!(desk.next("A").await, id);
    }
}

pub async fn a_successor_does_not_change_into_one_that_does_not_fit(desk: Desk) {
    chain(&desk).await;
    assert_eq!(desk.draw(next("A").count(2)).await, "A1..A2");
    for (name, successor) in [("B", Some("C")), ("C", None)] {
        let same = DefinitionSpec {
            format: "A{seq}".into(),
            ..up_to(2, successor)
        };
        for (spec, code, pointer) in [
            (same, RefusalCode::Overlaps, "/format"),
            (by_branch(), RefusalCode::InvalidValue, "/scope"),
        ] {
            let refused = desk.try_define(name, spec, Some(1)).await.expect_err("refused");
            let refusal = &refused.refusals()[0];
            assert_eq!(
                (refusal.code, refusal.pointer.as_str()),
                (code, pointer),
                "{name}"
            );
        }
    }
    desk.redefine("B", up_to(3, Some("C")), 1).await;
    assert_eq!(desk.next("A").await, "B1");
}

pub async fn a_successor_of_a_successor_fits_the_first_too(desk: Desk) {
    let spec = |format: &str, successor| DefinitionSpec {
        format: format.into(),
        ..up_to(2, successor)
    };
    desk.define("B", up_to(2, None)).await;
    desk.define("A", spec("X{seq}", Some("B"))).await;
    // Its ids are none of B's, but those of A.
    desk.define("C", spec("X{seq}", None)).await;
    let refused = desk.try_define("B", up_to(2, Some("C")), Some(1)).await;
    let refused = refused.expect_err("A would give X1 twice");
    let refusal = &refused.refusals()[0];
    assert_eq!(
        (refusal.code, refusal.pointer.as_str()),
        (RefusalCode::Overlaps, "/successor")
    );
    desk.redefine("C", spec("Y{seq}", None), 1).await;
    let refused = desk.try_define("B", up_to(2, Some("C")), Some(1)).await;
    assert!(refused.is_err(), "an older version of C could have given X1");
    desk.define("D", spec("Y{seq}-", None)).await;
    desk.redefine("B", up_to(2, Some("D")), 1).await;
}
