//! What a store claims is true, and what it does not claim is refused.

use std::sync::Arc;

use super::super::backend::Backend;
use super::super::sequence::{format, prefix};

use seqid_core::numbering::{DefineRequest, DrawRequest};
use seqid_core::refusal::RefusalCode;
use seqid_core::{Code, DefinitionSpec, Issuer, Mode, Numbering};

pub async fn capabilities_do_not_change(backend: Backend) {
    let before = backend.ledger.capabilities();
    backend.sequence("INV").await;
    backend.ledger.close().await.expect("the store closes");
    assert_eq!(backend.ledger.capabilities(), before);
    assert!(!before.name.is_empty());
    assert!(before.largest_batch > 0 && before.lanes > 0);
}

pub async fn a_mode_is_served_if_it_is_claimed_and_refused_if_not(backend: Backend) {
    let capabilities = backend.ledger.capabilities();
    let clock: Arc<dyn seqid_core::clock::Clock> = backend.clock.clone();
    let issuer = Issuer::builder(Arc::clone(&backend.ledger)).clock(clock).build();
    for mode in [Mode::Gapless, Mode::Ordered, Mode::Leased] {
        let prefix = prefix(mode.as_str());
        let spec = DefinitionSpec {
            mode: Some(mode),
            ..format("{prefix}-{seq}")
        };
        let defined = issuer.define(DefineRequest::new(prefix.clone(), spec)).await;
        if capabilities.serves(mode) {
            defined.expect("the mode is claimed");
            let issued = issuer
                .draw(DrawRequest::new(prefix))
                .await
                .expect("the mode is served");
            assert_eq!((issued.mode, issued.run.first.get()), (mode, 1));
        } else {
            let refused = defined.expect_err("the mode is not claimed");
            assert_eq!(refused.code(), Code::DefinitionRefused);
            assert!(
                refused
                    .refusals()
                    .iter()
                    .any(|refusal| refusal.code == RefusalCode::ModeUnavailable)
            );
        }
    }
}

/// Else the durable suite would be missing for it.
pub async fn a_store_that_claims_to_be_durable_can_be_reopened(backend: Backend) {
    assert!(backend.can_be_reopened() || !backend.ledger.capabilities().durable);
}
