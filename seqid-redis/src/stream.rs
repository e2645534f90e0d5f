use std::collections::HashMap;
use std::time::Duration;

use redis::{Value, cmd, from_redis_value};
use seqid_core::Number;

use crate::connection::{Connection, Verified};
use crate::error::Fault;
use crate::scripts::Script;

/// The consumer group of those who bring events to where they are kept.
const GROUP: &str = "seqid";

/// How long an entry may be in the hands of a consumer before another takes it over.
const TAKE_OVER: Duration = Duration::from_secs(30);

/// One draw as the stream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its place in the stream. It is no name of the event: another history may give it to another.
    pub id: String,
    /// The [name](crate::CounterId::name) of the counter.
    pub counter: String,
    /// The epoch that was drawn from.
    pub epoch: u32,
    /// The first number.
    pub first: Number,
    /// By how much the counter advanced.
    pub advance: u64,
    /// What the caller recorded of it.
    pub events: Vec<u8>,
}

/// The events of a bucket, each given to one consumer until it acknowledges it, or is silent for too long.
#[derive(Debug)]
pub struct Events<'a> {
    connection: &'a Connection,
    stream: String,
    consumer: String,
    take_over: Duration,
}

impl<'a> Events<'a> {
    pub(crate) fn new(connection: &'a Connection, stream: String, consumer: &str) -> Self {
        Self {
            connection,
            stream,
            consumer: consumer.to_owned(),
            take_over: TAKE_OVER,
        }
    }

    /// Takes over what another consumer has had for this long: 30 seconds unless set.
    #[must_use]
    pub fn take_over(mut self, after: Duration) -> Self {
        self.take_over = after;
        self
    }

    /// The next entries, at most `limit`, none when there are none: those that this consumer has not acknowledged yet, else
    /// those that another had for too long, else new ones. Until they are acknowledged each call answers the same again.
    ///
    /// # Errors
    /// An entry that seqid never wrote is [`Fault::Unreadable`], and stays.
    pub async fn take(&self, limit: usize) -> Result<Vec<Entry>, Fault> {
        let verified = self.connection.get()?;
        match self.take_from(&verified, limit).await {
            Err(fault) if is_no_group(&fault) => {
                self.make_group(&verified).await?;
                self.take_from(&verified, limit).await
            }
            taken => taken,
        }
    }

    async fn take_from(&self, verified: &Verified, limit: usize) -> Result<Vec<Entry>, Fault> {
        let mine = self.read(verified, "0", limit).await?;
        if !mine.is_empty() {
            return Ok(mine);
        }
        let abandoned = self.claim(verified, limit).await?;
        if !abandoned.is_empty() {
            return Ok(abandoned);
        }
        self.read(verified, ">", limit).await
    }

    async fn read(&self, verified: &Verified, from: &str, limit: usize) -> Result<Vec<Entry>, Fault> {
        let mut command = cmd("XREADGROUP");
        command
            .arg(&["GROUP", GROUP, &self.consumer, "COUNT"])
            .arg(limit)
            .arg(&["STREAMS", &self.stream, from]);
        let answer: Option<Vec<(String, Vec<Value>)>> = verified.send(&command).await?;
        let read = answer
            .unwrap_or_default()
            .into_iter()
            .flat_map(|(_, entries)| entries);
        entries(read)
    }

    async fn claim(&self, verified: &Verified, limit: usize) -> Result<Vec<Entry>, Fault> {
        let mut command = cmd("XAUTOCLAIM");
        command
            .arg(&[&self.stream, GROUP, &self.consumer])
            .arg(u64::try_from(self.take_over.as_millis()).unwrap_or(u64::MAX))
            .arg(&["0", "COUNT"])
            .arg(limit);
        let answer: Vec<Value> = verified.send(&command).await?;
        let claimed: Vec<Value> = match answer.into_iter().nth(1) {
            Some(claimed) => from_redis_value(claimed)?,
            None => Vec::new(),
        };
        entries(claimed.into_iter())
    }

    /// The group begins with the first entry that there is: what was written before it was made is drained too.
    async fn make_group(&self, verified: &Verified) -> Result<(), Fault> {
        let mut command = cmd("XGROUP");
        command.arg(&["CREATE", &self.stream, GROUP, "0", "MKSTREAM"]);
        match verified.send::<Value>(&command).await {
            // Another consumer was first.
            Err(Fault::Redis(error)) if error.code() == Some("BUSYGROUP") => Ok(()),
            made => made.map(|_| ()),
        }
    }

    /// These are kept elsewhere. Answers how many entries left the stream: all those that nobody holds or waits for.
    ///
    /// # Errors
    /// See [`Fenced`](crate::Fenced). Repeating it does no harm.
    pub async fn acknowledge(&self, entries: &[String]) -> Result<u64, Fault> {
        let verified = self.connection.get()?;
        let keys = [self.stream.clone()];
        let mut trimmed = 0;
        // Lua takes no more than some thousands of arguments at a time.
        for some in entries.chunks(1000) {
            let ids = some.iter().map(|id| id.clone().into_bytes());
            let arguments: Vec<_> = std::iter::once(GROUP.into()).chain(ids).collect();
            trimmed += verified
                .run::<u64>(Script::Acknowledge, &keys, &arguments)
                .await?;
        }
        Ok(trimmed)
    }
}

fn is_no_group(fault: &Fault) -> bool {
    matches!(fault, Fault::Redis(error) if error.code() == Some("NOGROUP"))
}

fn entries(values: impl Iterator<Item = Value>) -> Result<Vec<Entry>, Fault> {
    // Of an entry that was deleted while somebody held it, only the id is left.
    values.filter(|value| *value != Value::Nil).map(entry).collect()
}

fn entry(value: Value) -> Result<Entry, Fault> {
    let (id, mut fields): (String, HashMap<String, Vec<u8>>) = from_redis_value(value)?;
    let unreadable = |what: &str| Fault::Unreadable {
        answer: format!("entry {id} of the stream, whose {what} is none"),
    };
    let text = |name: &str| fields.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let first: u64 = text("f")
        .and_then(|first| first.parse().ok())
        .ok_or_else(|| unreadable("number"))?;
    Ok(Entry {
        counter: text("c").ok_or_else(|| unreadable("counter"))?.to_owned(),
        epoch: text("e")
            .and_then(|epoch| epoch.parse().ok())
            .ok_or_else(|| unreadable("epoch"))?,
        first: Number::new(first).map_err(|_| unreadable("number"))?,
        advance: text("s")
            .and_then(|advance| advance.parse().ok())
            .ok_or_else(|| unreadable("advance"))?,
        events: fields.remove("d").ok_or_else(|| unreadable("content"))?,
        id,
    })
}
