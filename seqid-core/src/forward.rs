//! Stores within stores: how a wrapper that changes one part hands on the others.

/// Implements a trait of a store by the store within.
///
/// ```
/// use seqid_core::forward;
/// use seqid_core::store::Ledger;
///
/// #[derive(Debug)]
/// struct Counting<L> {
///     ledger: L,
/// }
///
/// forward!(impl [L: Ledger] DefinitionStore for Counting<L>, self => self.ledger);
/// forward!(impl [L: Ledger] AuditLog for Counting<L>, self => self.ledger);
/// ```
///
/// The brackets hold the parameters of the `impl`. Behind `=>` is the store within, as a place that is looked at anew for
/// each call: `*self.ledger` if it is in an `Arc`. For [`CounterStore`](crate::store::CounterStore),
/// [`DefinitionStore`](crate::store::DefinitionStore), [`AuditLog`](crate::store::AuditLog),
/// [`EventSource`](crate::store::EventSource) and [`AuditSink`](crate::store::AuditSink).
#[macro_export]
macro_rules! forward {
    (impl [$($parameters:tt)*] CounterStore for $wrapper:ty, $self:ident => $within:expr) => {
        #[$crate::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<$($parameters)*> $crate::store::CounterStore for $wrapper {
            fn capabilities(&$self) -> $crate::store::Capabilities {
                $crate::store::CounterStore::capabilities(&$within)
            }
            async fn apply(
                &$self,
                batch: Vec<$crate::command::Command>,
            ) -> Vec<Result<$crate::command::Reply, $crate::store::StoreError>> {
                $crate::store::CounterStore::apply(&$within, batch).await
            }
            async fn counter(
                &$self,
                key: &$crate::counter::CounterKey,
            ) -> Result<Option<$crate::counter::CounterState>, $crate::store::StoreError> {
                $crate::store::CounterStore::counter(&$within, key).await
            }
            async fn close(&$self) -> Result<(), $crate::store::StoreError> {
                $crate::store::CounterStore::close(&$within).await
            }
        }
    };
    (impl [$($parameters:tt)*] DefinitionStore for $wrapper:ty, $self:ident => $within:expr) => {
        #[$crate::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<$($parameters)*> $crate::store::DefinitionStore for $wrapper {
            async fn sequence(
                &$self,
                key: &$crate::counter::SequenceKey,
            ) -> Result<Option<$crate::store::SequenceRecord>, $crate::store::StoreError> {
                $crate::store::DefinitionStore::sequence(&$within, key).await
            }
            async fn sequences(
                &$self,
                tenant: &$crate::names::Tenant,
                after: Option<&str>,
                limit: usize,
            ) -> Result<Vec<$crate::store::SequenceRecord>, $crate::store::StoreError> {
                $crate::store::DefinitionStore::sequences(&$within, tenant, after, limit).await
            }
        }
    };
    (impl [$($parameters:tt)*] AuditLog for $wrapper:ty, $self:ident => $within:expr) => {
        #[$crate::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<$($parameters)*> $crate::store::AuditLog for $wrapper {
            async fn counters(
                &$self,
                sequence: &$crate::counter::SequenceKey,
                after: u64,
                limit: usize,
            ) -> Result<Vec<$crate::store::CounterRecord>, $crate::store::StoreError> {
                $crate::store::AuditLog::counters(&$within, sequence, after, limit).await
            }
            async fn reservation(
                &$self,
                id: &$crate::reservation::ReservationId,
            ) -> Result<Option<$crate::store::ReservationRecord>, $crate::store::StoreError> {
                $crate::store::AuditLog::reservation(&$within, id).await
            }
            async fn marks(
                &$self,
                counter: &$crate::counter::CounterKey,
                after: Option<(u32, $crate::names::Number)>,
                limit: usize,
            ) -> Result<Vec<$crate::store::MarkRecord>, $crate::store::StoreError> {
                $crate::store::AuditLog::marks(&$within, counter, after, limit).await
            }
            async fn leases(
                &$self,
                sequence: &$crate::counter::SequenceKey,
                after: Option<$crate::lease::LeaseId>,
                limit: usize,
            ) -> Result<Vec<$crate::store::LeaseRecord>, $crate::store::StoreError> {
                $crate::store::AuditLog::leases(&$within, sequence, after, limit).await
            }
            async fn events(
                &$self,
                after: u64,
                limit: usize,
            ) -> Result<Vec<$crate::event::Recorded>, $crate::store::StoreError> {
                $crate::store::AuditLog::events(&$within, after, limit).await
            }
            async fn query(
                &$self,
                query: &$crate::query::EventQuery,
            ) -> Result<$crate::query::EventPage, $crate::store::StoreError> {
                $crate::store::AuditLog::query(&$within, query).await
            }
            async fn heads(&$self) -> Result<$crate::checkpoint::Heads, $crate::store::StoreError> {
                $crate::store::AuditLog::heads(&$within).await
            }
        }
    };
    (impl [$($parameters:tt)*] EventSource for $wrapper:ty, $self:ident => $within:expr) => {
        #[$crate::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<$($parameters)*> $crate::store::EventSource for $wrapper {
            async fn take(
                &$self,
                limit: usize,
            ) -> Result<Vec<$crate::event::Recorded>, $crate::store::StoreError> {
                $crate::store::EventSource::take(&$within, limit).await
            }
            async fn acknowledge(&$self, position: u64) -> Result<(), $crate::store::StoreError> {
                $crate::store::EventSource::acknowledge(&$within, position).await
            }
            async fn backlog(&$self) -> Result<$crate::store::Backlog, $crate::store::StoreError> {
                $crate::store::EventSource::backlog(&$within).await
            }
        }
    };
    (impl [$($parameters:tt)*] AuditSink for $wrapper:ty, $self:ident => $within:expr) => {
        #[$crate::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<$($parameters)*> $crate::store::AuditSink for $wrapper {
            async fn record(
                &$self,
                events: &[$crate::event::Recorded],
            ) -> Result<(), $crate::store::SinkError> {
                $crate::store::AuditSink::record(&$within, events).await
            }
        }
    };
}
