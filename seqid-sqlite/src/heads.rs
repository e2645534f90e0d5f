//! The heads of all chains at one moment, while the writer goes on.

use std::path::Path;

use rusqlite::{Connection, Row};
use seqid_core::chain::{Authority, Link};
use seqid_core::checkpoint::{ChainName, Heads, HeadsDigest};
use seqid_core::store::StoreError;
use tokio::sync::{Mutex, oneshot};

use crate::database;
use crate::error::Fault;
use crate::rows;

/// All chains in the order of their names, those that rows are behind of as their newest event has them. SQLite
/// compares texts by their bytes and puts NULL first, as the digest wants it.
const LIST_HEADS: &str = "\
    WITH newer AS MATERIALIZED (\
        SELECT counter, max(n) AS n, hash FROM event WHERE position > ?1 AND counter IS NOT NULL GROUP BY counter) \
    SELECT tenant, prefix, NULL, NULL, n, hash FROM sequence \
    UNION ALL \
    SELECT s.tenant, s.prefix, c.scope, c.period, coalesce(newer.n, c.n), coalesce(newer.hash, c.hash) \
    FROM counter c JOIN sequence s ON s.id = c.sequence LEFT JOIN newer ON newer.counter = c.id \
    ORDER BY 1, 2, 3, 4";

/// Reads heads, one reading at a time: however many ask, one thread and one transaction are busy with it.
#[derive(Debug, Default)]
pub(crate) struct HeadsReader(Mutex<()>);

impl HeadsReader {
    pub(crate) async fn read(&self, path: &Path, authority: Authority) -> Result<Heads, StoreError> {
        let _alone = self.0.lock().await;
        let path = path.to_owned();
        let (answer, answered) = oneshot::channel();
        // A thread of its own: it may take seconds, and those that answer short questions are few.
        let thread = std::thread::Builder::new()
            .name("seqid-sqlite-heads".into())
            .spawn(move || {
                let heads = database::open_reader(&path)
                    .map_err(Fault::from)
                    .and_then(|connection| heads(&connection, authority));
                let _gone = answer.send(heads);
            });
        thread.map_err(|error| StoreError::Unavailable(std::sync::Arc::new(error)))?;
        let heads = answered.await.map_err(|_| StoreError::Draining)?;
        heads.map_err(StoreError::from)
    }
}

/// The heads as one transaction sees them.
pub(crate) fn heads(connection: &Connection, authority: Authority) -> Result<Heads, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let one = |query: &str| transaction.query_row(query, [], |row| row.get::<_, i64>(0));
    let position = one("SELECT coalesce(max(position), 0) FROM event")?;
    let incarnation = one("SELECT max(ordinal) FROM incarnation")?;
    let mut digest = HeadsDigest::new(&authority);
    let mut statement = transaction.prepare(LIST_HEADS)?;
    let mut rows = statement.query([rows::counters_written(&transaction)?.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let (name, head) = head(row)?;
        digest.add(&name, &head);
    }
    let (chains, digest) = digest.finish();
    Ok(Heads {
        authority,
        incarnation: u32::try_from(incarnation).unwrap_or(u32::MAX),
        position: position.cast_unsigned(),
        chains,
        digest,
    })
}

fn head(row: &Row<'_>) -> rusqlite::Result<(ChainName, Link)> {
    let counter = row.get::<_, Option<String>>(2)?.zip(row.get(3)?);
    let name = ChainName::new(row.get(0)?, row.get(1)?, counter);
    let head = Link {
        n: row.get::<_, i64>(4)?.cast_unsigned(),
        hash: row.get(5)?,
    };
    Ok((name, head))
}
