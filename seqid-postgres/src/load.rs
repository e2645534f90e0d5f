//! What a batch locks and reads. Each kind of thing takes one statement, whatever there is of it.

use std::sync::Arc;

use seqid_core::command::Command;
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::event::KeyName;
use seqid_core::ledger::{Found, HeldCount, Needs, TenantCount};
use seqid_core::names::Tenant;
use sqlx::Row;
use sqlx::postgres::{PgBindIterExt, PgRow};

use crate::batch::{Batch, Locked, groups};
use crate::columns::{counter_state, event, event_joins, sequence_state};
use crate::encoding::{Instant, signed32};
use crate::engine::KnownSequence;
use crate::error::Fault;
use crate::rows::{self, get, unsigned};

/// Rows of counters by their names: $1 tenants, $2 prefixes, $3 folded prefixes, $4 folded scopes, $5 periods.
const FIND_COUNTERS: &str = "\
    SELECT u.place, c.id, c.scope \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY \
         u (tenant, prefix, folded, scope, period, place) \
    JOIN seqid.sequence s ON s.tenant = u.tenant AND s.prefix_folded = u.folded AND s.prefix = u.prefix \
    JOIN seqid.counter c ON c.sequence = s.id AND c.scope_folded = u.scope AND c.period = u.period";

/// Scopes of counters of any period that differ by letter case: parameters as above, $5 the scopes as they are.
const FIND_CASE_VARIANTS: &str = "\
    SELECT u.place, min(c.scope) \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY \
         u (tenant, prefix, folded, folded_scope, scope, place) \
    JOIN seqid.sequence s ON s.tenant = u.tenant AND s.prefix_folded = u.folded AND s.prefix = u.prefix \
    JOIN seqid.counter c ON c.sequence = s.id AND c.scope_folded = u.folded_scope AND c.scope <> u.scope \
    GROUP BY u.place";

/// The states of counters that this transaction has from now on.
macro_rules! lock_counters {
    ($wait:literal) => {
        concat!(
            "SELECT c.id, ",
            counter_state!(),
            " FROM seqid.counter c WHERE c.id = ANY($1) ORDER BY c.id FOR UPDATE ",
            $wait
        )
    };
}

const LOCK_OR_SKIP: &str = lock_counters!("SKIP LOCKED");
const LOCK: &str = lock_counters!("");

/// One row for each name, and the time.
const LOAD_SEQUENCES: &str = concat!(
    "SELECT u.place, clock_timestamp(), s.id, ",
    sequence_state!("d.spec"),
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u (tenant, folded, place) \
      LEFT JOIN (seqid.sequence s LEFT JOIN seqid.definition d ON d.sequence = s.id AND d.version = s.head) \
             ON s.tenant = u.tenant AND s.prefix_folded = u.folded AND (d.spec IS NOT NULL OR s.prefix = '*') \
      LEFT JOIN seqid.sequence w ON w.tenant = u.tenant AND w.prefix_folded = '*'"
);

/// The same of sequences that still have the newest version $2, by their rows $1.
const LOAD_KNOWN_SEQUENCES: &str = concat!(
    "SELECT u.place, clock_timestamp(), s.id, ",
    sequence_state!("NULL::text"),
    " FROM unnest($1::bigint[], $2::integer[]) WITH ORDINALITY u (id, head, place) \
      JOIN seqid.sequence s ON s.id = u.id AND s.head = u.head \
      LEFT JOIN seqid.sequence w ON w.tenant = s.tenant AND w.prefix_folded = '*'"
);

/// The events of keys that were recorded from $2 on.
macro_rules! load_keys {
    ($events:literal) => {
        concat!(
            "SELECT u.place, ",
            event!(),
            " FROM unnest($1::bytea[]) WITH ORDINALITY u (name, place) \
              JOIN seqid.idempotency_key k ON k.name = u.name \
              JOIN ",
            $events,
            " e ON e.chain = k.chain AND e.n = k.n",
            event_joins!(),
            " WHERE k.at >= $2"
        )
    };
}

const LOAD_KEYS: &str = load_keys!("seqid.event");
/// With those that this transaction has recorded.
const LOAD_KEYS_AND_OWN: &str = load_keys!("seqid.event_and_own");

impl Batch<'_> {
    pub(crate) async fn load(&mut self, needs: &Needs) -> Result<(), Fault> {
        if !needs.counters.is_empty() {
            self.load_counters(&needs.counters).await?;
        }
        self.load_sequences(&needs.sequences).await?;
        if !needs.keys.is_empty() {
            self.load_keys(&needs.keys).await?;
        }
        for tenant in &needs.tenants {
            self.load_tenant(tenant).await?;
        }
        for sequence in &needs.held {
            self.load_held(sequence).await?;
        }
        Ok(())
    }

    /// Waits until a counter is free, and locks it. One that has not opened is not waited for.
    pub(crate) async fn wait_for(&mut self, key: &CounterKey) -> Result<(), Fault> {
        if let Some(id) = self.engine.rows_of(std::slice::from_ref(key))[0] {
            match self.lock_counters(vec![(key.clone(), id)]).await {
                Err(Fault::Missing(_)) => self.engine.forget_rows(&[key]),
                locked => return locked,
            }
        }
        let mut ids = Vec::new();
        self.find_counters(&[key], &mut ids).await?;
        if ids.is_empty() {
            return Ok(());
        }
        self.lock_counters(ids).await
    }

    /// Shares the groups of the sequences that commands go on to.
    pub(crate) async fn enter_kin(&mut self, commands: &[&Command]) -> Result<(), Fault> {
        let kin = commands.iter().flat_map(|command| &command.kin);
        let groups = groups(kin.map(|kin| &kin.sequence));
        if !groups.is_empty() {
            sqlx::query("SELECT seqid.enter($1)")
                .bind(groups)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    async fn load_counters(&mut self, keys: &[CounterKey]) -> Result<(), Fault> {
        let mut ids: Vec<(CounterKey, i64)> = Vec::with_capacity(keys.len());
        let mut unknown: Vec<&CounterKey> = Vec::new();
        // A row that is gone is waited for in vain: whoever waits does not trust what is remembered.
        let trusted = self.locked == Locked::Skip;
        let remembered = self.engine.rows_of(keys);
        for (key, id) in keys.iter().zip(remembered) {
            match id {
                Some(id) if trusted => ids.push((key.clone(), id)),
                _ => unknown.push(key),
            }
        }
        if !unknown.is_empty() {
            unknown = self.find_counters(&unknown, &mut ids).await?;
        }
        if !unknown.is_empty() {
            // They may be opened here, by nobody else until this transaction ends.
            let unlocked = self.lock_opening(&unknown).await?;
            unknown = self.find_counters(&unlocked, &mut ids).await?;
        }
        if !unknown.is_empty() {
            self.load_unopened(&unknown).await?;
        }
        if !ids.is_empty() {
            self.lock_counters(ids).await?;
        }
        Ok(())
    }

    /// Finds rows of counters by their names. Answers those that were not found.
    async fn find_counters<'k>(
        &mut self,
        keys: &[&'k CounterKey],
        ids: &mut Vec<(CounterKey, i64)>,
    ) -> Result<Vec<&'k CounterKey>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = sqlx::query(FIND_COUNTERS)
            .bind(keys.iter().map(|key| key.sequence().tenant.as_str()).bind_iter())
            .bind(keys.iter().map(|key| key.sequence().prefix.as_str()).bind_iter())
            .bind(keys.iter().map(|key| key.sequence().folded_prefix()).bind_iter())
            .bind(keys.iter().map(|key| folded_scope(key)).bind_iter())
            .bind(keys.iter().map(|key| key.period().to_string()).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        let mut missing: Vec<Option<&CounterKey>> = keys.iter().copied().map(Some).collect();
        for row in found {
            let Some(key) = missing.get_mut(place(&row)?).and_then(Option::take) else {
                continue;
            };
            let (id, scope): (i64, &str) = (get(&row, 1)?, get(&row, 2)?);
            if key.scope().to_string() == scope {
                if !self.is_callers {
                    self.engine.remember_row(key, id);
                }
                ids.push((key.clone(), id));
            } else {
                let variant = Found::CaseVariant(scope.to_owned());
                self.snapshot.load_counter(key.clone(), variant);
            }
        }
        let missing: Vec<&CounterKey> = missing.into_iter().flatten().collect();
        if self.locked == Locked::Wait {
            self.engine.forget_rows(&missing);
        }
        Ok(missing)
    }

    /// Takes the right to open counters. Answers those that it was got for; the others are skipped.
    async fn lock_opening<'k>(&mut self, keys: &[&'k CounterKey]) -> Result<Vec<&'k CounterKey>, Fault> {
        let wanted = groups(keys.iter().map(|key| key.sequence()));
        let sql = match self.locked {
            Locked::Wait => {
                "SELECT g FROM unnest($1::integer[]) g, \
                 LATERAL pg_advisory_xact_lock(seqid.lock_class('opening'), g)"
            }
            Locked::Skip => {
                "SELECT g FROM unnest($1::integer[]) g \
                 WHERE pg_try_advisory_xact_lock(seqid.lock_class('opening'), g)"
            }
        };
        let got: Vec<i32> = sqlx::query_scalar(sql)
            .bind(wanted)
            .fetch_all(&mut *self.connection)
            .await?;
        let (open, skipped): (Vec<_>, Vec<_>) = keys
            .iter()
            .copied()
            .partition(|key| groups([key.sequence()]).iter().all(|group| got.contains(group)));
        self.skipped.extend(skipped.into_iter().cloned());
        Ok(open)
    }

    /// Puts in counters that have not opened.
    async fn load_unopened(&mut self, keys: &[&CounterKey]) -> Result<(), Fault> {
        let scoped: Vec<&CounterKey> = keys
            .iter()
            .copied()
            .filter(|key| !key.scope().is_empty())
            .collect();
        for key in keys {
            self.snapshot.load_counter((*key).clone(), Found::Nothing);
        }
        if scoped.is_empty() {
            return Ok(());
        }
        let variants = sqlx::query(FIND_CASE_VARIANTS)
            .bind(
                scoped
                    .iter()
                    .map(|key| key.sequence().tenant.as_str())
                    .bind_iter(),
            )
            .bind(
                scoped
                    .iter()
                    .map(|key| key.sequence().prefix.as_str())
                    .bind_iter(),
            )
            .bind(
                scoped
                    .iter()
                    .map(|key| key.sequence().folded_prefix())
                    .bind_iter(),
            )
            .bind(scoped.iter().map(|key| folded_scope(key)).bind_iter())
            .bind(scoped.iter().map(|key| key.scope().to_string()).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        for row in variants {
            if let Some(key) = scoped.get(place(&row)?) {
                let variant = Found::CaseVariant(get(&row, 1)?);
                self.snapshot.load_counter((*key).clone(), variant);
            }
        }
        Ok(())
    }

    async fn lock_counters(&mut self, ids: Vec<(CounterKey, i64)>) -> Result<(), Fault> {
        let sql = match self.locked {
            Locked::Wait => LOCK,
            Locked::Skip => LOCK_OR_SKIP,
        };
        let mut names: std::collections::HashMap<i64, CounterKey> =
            ids.into_iter().map(|(key, id)| (id, key)).collect();
        let rows = sqlx::query(sql)
            .bind(names.keys().bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        for row in rows {
            let id: i64 = get(&row, 0)?;
            if let Some(key) = names.remove(&id) {
                let state = rows::counter_state(&row, 1)?;
                self.snapshot.load_counter(key.clone(), Found::Counter(state));
                self.counters.insert(key, id);
            }
        }
        if self.locked == Locked::Wait && !names.is_empty() {
            return Err(Fault::Missing("counter"));
        }
        self.skipped.extend(names.into_values());
        Ok(())
    }

    async fn load_sequences(&mut self, keys: &[SequenceKey]) -> Result<(), Fault> {
        let mut unknown: Vec<&SequenceKey> = Vec::new();
        let mut known: Vec<(&SequenceKey, KnownSequence)> = Vec::with_capacity(keys.len());
        for (key, remembered) in keys.iter().zip(self.engine.sequences_of(keys)) {
            match remembered {
                Some(remembered) => known.push((key, remembered)),
                None => unknown.push(key),
            }
        }
        if !known.is_empty() {
            unknown.extend(self.load_known_sequences(known).await?);
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(LOAD_SEQUENCES)
            .bind(unknown.iter().map(|key| key.tenant.as_str()).bind_iter())
            .bind(unknown.iter().map(|key| key.folded_prefix()).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        for row in rows {
            let Some(key) = unknown.get(place(&row)?) else {
                continue;
            };
            self.now = self.engine.clock.record(rows::instant(&row, 1)?);
            let id: Option<i64> = get(&row, 2)?;
            let state = id.map(|_| rows::sequence_state(&row, 3)).transpose()?;
            if let Some((state, id)) = state.as_ref().zip(id)
                && state.prefix == key.prefix
            {
                self.sequences.insert((*key).clone(), id);
                if !self.is_callers {
                    let (head, spec) = (state.head, Arc::clone(&state.spec));
                    self.engine
                        .remember_sequence(key, KnownSequence { id, head, spec });
                }
            }
            self.snapshot.load_sequence((*key).clone(), state);
        }
        Ok(())
    }

    /// Loads sequences by what is remembered of them. Answers those that have changed.
    async fn load_known_sequences<'k>(
        &mut self,
        known: Vec<(&'k SequenceKey, KnownSequence)>,
    ) -> Result<Vec<&'k SequenceKey>, Fault> {
        let rows = sqlx::query(LOAD_KNOWN_SEQUENCES)
            .bind(known.iter().map(|(_, known)| known.id).bind_iter())
            .bind(known.iter().map(|(_, known)| signed32(known.head)).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        let mut known: Vec<_> = known.into_iter().map(Some).collect();
        for row in rows {
            let Some((key, known)) = known.get_mut(place(&row)?).and_then(Option::take) else {
                continue;
            };
            self.now = self.engine.clock.record(rows::instant(&row, 1)?);
            let mut state = rows::sequence_state(&row, 3)?;
            state.spec = known.spec;
            self.sequences.insert(key.clone(), known.id);
            self.snapshot.load_sequence(key.clone(), Some(state));
        }
        Ok(known.into_iter().flatten().map(|(key, _)| key).collect())
    }

    async fn load_keys(&mut self, names: &[KeyName]) -> Result<(), Fault> {
        let oldest = self.now.saturating_sub(self.engine.config.key_retention);
        let sql = if self.is_callers {
            LOAD_KEYS_AND_OWN
        } else {
            LOAD_KEYS
        };
        let rows = sqlx::query(sql)
            .bind(names.iter().map(|name| &name.0[..]).bind_iter())
            .bind(Instant(oldest))
            .fetch_all(&mut *self.connection)
            .await?;
        for name in names {
            self.snapshot.load_key(*name, None);
        }
        for row in rows {
            if let Some(name) = names.get(place(&row)?) {
                let (_, linked) = rows::event(&row, 1)?;
                self.snapshot.load_key(*name, Some(linked.event));
            }
        }
        Ok(())
    }

    async fn load_tenant(&mut self, tenant: &Tenant) -> Result<(), Fault> {
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE implicit), count(*) FILTER (WHERE NOT implicit) FROM seqid.sequence \
             WHERE tenant = $1 AND prefix <> '*'",
        )
        .bind(tenant.as_str())
        .fetch_one(&mut *self.connection)
        .await?;
        let count = TenantCount {
            implicit: unsigned(&row, 0)?,
            written: unsigned(&row, 1)?,
        };
        self.snapshot.load_tenant(tenant.clone(), count);
        Ok(())
    }

    /// Counts what is held by the counters of a sequence, or of all of a tenant's, that are not loaded.
    async fn load_held(&mut self, sequence: &SequenceKey) -> Result<(), Fault> {
        let row = sqlx::query(
            "SELECT coalesce(sum(c.reserved), 0)::bigint, coalesce(sum(c.leases), 0)::bigint \
             FROM seqid.sequence s JOIN seqid.counter c ON c.sequence = s.id \
             WHERE s.tenant = $1 AND ($2 = '*' OR (s.prefix_folded = $3 AND s.prefix = $2)) \
             AND (c.reserved > 0 OR c.leases > 0) AND c.id <> ALL($4)",
        )
        .bind(sequence.tenant.as_str())
        .bind(sequence.prefix.as_str())
        .bind(sequence.folded_prefix())
        .bind(self.counters.values().bind_iter())
        .fetch_one(&mut *self.connection)
        .await?;
        let held = HeldCount {
            numbers: unsigned(&row, 0)?,
            leases: unsigned(&row, 1)?,
        };
        self.snapshot.load_held(sequence.clone(), held);
        Ok(())
    }
}

/// Which of the things that were asked for a row is of: its first column counts them from 1.
pub(crate) fn place(row: &PgRow) -> Result<usize, Fault> {
    let place: i64 = row.try_get(0)?;
    Ok(usize::try_from(place - 1).unwrap_or(usize::MAX))
}

pub(crate) fn folded_scope(key: &CounterKey) -> String {
    key.scope().to_string().to_lowercase()
}
