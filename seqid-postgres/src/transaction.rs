//! Numbers within a transaction of the caller's own: the number and what it is for are committed together, or not at all.

use std::sync::Arc;

use seqid_core::command::{Act, Command, Reply};
use seqid_core::error::Error;
use seqid_core::numbering::{DrawRequest, Issued};
use seqid_core::store::StoreError;
use seqid_core::{Apply, Issuer};
use sqlx::{Postgres, Transaction};

use crate::PostgresStore;
use crate::batch::{Batch, Locked, groups};
use crate::engine::Engine;
use crate::error::Fault;

impl PostgresStore {
    /// Draws numbers in a transaction of the caller's own. They are issued when it commits; if it is rolled back, they are
    /// the next ones to be issued, without a gap.
    ///
    /// `issuer` must be one over this store, and the transaction one on the same database, of isolation READ COMMITTED.
    ///
    /// # Locks
    /// The counter's row is locked until the transaction ends. Draws of the same counter wait for it, those through seqid
    /// until their deadline; draws of other counters do not. So draw late, and commit soon. Transactions that draw from
    /// several counters should do so in one order, or PostgreSQL may have to end one of them (`deadlock_detected`).
    /// `lock_timeout` of the transaction bounds how long it waits itself.
    ///
    /// # Errors
    /// A refusal leaves the transaction as it was. Any other error has aborted it: roll it back. In either case nothing is
    /// issued.
    pub async fn allocate_in(
        &self,
        issuer: &Issuer,
        transaction: &mut Transaction<'_, Postgres>,
        request: DrawRequest,
    ) -> Result<Issued, Error> {
        let mut within = Within {
            engine: Arc::clone(&self.engine),
            transaction,
        };
        issuer.draw_through(&mut within, request).await
    }
}

/// A caller's transaction.
struct Within<'a, 't> {
    engine: Arc<Engine>,
    transaction: &'a mut Transaction<'t, Postgres>,
}

impl Apply for Within<'_, '_> {
    async fn apply(&mut self, command: Command) -> Result<Reply, StoreError> {
        if command.is_late() {
            return Err(StoreError::Late);
        }
        match self.draw(&command).await {
            Ok(reply) => reply,
            Err(fault) => Err(fault.into()),
        }
    }
}

impl Within<'_, '_> {
    async fn draw(&mut self, command: &Command) -> Result<Result<Reply, StoreError>, Fault> {
        if !matches!(command.act, Act::Draw(_)) {
            return Err(Fault::Missing("a draw"));
        }
        let sequences = command.kin.iter().map(|kin| &kin.sequence);
        let groups = groups(sequences.chain([command.act.sequence()]));
        let authority: Vec<u8> = sqlx::query_scalar("SELECT seqid.share($1)")
            .bind(groups)
            .fetch_one(&mut **self.transaction)
            .await?;
        if authority != self.engine.identity.authority.0 {
            return Err(Fault::OtherDatabase);
        }
        // A key that another session recorded meanwhile is seen once its row was waited for.
        loop {
            match self.attempt(command).await {
                Err(Fault::KeyTaken) => {
                    self.execute("ROLLBACK TO SAVEPOINT seqid").await?;
                }
                decided => return decided,
            }
        }
    }

    async fn attempt(&mut self, command: &Command) -> Result<Result<Reply, StoreError>, Fault> {
        if command.key.is_some() {
            self.execute("SAVEPOINT seqid").await?;
        }
        let mut batch = Batch::new(&self.engine, self.transaction, Locked::Wait);
        batch.is_callers = true;
        let mut decided = batch.apply(&[command]).await?;
        if command.key.is_some() {
            self.execute("RELEASE SAVEPOINT seqid").await?;
        }
        match decided.pop().flatten() {
            Some(reply) => Ok(reply.map_err(StoreError::from)),
            None => Err(Fault::Missing("an answer")),
        }
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), Fault> {
        sqlx::raw_sql(sql).execute(&mut **self.transaction).await?;
        Ok(())
    }
}
