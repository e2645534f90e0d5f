//! Clocks that jump.

use std::sync::Arc;

use seqid_core::clock::ManualClock;
use seqid_core::numbering::DefineRequest;
use seqid_core::period::Reset;
use seqid_core::time::Timestamp;
use seqid_core::{DefinitionSpec, Numbering};

use crate::office::{Office, block_on, issued, name};

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

const NOW: &str = "2026-03-07T10:00:00Z";

#[test]
fn numbers_rise_whatever_the_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let clock = Arc::new(ManualClock::new(at(NOW)));
    let office = Office::open_with(&file, clock.clone());
    let chronological = DefinitionSpec {
        chronological: Some(true),
        ..DefinitionSpec::of_format("CH-{seq}")
    };
    block_on(
        office
            .issuer
            .define(DefineRequest::new(name("CH"), chronological)),
    )
    .unwrap();
    let times = [
        "2026-03-07T10:00:00Z",
        "2093-01-01T00:00:00Z",
        "1971-01-01T00:00:00Z",
        "2026-03-06T23:59:59Z",
    ];
    let ends = [-1, 0, i64::MAX].map(Timestamp::from_micros);
    let mut number = 0;
    for now in times.map(at).into_iter().chain(ends) {
        clock.set(now);
        for _ in 0..2 {
            number += 1;
            assert_eq!(office.draw("INV").unwrap(), number, "at {now}");
            assert_eq!(
                office.draw_keyed("INV2", &number.to_string()).unwrap(),
                (number, false),
                "at {now}"
            );
            assert_eq!(
                office.draw_keyed("INV2", &number.to_string()).unwrap(),
                (number, true),
                "at {now}"
            );
        }
    }
    for now in times.map(at) {
        clock.set(now);
        office.draw("CH").unwrap();
    }
    let events = office.audit();
    assert_eq!(issued(&events, "CH"), [1, 2, 3, 4]);
    office.close();
    clock.set(at("1980-01-01T00:00:00Z"));
    let office = Office::open_with(&file, clock);
    assert_eq!(office.draw("INV").unwrap(), number + 1);
    assert_eq!(office.audit().len(), events.len() + 1);
}

#[test]
fn a_year_that_comes_back_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let clock = Arc::new(ManualClock::new(at(NOW)));
    let office = Office::open_with(&file, clock.clone());
    let yearly = DefinitionSpec {
        reset: Some(Reset::Year),
        ..DefinitionSpec::of_format("{yyyy}-{seq}")
    };
    block_on(office.issuer.define(DefineRequest::new(name("YR"), yearly))).unwrap();
    for (now, number) in [
        (NOW, 1),
        ("2027-01-01T00:00:00Z", 1),
        (NOW, 2),
        ("2027-06-01T00:00:00Z", 2),
        (NOW, 3),
    ] {
        clock.set(at(now));
        assert_eq!(office.draw("YR").unwrap(), number, "at {now}");
    }
    office.audit();
}
