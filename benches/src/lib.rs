#![doc = include_str!("../README.md")]

pub mod audit_pages;
mod callers;
mod embedded;
mod folder;
mod hand_made;
pub mod process;
mod random;
mod report;
mod rounds;
mod serving;

/// That of the service, which is faster than glibc where one thread frees what another allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use callers::{Done, Until, closed_loop, current_thread, draws, multi_thread};
pub use embedded::{Batches, Embedded};
pub use folder::{Folder, copy_store};
pub use hand_made::HandMade;
pub use random::{nth_key, scrambled};
pub use report::{Bar, Table, Unit, percentile};
pub use rounds::{interleaved, is_bench_run};
pub use serving::Serving;
