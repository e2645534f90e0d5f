//! Refusals and failures as problem documents (RFC 9457).

use std::error::Error as _;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seqid_core::{Code, Error};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The HTTP status of a code. A code that this version does not know is an internal fault.
#[must_use]
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::MalformedBody
        | Code::InvalidRequest
        | Code::ScopeMismatch
        | Code::DateOutOfWindow
        | Code::TenantMismatch => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::ForceNotAllowed => StatusCode::FORBIDDEN,
        Code::RouteNotFound
        | Code::SequenceNotFound
        | Code::CounterNotFound
        | Code::ReservationNotFound
        | Code::NumberNotFound
        | Code::IdNotRecognised => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::Exhausted
        | Code::BatchDoesNotFit
        | Code::RangeExpired
        | Code::WouldRepeat
        | Code::PeriodClosed
        | Code::DateBeforeLast
        | Code::DateChanged
        | Code::HasOpenReservations
        | Code::ReservationExpired
        | Code::ReservationVoided
        | Code::ReservationConfirmed
        | Code::NotVoidable
        | Code::IdTaken
        | Code::SequenceArchived
        | Code::Frozen
        | Code::BarrierBlocked
        | Code::CaseVariant
        | Code::AmbiguousId => StatusCode::CONFLICT,
        Code::VersionMismatch => StatusCode::PRECONDITION_FAILED,
        Code::VersionRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::IdempotencyMismatch | Code::DefinitionRefused | Code::AdoptionRefused => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Overloaded
        | Code::StoreUnavailable
        | Code::Draining
        | Code::DeadlineBeforeSealing
        | Code::RestoredStore
        | Code::NewerSchema
        | Code::StoreFull => StatusCode::SERVICE_UNAVAILABLE,
        Code::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Why a request was refused or failed. A handler's error; [`Problem::render`] makes the answer of it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    detail: String,
    remaining: Option<u64>,
    errors: Vec<MemberError>,
    /// What stands in the log and not in the answer.
    cause: Option<String>,
}

/// What is wrong with one member of the request.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ProblemMember)]
pub(crate) struct MemberError {
    /// Where: a JSON pointer into the body (`/scope/branch`, empty for the body as a whole), `?` with the name of
    /// a query parameter, the name of a header, or a name in braces for a part of the path.
    #[schema(examples("/count"))]
    pointer: String,
    /// The rule that is broken. For a definition one of the codes of its check, otherwise that of the problem.
    #[schema(examples("invalid-request"))]
    code: &'static str,
    /// One sentence.
    #[schema(examples("must be 1 to 10000, is 0"))]
    detail: String,
}

impl MemberError {
    pub(crate) fn new(pointer: String, code: Code, detail: String) -> Self {
        Self {
            pointer,
            code: code.as_str(),
            detail,
        }
    }
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            remaining: None,
            errors: Vec::new(),
            cause: None,
        }
    }

    /// A member, header or parameter is wrong.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let code = Code::InvalidRequest;
        let error = MemberError {
            pointer: pointer.into(),
            code: code.as_str(),
            detail: detail.into(),
        };
        Self {
            errors: vec![error],
            ..Self::new(code, "")
        }
    }

    pub(crate) fn no_such_path(path: &str) -> Self {
        Self::new(
            Code::RouteNotFound,
            format!("there is no {path}; /docs shows what there is"),
        )
    }

    /// A fault of the service. The cause goes to the log alone.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let detail = "the service met a fault; its log has it under this X-Request-Id";
        Self {
            cause: Some(cause.into()),
            ..Self::new(Code::Internal, detail)
        }
    }

    /// The same with members to blame.
    pub(crate) fn with_errors(self, errors: Vec<MemberError>) -> Self {
        Self { errors, ..self }
    }

    /// The same with the members of the body moved under `pointer`.
    pub(crate) fn under(mut self, pointer: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, pointer);
        }
        self
    }

    /// The same with a member to blame, where none is blamed yet.
    pub(crate) fn blaming(mut self, pointer: impl Into<String>) -> Self {
        if self.errors.is_empty() {
            self.errors.push(MemberError {
                pointer: pointer.into(),
                code: self.code.as_str(),
                detail: self.detail.clone(),
            });
        }
        self
    }

    /// The same for a request whose members came as query parameters.
    pub(crate) fn in_query(mut self) -> Self {
        for error in &mut self.errors {
            if let Some(name) = error.pointer.strip_prefix('/') {
                error.pointer = format!("?{}", name.replace('/', "."));
            }
        }
        self
    }

    /// The answer, with the headers that `response` has already. Logs what the caller could not have avoided.
    pub(crate) fn render(self, request_id: &str, response: Response) -> Response {
        self.log(request_id);
        let code = self.code;
        let (mut parts, _) = response.into_parts();
        let document = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        parts
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        parts.headers.remove(header::CONTENT_LENGTH);
        if let Some(wait) = code.retry_after() {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            parts.headers.insert(header::RETRY_AFTER, seconds.into());
        }
        Response::from_parts(parts, Body::from(document))
    }

    /// What went wrong; of a wrong member, with the place that it was moved to last.
    fn sentence(&self) -> String {
        match &self.errors[..] {
            [error] if self.detail.is_empty() => {
                let place = if error.pointer.is_empty() {
                    "the body"
                } else {
                    &error.pointer
                };
                format!("{place}: {}", error.detail)
            }
            _ => self.detail.clone(),
        }
    }

    fn document(self, request_id: &str) -> ProblemDocument {
        let detail = self.sentence();
        let Self {
            code,
            remaining,
            errors,
            ..
        } = self;
        let retry_after_ms = code
            .retry_after()
            .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        ProblemDocument {
            r#type: format!("urn:seqid:problem:{}", code.as_str()),
            code: code.as_str(),
            title: code.title(),
            status: status(code).as_u16(),
            detail,
            instance: format!("urn:seqid:request:{}", Escaped(request_id)),
            outcome: code.certainty().as_str(),
            retry: code.retry().as_str(),
            retry_after_ms,
            remaining,
            errors,
        }
    }

    fn log(&self, request_id: &str) {
        let code = self.code.as_str();
        if status(self.code).is_server_error() {
            tracing::error!(request_id, code, cause = self.cause(), "request failed");
        } else {
            tracing::debug!(request_id, code, cause = self.cause(), "request refused");
        }
    }

    /// What stands in the log.
    pub(crate) fn cause(&self) -> String {
        self.cause.clone().unwrap_or_else(|| self.sentence())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code();
        if let Error::Invalid { pointer, reason } = &error {
            return Self::invalid(*pointer, reason.to_string());
        }
        if status(code) == StatusCode::INTERNAL_SERVER_ERROR {
            return Self::internal(chain(&error));
        }
        let errors = error.refusals().iter().map(|refusal| MemberError {
            pointer: refusal.pointer.clone(),
            code: refusal.code.as_str(),
            detail: refusal.detail.clone(),
        });
        let errors = errors.collect();
        let cause = error.source().is_some().then(|| chain(&error));
        Self {
            remaining: error.remaining(),
            errors,
            cause,
            ..Self::new(code, error.to_string())
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

impl IntoResponse for Problem {
    /// The status alone, with the problem as an extension: the document needs the request's id, which the
    /// outermost layer knows.
    fn into_response(self) -> Response {
        let mut response = status(self.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// `urn:seqid:problem:` and the code.
    #[schema(examples("urn:seqid:problem:sequence-not-found"))]
    r#type: String,
    /// What went wrong; the one member that programs should decide by. New codes may be added.
    #[schema(examples("sequence-not-found"))]
    code: &'static str,
    /// The code in a few words.
    #[schema(examples("The sequence is not defined"))]
    title: &'static str,
    /// The HTTP status.
    #[schema(examples(404))]
    status: u16,
    /// This case in one sentence.
    #[schema(examples("sequence \"INV\" is not defined: PUT /api/v1/sequences/INV defines it"))]
    detail: String,
    /// This request: `urn:seqid:request:` and its `X-Request-Id`, percent-encoded.
    #[schema(examples("urn:seqid:request:7c9e6679f3a1b2c4-00000001"))]
    instance: String,
    /// Whether the request may have had effect: `not_issued` or `unknown`.
    #[schema(examples("not_issued"))]
    outcome: &'static str,
    /// What to do next: `no` (the same request would fail again), `same_request` (send it again after a while) or
    /// `same_key` (send it again, but only under the same `Idempotency-Key`).
    #[schema(examples("no"))]
    retry: &'static str,
    /// When to send the request again, in milliseconds; null unless `retry` is `same_request`.
    #[schema(required, examples(json!(null)))]
    retry_after_ms: Option<u64>,
    /// How many numbers the counter has left, where that is why; null otherwise.
    #[schema(required, examples(json!(null)))]
    remaining: Option<u64>,
    /// What is wrong with single members of the request.
    errors: Vec<MemberError>,
}

/// A text with everything but unreserved characters of URIs percent-encoded.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(f, "{}", char::from(byte))
            }
            other => write!(f, "%{other:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use seqid_core::error::Retry;

    use super::*;

    /// Code, status, outcome, retry.
    const TABLE: [(&[&str], u16, &str, &str); 18] = [
        (
            &[
                "malformed-body",
                "invalid-request",
                "scope-mismatch",
                "date-out-of-window",
                "tenant-mismatch",
            ],
            400,
            "not_issued",
            "no",
        ),
        (&["unauthenticated"], 401, "not_issued", "no"),
        (&["forbidden", "force-not-allowed"], 403, "not_issued", "no"),
        (
            &[
                "route-not-found",
                "sequence-not-found",
                "counter-not-found",
                "reservation-not-found",
                "number-not-found",
                "id-not-recognised",
            ],
            404,
            "not_issued",
            "no",
        ),
        (&["method-not-allowed"], 405, "not_issued", "no"),
        (&["not-acceptable"], 406, "not_issued", "no"),
        (&["body-too-large"], 413, "not_issued", "no"),
        (&["unsupported-media-type"], 415, "not_issued", "no"),
        (
            &["exhausted", "batch-does-not-fit", "range-expired"],
            409,
            "not_issued",
            "no",
        ),
        (
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
                "id-taken",
                "sequence-archived",
                "frozen",
                "barrier-blocked",
                "case-variant",
                "ambiguous-id",
            ],
            409,
            "not_issued",
            "no",
        ),
        (&["version-mismatch"], 412, "not_issued", "no"),
        (&["version-required"], 428, "not_issued", "no"),
        (
            &["idempotency-mismatch", "definition-refused", "adoption-refused"],
            422,
            "not_issued",
            "no",
        ),
        (&["rate-limited"], 429, "not_issued", "same_request"),
        (
            &[
                "overloaded",
                "store-unavailable",
                "draining",
                "deadline-before-sealing",
            ],
            503,
            "not_issued",
            "same_request",
        ),
        (
            &["restored-store", "newer-schema", "store-full"],
            503,
            "not_issued",
            "no",
        ),
        (&["outcome-unknown"], 504, "unknown", "same_key"),
        (&["internal"], 500, "unknown", "same_key"),
    ];

    #[test]
    fn every_code_has_the_status_outcome_and_retry_of_the_table() {
        for code in Code::ALL {
            let row = TABLE.iter().find(|(codes, ..)| codes.contains(&code.as_str()));
            let (_, expected, outcome, retry) = row.unwrap_or_else(|| panic!("{code:?} is not in the table"));
            let found = (
                status(*code).as_u16(),
                code.certainty().as_str(),
                code.retry().as_str(),
            );
            assert_eq!(found, (*expected, *outcome, *retry), "{code:?}");
        }
    }

    #[test]
    fn retry_after_is_told_exactly_where_the_same_request_may_be_sent_again() {
        for code in Code::ALL {
            let response = Problem::new(*code, "x").render("r", ().into_response());
            let told = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(told, code.retry() == Retry::SameRequest, "{code:?}");
        }
    }

    #[test]
    fn a_wait_below_a_second_is_rounded_up_in_the_header_and_exact_in_the_document() {
        let problem = Problem::new(Code::Overloaded, "x");
        assert_eq!(problem.clone().document("r").retry_after_ms, Some(100));
        assert_eq!(
            problem.render("r", ().into_response()).headers()[header::RETRY_AFTER],
            "1"
        );
    }

    #[test]
    fn the_instance_is_a_valid_urn_whatever_the_request_id() {
        let document = Problem::new(Code::Internal, "x").document("a/b c%~");
        assert_eq!(document.instance, "urn:seqid:request:a%2Fb%20c%25~");
    }

    #[test]
    fn the_cause_of_an_internal_fault_is_kept_from_the_caller() {
        let document = Problem::internal("secret").document("r");
        assert!(!serde_json::to_string(&document).unwrap().contains("secret"));
    }
}
