//! The columns of what is read, each list in the order in which [`rows`](crate::rows) reads it.

/// The columns of [`counter_state`](crate::rows::counter_state), of a counter `c`.
macro_rules! counter_state {
    () => {
        "c.version, c.generation, c.epoch, c.next, c.last, c.last_date, c.status, c.n, c.hash, c.reserved, c.voided, \
         c.free, c.next_expiry, c.leases"
    };
}
pub(crate) use counter_state;

/// The columns of [`counter_key`](crate::rows::counter_key), of a counter `c`.
macro_rules! counter_key {
    () => {
        "c.scope, c.period, c.period_kind, c.period_first, c.period_last"
    };
}
pub(crate) use counter_key;

/// The columns of [`sequence_state`](crate::rows::sequence_state), of a sequence `s` with its tenant's whole `w` and the text
/// of its newest definition.
macro_rules! sequence_state {
    ($spec:literal) => {
        concat!(
            "s.prefix, s.head, ",
            $spec,
            ", s.implicit, s.archived, s.opened, s.closed_through, w.closed_through, s.n, s.hash"
        )
    };
}
pub(crate) use sequence_state;

/// The columns of [`mark`](crate::rows::mark), of a mark `m`.
macro_rules! mark {
    () => {
        "m.generation, m.epoch, m.first, m.step, m.count, m.state, m.date, m.fields, m.reservation, m.expires_at, \
         m.on_expiry, m.reference, m.relates_to, m.n"
    };
}
pub(crate) use mark;

/// The columns of [`lease`](crate::rows::lease), of a lease `l`.
macro_rules! lease {
    () => {
        "l.id, l.generation, l.epoch, l.first, l.step, l.last, l.holder, l.topology, l.state"
    };
}
pub(crate) use lease;

/// How many columns [`mark`] has.
pub(crate) const MARK_COLUMNS: usize = 14;

/// How many columns [`event`](crate::rows::event) has.
pub(crate) const EVENT_COLUMNS: usize = 34;

/// The columns of [`event`](crate::rows::event), of an event `e`. A definition stands in its own table.
macro_rules! event {
    () => {
        "e.position, s.tenant, s.prefix, e.chain <> e.sequence, c.scope, c.period, c.period_kind, c.period_first, \
         c.period_last, e.kind, e.n, e.generation, e.epoch, e.first, e.step, e.count, e.version, e.mode, e.at, \
         e.date, e.fields, e.actor, e.client, e.request, e.reference, e.relates_to, e.reason, e.key, \
         e.fingerprint, coalesce(e.detail, d.spec), e.reservation, e.expires_at, e.on_expiry, e.hash"
    };
}
pub(crate) use event;

/// The tables that `event!` reads beside `e`.
macro_rules! event_joins {
    () => {
        " JOIN seqid.sequence s ON s.id = e.sequence \
          LEFT JOIN seqid.counter c ON c.id = e.chain AND e.chain <> e.sequence \
          LEFT JOIN seqid.definition d ON e.kind = 6 AND d.sequence = e.sequence AND d.version = e.version "
    };
}
pub(crate) use event_joins;
