//! From a failed call to an error, with what is known of its outcome.

use std::error::Error as _;
use std::sync::Arc;

use prost::Message;
use seqid_core::error::{AdoptionRefused, RemoteRefusal, Retry, WrongId, WrongIdReason};
use seqid_core::refusal::{DefinitionRefused, Refusal, RefusalCode};
use seqid_core::store::StoreError;
use seqid_core::{Code, Error};
use seqid_proto::{DOMAIN, FAILURE_TYPE, Failure, FieldError};
use tonic::{ConnectError, Status};
use tonic_types::{StatusExt, pb};

/// Whether the call that failed could have had effect at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It asks and changes nothing, or nothing of it was sent.
    None,
    /// It was sent, and may have been carried out.
    Possible,
}

/// The error of a call.
pub(crate) fn of_status(status: Status, effect: Effect) -> Error {
    match ours(&status) {
        Some(failure) => of_failure(failure),
        None if effect == Effect::None || never_connected(&status) => {
            StoreError::Unavailable(Arc::new(status)).into()
        }
        None => StoreError::Unknown(Arc::new(status)).into(),
    }
}

/// What the service said; `None` where a library or a proxy did.
pub(crate) fn ours(status: &Status) -> Option<Failure> {
    status
        .get_details_error_info()
        .filter(|info| info.domain == DOMAIN)?;
    let whole = pb::Status::decode(status.details()).ok()?;
    let detail = whole
        .details
        .iter()
        .find(|detail| detail.type_url == FAILURE_TYPE)?;
    Failure::decode(detail.value.as_slice()).ok()
}

/// Whether there was no connection, so that nothing can have been sent: nobody was there, or TLS was not agreed on.
fn never_connected(status: &Status) -> bool {
    let mut below = status.source();
    while let Some(error) = below {
        if error.is::<ConnectError>() {
            return true;
        }
        below = error.source();
    }
    false
}

/// The error that a failure tells of.
pub(crate) fn of_failure(failure: Failure) -> Error {
    let code = code(&failure);
    let Failure {
        message,
        remaining,
        errors,
        errors_total,
        ..
    } = failure;
    match code {
        Code::OutcomeUnknown | Code::Internal => StoreError::Unknown(Arc::new(Told(message))).into(),
        Code::Overloaded => StoreError::Overloaded.into(),
        Code::DeadlineBeforeSealing => StoreError::Late.into(),
        Code::Draining => StoreError::Draining.into(),
        Code::StoreUnavailable => StoreError::Unavailable(Arc::new(Told(message))).into(),
        Code::StoreFull => StoreError::Full(Arc::new(Told(message))).into(),
        Code::RestoredStore => StoreError::Restored(Arc::new(Told(message))).into(),
        // One without reasons is told as it came.
        Code::DefinitionRefused if !errors.is_empty() => {
            DefinitionRefused::from(errors.into_iter().map(refusal).collect::<Vec<_>>()).into()
        }
        Code::AdoptionRefused => AdoptionRefused {
            wrong: errors.into_iter().filter_map(wrong_id).collect(),
            total: usize::try_from(errors_total).unwrap_or_default(),
            ids: 0,
        }
        .into(),
        code => RemoteRefusal {
            code,
            detail: message,
            remaining: remaining.and_then(|remaining| u64::try_from(remaining).ok()),
        }
        .into(),
    }
}

/// What a service said of its own fault.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// The code, or where a newer service has one that is not known here, one after which the caller may do the same.
fn code(failure: &Failure) -> Code {
    let known = Code::ALL.iter().find(|code| code.as_str() == failure.code);
    known.copied().unwrap_or_else(|| {
        let retry = [Retry::No, Retry::SameRequest, Retry::SameKey]
            .into_iter()
            .find(|retry| retry.as_str() == failure.retry);
        match retry {
            Some(Retry::No) => Code::InvalidRequest,
            Some(Retry::SameRequest) => Code::StoreUnavailable,
            _ => Code::OutcomeUnknown,
        }
    })
}

fn refusal(error: FieldError) -> Refusal {
    let code = serde_json::from_value(error.code.into()).unwrap_or(RefusalCode::InvalidValue);
    Refusal::new(code, error.pointer, error.detail)
}

fn wrong_id(error: FieldError) -> Option<WrongId> {
    let code = Code::ALL.iter().find(|code| code.as_str() == error.code);
    Some(WrongId {
        index: error.pointer.strip_prefix("/ids/")?.parse().ok()?,
        reason: WrongIdReason::Told {
            code: code.copied().unwrap_or(Code::InvalidRequest),
            detail: error.detail,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str, retry: &str) -> Failure {
        Failure {
            code: code.into(),
            retry: retry.into(),
            ..Failure::default()
        }
    }

    #[test]
    fn every_code_comes_back_as_one_after_which_the_same_may_be_done() {
        for code in Code::ALL {
            let error = of_failure(failure(code.as_str(), code.retry().as_str()));
            assert_eq!(error.code().retry(), code.retry(), "{code:?}");
            if !matches!(code, Code::Internal) {
                assert_eq!(error.code(), *code);
            }
        }
    }

    #[test]
    fn a_code_of_a_newer_service_keeps_its_outcome() {
        for retry in [Retry::No, Retry::SameRequest, Retry::SameKey] {
            let error = of_failure(failure("from-the-future", retry.as_str()));
            assert_eq!(error.code().retry(), retry);
        }
        assert_eq!(of_failure(failure("x", "y")).code(), Code::OutcomeUnknown);
    }

    #[test]
    fn what_a_library_says_leaves_the_outcome_unknown_where_there_can_be_one() {
        let status = || Status::unavailable("connection reset");
        assert_eq!(of_status(status(), Effect::Possible).code(), Code::OutcomeUnknown);
        assert_eq!(of_status(status(), Effect::None).code(), Code::StoreUnavailable);
        assert_eq!(
            of_status(Status::deadline_exceeded("x"), Effect::Possible).code(),
            Code::OutcomeUnknown
        );
    }
}
