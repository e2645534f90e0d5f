//! What the process occupies, as Linux tells it.

use anyhow::{Context, Result};

/// Bytes of memory in use.
///
/// # Errors
/// When the system does not tell.
pub fn resident() -> Result<f64> {
    status("VmRSS:")
}

/// The most bytes of memory that were in use since the process began or [`forget_peak`] was called.
///
/// # Errors
/// When the system does not tell.
pub fn peak_resident() -> Result<f64> {
    status("VmHWM:")
}

/// Begins the peak anew.
///
/// # Errors
/// When the system does not allow it.
pub fn forget_peak() -> Result<()> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}

fn status(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))
        .with_context(|| format!("/proc/self/status has no {name}"))?;
    Ok(kibibytes.parse::<f64>()? * 1024.0)
}
