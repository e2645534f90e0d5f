use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::ServerError;

/// The address that every server listens at.
pub(super) const HOST: &str = "127.0.0.1";

/// A port below those that systems give to outgoing connections, so that nothing takes it while the server is down.
/// Programs that run at once begin their search at different ones.
pub(super) fn free_port() -> Result<u16, ServerError> {
    static SEARCHES: AtomicU32 = AtomicU32::new(0);
    let first = process::id()
        .wrapping_mul(16)
        .wrapping_add(SEARCHES.fetch_add(1, Ordering::Relaxed));
    (0..12_000)
        .filter_map(|nth| u16::try_from(20_000 + first.wrapping_add(nth) % 12_000).ok())
        .find(|port| is_free(*port))
        .ok_or(ServerError::NoPort)
}

pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((HOST, port)).is_ok()
}
