use seqid_core::event::{EventKind, Recorded};
use seqid_proto as proto;

use super::{amount, days, figure, shown, values};

/// An event as it is sent.
pub(crate) fn event(recorded: Recorded) -> proto::Event {
    let Recorded {
        id,
        authority,
        position,
        event,
        hash,
        ids,
        ..
    } = recorded;
    let (sequence, counter) = (event.subject.sequence(), event.subject.counter());
    let (period_start, period_end) = counter.map(|key| days(key.period())).unwrap_or_default();
    let (first_id, last_id) = ids.unzip();
    let detail = event.detail.map(|detail| detail.to_string());
    let (definition, lease) = match event.kind {
        EventKind::Defined => (detail, None),
        _ => (None, detail),
    };
    proto::Event {
        event_id: id.to_string(),
        authority: authority.to_string(),
        position,
        kind: event.kind.as_str().to_owned(),
        tenant: sequence.tenant.to_string(),
        prefix: sequence.prefix.to_string(),
        scope: counter.map(|key| values(key.scope())).unwrap_or_default(),
        period: counter.map(|key| key.period().to_string()),
        period_start,
        period_end,
        n: event.n,
        generation: event.generation,
        epoch: event.epoch,
        first: event.run.map(|run| figure(run.first)),
        step: event.run.map(|run| amount(run.step)),
        count: event.run.map(|run| amount(run.count)),
        first_id,
        last_id,
        definition_version: event.version,
        mode: event.mode.as_str().to_owned(),
        date: shown(event.date),
        fields: values(&event.fields),
        actor: shown(event.origin.actor.as_ref()),
        client: shown(event.origin.client.as_ref()),
        request_id: shown(event.origin.request.as_ref()),
        reference: shown(event.reference),
        relates_to: shown(event.relates_to),
        reason: shown(event.reason),
        fingerprint: event.key.as_ref().map(|key| hex(&key.fingerprint().0)),
        idempotency_key: event.key.map(|key| key.key().to_string()),
        reservation: event.hold.as_ref().map(|hold| hold.id.to_string()),
        expires_at: event.hold.as_ref().map(|hold| hold.expires_at.to_string()),
        on_expiry: event.hold.as_ref().map(|hold| hold.on_expiry.as_str().to_owned()),
        definition,
        lease,
        at: event.at.to_string(),
        hash: hex(&hash),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}
