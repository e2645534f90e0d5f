//! Events as lines of JSON in a file: the simplest audit sink, readable by anything.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use serde::ser::SerializeMap;

use crate::event::{EventKind, Recorded};
use crate::hex;
use crate::store::{AuditSink, SinkError};

/// Appends events to a file, one JSON object a line, and answers once they are on the disk.
///
/// After a crash the file may hold events twice; `event_id` tells. A half-written last line is cut off when the
/// file is opened again, and its event comes again. Must be used within a tokio runtime.
#[derive(Debug, Clone)]
pub struct JsonLines {
    file: Arc<Mutex<File>>,
}

impl JsonLines {
    /// Opens a file for appending, and makes it when there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, read or cut.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        let whole = end_of_last_whole_line(&mut file)?;
        file.set_len(whole)?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
        })
    }
}

fn end_of_last_whole_line(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[async_trait]
impl AuditSink for JsonLines {
    async fn record(&self, events: &[Recorded]) -> Result<(), SinkError> {
        let mut lines = Vec::with_capacity(events.len() * 512);
        for event in events {
            serde_json::to_writer(&mut lines, event).map_err(SinkError::new)?;
            lines.push(b'\n');
        }
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let before = file.metadata()?.len();
            // Half a line would spoil the next one.
            file.write_all(&lines)
                .and_then(|()| file.sync_data())
                .inspect_err(|_| drop(file.set_len(before)))
        });
        written.await.map_err(SinkError::new)?.map_err(SinkError::new)
    }
}

impl Serialize for Recorded {
    /// One flat object; members that do not apply are null. Numbers are integers.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let sequence = event.subject.sequence();
        let counter = event.subject.counter();
        let run = event.run.as_ref();
        let ids = self.ids.as_ref();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event_id", &self.id.to_string())?;
        map.serialize_entry("authority", &self.authority.to_string())?;
        map.serialize_entry("position", &self.position)?;
        map.serialize_entry("kind", event.kind.as_str())?;
        map.serialize_entry("tenant", &sequence.tenant)?;
        map.serialize_entry("prefix", &sequence.prefix)?;
        map.serialize_entry("scope", &counter.map(crate::counter::CounterKey::scope))?;
        map.serialize_entry("period", &counter.map(|key| key.period().to_string()))?;
        map.serialize_entry("period_start", &counter.and_then(|key| key.period().first()))?;
        map.serialize_entry("period_end", &counter.and_then(|key| key.period().last()))?;
        map.serialize_entry("n", &event.n)?;
        map.serialize_entry("generation", &event.generation)?;
        map.serialize_entry("epoch", &event.epoch)?;
        map.serialize_entry("first", &run.map(|run| run.first))?;
        map.serialize_entry("step", &run.map(|run| run.step))?;
        map.serialize_entry("count", &run.map(|run| run.count))?;
        map.serialize_entry("first_id", &ids.map(|(first, _)| first))?;
        map.serialize_entry("last_id", &ids.map(|(_, last)| last))?;
        map.serialize_entry("definition_version", &event.version)?;
        map.serialize_entry("mode", &event.mode)?;
        map.serialize_entry("date", &event.date)?;
        map.serialize_entry("fields", &event.fields)?;
        map.serialize_entry("actor", &event.origin.actor)?;
        map.serialize_entry("client", &event.origin.client)?;
        map.serialize_entry("request_id", &event.origin.request)?;
        map.serialize_entry("reference", &event.reference)?;
        map.serialize_entry("relates_to", &event.relates_to)?;
        map.serialize_entry("reason", &event.reason)?;
        map.serialize_entry("idempotency_key", &event.key.as_ref().map(|keyed| keyed.key()))?;
        let fingerprint = event
            .key
            .as_ref()
            .map(|keyed| hex::encode(&keyed.fingerprint().0));
        map.serialize_entry("fingerprint", &fingerprint)?;
        let hold = event.hold.as_deref();
        map.serialize_entry("reservation", &hold.map(|hold| hold.id.to_string()))?;
        map.serialize_entry("expires_at", &hold.map(|hold| hold.expires_at))?;
        map.serialize_entry("on_expiry", &hold.map(|hold| hold.on_expiry))?;
        let (definition, lease) = match event.kind {
            EventKind::Defined => (event.detail.as_deref(), None),
            _ => (None, event.detail.as_deref()),
        };
        map.serialize_entry("definition", &definition)?;
        map.serialize_entry("lease", &lease)?;
        map.serialize_entry("at", &event.at)?;
        map.serialize_entry("hash", &hex::encode(&self.hash))?;
        map.end()
    }
}
