use anyhow::Result;
use seqid_core::IdempotencyKey;

/// Scatters integers: different ones stay different. The finaliser of SplitMix64, Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014.
#[must_use]
pub const fn scrambled(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// The `n`th of a row of keys that look like random UUIDs without hyphens and never repeat.
///
/// # Errors
/// None: every such text is a key.
pub fn nth_key(n: u64) -> Result<IdempotencyKey> {
    Ok(IdempotencyKey::new(&format!(
        "{:016x}{:016x}",
        scrambled(n),
        scrambled(!n)
    ))?)
}
