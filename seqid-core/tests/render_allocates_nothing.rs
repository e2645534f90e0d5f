//! Rendering an id into a text that has room for it takes no memory from the heap.
#![expect(unsafe_code, reason = "an allocator that counts is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::definition::Defaults;
use seqid_core::field::RawValues;
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::time::{Date, Timestamp};
use seqid_core::{Definition, DefinitionSpec, Number, Prefix, Tenant};

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn line(definition: &str) -> Line {
    let key = SequenceKey::new(Tenant::default(), Prefix::new("INV").expect("a prefix"));
    let spec = DefinitionSpec::from_json(definition).expect("a definition");
    let definition = Definition::check(&key.tenant, &key.prefix, spec, &Defaults::default())
        .expect("an accepted definition");
    let date = Date::new(2026, 3, 7).expect("a date");
    let scope: RawValues = definition
        .scope()
        .iter()
        .map(|field| (field.name.clone(), "JKT".to_owned()))
        .collect();
    let (scope, fields) = definition.resolve(&scope, &RawValues::new()).expect("values");
    let period = definition.period(date).expect("a period");
    let version = Version {
        number: 1,
        definition,
    };
    let key = CounterKey::new(key, scope, period);
    Line::new(LineParts {
        key,
        head: version.clone(),
        opened: version,
        date,
        fields,
    })
    .expect("a line")
}

#[track_caller]
fn allocates_nothing(definition: &str) {
    let line = line(definition);
    let mut id = String::with_capacity(256);
    let before = ALLOCATIONS.get();
    for number in 1..1_000 {
        id.clear();
        line.render(
            Number::new(number).expect("a number"),
            Timestamp::from_micros(0),
            &mut id,
        )
        .expect("an id");
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "{definition} printed {id}");
    assert!(!id.is_empty());
}

#[test]
fn rendering_takes_nothing_from_the_heap() {
    allocates_nothing(r#"{"format":"INV-{yyyy}-{seq:5}","reset":"year"}"#);
    allocates_nothing(r#"{"format":"{branch}/{fy}/{seq:4}","reset":"fiscal_year","scope":["branch"]}"#);
    allocates_nothing(r#"{"format":"{seq|base=36}-{check:mod37_36}"}"#);
    allocates_nothing(r#"{"format":"{now:%Y%m%d}-{seq:3}"}"#);
}

#[test]
fn the_allocator_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
