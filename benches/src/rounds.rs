use anyhow::Result;
use rusqlite::Connection;

/// Runs the sides in turn, A B A B, so that what disturbs the machine disturbs all of them. The figures of each side.
///
/// # Errors
/// The first of a side.
pub fn interleaved<const SIDES: usize>(
    rounds: usize,
    mut sides: [&mut dyn FnMut() -> Result<f64>; SIDES],
) -> Result<[Vec<f64>; SIDES]> {
    let mut figures = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (side, figures) in sides.iter_mut().zip(&mut figures) {
            figures.push(side()?);
        }
    }
    Ok(figures)
}

/// Empties the page caches of all SQLite connections of the process.
///
/// They are one cache when SQLite was compiled with `SQLITE_ENABLE_MEMORY_MANAGEMENT`, as it is here: a side that has
/// filled its part of it would have the other side read the same pages again and again.
///
/// # Errors
/// Those of SQLite.
pub fn empty_page_caches() -> Result<()> {
    // A database in memory would not be part of the cache; one without a name is in a file of its own.
    Ok(Connection::open("")?.execute_batch("PRAGMA shrink_memory")?)
}

/// Whether `cargo bench` started the program: `cargo test --benches` starts it too, and wants no figures.
#[must_use]
pub fn is_bench_run() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
