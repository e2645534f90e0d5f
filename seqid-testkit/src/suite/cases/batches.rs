//! Each command of a batch stands for itself.

use seqid_core::DefinitionSpec;

use super::super::backend::Backend;
use super::super::commands::{draw, reset, sync};
use super::super::sequence::{Sequence, format};

pub async fn replies_stand_in_the_order_of_the_commands(backend: Backend) {
    let [a, b] = [
        backend.sequence("A").await.line(),
        backend.sequence("B").await.line(),
    ];
    let replies = backend
        .tell([draw(&a, 1), draw(&b, 5), draw(&a, 2), draw(&b, 1), draw(&a, 3)])
        .await;
    assert_eq!(replies, ["1", "1..5", "2..3", "6", "4..6"]);
}

pub async fn an_empty_batch_has_no_replies(backend: Backend) {
    assert!(backend.apply([]).await.is_empty());
}

pub async fn a_refused_draw_takes_nothing_from_the_next(backend: Backend) {
    let sequence = Sequence::new(
        "INV",
        DefinitionSpec {
            max: Some(5),
            ..format("INV-{seq}")
        },
    );
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(
        backend.tell([draw(&line, 10), draw(&line, 3)]).await,
        ["5 left", "1..3"]
    );
    assert_eq!(
        backend.tell([draw(&line, 3), draw(&line, 2)]).await,
        ["2 left", "4..5"]
    );
}

pub async fn a_refused_command_leaves_its_neighbours_alone(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let unknown = Sequence::plain("NONE").line();
    let replies = backend
        .tell([draw(&line, 1), draw(&unknown, 1), draw(&line, 1)])
        .await;
    assert_eq!(replies, ["1", "not defined", "2"]);
    let replies = backend
        .tell([draw(&unknown, 1), reset(&line, 1), draw(&line, 1)])
        .await;
    assert_eq!(replies, ["not defined", "would repeat up to 2", "3"]);
}

pub async fn each_command_sees_what_those_before_it_did(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 2),
        sync(&line, 9),
        draw(&line, 1),
        reset(&line, 20),
        reset(&line, 15),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1..2", "3 -> 10", "10", "11 -> 20", "20 -> 15", "15"]
    );
}

pub async fn a_definition_and_its_first_draw_fit_into_one_batch(backend: Backend) {
    let sequence = Sequence::plain("INV");
    let replies = backend.tell([sequence.define(), draw(&sequence.line(), 2)]).await;
    assert_eq!(replies[0], "v1 saved");
    // Stores with several lanes may decide the draw first.
    match replies[1].as_str() {
        "1..2" => assert_eq!(backend.next(&sequence.line()).await, 3),
        "not defined" if backend.ledger.capabilities().lanes > 1 => {}
        other => panic!("{other}"),
    }
}

pub async fn acts_of_every_kind_fit_into_one_batch(backend: Backend) {
    let [a, b] = [
        backend.sequence("A").await.line(),
        backend.sequence("B").await.line(),
    ];
    let new = Sequence::plain("C");
    let batch = [
        draw(&a, 1),
        new.define(),
        reset(&b, 5),
        draw(&b, 1),
        sync(&a, 7),
        draw(&a, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1", "v1 saved", "1 -> 5", "5", "2 -> 8", "8"]
    );
}

pub async fn a_batch_may_be_as_large_as_is_claimed(backend: Backend) {
    let [a, b] = [
        backend.sequence("A").await.line(),
        backend.sequence("B").await.line(),
    ];
    let largest = backend.ledger.capabilities().largest_batch;
    let batch: Vec<_> = (0..largest)
        .map(|at| draw(if at % 2 == 0 { &a } else { &b }, 1))
        .collect();
    let expected: Vec<String> = (0..largest).map(|at| (at / 2 + 1).to_string()).collect();
    assert_eq!(backend.tell(batch).await, expected);
}
