//! Maps by keys that are hashes already, or hold one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys write one well mixed integer to the hasher, or bytes that are well mixed after it.
pub(crate) type Prehashed<K, V> = HashMap<K, V, BuildHasherDefault<PassThrough>>;

/// Hands the integer on as it is.
#[derive(Debug, Default)]
pub(crate) struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
