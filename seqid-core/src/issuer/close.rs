//! The end of sequences and of periods, as callers ask for it.

use std::sync::Arc;

use super::draw::WrongReply;
use super::{Issuer, fingerprint};
use crate::command::{Act, Archive, Close, Command, Dates, Reply};
use crate::counter::{CounterKey, SequenceKey};
use crate::error::Error;
use crate::event::{Event, Fingerprint, Keyed, Origin};
use crate::ledger::Refusal;
use crate::names::{IdempotencyKey, Prefix, Reason, Tenant};
use crate::numbering::{ArchiveRequest, Archived, CloseRequest, Closed, ReopenRequest};
use crate::store::StoreError;

/// How many counters are read at a time.
const PAGE: usize = 200;

impl Issuer {
    pub(super) async fn archive_sequence(&self, request: ArchiveRequest) -> Result<Archived, Error> {
        let key = SequenceKey::new(request.tenant, request.prefix);
        let origin = self.origin(request.origin);
        let archive = Archive {
            sequence: key.clone(),
            expected: request.if_version,
            reason: request.reason,
        };
        let command = || Command::new(Act::Archive(archive.clone()), Arc::clone(&origin));
        let reply = match self.apply(command()).await {
            Err(error) if has_holds(&error) => {
                if !self.let_all_go(&key, &origin).await? {
                    return Err(error.into());
                }
                self.apply(command()).await
            }
            reply => reply,
        };
        let repeated = match reply {
            Ok(Reply::Archived(archived)) => archived.repeated,
            Ok(_) => return Err(StoreError::Unknown(Arc::new(WrongReply)).into()),
            Err(StoreError::Refused(Refusal::NotDefined)) => return Err(not_found(&key)),
            Err(error) => return Err(error.into()),
        };
        let sequence = self.shown(&self.record(&key).await?)?;
        Ok(Archived { sequence, repeated })
    }

    /// Lets go of all holds of a counter that have ended; tells whether there was one.
    pub(super) async fn let_go(&self, counter: &CounterKey, origin: &Arc<Origin>) -> Result<bool, Error> {
        let mut any = false;
        loop {
            let command = Command::new(Act::Expire(counter.clone()), Arc::clone(origin));
            let Reply::Expired(expired) = self.apply(command).await? else {
                return Err(StoreError::Unknown(Arc::new(WrongReply)).into());
            };
            any |= expired.holds > 0;
            if !expired.more {
                return Ok(any);
            }
        }
    }

    /// The same for all counters of a sequence.
    async fn let_all_go(&self, sequence: &SequenceKey, origin: &Arc<Origin>) -> Result<bool, Error> {
        let (mut any, mut after) = (false, 0);
        loop {
            let page = self.store.counters(sequence, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(any) };
            after = last.position;
            let now = self.clock.now();
            for record in &page {
                if record.state.next_expiry.is_some_and(|next| next <= now) {
                    any |= self.let_go(&record.key, origin).await?;
                }
            }
        }
    }

    pub(super) async fn close_dates(&self, request: CloseRequest) -> Result<Closed, Error> {
        let fingerprint = fingerprint::of_close(&request);
        let asked = Asked {
            tenant: request.tenant,
            prefix: request.prefix,
            dates: Dates::ClosedThrough(request.through),
            reason: request.reason,
            key: request.key.map(|key| (key, fingerprint)),
        };
        self.shut(asked, request.origin).await
    }

    pub(super) async fn reopen_dates(&self, request: ReopenRequest) -> Result<Closed, Error> {
        let fingerprint = fingerprint::of_reopen(&request);
        let asked = Asked {
            tenant: request.tenant,
            prefix: request.prefix,
            dates: Dates::OpenFrom(request.from),
            reason: request.reason,
            key: request.key.map(|key| (key, fingerprint)),
        };
        self.shut(asked, request.origin).await
    }

    async fn shut(&self, asked: Asked, origin: Origin) -> Result<Closed, Error> {
        let Asked {
            tenant,
            prefix,
            dates,
            reason,
            key,
        } = asked;
        let sequence = match &prefix {
            Some(prefix) => SequenceKey::new(tenant, prefix.clone()),
            None => SequenceKey::whole(tenant),
        };
        let keyed = key.map(|(key, fingerprint)| Keyed::new(&sequence, key, fingerprint));
        let close = Close {
            sequence: sequence.clone(),
            dates,
            reason,
        };
        let command = Command::new(Act::Close(close), self.origin(origin)).with_key(keyed);
        match self.apply(command).await {
            Ok(Reply::Closed(closed)) => Ok(Closed {
                prefix,
                closed_through: closed.through,
                changed: closed.changed,
                replayed: false,
            }),
            Ok(Reply::Replayed(event)) => self.closed_before(&sequence, &event, (prefix, dates)).await,
            Ok(_) => Err(StoreError::Unknown(Arc::new(WrongReply)).into()),
            Err(StoreError::Refused(Refusal::NotDefined)) => Err(not_found(&sequence)),
            Err(error) => Err(error.into()),
        }
    }

    /// The answer that was given when the key was used first, as far as the sequence's own dates decide it.
    async fn closed_before(
        &self,
        sequence: &SequenceKey,
        event: &Event,
        (prefix, dates): (Option<Prefix>, Dates),
    ) -> Result<Closed, Error> {
        let date = event.date.ok_or(Refusal::KeyMismatch)?;
        let own = match dates {
            Dates::ClosedThrough(_) => Some(date),
            Dates::OpenFrom(_) => date.yesterday(),
        };
        let of_all = match self.store.sequence(sequence).await? {
            Some(record) => record.tenant_closed_through,
            None => None,
        };
        Ok(Closed {
            prefix,
            closed_through: own.max(of_all),
            changed: true,
            replayed: true,
        })
    }
}

/// Dates to be closed or opened.
struct Asked {
    tenant: Tenant,
    prefix: Option<Prefix>,
    dates: Dates,
    reason: Reason,
    key: Option<(IdempotencyKey, Fingerprint)>,
}

/// Whether held numbers stand against what was asked.
pub(super) fn has_holds(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused(Refusal::OpenReservations { .. }))
}

fn not_found(key: &SequenceKey) -> Error {
    Error::SequenceNotFound {
        prefix: key.prefix.to_string(),
    }
}
