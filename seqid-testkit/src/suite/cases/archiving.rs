//! Archived sequences: they give nothing any more, and can be read as before.

use super::super::backend::Backend;
use super::super::commands::{
    CommandExt, archive, confirm, draw, expire, give_up, reserve, reset, sync, void,
};
use super::super::sequence::{Sequence, by_branch, format};
use super::chain::verify;

use seqid_core::DefinitionSpec;
use seqid_core::command::{Act, Expected, Implicit};
use seqid_core::event::{EventKind, Subject};

pub async fn an_archived_sequence_gives_nothing(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.line();
    backend.tell_one(draw(&line, 3)).await;
    assert_eq!(backend.tell_one(archive(sequence.key())).await, "archived");
    let events = backend.events().await;
    let changed = sequence.changed(format("INV/{seq}"));
    let implicit = Sequence::new("INV", DefinitionSpec::implicit());
    let batch = [
        draw(&line, 1),
        draw(&sequence.on("2027-01-01"), 1),
        reserve(&line, 1, 1, 60),
        reset(&line, 9),
        sync(&line, 9),
        void(&line, 1, 1),
        changed.define(),
        sequence.define(),
        sequence.define_expecting(Expected::Version(1)),
        implicit.define_implicitly(Implicit::Always),
    ];
    assert_eq!(backend.tell(batch).await, ["archived before"; 10]);
    assert_eq!(backend.events().await, events);
    let last = &events[events.len() - 1].event;
    assert_eq!(last.subject, Subject::Sequence(sequence.key().clone()));
    assert_eq!((last.kind, last.version), (EventKind::Archived, 1));
    assert_eq!(
        last.reason.as_ref().map(|reason| reason.as_str()),
        Some("replaced")
    );
    let record = backend.ledger.sequence(sequence.key()).await.expect("a record");
    let record = record.expect("it is there");
    assert_eq!((record.archived, record.head()), (true, 1));
    assert_eq!(backend.next(&line).await, 4);
    verify(&events);
}

pub async fn archiving_again_changes_nothing(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let batch = [archive(sequence.key()), archive(sequence.key())];
    assert_eq!(backend.tell(batch).await, ["archived", "again archived"]);
    assert_eq!(backend.tell_one(archive(sequence.key())).await, "again archived");
    assert_eq!(backend.events().await.len(), 2);
}

pub async fn only_a_sequence_that_is_there_is_archived(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let variant = Sequence::plain("inv");
    let missing = Sequence::plain("ORD");
    let mut stale = archive(sequence.key());
    if let Act::Archive(archive) = &mut stale.act {
        archive.expected = Some(2);
    }
    let batch = [archive(variant.key()), archive(missing.key()), stale];
    assert_eq!(
        backend.tell(batch).await,
        ["case variant of INV", "not defined", "version is 1"]
    );
    assert_eq!(backend.events().await.len(), 1);
    let mut right = archive(sequence.key());
    if let Act::Archive(archive) = &mut right.act {
        archive.expected = Some(1);
    }
    assert_eq!(backend.tell_one(right).await, "archived");
}

pub async fn a_sequence_with_held_numbers_is_not_archived(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    let other = backend.sequence("ORD").await;
    let [one, two] = ["JKT", "SUB"].map(|branch| sequence.of_branch(branch));
    let batch = [
        reserve(&one, 2, 1, 60),
        reserve(&two, 1, 2, 600),
        reserve(&other.line(), 7, 3, 600),
    ];
    backend.tell(batch).await;
    let events = backend.events().await.len();
    assert_eq!(backend.tell_one(archive(sequence.key())).await, "3 reserved");
    assert_eq!(backend.events().await.len(), events);
    assert_eq!(backend.tell_one(draw(&one, 1)).await, "3");
    assert_eq!(backend.tell_one(confirm(&one, 1, 1)).await, "confirmed 1..2");
    assert_eq!(backend.tell_one(archive(sequence.key())).await, "1 reserved");
    assert_eq!(backend.tell_one(give_up(&two, 1, 2)).await, "given up 1");
    assert_eq!(backend.tell_one(archive(sequence.key())).await, "archived");
    assert_eq!(
        backend.tell_one(confirm(&one, 1, 1)).await,
        "again confirmed 1..2"
    );
    verify(&backend.events().await);
}

pub async fn archiving_sees_the_holds_of_its_batch(backend: Backend) {
    let sequence = Sequence::new("INV", by_branch());
    backend.define(&sequence).await;
    let [one, two] = ["JKT", "SUB"].map(|branch| sequence.of_branch(branch));
    backend.tell_one(reserve(&one, 1, 1, 60)).await;
    let batch = [
        reserve(&two, 2, 2, 60),
        archive(sequence.key()),
        give_up(&one, 1, 1),
        archive(sequence.key()),
        confirm(&two, 1, 2),
        archive(sequence.key()),
        draw(&one, 1),
    ];
    let told = [
        "held 1..2",
        "3 reserved",
        "given up 1",
        "2 reserved",
        "confirmed 1..2",
        "archived",
        "archived before",
    ];
    assert_eq!(backend.tell(batch).await, told);
    verify(&backend.events().await);
}

pub async fn holds_that_have_ended_stand_in_the_way_until_they_are_let_go(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.line();
    backend
        .tell([reserve(&line, 1, 1, 10), reserve(&line, 1, 2, 60)])
        .await;
    backend.at(10);
    assert_eq!(backend.tell_one(archive(sequence.key())).await, "2 reserved");
    let batch = [expire(&line), archive(sequence.key())];
    assert_eq!(backend.tell(batch).await, ["1 let go", "1 reserved"]);
    backend.at(60);
    let batch = [expire(&line), archive(sequence.key())];
    assert_eq!(backend.tell(batch).await, ["1 let go", "archived"]);
    assert_eq!(backend.tell_one(expire(&line)).await, "0 let go");
    verify(&backend.events().await);
}

pub async fn a_key_is_answered_although_its_sequence_was_archived(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.line();
    let batch = [
        draw(&line, 1).under("k"),
        archive(sequence.key()),
        draw(&line, 1).under("k"),
        draw(&line, 1).under("other"),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1", "archived", "again 1", "archived before"]
    );
}
