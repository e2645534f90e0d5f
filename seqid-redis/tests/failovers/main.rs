//! Whatever happens to servers while many draw, no number is given twice, a key has one, and each epoch's numbers rise.
//!
//! Each test strikes each fault of its servers once, in an order by its seed. For a long run:
//!
//! ```sh
//! SEQID_FAILOVERS=100 cargo test --release -p seqid-redis --test failovers -- --nocapture --test-threads 1
//! ```
//!
//! strikes as many by each wiring. `SEQID_SEED` repeats a run as far as time lets it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is to be read")]

mod crowd;
mod faults;

use std::time::Duration;

use crowd::Crowd;
use faults::{ALONE, Alone, CLUSTER, Fault, SENTINELS};
use seqid_core::clock::Seed;
use seqid_testkit::servers::{RedisCluster, RedisSentinels};

/// Numbers that follow from a seed.
pub(crate) struct Random(u64);

impl Random {
    /// A number below this one. Marsaglia's xorshift64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Strikes until each fault had its turn, or as often as is wanted.
async fn strike<S>(wiring: &str, url: &str, mut servers: S, faults: &[Fault<S>]) {
    let seed = setting("SEQID_SEED").unwrap_or_else(|| Seed::from_system().0 | 1);
    let wanted = setting("SEQID_FAILOVERS").map_or(faults.len(), |count| usize::try_from(count).unwrap());
    println!("{wiring}: seed {seed}, {wanted} faults");
    let mut random = Random(seed);
    let mut crowd = Crowd::gather(url).await;
    let mut pauses = Vec::new();
    let mut left: Vec<&Fault<S>> = Vec::new();
    for n in 1..=wanted {
        if left.is_empty() {
            left = faults.iter().collect();
        }
        let at = usize::try_from(random.below(left.len() as u64)).unwrap();
        let (name, strike) = left.swap_remove(at);
        let from = crowd.now();
        tokio::task::block_in_place(|| strike(&mut servers, &mut random));
        crowd.relieve().await;
        crowd.until_it_goes_on().await;
        let pause = crowd.longest_pause_since(from);
        println!("{wiring} {n:>3}: {name}: no numbers for {pause:.0?}");
        pauses.push(pause);
        tokio::time::sleep(Duration::from_millis(random.below(200))).await;
    }
    let outcomes = crowd.disperse().await;
    pauses.sort_unstable();
    println!(
        "{wiring}: seed {seed}: median pause {:.0?}, longest {:.0?}; {outcomes:?}",
        pauses[pauses.len() / 2],
        pauses[pauses.len() - 1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn one_server() {
    let alone = Alone::start();
    let url = alone.server.url();
    strike("one server", &url, alone, &ALONE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn sentinels() {
    let group = RedisSentinels::start().unwrap();
    let url = group.url();
    strike("sentinels", &url, group, &SENTINELS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn cluster() {
    let cluster = RedisCluster::start().unwrap();
    let url = cluster.url();
    strike("cluster", &url, cluster, &CLUSTER).await;
}
