//! Proof of what was recorded.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use seqid_core::checkpoint::Checkpoint;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::service::Shared;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/audit/checkpoint", get(checkpoint))
}

/// What all chains of events are at a moment, to be kept where nobody who can write the data file can write.
///
/// `seqid-server verify --checkpoint FILE` holds the log against it later.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkpoint)]
pub(crate) struct CheckpointDocument {
    /// `seqid checkpoint 1`.
    #[schema(examples("seqid checkpoint 1"))]
    format: String,
    /// The store, 32 hex digits.
    authority: String,
    /// The store's incarnation: one more for each file that an operator accepted.
    incarnation: u32,
    /// The position of the last event that it covers.
    position: u64,
    /// When it was made.
    at: String,
    /// How many chains there are: one for each counter, and one for each sequence's definitions.
    chains: u64,
    /// The SHA-256 over the heads of all chains, 64 hex digits.
    heads: String,
    /// The hash of the checkpoint before it in a file of them; null here.
    previous: Option<String>,
    /// The SHA-256 of the members above, as they stand here without spaces.
    hash: String,
    /// The Ed25519 public key, 64 hex digits; null unless the service signs.
    key: Option<String>,
    /// The signature of the bytes that `hash` covers, 128 hex digits; null unless the service signs.
    signature: Option<String>,
}

/// Makes a checkpoint: a digest over the heads of all chains of all tenants, as of one moment.
///
/// Keep the answer elsewhere. That the end of the log was cut off, a counter removed or everything written anew shows
/// against it, and against nothing else. It takes a time in proportion to the counters.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", operation_id = "checkpoint", tag = "audit",
    responses((status = 200, description = "The checkpoint", body = CheckpointDocument)))]
pub(crate) async fn checkpoint(State(service): State<Shared>) -> Result<Json<Checkpoint>, Problem> {
    let checkpoint = service.look_up(service.numbering.checkpoint()).await?;
    Ok(Json((service.sign)(checkpoint)))
}
