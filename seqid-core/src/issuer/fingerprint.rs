//! The digest of a request as it was sent, so that a key is not used for two. The same from every transport.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::event::Fingerprint;
use crate::field::RawValues;
use crate::names::Number;
use crate::numbering::{
    AdoptRequest, CloseRequest, CounterSelector, DrawRequest, ReopenRequest, ResetRequest, SyncRequest, When,
};

/// Begins every digest; digests of another version never match.
const VERSION: &[u8] = b"seqid request 1";

struct Encoder(Sha256);

impl Encoder {
    fn new(operation: &str) -> Self {
        let mut encoder = Self(Sha256::new());
        encoder.0.update(VERSION);
        encoder.text(operation);
        encoder
    }

    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.update([u8::from(text.is_some())]);
        self.text(text.unwrap_or_default());
    }

    fn values(&mut self, values: &RawValues) {
        self.0.update((values.len() as u64).to_be_bytes());
        for (name, value) in values {
            self.text(name);
            self.text(value);
        }
    }

    fn counter(&mut self, counter: &CounterSelector) {
        self.text(counter.prefix.as_str());
        self.values(&counter.scope);
        match &counter.when {
            When::Today => self.text("today"),
            When::On(date) => self.text(&date.to_string()),
            When::In(period) => self.text(&format!("in {period}")),
        }
    }

    fn finish(self) -> Fingerprint {
        let digest: [u8; 32] = self.0.finalize().into();
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&digest[..16]);
        Fingerprint(fingerprint)
    }
}

pub(super) fn of_draw(request: &DrawRequest) -> Fingerprint {
    let mut encoder = Encoder::new(if request.count.is_some() { "batch" } else { "next" });
    encoder.text(request.prefix.as_str());
    encoder.0.update(request.count.unwrap_or(1).to_be_bytes());
    encoder.values(&request.scope);
    encoder.values(&request.fields);
    encoder.optional(request.reference.as_ref().map(AsRef::as_ref));
    encoder.optional(request.relates_to.as_ref().map(AsRef::as_ref));
    encoder.optional(request.date.map(|date| date.to_string()).as_deref());
    encoder.finish()
}

pub(super) fn of_reserve(request: &DrawRequest, ttl: Duration) -> Fingerprint {
    let mut encoder = Encoder::new("reserve");
    encoder.0.update(of_draw(request).0);
    encoder.0.update(ttl.as_millis().to_be_bytes());
    encoder.finish()
}

pub(super) fn of_void(
    counter: &CounterSelector,
    (first, last): (Number, Number),
    generation: Option<u32>,
) -> Fingerprint {
    let mut encoder = Encoder::new("void");
    encoder.counter(counter);
    encoder.0.update(first.get().to_be_bytes());
    encoder.0.update(last.get().to_be_bytes());
    if let Some(generation) = generation {
        encoder.0.update(generation.to_be_bytes());
    }
    encoder.finish()
}

pub(super) fn of_close(request: &CloseRequest) -> Fingerprint {
    let mut encoder = Encoder::new("close");
    encoder.optional(request.prefix.as_ref().map(AsRef::as_ref));
    encoder.text(&request.through.to_string());
    encoder.finish()
}

pub(super) fn of_reopen(request: &ReopenRequest) -> Fingerprint {
    let mut encoder = Encoder::new("reopen");
    encoder.optional(request.prefix.as_ref().map(AsRef::as_ref));
    encoder.text(&request.from.to_string());
    encoder.finish()
}

pub(super) fn of_reset(request: &ResetRequest) -> Fingerprint {
    let mut encoder = Encoder::new("reset");
    encoder.counter(&request.counter);
    encoder.0.update(request.next.get().to_be_bytes());
    encoder.0.update([u8::from(request.repeats_accepted)]);
    encoder.finish()
}

pub(super) fn of_sync(request: &SyncRequest) -> Fingerprint {
    let mut encoder = Encoder::new("sync");
    encoder.counter(&request.counter);
    encoder.0.update(request.last_used.get().to_be_bytes());
    encoder.finish()
}

pub(super) fn of_adopt(request: &AdoptRequest) -> Fingerprint {
    let mut encoder = Encoder::new("adopt");
    encoder.text(request.prefix.as_str());
    for id in &request.ids {
        encoder.text(id);
    }
    encoder.finish()
}
