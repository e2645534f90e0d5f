//! From a service: every event of its tenants, every counter, and the checkpoint that it makes of itself.

use std::collections::VecDeque;

use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::{Recorded, Subject};
use seqid_core::numbering::{AuditRequest, Status};
use seqid_core::query::{EventQuery, Order};
use seqid_core::verify::{Fault, FaultKind, Verifier};
use seqid_core::{Error, Numbering, Tenant};
use seqid_verify::{Kept, Outcome};
use serde_json::{Value, json};

use crate::commands::counters::whole;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::progress::Progress;

/// Verifies what a service tells of these tenants.
pub(super) async fn verify(
    tenants: &[Tenant],
    kept: Kept,
    desk: &Desk,
) -> Result<(Outcome, OfService), Failure> {
    let (numbering, failed) = (&**desk.numbering(), desk.failed());
    let own = numbering.checkpoint().await.map_err(&failed)?;
    let mut verifier = kept.verifier().store(own.heads.authority).ids();
    walk(numbering, tenants, own.heads.position, &mut verifier)
        .await
        .map_err(&failed)?;
    let counters = compare(numbering, tenants, &mut verifier)
        .await
        .map_err(&failed)?;
    let report = verifier.finish();
    let chains = Chains {
        told: report.heads.chains,
        all: own.heads.chains,
    };
    let unlisted = report.counters.saturating_sub(counters.listed);
    let agrees = chains.told == chains.all && report.heads.digest == own.heads.digest;
    let outcome = Outcome::new(desk.place().to_owned(), report, kept);
    let of_service = OfService {
        counters,
        unlisted,
        chains,
        agrees,
    };
    Ok((outcome, of_service))
}

/// What a service says beside its events.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfService {
    counters: Compared,
    /// Counters that have events, and that the service does not list.
    unlisted: u64,
    chains: Chains,
    /// Whether the chains are those of the checkpoint that the service made when it was begun.
    agrees: bool,
}

impl OfService {
    /// Chains that the service has and does not show must be those of tenants that were not named. As many chains that are
    /// others are wrong whatever was named.
    pub(super) const fn is_clean(self) -> bool {
        self.unlisted == 0 && (self.agrees || self.chains.told < self.chains.all)
    }

    pub(super) fn text(self) -> String {
        let Self {
            counters,
            unlisted,
            chains,
            agrees,
        } = self;
        let mut text = format!(
            "Counters that are where their events left them: {}.",
            counters.same
        );
        if counters.moved_on > 0 {
            text += &format!(
                " Not compared, because they moved on meanwhile: {}.",
                counters.moved_on
            );
        }
        if unlisted > 0 {
            text += &format!("\nCOUNTERS THAT HAVE EVENTS AND ARE NOT LISTED: {unlisted}.");
        }
        text += &match (agrees, chains.all.checked_sub(chains.told)) {
            (true, _) => format!(
                "\nThe service's own checkpoint has the same {} chains.",
                chains.all
            ),
            (false, Some(more @ 1..)) => format!(
                "\nThe service has {more} chains more. They are of tenants that were not named, or were kept back: name \
                 all tenants with --with-tenant."
            ),
            _ => "\nTHE SERVICE'S OWN CHECKPOINT HAS OTHER CHAINS than its events.".to_owned(),
        };
        text
    }

    pub(super) fn json(self) -> Value {
        json!({
            "counters_compared": self.counters.same,
            "counters_moved_on": self.counters.moved_on,
            "counters_unlisted": self.unlisted,
            "service_chains": self.chains.all,
            "service_agrees": self.agrees,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Chains {
    told: u64,
    all: u64,
}

/// Counters whose states were held against their events.
#[derive(Debug, Clone, Copy, Default)]
struct Compared {
    listed: u64,
    same: u64,
    moved_on: u64,
}

/// Gives the events of the tenants to a verifier, in the order of the store's log, up to a position.
async fn walk(
    numbering: &dyn Numbering,
    tenants: &[Tenant],
    end: u64,
    verifier: &mut Verifier,
) -> Result<(), Error> {
    let progress = Progress::new("verifying");
    let mut logs: Vec<Log> = tenants
        .iter()
        .map(|tenant| Log::new(tenant.clone(), end))
        .collect();
    loop {
        for log in &mut logs {
            log.read(numbering).await?;
        }
        let next = logs
            .iter_mut()
            .filter(|log| !log.events.is_empty())
            .min_by_key(|log| log.position());
        let Some(event) = next.and_then(|log| log.events.pop_front()) else {
            return Ok(());
        };
        verifier.event(&event);
        progress.show(event.position, end);
    }
}

/// The events of one tenant, read as they are taken.
struct Log {
    request: Option<AuditRequest>,
    events: VecDeque<Recorded>,
    end: u64,
}

impl Log {
    fn new(tenant: Tenant, end: u64) -> Self {
        let mut request = AuditRequest::new(tenant);
        request.order = Order::OldestFirst;
        request.limit = EventQuery::LARGEST;
        Self {
            request: Some(request),
            events: VecDeque::new(),
            end,
        }
    }

    fn position(&self) -> Option<u64> {
        self.events.front().map(|event| event.position)
    }

    /// Reads on where there is no event left.
    async fn read(&mut self, numbering: &dyn Numbering) -> Result<(), Error> {
        while self.events.is_empty()
            && let Some(request) = &mut self.request
        {
            let page = numbering.audit(request.clone()).await?;
            request.after = page.next;
            if page.next.is_none_or(|next| next >= self.end) {
                self.request = None;
            }
            let end = self.end;
            self.events
                .extend(page.events.into_iter().filter(|event| event.position <= end));
        }
        Ok(())
    }
}

/// Holds what the service says of every counter against its events.
async fn compare(
    numbering: &dyn Numbering,
    tenants: &[Tenant],
    verifier: &mut Verifier,
) -> Result<Compared, Error> {
    let mut compared = Compared::default();
    for tenant in tenants {
        for sequence in whole(|page| numbering.sequences(tenant.clone(), page)).await? {
            let key = SequenceKey::new(tenant.clone(), sequence.prefix.clone());
            let has_ranges = sequence.definition.spec().ranges.is_some();
            for status in
                whole(|page| numbering.counters(tenant.clone(), sequence.prefix.clone(), page)).await?
            {
                compared.listed += 1;
                let counter = CounterKey::new(key.clone(), status.scope.clone(), status.period);
                let Some(state) = verifier.counter(&counter) else {
                    // One that opened meanwhile, or whose chain is broken, which is reported already.
                    compared.moved_on += 1;
                    continue;
                };
                if status.events > state.chain.n {
                    compared.moved_on += 1;
                    continue;
                }
                match difference(&status, &state, has_ranges) {
                    None => compared.same += 1,
                    Some((expected, found)) => verifier.fault(Fault {
                        kind: FaultKind::Head,
                        position: None,
                        subject: Some(Subject::Counter(counter)),
                        n: Some(status.events),
                        expected,
                        found,
                    }),
                }
            }
        }
    }
    Ok(compared)
}

/// The first thing that a counter's state and its events disagree on.
fn difference(status: &Status, state: &CounterState, has_ranges: bool) -> Option<(String, String)> {
    let text = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let last = |number: Option<seqid_core::Number>| text(number.map(u64::from));
    let mut pairs = vec![
        ("events", state.chain.n.to_string(), status.events.to_string()),
        ("the last number", last(state.last), last(status.last_number)),
        (
            "the generation",
            state.generation.to_string(),
            status.generation.to_string(),
        ),
        ("the epoch", state.epoch.to_string(), status.epoch.to_string()),
        (
            "the version",
            state.version.to_string(),
            status.definition_version.to_string(),
        ),
        (
            "the count of held numbers",
            state.reserved.to_string(),
            status.reserved.to_string(),
        ),
        (
            "the count of void numbers",
            state.voided.to_string(),
            status.voided.to_string(),
        ),
    ];
    // A free number, or the next range, is next where the counter itself stands elsewhere.
    if state.free == 0 && !has_ranges {
        let next = Some(state.next).filter(|next| *next <= status.max.get());
        pairs.push(("the next number", text(next), last(status.next_number)));
    }
    pairs
        .into_iter()
        .find(|(_, expected, found)| expected != found)
        .map(|(what, expected, found)| (format!("{what} {expected}"), found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn clean(unlisted: u64, (told, all): (u64, u64), agrees: bool, expected: bool) {
        let found = OfService {
            counters: Compared::default(),
            unlisted,
            chains: Chains { told, all },
            agrees,
        };
        assert_eq!(found.is_clean(), expected, "{found:?}");
        assert_eq!(found.text().contains("THE SERVICE'S") || unlisted > 0, !expected);
    }

    #[test]
    fn chains_of_other_tenants_are_no_fault_and_other_chains_are() {
        clean(0, (8, 8), true, true);
        clean(0, (6, 8), false, true);
        clean(0, (8, 8), false, false);
        clean(0, (9, 8), false, false);
        clean(1, (8, 8), true, false);
    }
}
