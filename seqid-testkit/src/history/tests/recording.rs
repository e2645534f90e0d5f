//! The recorder, with real threads over a counter behind a mutex.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;

fn grant(number: u64) -> Outcome {
    issued(0, 0, 0, number).outcome
}

/// Eight threads draw at once, each number from `draw`.
fn drawn_by_threads(draw: impl Fn() -> u64 + Sync) -> Vec<Call> {
    let recorder = Recorder::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let pending = recorder.begin("INV", None, "next", 1);
                    pending.end(grant(draw()));
                }
            });
        }
    });
    recorder.calls()
}

#[test]
fn a_counter_behind_a_mutex_is_sound() {
    let next = Mutex::new(1);
    let calls = drawn_by_threads(|| {
        let mut next = next.lock().unwrap();
        *next += 1;
        *next - 1
    });
    assert_eq!(calls.len(), 4_000);
    sound(&recorded(calls));
}

#[test]
fn blocks_held_by_threads_are_sound_where_no_order_is_promised() {
    thread_local!(static BLOCK: std::cell::Cell<(u64, u64)> = const { std::cell::Cell::new((0, 0)) });
    let blocks = AtomicU64::new(0);
    let calls = drawn_by_threads(|| {
        let (mut next, mut end) = BLOCK.get();
        if next == end {
            next = 1 + 10 * blocks.fetch_add(1, Ordering::Relaxed);
            end = next + 10;
            thread::yield_now();
        }
        BLOCK.set((next + 1, end));
        next
    });
    let mut history = recorded(calls);
    history.order = Order::Nowhere;
    sound(&history);
}

#[test]
fn ticks_follow_the_order_of_events() {
    let recorder = Recorder::new();
    let outer = recorder.begin("INV", None, "next", 1);
    recorder
        .begin("INV", Some("k"), "next", 1)
        .end(Outcome::NotIssued);
    outer.end(grant(1));
    recorder.begin("INV", None, "next", 1).end(Outcome::Unknown);
    let ticks: Vec<_> = recorder
        .calls()
        .iter()
        .map(|call| (call.id, call.began, call.ended))
        .collect();
    assert_eq!(ticks, [(0, 0, Some(3)), (1, 1, Some(2)), (2, 4, Some(5))]);
}

#[test]
fn a_call_that_never_came_back_is_unknown() {
    let recorder = Recorder::new();
    drop(recorder.begin("INV", Some("k"), "next", 3));
    let call = recorder.calls().remove(0);
    assert_eq!(
        (call.ended, call.outcome, call.count),
        (None, Outcome::Unknown, 3)
    );
    assert_eq!(call.key.as_deref(), Some("k"));
}

#[test]
fn an_answer_names_the_counter() {
    let recorder = Recorder::new();
    recorder.begin("INV/2", None, "next", 1).end_in("INV/1", grant(1));
    assert_eq!(recorder.calls()[0].counter, "INV/1");
}
