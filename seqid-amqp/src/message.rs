//! An event as a message: CloudEvents 1.0 in structured mode, which is JSON throughout. The binding of CloudEvents to headers is
//! defined for AMQP 1.0; RabbitMQ's own protocol is 0-9-1, for which there is none, so that every attribute is in the body.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use seqid_core::event::{EventKind, Recorded};
use seqid_core::export::{self, InvalidLine};
use seqid_core::names::Number;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of CloudEvents.
const SPEC_VERSION: &str = "1.0";
/// The media type of the body.
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// The version of what `data` holds. Another one has other members, or members of another meaning.
const SCHEMA: &str = "urn:seqid:event:1";
/// The header that names it, for consumers that look at no body.
const SCHEMA_HEADER: &str = "seqid-schema";

/// Why a message is not an event that this program can record. It would be none the next time either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Poison {
    /// It is not the JSON of a CloudEvent.
    #[error("not a CloudEvent: {0}")]
    NotACloudEvent(#[source] serde_json::Error),
    /// It is of a version that this program does not know.
    #[error("{attribute} is {found:?}; this program knows {known:?}")]
    Version {
        /// `specversion` or `dataschema`.
        attribute: &'static str,
        /// What it says.
        found: String,
        /// What is known here.
        known: &'static str,
    },
    /// Its data is not an event of seqid.
    #[error("data is not an event: {0}")]
    Data(#[source] InvalidLine),
    /// The message, its envelope and its data name different events.
    #[error("the message is named {message:?}, and holds the event {event:?}")]
    Name {
        /// The name outside.
        message: String,
        /// The id of the event.
        event: String,
    },
    /// Its place in its counter's chain cannot be.
    #[error("n is {n}, which is no place in a chain")]
    Place {
        /// The place.
        n: u64,
    },
    /// Its numbers cannot be.
    #[error("the run from {first}, {count} numbers {step} apart, goes beyond the largest number there is")]
    Range {
        /// The first number.
        first: u64,
        /// The distance.
        step: u64,
        /// How many.
        count: u64,
    },
}

/// The members of the envelope, in the order in which they are written.
#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    dataschema: &'static str,
    data: &'a Recorded,
}

/// What is read of an envelope. Others may add attributes on the way: they are passed over, as CloudEvents asks.
#[derive(Deserialize)]
struct Received<'a> {
    specversion: String,
    id: String,
    dataschema: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// `tenant.prefix.kind`: three words for the patterns of a topic exchange. A dot within a name is written `:`, and the prefix of
/// events that concern all sequences of a tenant, `*`, is written `+`; neither occurs in names.
#[must_use]
pub fn routing_key(event: &Recorded) -> String {
    let sequence = event.event.subject.sequence();
    let kind = event.event.kind.as_str();
    let mut key = String::with_capacity(160);
    for name in [sequence.tenant.as_str(), sequence.prefix.as_str()] {
        key.extend(name.chars().map(|character| match character {
            '.' => ':',
            '*' => '+',
            other => other,
        }));
        key.push('.');
    }
    key.push_str(kind);
    key
}

/// The body of an event's message.
pub(crate) fn body(event: &Recorded) -> serde_json::Result<Vec<u8>> {
    let id = event.id.to_string();
    let sequence = event.event.subject.sequence();
    let envelope = Envelope {
        specversion: SPEC_VERSION,
        id: &id,
        source: format!("/seqid/{}", event.authority),
        r#type: type_of(event.event.kind),
        subject: format!("{}/{}", sequence.tenant, sequence.prefix),
        time: event.event.at.to_string(),
        datacontenttype: "application/json",
        dataschema: SCHEMA,
        data: event,
    };
    let mut body = Vec::with_capacity(1024);
    serde_json::to_writer(&mut body, &envelope)?;
    Ok(body)
}

fn type_of(kind: EventKind) -> String {
    format!("seqid.{}", kind.as_str())
}

/// What goes with an event's message: it outlives a restart of the broker, and its name is that of the event.
pub(crate) fn properties(event: &Recorded) -> BasicProperties {
    let seconds = event.event.at.as_micros().max(0).unsigned_abs() / 1_000_000;
    let mut headers = FieldTable::default();
    headers.insert(SCHEMA_HEADER.into(), AMQPValue::LongString(SCHEMA.into()));
    BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(2)
        .with_message_id(event.id.to_string().into())
        .with_type(type_of(event.event.kind).into())
        .with_app_id("seqid".into())
        .with_timestamp(seconds)
        .with_headers(headers)
}

/// Reads a message. `name` is the id that it was published with, if any.
pub(crate) fn read(body: &[u8], name: Option<&str>) -> Result<Recorded, Poison> {
    let received: Received<'_> = serde_json::from_slice(body).map_err(Poison::NotACloudEvent)?;
    let known = |attribute, found: &str, known| {
        let found = found.to_owned();
        if found == known {
            Ok(())
        } else {
            Err(Poison::Version {
                attribute,
                found,
                known,
            })
        }
    };
    known("specversion", &received.specversion, SPEC_VERSION)?;
    known(
        "dataschema",
        received.dataschema.as_deref().unwrap_or_default(),
        SCHEMA,
    )?;
    let event = export::from_json(received.data.get().as_bytes()).map_err(Poison::Data)?;
    let id = event.id.to_string();
    for outside in [Some(received.id.as_str()), name].into_iter().flatten() {
        if outside != id {
            return Err(Poison::Name {
                message: outside.to_owned(),
                event: id,
            });
        }
    }
    require_possible(&event)?;
    Ok(event)
}

fn require_possible(event: &Recorded) -> Result<(), Poison> {
    let n = event.event.n;
    if !(1..=Number::MAX.get()).contains(&n) {
        return Err(Poison::Place { n });
    }
    let Some(run) = event.event.run else {
        return Ok(());
    };
    let (first, step, count) = (run.first.get(), run.step, run.count);
    let last = step
        .checked_mul(count - 1)
        .and_then(|length| first.checked_add(length));
    let most = Number::MAX.get();
    if step <= most && last.is_some_and(|last| last <= most) {
        Ok(())
    } else {
        Err(Poison::Range { first, step, count })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seqid_core::clock::{ManualClock, Seed};
    use seqid_core::numbering::DrawRequest;
    use seqid_core::store::AuditLog;
    use seqid_core::time::Timestamp;
    use seqid_core::{Issuer, MemoryStore, Numbering, Prefix};

    use super::*;

    async fn issued(prefix: &str) -> Recorded {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_700_000_000_000_000)));
        let store = Arc::new(MemoryStore::new(clock as _, Seed(1)));
        let issuer = Issuer::new(Arc::clone(&store) as _);
        let request = DrawRequest::new(Prefix::new(prefix).unwrap());
        issuer.draw(request).await.unwrap();
        store.events(0, 10).await.unwrap().pop().unwrap()
    }

    fn text(event: &Recorded) -> String {
        String::from_utf8(body(event).unwrap()).unwrap()
    }

    #[track_caller]
    fn poison(text: &str, why: &str) {
        let error = read(text.as_bytes(), None).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let event = issued("INV").await;
        let id = event.id.to_string();
        assert_eq!(read(text(&event).as_bytes(), Some(&id)).unwrap(), event);
    }

    #[tokio::test]
    async fn attributes_of_others_are_passed_over() {
        let event = issued("INV").await;
        let extended = text(&event).replacen('{', r#"{"traceparent":"00-1-2-01","#, 1);
        assert_eq!(read(extended.as_bytes(), None).unwrap(), event);
    }

    #[tokio::test]
    async fn a_dot_in_a_name_makes_no_word() {
        assert_eq!(routing_key(&issued("INV").await), "default.INV.issued");
        assert_eq!(routing_key(&issued("INV.2").await), "default.INV:2.issued");
        let longest = "I".repeat(64);
        assert!(routing_key(&issued(&longest).await).len() <= 255);
    }

    #[tokio::test]
    async fn what_is_no_event_is_poison_with_a_reason() {
        let event = issued("INV").await;
        let text = text(&event);
        poison("", "not a CloudEvent");
        poison("{}", "missing field");
        poison(&text[..text.len() - 1], "not a CloudEvent");
        poison(&text.replacen("\"1.0\"", "\"2.0\"", 1), "specversion is \"2.0\"");
        poison(
            &text.replace(SCHEMA, "urn:seqid:event:2"),
            "dataschema is \"urn:seqid:event:2\"",
        );
        poison(&text.replace(r#""kind":"issued""#, r#""kind":"eaten""#), "kind");
        poison(&text.replace(r#""count":1,"#, r#""count":0,"#), "count");
        poison(&text.replace(r#""tenant":"#, r#""landlord":"#), "landlord");
        let other = text.replacen(&event.id.to_string(), &"0".repeat(32), 1);
        poison(&other, "holds the event");
        assert!(read(text.as_bytes(), Some("another")).is_err());
    }

    #[tokio::test]
    async fn a_run_beyond_the_largest_number_is_impossible() {
        let text = text(&issued("INV").await);
        let run = |first: u64, step: u64, count: u64| {
            text.replace(
                r#""first":1,"step":1,"count":1"#,
                &format!(r#""first":{first},"step":{step},"count":{count}"#),
            )
        };
        let most = i64::MAX as u64;
        assert!(read(run(most, 1, 1).as_bytes(), None).is_ok());
        assert!(read(run(1, 1, most).as_bytes(), None).is_ok());
        poison(&run(2, 1, most), "beyond the largest number");
        poison(&run(1, u64::MAX, 3), "beyond the largest number");
        poison(&run(1, most + 1, 1), "beyond the largest number");
        poison(&text.replace(r#""n":1,"#, r#""n":0,"#), "no place in a chain");
    }
}
