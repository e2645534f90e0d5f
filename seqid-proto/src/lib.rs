#![doc = include_str!("../README.md")]

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::missing_trait_methods,
    reason = "as prost and tonic write it"
)]
mod generated {
    include!("generated/sequentialid.rs");
}

pub use generated::*;

/// The proto file as a serialized `google.protobuf.FileDescriptorSet`, with its comments: what server reflection
/// answers from.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/sequentialid.bin");

/// The full name of the service, as its paths and the health service have it.
pub const SERVICE: &str = "sequentialid.SequentialIDService";

/// The metadata that name the tenant of a call.
pub const TENANT: &str = "seqid-tenant";

/// The metadata that name a call in the audit.
pub const REQUEST_ID: &str = "x-request-id";

/// The domain of `google.rpc.ErrorInfo` in failures that are ours.
pub const DOMAIN: &str = "seqid";

/// The type of a [`Failure`] among the details of a failed call.
pub const FAILURE_TYPE: &str = "type.googleapis.com/sequentialid.Failure";
