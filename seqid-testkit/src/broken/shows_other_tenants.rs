use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use seqid_core::store::{DefinitionStore, SequenceRecord, StoreError};
use seqid_core::{MemoryStore, Tenant};

use super::Lie;

/// Lists the sequences of every tenant that it was ever asked about.
#[derive(Debug, Default)]
pub struct ShowsOtherTenants {
    known: Mutex<BTreeSet<Tenant>>,
}

#[async_trait]
impl Lie for ShowsOtherTenants {
    async fn sequences(
        &self,
        truth: &MemoryStore,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        let tenants = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(tenant.clone());
            known.clone()
        };
        let mut listed = Vec::new();
        for tenant in &tenants {
            listed.extend(truth.sequences(tenant, after, limit).await?);
        }
        Ok(listed)
    }
}
