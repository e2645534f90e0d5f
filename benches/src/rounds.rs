use anyhow::Result;

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

/// Whether `cargo bench` started the program: `cargo test --benches` starts it too, and wants no figures.
#[must_use]
pub fn is_bench_run() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
