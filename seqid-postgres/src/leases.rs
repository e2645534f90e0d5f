//! Leases: the rows of numbers that holders give out.

use std::collections::HashMap;

use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::lease::{Lease, LeaseId};
use seqid_core::ledger::LeaseChange;
use seqid_core::names::Label;
use seqid_core::store::LeaseRecord;
use sqlx::PgConnection;
use sqlx::postgres::PgBindIterExt;

use crate::batch::Batch;
use crate::columns::{counter_key, lease};
use crate::encoding::{signed, signed_len, signed32};
use crate::error::Fault;
use crate::load::place;
use crate::rows;

/// The leases of counters that are open, and those of a name; for a holder the ones that it lost, and the one of the highest
/// numbers of the last generation: $1 counters, $2 names, $3 holders.
const LOAD: &str = concat!(
    "SELECT DISTINCT u.counter_place, ",
    lease!(),
    " FROM (SELECT min(place) OVER (PARTITION BY counter) AS counter_place, counter, id, holder \
            FROM unnest($1::bigint[], $2::bytea[], $3::text[]) WITH ORDINALITY v (counter, id, holder, place)) u \
      JOIN seqid.lease l ON l.counter = u.counter AND (l.state = 1 OR l.id = u.id OR (l.state = 3 AND l.holder = u.holder) \
           OR (u.holder IS NOT NULL AND l.id = ( \
               SELECT o.id FROM seqid.lease o WHERE o.counter = u.counter AND o.last IS NOT NULL \
               ORDER BY o.generation DESC, o.last DESC LIMIT 1)))"
);

/// The open leases of a sequence behind one: prefix `*` stands for all of the tenant's.
const OPEN: &str = concat!(
    "SELECT s.tenant, s.prefix, ",
    counter_key!(),
    ", ",
    lease!(),
    " FROM seqid.lease l JOIN seqid.counter c ON c.id = l.counter JOIN seqid.sequence s ON s.id = c.sequence \
     WHERE s.tenant = $1 AND ($2 = '*' OR s.prefix = $2) AND l.state = 1 AND ($3::bytea IS NULL OR l.id > $3) \
     ORDER BY l.id LIMIT $4"
);

/// What there is of leases now. A new one follows the range of its counter's generation that ends last.
const PUT: &str = "\
    INSERT INTO seqid.lease AS l (id, counter, generation, epoch, first, step, last, before, holder, topology, state) \
    SELECT u.id, u.counter, u.generation, u.epoch, u.first, u.step, u.last, \
           CASE WHEN u.first IS NOT NULL THEN greatest( \
               (SELECT max(o.last) FROM seqid.lease o \
                WHERE o.counter = u.counter AND o.generation = u.generation AND o.last < u.first), \
               max(u.last) OVER (PARTITION BY u.counter, u.generation ORDER BY u.first \
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) END, \
           u.holder, u.topology, u.state \
    FROM unnest($1::bytea[], $2::bigint[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], \
                $8::text[], $9::bigint[], $10::smallint[]) \
         u (id, counter, generation, epoch, first, step, last, holder, topology, state) \
    ORDER BY u.counter, u.first NULLS FIRST \
    ON CONFLICT (counter, id) DO UPDATE SET first = excluded.first, last = excluded.last, state = excluded.state, \
        before = CASE WHEN excluded.first IS NOT NULL THEN l.before END";

impl Batch<'_> {
    pub(crate) async fn load_leases(
        &mut self,
        needs: Vec<(CounterKey, i64, Option<LeaseId>, Option<Label>)>,
    ) -> Result<(), Fault> {
        if needs.is_empty() {
            return Ok(());
        }
        let found = sqlx::query(LOAD)
            .bind(needs.iter().map(|(_, row, ..)| *row).bind_iter())
            .bind(needs.iter().map(|(_, _, id, _)| id.map(|id| id.0)).bind_iter())
            .bind(
                needs
                    .iter()
                    .map(|(.., holder)| holder.as_ref().map(|name| name.as_str()))
                    .bind_iter(),
            )
            .fetch_all(&mut *self.connection)
            .await?;
        for row in found {
            if let Some((counter, ..)) = needs.get(place(&row)?) {
                let lease = rows::lease(&row, 1)?;
                self.snapshot.load_leases(counter.clone(), vec![lease]);
            }
        }
        Ok(())
    }

    /// Writes changed leases: the last change of each is what is left.
    pub(crate) async fn write_leases(&mut self, changes: Vec<LeaseChange>) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut last: HashMap<(i64, LeaseId), (i64, Lease)> = HashMap::with_capacity(changes.len());
        for LeaseChange { counter, lease } in changes {
            let Some(row) = self.counters.get(&counter) else {
                return Err(Fault::Missing("counter of a lease"));
            };
            last.insert((*row, lease.id), (*row, lease));
        }
        let leases = || last.values().map(|(_, lease)| lease);
        sqlx::query(PUT)
            .bind(leases().map(|lease| lease.id.0).bind_iter())
            .bind(last.values().map(|(row, _)| *row).bind_iter())
            .bind(leases().map(|lease| signed32(lease.generation)).bind_iter())
            .bind(leases().map(|lease| signed32(lease.epoch)).bind_iter())
            .bind(
                leases()
                    .map(|lease| lease.run.map(|run| signed(run.first.get())))
                    .bind_iter(),
            )
            .bind(
                leases()
                    .map(|lease| lease.run.map(|run| signed(run.step)))
                    .bind_iter(),
            )
            .bind(
                leases()
                    .map(|lease| lease.run.map(|run| signed(run.last().get())))
                    .bind_iter(),
            )
            .bind(leases().map(|lease| lease.holder.name().as_str()).bind_iter())
            .bind(
                leases()
                    .map(|lease| lease.holder.topology().map(signed))
                    .bind_iter(),
            )
            .bind(leases().map(|lease| i16::from(lease.state as u8)).bind_iter())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

/// A page of open leases.
pub(crate) async fn open(
    connection: &mut PgConnection,
    sequence: &SequenceKey,
    after: Option<LeaseId>,
    limit: usize,
) -> Result<Vec<LeaseRecord>, Fault> {
    let found = sqlx::query(OPEN)
        .bind(sequence.tenant.as_str())
        .bind(sequence.prefix.as_str())
        .bind(after.map(|id| id.0))
        .bind(signed_len(limit))
        .fetch_all(connection)
        .await?;
    let records = found.iter().map(|row| {
        let sequence = rows::sequence_key(row, 0)?;
        Ok(LeaseRecord {
            counter: rows::counter_key(row, 2, sequence)?,
            lease: rows::lease(row, 7)?,
        })
    });
    records.collect()
}
