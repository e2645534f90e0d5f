use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seqid_core::Number;
use seqid_core::chain::Authority;
use seqid_core::clock::Seed;

use crate::config::RedisConfig;
use crate::connection::{Connection, Connections, Verified};
use crate::counter_id::{Bucket, CounterId};
use crate::error::{Fault, OpenError};
use crate::history::{History, Server};
use crate::scripts::Script;
use crate::stream::Events;

/// Counters in Redis, each of which gives numbers only from a range that a durable store lent to one history of the server.
///
/// # Protocol
/// [`open`](Self::open) asks for the offer of a counter; the durable store answers it with a [`Grant`], once;
/// [`seed`](Self::seed) brings the grant to the counter; [`draw`](Self::draw) takes from it; [`close`](Self::close) ends it,
/// and tells where. Every one of them is refused by a server whose history is another, whatever the connection was thought to
/// lead to.
///
/// # Errors
/// A [`Fault`] tells by its [certainty](Fault::certainty) whether the call may have had effect.
///
/// # Cancel safety
/// A future that is dropped may have been sent: its outcome is unknown.
#[derive(Debug)]
pub struct Fenced {
    config: Arc<RedisConfig>,
    authority: String,
    connections: Connections,
    seed: Seed,
    offers: AtomicU64,
}

/// What a counter offers: who brings a grant for it may seed it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The offer. A durable store answers each once; a seed uses it up.
    pub offer: String,
    /// The history that the offer is good for.
    pub history: History,
    /// As [`Server::topology`].
    pub topology: u64,
    /// The epoch that the key is in, whatever its state is worth. One above that of the durable store shows that the store
    /// went back in time.
    pub epoch: Option<u32>,
}

/// A range that a durable store lent to a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The offer that it answers.
    pub offer: String,
    /// The history that it is lent to.
    pub history: History,
    /// Its epoch, higher than any before.
    pub epoch: u32,
    /// The version of the definition that it was lent for.
    pub version: u32,
    /// The first number.
    pub first: Number,
    /// Where the range ends: the first number that is not in it.
    pub end: u64,
}

/// What became of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seeded {
    /// The counter can be drawn from. `before` is whether an earlier message, or somebody who helped, had done it.
    Done {
        /// It was done before.
        before: bool,
    },
    /// The grant is of no use here.
    Fenced(Refused),
}

/// What to take from a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The counter.
    pub counter: CounterId,
    /// The epoch that the caller knows it in.
    pub epoch: u32,
    /// The version of the definition that the caller goes by.
    pub version: u32,
    /// By how much the counter advances: count times step, at least 1.
    pub advance: u64,
    /// The highest [`next`](Drawn::Granted) that the caller has seen in this epoch; 0 when none. A counter that is behind it
    /// went back in time.
    pub floor: u64,
    /// What is recorded of it: the caller's own encoding.
    pub events: Vec<u8>,
}

/// What became of a draw. All of it is certain: what is not granted was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drawn {
    /// The numbers from `first` up to `next`, which is not among them, are the caller's.
    Granted {
        /// The first number.
        first: Number,
        /// The counter's next number: the floor of later draws.
        next: u64,
        /// The entry of the stream that records it.
        entry: String,
    },
    /// The range has too few numbers left. Nothing was taken.
    RangeEnd {
        /// The next number.
        next: u64,
        /// Where the range ends.
        end: u64,
    },
    /// The range was lent for another version of the definition. Nothing was taken.
    StaleVersion {
        /// That version.
        version: u32,
    },
    /// Too many events wait to be recorded. Nothing was taken.
    StreamFull {
        /// How many.
        entries: u64,
    },
    /// The counter must be opened. Nothing was taken.
    Missing,
    /// The counter must not be drawn from as the caller knows it. Nothing was taken.
    Fenced(Refused),
    /// The server refused a command of the script: the user may not. Nothing was taken.
    Denied {
        /// What the server said.
        message: String,
    },
}

/// What became of the end of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The numbers below `next` are issued, those from it on are not and never will be in this epoch.
    Done {
        /// The next number.
        next: u64,
    },
    /// The counter is not there.
    Missing,
    /// What the counter says is not the end of this epoch.
    Fenced(Refused),
}

/// A refusal with what the counter's key held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Why.
    pub fence: Fence,
    /// The key's epoch, if it has one. With [`Fence::Epoch`], all else was found right: it may be adopted.
    pub epoch: Option<u32>,
    /// The key's next number, if it has one.
    pub next: Option<u64>,
    /// The end of its range, if it has one.
    pub end: Option<u64>,
}

/// What fences a counter off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fence {
    /// The server is a replica.
    Role,
    /// The counter, or its bucket, belongs to another durable store.
    Authority,
    /// The key was written in another history.
    History,
    /// The key is not as the server's process left it: it went back in time within one history, somebody wrote it, or the process
    /// has forgotten, as after `FUNCTION FLUSH`.
    Memory,
    /// The key is not as a script left it.
    Checksum,
    /// The key is in another epoch than the caller thinks.
    Epoch,
    /// The epoch is closed.
    Closed,
    /// The counter is behind what the caller has seen: it went back in time within one history, and so did the process.
    Floor,
    /// The offer is used up, or was never made here.
    Offer,
    /// The range is not the one that was to be extended.
    Range,
    /// The key is not of the kind that seqid writes.
    Type,
}

impl Fence {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "role" => Self::Role,
            "authority" => Self::Authority,
            "history" => Self::History,
            "memory" => Self::Memory,
            "checksum" => Self::Checksum,
            "epoch" => Self::Epoch,
            "closed" => Self::Closed,
            "floor" => Self::Floor,
            "offer" => Self::Offer,
            "range" => Self::Range,
            "type" => Self::Type,
            _ => return None,
        })
    }
}

impl Fenced {
    /// Connects to the primary, or to the primaries of a cluster, and keeps connected. The counters are those of one durable
    /// store. The seed must be another in each process: offers are told apart by it.
    ///
    /// # Errors
    /// What keeps a server from being drawn from. Later on, only calls have errors.
    pub async fn connect(config: RedisConfig, authority: Authority, seed: Seed) -> Result<Self, OpenError> {
        let config = Arc::new(config);
        let connections = Connections::open(&config).await?;
        Ok(Self {
            config,
            authority: authority.to_string(),
            connections,
            seed,
            offers: AtomicU64::new(0),
        })
    }

    /// The server that a bucket is on, once there is one that can be drawn from.
    ///
    /// # Errors
    /// When the runtime is ending.
    pub async fn server(&self, bucket: Bucket) -> Result<Server, Fault> {
        Ok(self.connection(bucket).wait().await?.server.clone())
    }

    /// Never uses a history again for a bucket: it was retired in favour of another, of this topology. A connection that leads to
    /// it is dropped, and the primary is looked for. A higher topology shows that it was chosen anew.
    pub fn retire(&self, bucket: Bucket, history: &History, topology: u64) {
        self.connection(bucket).retire(history, topology);
    }

    /// Asks for the offer of a counter, which makes it one if it has none. `spent` is an offer that the durable store has
    /// already answered: it is replaced.
    ///
    /// # Errors
    /// See [the type](Self). Repeating it does no harm.
    pub async fn open(
        &self,
        counter: &CounterId,
        spent: Option<&str>,
    ) -> Result<Result<Opened, Refused>, Fault> {
        let verified = self.connection(counter.bucket()).get()?;
        let random = format!(
            "{:016x}{:x}",
            self.seed.0,
            self.offers.fetch_add(1, Ordering::Relaxed)
        );
        let arguments = self.arguments([random, spent.unwrap_or_default().to_owned()]);
        let keys = self.keys(counter);
        let mut answer: Vec<String> = verified.run(Script::Open, &keys, &arguments).await?;
        if answer == ["unmarked"] {
            self.mark(&verified, counter.bucket()).await?;
            answer = verified.run(Script::Open, &keys, &arguments).await?;
        }
        match words(&answer)[..] {
            ["open", offer, run_id, master_replid, epoch] => {
                let history = History {
                    run_id: run_id.to_owned(),
                    master_replid: master_replid.to_owned(),
                };
                if history != verified.server.history {
                    verified.condemn();
                }
                Ok(Ok(Opened {
                    offer: offer.to_owned(),
                    history,
                    topology: verified.server.topology,
                    epoch: epoch.parse().ok(),
                }))
            }
            _ => Ok(Err(fenced(&verified, &answer)?)),
        }
    }

    /// Makes the marker of a bucket. In the middle of a slot's move this is done where the slot comes from, if at all.
    async fn mark(&self, verified: &Verified, bucket: Bucket) -> Result<(), Fault> {
        let mut command = redis::cmd("SET");
        command
            .arg(bucket.marker(&self.config.namespace))
            .arg(&self.authority)
            .arg("NX");
        verified.send::<Option<String>>(&command).await?;
        Ok(())
    }

    /// Brings a grant to its counter. Anyone may, and as often as they like: an offer seeds once.
    ///
    /// # Errors
    /// See [the type](Self). Repeating it does no harm.
    pub async fn seed(&self, counter: &CounterId, grant: &Grant) -> Result<Seeded, Fault> {
        let arguments = self.arguments([
            grant.history.run_id.clone(),
            grant.history.master_replid.clone(),
            grant.offer.clone(),
            grant.epoch.to_string(),
            grant.version.to_string(),
            grant.first.to_string(),
            grant.end.to_string(),
        ]);
        let verified = self.connection(counter.bucket()).get()?;
        let answer: Vec<String> = verified
            .run(Script::Seed, &self.keys(counter), &arguments)
            .await?;
        match words(&answer)[..] {
            ["seeded", when] => Ok(Seeded::Done {
                before: when == "before",
            }),
            // The offer went with the marker.
            ["unmarked"] => Ok(Seeded::Fenced(Refused::bare(Fence::Offer))),
            _ => Ok(Seeded::Fenced(fenced(&verified, &answer)?)),
        }
    }

    /// Draws from counters of one bucket in one go, each on its own and in this order. The answer has as many elements. All
    /// must be of that bucket: a cluster refuses the others, and elsewhere their events would be in a stream of others.
    ///
    /// # Errors
    /// See [the type](Self). What is in the answer is certain; a fault is of all draws.
    pub async fn draw(&self, bucket: Bucket, draws: &[Draw]) -> Result<Vec<Drawn>, Fault> {
        debug_assert!(
            draws.iter().all(|draw| draw.counter.bucket() == bucket),
            "draws of another bucket"
        );
        let namespace = &self.config.namespace;
        let mut keys = vec![bucket.marker(namespace), bucket.stream(namespace)];
        let mut arguments = self.arguments([self.config.largest_stream.to_string()]);
        for draw in draws {
            keys.push(draw.counter.key(namespace));
            let numbers = [draw.epoch.into(), draw.version.into(), draw.advance, draw.floor];
            arguments.extend(numbers.map(|number: u64| number.to_string().into_bytes()));
            arguments.push(draw.events.clone());
        }
        let verified = self.connection(bucket).get()?;
        let answers: Vec<Vec<String>> = verified.run(Script::Draw, &keys, &arguments).await?;
        if answers.len() != draws.len() {
            return Err(Fault::unreadable(&answers.concat()));
        }
        draws
            .iter()
            .zip(&answers)
            .map(|(draw, answer)| drawn(&verified, draw, answer))
            .collect()
    }

    /// Moves the end of an epoch's range from `from` to `to`.
    ///
    /// # Errors
    /// See [the type](Self). Repeating it does no harm.
    pub async fn extend(&self, counter: &CounterId, epoch: u32, from: u64, to: u64) -> Result<Seeded, Fault> {
        let arguments = self.arguments([epoch.to_string(), from.to_string(), to.to_string()]);
        let verified = self.connection(counter.bucket()).get()?;
        let answer: Vec<String> = verified
            .run(Script::Extend, &self.keys(counter), &arguments)
            .await?;
        match words(&answer)[..] {
            ["extended", when] => Ok(Seeded::Done {
                before: when == "before",
            }),
            ["missing"] | ["unmarked"] => Ok(Seeded::Fenced(Refused::bare(Fence::Epoch))),
            _ => Ok(Seeded::Fenced(fenced(&verified, &answer)?)),
        }
    }

    /// Ends an epoch: nothing is drawn from it any more. `floor` is as in [`Draw::floor`].
    ///
    /// # Errors
    /// See [the type](Self). Repeating it does no harm, and answers the same.
    pub async fn close(&self, counter: &CounterId, epoch: u32, floor: u64) -> Result<Closed, Fault> {
        let arguments = self.arguments([epoch.to_string(), floor.to_string()]);
        let verified = self.connection(counter.bucket()).get()?;
        let answer: Vec<String> = verified
            .run(Script::Close, &self.keys(counter), &arguments)
            .await?;
        match words(&answer)[..] {
            ["closed", next] => Ok(Closed::Done {
                next: number(next, &answer)?,
            }),
            ["missing"] | ["unmarked"] => Ok(Closed::Missing),
            _ => Ok(Closed::Fenced(fenced(&verified, &answer)?)),
        }
    }

    /// The events of a bucket.
    #[must_use]
    pub fn events(&self, bucket: Bucket) -> Events<'_> {
        Events::new(self.connection(bucket), bucket.stream(&self.config.namespace))
    }

    /// Looks for the primary of a bucket anew: what is known of it is out of date.
    pub fn look_again(&self, bucket: Bucket) {
        if let Ok(verified) = self.connection(bucket).get() {
            verified.condemn();
        }
    }

    /// Why nothing can be drawn from a bucket now, if so. Asks nobody.
    #[must_use]
    pub fn obstacle(&self, bucket: Bucket) -> Option<Fault> {
        self.connection(bucket).get().err()
    }

    /// What it connects to.
    #[must_use]
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    fn connection(&self, bucket: Bucket) -> &Connection {
        self.connections.of(bucket)
    }

    fn keys(&self, counter: &CounterId) -> [String; 2] {
        let namespace = &self.config.namespace;
        [counter.bucket().marker(namespace), counter.key(namespace)]
    }

    fn arguments<const N: usize>(&self, rest: [String; N]) -> Vec<Vec<u8>> {
        let mut arguments = vec![self.authority.clone().into_bytes()];
        arguments.extend(rest.map(String::into_bytes));
        arguments
    }
}

impl Refused {
    fn bare(fence: Fence) -> Self {
        Self {
            fence,
            epoch: None,
            next: None,
            end: None,
        }
    }
}

fn words(answer: &[String]) -> Vec<&str> {
    answer.iter().map(String::as_str).collect()
}

fn number<T: std::str::FromStr>(word: &str, answer: &[String]) -> Result<T, Fault> {
    word.parse().map_err(|_| Fault::unreadable(answer))
}

/// What a script answers that found a counter fenced off.
fn fenced(verified: &Verified, answer: &[String]) -> Result<Refused, Fault> {
    let (fence, rest) = match words(answer)[..] {
        ["failed", message] => {
            return Err(Fault::Denied {
                message: message.to_owned(),
            });
        }
        ["fenced", fence] => (Fence::of(fence), HashMap::new()),
        ["fenced", fence, epoch, next, end] => {
            let rest = HashMap::from([("epoch", epoch), ("next", next), ("end", end)]);
            (Fence::of(fence), rest)
        }
        _ => (None, HashMap::new()),
    };
    let fence = fence.ok_or_else(|| Fault::unreadable(answer))?;
    if fence == Fence::Role {
        verified.condemn();
    }
    let read = |name: &str| rest.get(name).and_then(|word: &&str| word.parse::<u64>().ok());
    Ok(Refused {
        fence,
        epoch: read("epoch").and_then(|epoch| u32::try_from(epoch).ok()),
        next: read("next"),
        end: read("end"),
    })
}

fn drawn(verified: &Verified, draw: &Draw, answer: &[String]) -> Result<Drawn, Fault> {
    match words(answer)[..] {
        ["granted", first, entry] => {
            let first: u64 = number(first, answer)?;
            Ok(Drawn::Granted {
                first: Number::new(first).map_err(|_| Fault::unreadable(answer))?,
                next: first
                    .checked_add(draw.advance)
                    .ok_or_else(|| Fault::unreadable(answer))?,
                entry: entry.to_owned(),
            })
        }
        ["range-end", next, end] => Ok(Drawn::RangeEnd {
            next: number(next, answer)?,
            end: number(end, answer)?,
        }),
        ["stale-version", version] => Ok(Drawn::StaleVersion {
            version: number(version, answer)?,
        }),
        ["stream-full", entries] => Ok(Drawn::StreamFull {
            entries: number(entries, answer)?,
        }),
        ["missing"] | ["unmarked"] => Ok(Drawn::Missing),
        ["failed", message] => Ok(Drawn::Denied {
            message: message.to_owned(),
        }),
        _ => Ok(Drawn::Fenced(fenced(verified, answer)?)),
    }
}
