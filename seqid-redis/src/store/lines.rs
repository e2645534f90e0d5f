use std::convert::Infallible;
use std::sync::Arc;

use seqid_core::compiled::CompiledDefinitions;
use seqid_core::counter::{CounterKey, Run};
use seqid_core::event::{Event, EventKind};
use seqid_core::field::FieldValues;
use seqid_core::lease::Lease;
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::query::EventQuery;
use seqid_core::store::{Ledger, SequenceRecord, StoreError};
use seqid_core::time::Date;

use super::obstacle::Obstacle;

/// Makes lines of counters that nobody here has drawn from.
#[derive(Debug, Default)]
pub(super) struct Lines {
    definitions: CompiledDefinitions,
}

impl Lines {
    /// A counter's line as the durable store has it now.
    pub(super) async fn line<L: Ledger>(
        &self,
        ledger: &L,
        key: &CounterKey,
        date: Date,
        fields: &FieldValues,
    ) -> Result<Arc<Line>, StoreError> {
        let missing = || StoreError::from(Obstacle::NoDefinition);
        let record = ledger.sequence(key.sequence()).await?.ok_or_else(missing)?;
        let state = ledger.counter(key).await?;
        let opened = state.map_or(record.head(), |state| state.version);
        let line = Line::new(LineParts {
            key: key.clone(),
            head: self.version(&record, record.head()).ok_or_else(missing)?,
            opened: self.version(&record, opened).ok_or_else(missing)?,
            date,
            fields: fields.clone(),
        });
        line.map(Arc::new)
            .map_err(|error| StoreError::Corrupt(Arc::new(error)))
    }

    fn version(&self, record: &SequenceRecord, number: u32) -> Option<Version> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        let spec = || Ok::<_, Infallible>(record.versions.get(at).map(|version| version.spec.clone()));
        let Ok(definition) = self.definitions.find(&record.key, number, spec);
        Some(Version {
            number,
            definition: definition?,
        })
    }

    /// The line that a lease was taken for.
    pub(super) async fn of_lease<L: Ledger>(
        &self,
        ledger: &L,
        key: &CounterKey,
        lease: &Lease,
    ) -> Result<Arc<Line>, StoreError> {
        let event = self.leased(ledger, key, lease.run).await?;
        let event = event.ok_or(Obstacle::NoHistory(lease.id))?;
        let date = event.date.ok_or(Obstacle::NoDefinition)?;
        self.line(ledger, key, date, &event.fields).await
    }

    /// The last event by which the first number of a run was leased; without a run, any number of the counter.
    async fn leased<L: Ledger>(
        &self,
        ledger: &L,
        key: &CounterKey,
        run: Option<Run>,
    ) -> Result<Option<Event>, StoreError> {
        let mut query = EventQuery::new(key.sequence().tenant.clone());
        query.prefix = Some(key.sequence().prefix.clone());
        query.period = Some(key.period().to_string());
        query.scope = Some(key.scope().clone());
        query.kinds = vec![EventKind::Leased];
        query.numbers = run.map(|run| (run.first, run.first));
        query.limit = 1;
        loop {
            let page = ledger.query(&query).await?;
            match (page.events.into_iter().next(), page.next) {
                (Some(recorded), _) => return Ok(Some(recorded.event)),
                (None, Some(next)) => query.after = Some(next),
                (None, None) => return Ok(None),
            }
        }
    }
}
