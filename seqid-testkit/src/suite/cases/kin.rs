//! Commands of a sequence in a chain of successors.

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw};
use super::super::sequence::{Sequence, format};

use seqid_core::IdempotencyKey;
use seqid_core::command::{Command, Kin};
use seqid_core::event::KeyName;

/// A command under a key that may have been used in the other sequence too.
pub(super) fn with_kin(command: Command, other: &Sequence, key: &str) -> Command {
    let name = IdempotencyKey::new(key).expect("a key");
    let kin = Kin {
        sequence: other.key().clone(),
        head: other.versions(),
        key: Some(KeyName::of(other.key(), &name)),
    };
    command.under(key).with_kin(vec![kin])
}

pub async fn a_key_is_found_in_another_sequence_of_the_chain(backend: Backend) {
    let (first, second) = (backend.sequence("A").await, backend.sequence("B").await);
    let (a, b) = (first.line(), second.line());
    let of_first = |key: &str, count| with_kin(draw(&a, count), &second, key);
    let of_second = |key: &str, count| with_kin(draw(&b, count), &first, key);
    assert_eq!(backend.tell_one(of_second("one", 2)).await, "1..2");
    assert_eq!(backend.tell_one(of_first("one", 2)).await, "again 1..2");
    assert_eq!(backend.tell_one(of_first("two", 1)).await, "1");
    assert_eq!(backend.tell_one(of_second("two", 1)).await, "again 1");
    assert_eq!(backend.tell_one(of_second("two", 3)).await, "key mismatch");
    assert_eq!((backend.next(&a).await, backend.next(&b).await), (2, 3));
}

pub async fn a_chain_that_changed_is_sent_back(backend: Backend) {
    let (first, second) = (backend.sequence("A").await, backend.sequence("B").await);
    let line = first.line();
    let changed = second.changed(format("B/{seq}"));
    let keyed = |other| with_kin(draw(&line, 1), other, "one");
    backend.define(&changed).await;
    assert_eq!(backend.tell_one(keyed(&second)).await, "chain changed");
    assert_eq!(backend.tell_one(keyed(&changed)).await, "1");
    assert_eq!(backend.tell_one(keyed(&second)).await, "again 1");
    let unknown = Sequence::plain("C");
    assert_eq!(
        backend.tell_one(with_kin(draw(&line, 1), &unknown, "two")).await,
        "chain changed"
    );
}
