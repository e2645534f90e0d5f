//! Refusals and failures as a status with details.

use std::collections::HashMap;
use std::error::Error as _;

use prost::Message;
use prost::bytes::Bytes;
use seqid_core::error::{AdoptionRefused, WrongId};
use seqid_core::{Code, Error};
use seqid_proto::{DOMAIN, FAILURE_TYPE, Failure, FieldError};
use tonic::Status;
use tonic_types::pb;

/// The most bytes that the texts of wrong fields may have in one answer. They stand twice in trailers, and many clients
/// take no more than 8 KiB of those.
const MOST_ERROR_TEXT: usize = 2 * 1024;
/// The most bytes of the sentence of a status, which is a trailer too.
const MOST_SENTENCE: usize = 512;

/// The gRPC status of a code. A code that this version does not know is an internal fault.
#[must_use]
pub const fn status(code: Code) -> tonic::Code {
    match code {
        Code::MalformedBody
        | Code::InvalidRequest
        | Code::ScopeMismatch
        | Code::DateOutOfWindow
        | Code::TenantMismatch
        | Code::IdempotencyMismatch
        | Code::DefinitionRefused
        | Code::AdoptionRefused => tonic::Code::InvalidArgument,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
        Code::Forbidden | Code::ForceNotAllowed => tonic::Code::PermissionDenied,
        Code::RouteNotFound
        | Code::SequenceNotFound
        | Code::CounterNotFound
        | Code::ReservationNotFound
        | Code::NumberNotFound
        | Code::IdNotRecognised => tonic::Code::NotFound,
        Code::MethodNotAllowed | Code::NotAcceptable | Code::UnsupportedMediaType => {
            tonic::Code::Unimplemented
        }
        Code::BodyTooLarge | Code::RateLimited => tonic::Code::ResourceExhausted,
        Code::Exhausted | Code::BatchDoesNotFit | Code::RangeExpired => tonic::Code::OutOfRange,
        Code::WouldRepeat
        | Code::PeriodClosed
        | Code::DateBeforeLast
        | Code::DateChanged
        | Code::HasOpenReservations
        | Code::ReservationExpired
        | Code::ReservationVoided
        | Code::ReservationConfirmed
        | Code::NotVoidable
        | Code::SequenceArchived
        | Code::Frozen
        | Code::BarrierBlocked
        | Code::CaseVariant
        | Code::AmbiguousId
        | Code::VersionRequired
        | Code::RestoredStore
        | Code::NewerSchema
        | Code::StoreFull => tonic::Code::FailedPrecondition,
        Code::IdTaken => tonic::Code::AlreadyExists,
        Code::VersionMismatch => tonic::Code::Aborted,
        Code::Overloaded | Code::StoreUnavailable | Code::Draining | Code::DeadlineBeforeSealing => {
            tonic::Code::Unavailable
        }
        Code::OutcomeUnknown => tonic::Code::Unknown,
        _ => tonic::Code::Internal,
    }
}

/// Why a call was refused or failed.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    detail: String,
    remaining: Option<u64>,
    errors: Vec<FieldError>,
    errors_total: usize,
    /// What stands in the log and not in the answer.
    cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            remaining: None,
            errors: Vec::new(),
            errors_total: 0,
            cause: None,
        }
    }

    /// A field or metadatum is wrong.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (code, pointer, detail) = (Code::InvalidRequest, pointer.into(), detail.into());
        let place = if pointer.is_empty() {
            "the request"
        } else {
            &pointer
        };
        Self::new(code, format!("{place}: {detail}")).with([FieldError {
            pointer,
            code: code.as_str().to_owned(),
            detail,
        }])
    }

    /// A fault of the service. The cause goes to the log alone.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let detail = "the service met a fault; its log has it under this request's name";
        Self {
            cause: Some(cause.into()),
            ..Self::new(Code::Internal, detail)
        }
    }

    /// The same with fields to blame, as many as there is room for.
    fn with(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        let mut room = MOST_ERROR_TEXT;
        for error in errors {
            self.errors_total += 1;
            let length = error.pointer.len() + error.code.len() + error.detail.len();
            room = room.saturating_sub(length);
            if room > 0 {
                self.errors.push(error);
            }
        }
        self
    }

    /// All of it in one message.
    pub(crate) fn failure(&self) -> Failure {
        let wait = self.code.retry_after().map(|wait| wait.as_millis());
        Failure {
            code: self.code.as_str().to_owned(),
            message: shortened(&self.detail).to_owned(),
            outcome: self.code.certainty().as_str().to_owned(),
            retry: self.code.retry().as_str().to_owned(),
            retry_after_ms: wait.map(|wait| i64::try_from(wait).unwrap_or(i64::MAX)),
            remaining: self.remaining.map(crate::convert::amount),
            errors: self.errors.clone(),
            errors_total: crate::convert::amount(self.errors_total as u64),
            status: status(self.code) as i32,
        }
    }

    /// The end of a call. Logs what the caller could not have avoided.
    pub(crate) fn into_status(self, request: &str) -> Status {
        self.log(request);
        let failure = self.failure();
        let mut details = vec![any("google.rpc.ErrorInfo", &self.error_info())];
        if let Some(wait) = self.code.retry_after() {
            let retry_delay = wait.try_into().ok();
            details.push(any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay }));
        }
        if !self.errors.is_empty() {
            details.push(any("google.rpc.BadRequest", &self.bad_request()));
        }
        if !request.is_empty() {
            let info = pb::RequestInfo {
                request_id: request.to_owned(),
                serving_data: String::new(),
            };
            details.push(any("google.rpc.RequestInfo", &info));
        }
        details.push(prost_types::Any {
            type_url: FAILURE_TYPE.to_owned(),
            value: failure.encode_to_vec(),
        });
        let code = status(self.code);
        let whole = pb::Status {
            code: code as i32,
            message: failure.message.clone(),
            details,
        };
        Status::with_details(code, failure.message, Bytes::from(whole.encode_to_vec()))
    }

    fn error_info(&self) -> pb::ErrorInfo {
        let mut metadata = HashMap::from([
            ("outcome".to_owned(), self.code.certainty().as_str().to_owned()),
            ("retry".to_owned(), self.code.retry().as_str().to_owned()),
        ]);
        if let Some(remaining) = self.remaining {
            metadata.insert("remaining".to_owned(), remaining.to_string());
        }
        pb::ErrorInfo {
            reason: self.code.as_str().to_owned(),
            domain: DOMAIN.to_owned(),
            metadata,
        }
    }

    fn bad_request(&self) -> pb::BadRequest {
        let violation = |error: &FieldError| pb::bad_request::FieldViolation {
            field: error.pointer.trim_start_matches('/').replace('/', "."),
            description: error.detail.clone(),
            reason: error.code.clone(),
            ..Default::default()
        };
        pb::BadRequest {
            field_violations: self.errors.iter().map(violation).collect(),
        }
    }

    /// Whether an operator should look.
    fn is_fault(&self) -> bool {
        matches!(
            self.code,
            Code::StoreUnavailable
                | Code::RestoredStore
                | Code::NewerSchema
                | Code::StoreFull
                | Code::OutcomeUnknown
                | Code::Internal
        )
    }

    pub(crate) fn log(&self, request_id: &str) {
        let (code, cause) = (self.code.as_str(), self.cause.as_deref().unwrap_or(&self.detail));
        if self.is_fault() {
            tracing::error!(request_id, code, cause, "call failed");
        } else {
            tracing::debug!(request_id, code, cause, "call refused");
        }
    }
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: message.encode_to_vec(),
    }
}

/// As much of a text as a status may have.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MOST_SENTENCE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code();
        if let Error::Invalid { pointer, reason } = &error {
            return Self::invalid(*pointer, reason.to_string());
        }
        if status(code) == tonic::Code::Internal {
            return Self::internal(chain(&error));
        }
        let cause = error.source().is_some().then(|| chain(&error));
        let problem = Self {
            remaining: error.remaining(),
            cause,
            ..Self::new(code, error.to_string())
        };
        if let Error::AdoptionRefused(refused) = &error {
            return problem.with_wrong_ids(refused);
        }
        problem.with(error.refusals().iter().map(|refusal| FieldError {
            pointer: refusal.pointer.clone(),
            code: refusal.code.as_str().to_owned(),
            detail: refusal.detail.clone(),
        }))
    }
}

impl Problem {
    fn with_wrong_ids(self, refused: &AdoptionRefused) -> Self {
        let error = |WrongId { index, reason }: &WrongId| FieldError {
            pointer: format!("/ids/{index}"),
            code: reason.code().as_str().to_owned(),
            detail: reason.to_string(),
        };
        Self {
            errors_total: refused.total,
            ..self.with(refused.wrong.iter().map(error))
        }
    }
}

/// An error and those beneath it, for the log.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text = format!("{text}: {source}");
        below = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use seqid_core::error::Retry;

    use super::*;

    /// The codes of each status.
    const TABLE: [(tonic::Code, &[&str]); 14] = [
        (
            tonic::Code::InvalidArgument,
            &[
                "malformed-body",
                "invalid-request",
                "scope-mismatch",
                "date-out-of-window",
                "tenant-mismatch",
                "idempotency-mismatch",
                "definition-refused",
                "adoption-refused",
            ],
        ),
        (tonic::Code::Unauthenticated, &["unauthenticated"]),
        (tonic::Code::PermissionDenied, &["forbidden", "force-not-allowed"]),
        (
            tonic::Code::NotFound,
            &[
                "route-not-found",
                "sequence-not-found",
                "counter-not-found",
                "reservation-not-found",
                "number-not-found",
                "id-not-recognised",
            ],
        ),
        (
            tonic::Code::Unimplemented,
            &["method-not-allowed", "not-acceptable", "unsupported-media-type"],
        ),
        (
            tonic::Code::ResourceExhausted,
            &["body-too-large", "rate-limited"],
        ),
        (
            tonic::Code::OutOfRange,
            &["exhausted", "batch-does-not-fit", "range-expired"],
        ),
        (
            tonic::Code::FailedPrecondition,
            &[
                "would-repeat",
                "period-closed",
                "date-before-last",
                "date-changed",
                "has-open-reservations",
                "reservation-expired",
                "reservation-voided",
                "reservation-confirmed",
                "not-voidable",
                "sequence-archived",
                "frozen",
                "barrier-blocked",
                "case-variant",
                "ambiguous-id",
                "version-required",
            ],
        ),
        (
            tonic::Code::FailedPrecondition,
            &["restored-store", "newer-schema", "store-full"],
        ),
        (tonic::Code::AlreadyExists, &["id-taken"]),
        (tonic::Code::Aborted, &["version-mismatch"]),
        (
            tonic::Code::Unavailable,
            &[
                "overloaded",
                "store-unavailable",
                "draining",
                "deadline-before-sealing",
            ],
        ),
        (tonic::Code::Unknown, &["outcome-unknown"]),
        (tonic::Code::Internal, &["internal"]),
    ];

    fn details(status: &Status) -> pb::Status {
        pb::Status::decode(status.details()).unwrap()
    }

    fn detail<T: Message + Default>(status: &Status, name: &str) -> Option<T> {
        let url = format!("type.googleapis.com/{name}");
        let found = details(status)
            .details
            .into_iter()
            .find(|any| any.type_url == url)?;
        Some(T::decode(found.value.as_slice()).unwrap())
    }

    #[test]
    fn every_code_has_its_own_place_in_the_table() {
        for code in Code::ALL {
            let mut rows = TABLE.iter().filter(|(_, codes)| codes.contains(&code.as_str()));
            let (expected, _) = rows
                .next()
                .unwrap_or_else(|| panic!("{code:?} is not in the table"));
            assert_eq!(status(*code), *expected, "{code:?}");
            assert!(rows.next().is_none(), "{code:?} is there twice");
        }
    }

    #[test]
    fn every_failure_says_by_whom_it_is_and_what_to_do_next() {
        for code in Code::ALL {
            let status = Problem::new(*code, "x").into_status("r-1");
            let info: pb::ErrorInfo = detail(&status, "google.rpc.ErrorInfo").unwrap();
            assert_eq!(
                (info.domain.as_str(), info.reason.as_str()),
                ("seqid", code.as_str())
            );
            assert_eq!(info.metadata["outcome"], code.certainty().as_str(), "{code:?}");
            assert_eq!(info.metadata["retry"], code.retry().as_str(), "{code:?}");
            let again: Option<pb::RetryInfo> = detail(&status, "google.rpc.RetryInfo");
            assert_eq!(again.is_some(), code.retry() == Retry::SameRequest, "{code:?}");
            let request: pb::RequestInfo = detail(&status, "google.rpc.RequestInfo").unwrap();
            assert_eq!(request.request_id, "r-1");
            let whole: Failure = detail(&status, "sequentialid.Failure").unwrap();
            assert_eq!((whole.code, whole.status), (info.reason, status.code() as i32));
        }
    }

    #[test]
    fn a_wrong_field_is_named_as_its_path() {
        let status = Problem::invalid("/scope/branch", "is missing").into_status("");
        let bad: pb::BadRequest = detail(&status, "google.rpc.BadRequest").unwrap();
        assert_eq!(bad.field_violations[0].field, "scope.branch");
        assert_eq!(bad.field_violations[0].reason, "invalid-request");
        assert_eq!(status.message(), "/scope/branch: is missing");
    }

    #[test]
    fn trailers_stay_within_what_clients_take() {
        let error = |n: usize| FieldError {
            pointer: format!("/ids/{n}"),
            code: "id-not-recognised".into(),
            detail: "ö".repeat(200),
        };
        let problem = Problem::new(Code::AdoptionRefused, "é".repeat(10_000)).with((0..1_000).map(error));
        assert_eq!(problem.failure().errors_total, 1_000);
        let status = problem.into_status("r-1");
        let encoded = status.details().len().div_ceil(3) * 4 + status.message().len() * 3;
        assert!(encoded < 8 * 1024, "{encoded} bytes");
    }

    #[test]
    fn the_cause_of_an_internal_fault_is_kept_from_the_caller() {
        let status = Problem::internal("secret").into_status("r");
        assert!(!format!("{status:?}").contains("secret"));
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(!details.contains("secret"));
    }
}
