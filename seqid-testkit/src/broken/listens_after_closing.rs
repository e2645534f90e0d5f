use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::store::StoreError;

use super::Lie;

/// Goes on after it was closed.
#[derive(Debug, Default)]
pub struct ListensAfterClosing;

#[async_trait]
impl Lie for ListensAfterClosing {
    async fn close(&self, _: &MemoryStore) -> Result<(), StoreError> {
        Ok(())
    }
}
