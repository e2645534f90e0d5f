//! What is done to servers.

use std::thread::sleep;
use std::time::Duration;

use seqid_testkit::servers::{RedisCluster, RedisDump, RedisSentinels, RedisServer};

use super::Random;

/// Something that is done to the servers of a stage.
pub(crate) type Fault<S> = (&'static str, fn(&mut S, &mut Random));

/// One server, with what it had a while ago.
pub(crate) struct Alone {
    pub(crate) server: RedisServer,
    dump: Option<RedisDump>,
}

impl Alone {
    pub(crate) fn start() -> Self {
        Self {
            server: RedisServer::start().unwrap(),
            dump: None,
        }
    }

    fn cli(&self, command: &[&str]) -> String {
        self.server.cli(command).unwrap_or_default()
    }

    /// The key of the counter, if it is there.
    fn counter(&self) -> String {
        let keys = self.cli(&["KEYS", "seqid:*:c:*"]);
        keys.lines().next().unwrap_or("seqid:none").to_owned()
    }
}

pub(crate) const ALONE: [Fault<Alone>; 18] = [
    ("killed, and started with its file", |alone, _| {
        alone.server.kill().unwrap();
        alone.server.start_again().unwrap();
    }),
    ("killed, and started empty", |alone, _| {
        alone.server.kill().unwrap();
        alone.server.start_empty().unwrap();
    }),
    ("killed, and started with an old dump", |alone, _| {
        let dump = alone.server.dump().unwrap();
        sleep(Duration::from_millis(200));
        alone.server.start_with_dump(&dump).unwrap();
        alone.dump = Some(dump);
    }),
    ("killed, and started with an older dump", |alone, _| {
        match alone.dump.clone() {
            Some(dump) => alone.server.start_with_dump(&dump).unwrap(),
            None => alone.server.start_empty().unwrap(),
        }
    }),
    ("FLUSHALL", |alone, _| {
        alone.cli(&["FLUSHALL"]);
    }),
    ("FLUSHALL, three times", |alone, random| {
        for _ in 0..3 {
            alone.cli(&["FLUSHALL"]);
            sleep(Duration::from_millis(random.below(30)));
        }
    }),
    ("DEL of the counter", |alone, _| {
        alone.cli(&["DEL", &alone.counter()]);
    }),
    ("everything evicted", |alone, _| {
        alone.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
        alone.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        sleep(Duration::from_millis(50));
        alone.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        alone.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    }),
    ("HSET of a lower number", |alone, random| {
        alone.cli(&["HSET", &alone.counter(), "n", &(1 + random.below(50)).to_string()]);
    }),
    ("SET of the counter", |alone, _| {
        alone.cli(&["SET", &alone.counter(), "1"]);
    }),
    ("DEL of the events", |alone, _| {
        for key in alone.cli(&["KEYS", "seqid:*:events"]).lines() {
            alone.cli(&["DEL", key]);
        }
    }),
    ("the counter put back", |alone, random| {
        alone.cli(&["COPY", &alone.counter(), "kept", "REPLACE"]);
        sleep(Duration::from_millis(random.below(100)));
        alone.cli(&["COPY", "kept", &alone.counter(), "REPLACE"]);
    }),
    ("an old dump loaded by the same process", |alone, random| {
        alone.cli(&["SAVE"]);
        sleep(Duration::from_millis(random.below(200)));
        alone.cli(&["DEBUG", "RELOAD", "NOSAVE"]);
    }),
    ("an older dump loaded by the same process", |alone, _| {
        alone.cli(&["DEBUG", "RELOAD", "NOSAVE"]);
    }),
    ("FUNCTION FLUSH", |alone, _| {
        alone.cli(&["FUNCTION", "FLUSH"]);
    }),
    ("SCRIPT FLUSH", |alone, _| {
        alone.cli(&["SCRIPT", "FLUSH"]);
    }),
    ("CLIENT PAUSE", |alone, random| {
        alone.cli(&["CLIENT", "PAUSE", &(200 + random.below(800)).to_string()]);
    }),
    ("DEBUG SLEEP", |alone, random| {
        alone.cli(&["DEBUG", "SLEEP", &format!("0.{}", 2 + random.below(7))]);
    }),
];

fn primary(group: &RedisSentinels) -> usize {
    loop {
        let found = group.primary_by(0).ok().flatten();
        let leads = |at: &usize| group.servers[*at].info("role").is_ok_and(|role| role == "master");
        match found.filter(leads) {
            Some(primary) => return primary,
            None => sleep(Duration::from_millis(50)),
        }
    }
}

/// However long the Sentinels take: a busy machine may have them begin anew.
fn until_another_leads(group: &RedisSentinels, former: usize) {
    while group.wait_for_other_than(former).is_err() {
        eprintln!("no other primary for a minute");
    }
}

/// Until all three follow one.
fn settle(group: &RedisSentinels) {
    loop {
        let primary = primary(group);
        let text = group.servers[primary]
            .cli(&["INFO", "replication"])
            .unwrap_or_default();
        if text.matches("state=online").count() == 2 {
            return;
        }
        sleep(Duration::from_millis(50));
    }
}

pub(crate) const SENTINELS: [Fault<RedisSentinels>; 4] = [
    ("the primary killed", |group, _| {
        let primary = primary(group);
        group.servers[primary].kill().unwrap();
        until_another_leads(group, primary);
        group.servers[primary].start_again().unwrap();
        settle(group);
    }),
    (
        "the primary stopped, and resumed once another leads",
        |group, _| {
            let primary = primary(group);
            group.servers[primary].pause().unwrap();
            until_another_leads(group, primary);
            group.servers[primary].resume().unwrap();
            settle(group);
        },
    ),
    ("SENTINEL FAILOVER", |group, _| {
        let primary = primary(group);
        // Refused so soon after another one; and given up where a replica answers too late.
        let ask = || group.sentinels[0].cli(&["SENTINEL", "FAILOVER", RedisSentinels::SERVICE]);
        loop {
            while ask().is_err() {
                sleep(Duration::from_millis(100));
            }
            if group.wait_for_other_than(primary).is_ok() {
                break;
            }
        }
        settle(group);
    }),
    ("REPLICAOF back and forth", |group, random| {
        let primary = primary(group);
        let other = (primary + 1) % 3;
        let port = |at: usize| group.servers[at].port().to_string();
        let lead = |at: usize| group.servers[at].cli(&["REPLICAOF", "NO", "ONE"]);
        let follow = |at: usize, of: usize| group.servers[at].cli(&["REPLICAOF", "127.0.0.1", &port(of)]);
        lead(other).unwrap();
        follow(primary, other).unwrap();
        sleep(Duration::from_millis(100 + random.below(300)));
        lead(primary).unwrap();
        follow(other, primary).unwrap();
        settle(group);
    }),
];

/// The slot of the counter's bucket, and its primary.
fn slot(cluster: &RedisCluster) -> (u16, usize) {
    let bucket = seqid_redis::Bucket::of(&super::crowd::sequence());
    let key = format!("{{{bucket}}}");
    let ask = |node: &RedisServer| node.cli(&["CLUSTER", "KEYSLOT", &key]).ok();
    let slot = cluster.nodes.iter().find_map(ask).unwrap();
    let slot: u16 = slot.parse().unwrap();
    loop {
        let found = (0..6).find_map(|by| {
            let primary = cluster.primary_of(slot, by).ok()?;
            let leads = cluster.nodes[primary]
                .info("role")
                .is_ok_and(|role| role == "master");
            leads.then_some(primary)
        });
        match found {
            Some(primary) => return (slot, primary),
            None => sleep(Duration::from_millis(50)),
        }
    }
}

fn until_whole(cluster: &RedisCluster) {
    let is_whole = |node: &RedisServer| {
        let state = node.cli(&["CLUSTER", "INFO"]).unwrap_or_default();
        let text = node.cli(&["INFO", "replication"]).unwrap_or_default();
        let linked = text.contains("state=online") || text.contains("master_link_status:up");
        state.contains("cluster_state:ok") && linked
    };
    while !cluster.nodes.iter().all(is_whole) {
        sleep(Duration::from_millis(50));
    }
}

pub(crate) const CLUSTER: [Fault<RedisCluster>; 2] = [
    ("the slot's primary killed", |cluster, _| {
        let (slot_number, primary) = slot(cluster);
        cluster.nodes[primary].kill().unwrap();
        loop {
            let (same, now) = slot(cluster);
            if same == slot_number && now != primary {
                break;
            }
            sleep(Duration::from_millis(50));
        }
        cluster.nodes[primary].start_again().unwrap();
        until_whole(cluster);
    }),
    ("the slot moved", |cluster, random| {
        let (slot, primary) = slot(cluster);
        let others: Vec<usize> = (0..6)
            .filter(|node| *node != primary)
            .filter(|node| {
                cluster.nodes[*node]
                    .info("role")
                    .is_ok_and(|role| role == "master")
            })
            .collect();
        let to = others[usize::try_from(random.below(others.len() as u64)).unwrap()];
        cluster.move_slot(slot, to).unwrap();
    }),
];
