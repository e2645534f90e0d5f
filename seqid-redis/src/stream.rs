use std::collections::HashMap;
use std::time::Duration;

use redis::{Value, cmd, from_redis_value};
use seqid_core::Number;

use crate::connection::{Connection, Verified};
use crate::error::Fault;
use crate::history::History;

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

/// An entry that seqid never wrote, or that somebody changed. It stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} of entry {id} of the stream is none")]
pub struct UnreadableEntry {
    /// Its place in the stream.
    pub id: String,
    /// What cannot be read.
    pub what: &'static str,
}

/// Some entries of a stream, in their order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EntryPage {
    /// The history that they were read in: what [`Events::remove`] is told.
    pub history: History,
    /// The entries.
    pub entries: Vec<Result<Entry, UnreadableEntry>>,
    /// What the next page begins behind; `None` at the end.
    pub next: Option<String>,
}

/// The events of a bucket: those that were drawn and that nobody has removed yet. Whoever draws removes its own once they are
/// kept elsewhere; what is still there after a while is of somebody who is gone.
#[derive(Debug)]
pub struct Events<'a> {
    connection: &'a Connection,
    stream: String,
}

impl<'a> Events<'a> {
    pub(crate) fn new(connection: &'a Connection, stream: String) -> Self {
        Self { connection, stream }
    }

    /// The entries that have been there for at least this long by the server's clock, at most `limit`, those behind `after`.
    ///
    /// # Errors
    /// See [`Fenced`](crate::Fenced).
    pub async fn older_than(
        &self,
        age: Duration,
        after: Option<&str>,
        limit: usize,
    ) -> Result<EntryPage, Fault> {
        let verified = self.connection.get()?;
        let to = match age {
            Duration::ZERO => "+".to_owned(),
            age => instant(&verified, age).await?,
        };
        let from = after.map_or("-".to_owned(), |after| format!("({after}"));
        let mut command = cmd("XRANGE");
        command.arg(&[&self.stream, &from, &to, "COUNT"]).arg(limit);
        let values: Vec<Value> = verified.send(&command).await?;
        let mut entries = Vec::with_capacity(values.len());
        for value in values {
            entries.push(entry(value)?);
        }
        let last = entries.last().filter(|_| entries.len() == limit);
        Ok(EntryPage {
            history: verified.server.history.clone(),
            next: last.map(|last| match last {
                Ok(entry) => entry.id.clone(),
                Err(unreadable) => unreadable.id.clone(),
            }),
            entries,
        })
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// See [`Fenced`](crate::Fenced).
    pub async fn count(&self) -> Result<u64, Fault> {
        let mut command = cmd("XLEN");
        command.arg(&self.stream);
        self.connection.get()?.send(&command).await
    }

    /// These are kept elsewhere. Answers how many left the stream: none if the server's history is another one by now, for there
    /// the same places may have other events.
    ///
    /// # Errors
    /// See [`Fenced`](crate::Fenced). Repeating it does no harm.
    pub async fn remove(&self, history: &History, entries: &[String]) -> Result<u64, Fault> {
        let verified = self.connection.get()?;
        if verified.server.history != *history {
            return Ok(0);
        }
        let mut removed = 0;
        for some in entries.chunks(1000) {
            let mut command = cmd("XDEL");
            command.arg(&self.stream).arg(some);
            removed += verified.send::<u64>(&command).await?;
        }
        Ok(removed)
    }
}

/// The last place of a stream that was written so long ago.
async fn instant(verified: &Verified, age: Duration) -> Result<String, Fault> {
    let (seconds, micros): (u64, u64) = verified.send(&cmd("TIME")).await?;
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let now = seconds.saturating_mul(1000).saturating_add(micros / 1000);
    Ok(now.saturating_sub(age).to_string())
}

fn entry(value: Value) -> Result<Result<Entry, UnreadableEntry>, Fault> {
    let (id, mut fields): (String, HashMap<String, Vec<u8>>) = from_redis_value(value)?;
    Ok(read(&id, &mut fields).map_err(|what| UnreadableEntry { id, what }))
}

fn read(id: &str, fields: &mut HashMap<String, Vec<u8>>) -> Result<Entry, &'static str> {
    let events = fields.remove("d").ok_or("content")?;
    let text = |name: &str| fields.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
    Ok(Entry {
        id: id.to_owned(),
        counter: text("c").ok_or("counter")?.to_owned(),
        epoch: number("e")
            .and_then(|epoch| u32::try_from(epoch).ok())
            .ok_or("epoch")?,
        first: number("f")
            .and_then(|first| Number::new(first).ok())
            .ok_or("number")?,
        advance: number("s").ok_or("advance")?,
        events,
    })
}
