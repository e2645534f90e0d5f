//! The description of the API, made from the code that serves it.

use std::collections::BTreeMap;

use seqid_core::Code;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::audit::EventDocument;
use crate::problem::{self, MEDIA_TYPE, MemberError, ProblemDocument};
use crate::sequences::{FieldDocument, RangeDocument};

/// The document, readable and with a newline at its end.
pub(crate) fn json() -> String {
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(title = "seqid", description = include_str!("../assets/api.md")),
    tags(
        (name = "numbers", description = "Issuing numbers, and declaring them void"),
        (name = "reservations", description = "Numbers that are held while a document is not sure to come"),
        (name = "counters", description = "Where counters stand, and moving them"),
        (name = "ids", description = "Ids before and after the fact"),
        (name = "sequences", description = "Definitions, their versions, and the end of a sequence"),
        (name = "closing", description = "Document dates that are closed"),
        (name = "audit", description = "Who got which numbers, when and why, and proof of it"),
        (name = "operation", description = "For those who run the service"),
    ),
    paths(
        crate::draws::next,
        crate::draws::batch,
        crate::voids::void,
        crate::adopt::adopt,
        crate::numbers::number,
        crate::numbers::number_of_id,
        crate::reservations::reservations,
        crate::reservations::reserve,
        crate::reservations::reservation,
        crate::reservations::confirm,
        crate::reservations::void,
        crate::counters::reset,
        crate::counters::sync,
        crate::counters::status,
        crate::counters::counters,
        crate::gaps::gaps,
        crate::gaps::summaries,
        crate::ids::preview,
        crate::ids::parse,
        crate::audit::audit,
        crate::checkpoint::checkpoint,
        crate::sequences::sequences,
        crate::sequences::sequence,
        crate::sequences::put_sequence,
        crate::sequences::patch_sequence,
        crate::sequences::versions,
        crate::closing::archive,
        crate::closing::delete_sequence,
        crate::closing::close,
        crate::closing::reopen,
        crate::health::health,
        crate::health::ready,
        crate::health::metrics,
    ),
    components(schemas(ProblemDocument, MemberError, FieldDocument, RangeDocument, EventDocument)),
    modifiers(&Common)
)]
struct Api;

/// What all operations have in common: headers, and the problems that they can answer.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let paths = &mut api.paths.paths;
        for (path, item) in paths.iter_mut() {
            let operations = [
                &mut item.get,
                &mut item.put,
                &mut item.post,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in operations.into_iter().filter_map(Option::as_mut) {
                describe(path, operation);
            }
        }
    }
}

fn describe(path: &str, operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    let parameters = operation.parameters.get_or_insert_default();
    if path.starts_with("/api/") {
        parameters.push(header("Seqid-Tenant", TENANT).into());
    }
    if let Some(key) = key(&id) {
        parameters.push(header("Idempotency-Key", key).into());
    }
    parameters.push(header("X-Request-Id", REQUEST_ID).into());
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in problems(&id) {
        by_status
            .entry(problem::status(code).as_u16())
            .or_default()
            .push(code);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            describe_success(&id, response);
        }
    }
    for (status, codes) in by_status {
        operation
            .responses
            .responses
            .insert(status.to_string(), refused(&codes).into());
    }
}

const TENANT: &str = "The tenant: 1 to 64 letters, digits, `_`, `-` and `.`; `default` when absent. A body may name \
    it too, but not another one.";
const KEY: &str = "1 to 255 printable ASCII characters. The request has its effect once under it, however often it \
    is sent; the answer is the same each time.";
const NO_KEY: &str = "Accepted and not needed: the reservation itself tells a repetition.";
const NO_KEY_TO_ARCHIVE: &str = "Accepted and not needed: a sequence is archived once.";
const REQUEST_ID: &str = "The request's name in the audit and the log: 1 to 255 printable ASCII characters. One is \
    made when it is absent, and every answer carries it.";
const REPLAYED: &str = "`true` when this is the answer to an earlier request: one with the same `Idempotency-Key`, or one \
    that had done already what this one asks for.";

/// What is said of an operation's `Idempotency-Key`.
fn key(operation: &str) -> Option<&'static str> {
    match operation {
        "next" | "batch" | "reserve" | "void" | "reset" | "sync" | "close" | "reopen" | "adopt" => Some(KEY),
        "confirm" | "void_reservation" => Some(NO_KEY),
        "archive" | "delete_sequence" => Some(NO_KEY_TO_ARCHIVE),
        _ => None,
    }
}

fn header(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn answered(description: &str, kind: Type) -> utoipa::openapi::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .description(Some(description))
        .build()
}

fn describe_success(id: &str, response: &mut Response) {
    response.headers.insert(
        "X-Request-Id".into(),
        answered("The request's id", Type::String).into(),
    );
    if key(id).is_some() {
        response.headers.insert(
            "Idempotency-Replayed".into(),
            answered(REPLAYED, Type::String).into(),
        );
    }
}

/// The answers of one status, with what each code means.
fn refused(codes: &[Code]) -> Response {
    let meanings: Vec<_> = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.as_str(), code.title()))
        .collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(meanings.join(" "))
        .header("X-Request-Id", answered("The request's id", Type::String))
        .content(MEDIA_TYPE, content);
    if codes
        .iter()
        .any(|code| code.retry() == seqid_core::error::Retry::SameRequest)
    {
        response = response.header(
            "Retry-After",
            answered(
                "Seconds to wait, where the same request may be sent again",
                Type::Integer,
            ),
        );
    }
    response.build()
}

/// The problems that an operation can answer.
fn problems(operation: &str) -> Vec<Code> {
    use Code::{
        AmbiguousId, BarrierBlocked, BatchDoesNotFit, CaseVariant, DateBeforeLast, DateChanged,
        DateOutOfWindow, DeadlineBeforeSealing, DefinitionRefused, Draining, Exhausted, ForceNotAllowed,
        Frozen, HasOpenReservations, IdNotRecognised, IdempotencyMismatch, Internal, InvalidRequest,
        NewerSchema, NotVoidable, OutcomeUnknown, Overloaded, PeriodClosed, RangeExpired,
        ReservationConfirmed, ReservationExpired, ReservationNotFound, ReservationVoided, RestoredStore,
        ScopeMismatch, SequenceArchived, SequenceNotFound, StoreFull, StoreUnavailable, TenantMismatch,
        VersionMismatch, VersionRequired, WouldRepeat,
    };
    const BODY: &[Code] = &[
        Code::MalformedBody,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
    ];
    const READ: &[Code] = &[
        InvalidRequest,
        StoreUnavailable,
        Draining,
        RestoredStore,
        NewerSchema,
        Internal,
    ];
    const WRITE: &[Code] = &[Overloaded, StoreFull, OutcomeUnknown];
    const NAMED: &[Code] = &[CaseVariant, SequenceArchived];
    const SETTLED: &[Code] = &[
        TenantMismatch,
        ReservationNotFound,
        ReservationExpired,
        ReservationVoided,
        ReservationConfirmed,
    ];
    const COUNTER: &[Code] = &[
        SequenceNotFound,
        ScopeMismatch,
        DateOutOfWindow,
        Frozen,
        BarrierBlocked,
    ];
    const KEYED: &[Code] = &[IdempotencyMismatch, TenantMismatch];
    let parts: &[&[Code]] = match operation {
        "next" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            COUNTER,
            KEYED,
            &[
                Exhausted,
                PeriodClosed,
                RangeExpired,
                DateBeforeLast,
                DefinitionRefused,
                DeadlineBeforeSealing,
            ],
        ],
        "batch" | "reserve" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            COUNTER,
            KEYED,
            &[
                Exhausted,
                BatchDoesNotFit,
                PeriodClosed,
                RangeExpired,
                DateBeforeLast,
                DefinitionRefused,
                DeadlineBeforeSealing,
            ],
        ],
        "reset" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            COUNTER,
            KEYED,
            &[
                WouldRepeat,
                PeriodClosed,
                ForceNotAllowed,
                HasOpenReservations,
                DefinitionRefused,
            ],
        ],
        "adopt" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            KEYED,
            &[
                SequenceNotFound,
                DefinitionRefused,
                Frozen,
                BarrierBlocked,
                PeriodClosed,
                BatchDoesNotFit,
                Code::IdTaken,
                Code::AdoptionRefused,
            ],
        ],
        "sync" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            COUNTER,
            KEYED,
            &[PeriodClosed, DefinitionRefused],
        ],
        "void" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            COUNTER,
            KEYED,
            &[
                NotVoidable,
                PeriodClosed,
                BatchDoesNotFit,
                IdNotRecognised,
                AmbiguousId,
            ],
        ],
        "number" => &[
            READ,
            &[
                SequenceNotFound,
                ScopeMismatch,
                DateOutOfWindow,
                Code::NumberNotFound,
            ],
        ],
        "number_of_id" => &[
            READ,
            &[
                SequenceNotFound,
                IdNotRecognised,
                AmbiguousId,
                Code::NumberNotFound,
            ],
        ],
        "reservations" => &[READ, &[SequenceNotFound, ScopeMismatch, DateOutOfWindow]],
        "reservation" => &[READ, &[ReservationNotFound]],
        "confirm" => &[BODY, READ, WRITE, SETTLED, &[DateChanged, PeriodClosed]],
        "void_reservation" => &[BODY, READ, WRITE, SETTLED],
        "status" => &[READ, &[SequenceNotFound, ScopeMismatch, DateOutOfWindow]],
        "gaps" => &[
            READ,
            &[
                SequenceNotFound,
                ScopeMismatch,
                DateOutOfWindow,
                Code::NotAcceptable,
            ],
        ],
        "counters" | "gap_summaries" | "sequence" | "versions" => &[READ, &[SequenceNotFound]],
        "sequences" | "checkpoint" => &[READ],
        "audit" => &[
            READ,
            &[SequenceNotFound, ScopeMismatch, IdNotRecognised, AmbiguousId],
        ],
        "preview" => &[
            BODY,
            READ,
            &[
                TenantMismatch,
                SequenceNotFound,
                ScopeMismatch,
                DateOutOfWindow,
                DefinitionRefused,
            ],
        ],
        "parse" => &[
            BODY,
            READ,
            &[TenantMismatch, SequenceNotFound, IdNotRecognised, AmbiguousId],
        ],
        "put_sequence" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            &[
                DefinitionRefused,
                VersionMismatch,
                VersionRequired,
                BarrierBlocked,
            ],
        ],
        "patch_sequence" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            &[
                SequenceNotFound,
                DefinitionRefused,
                VersionMismatch,
                VersionRequired,
                BarrierBlocked,
            ],
        ],
        "archive" | "delete_sequence" => &[
            BODY,
            READ,
            WRITE,
            &[
                TenantMismatch,
                SequenceNotFound,
                CaseVariant,
                HasOpenReservations,
                BarrierBlocked,
                VersionMismatch,
            ],
        ],
        "close" => &[
            BODY,
            READ,
            WRITE,
            NAMED,
            KEYED,
            &[SequenceNotFound, BarrierBlocked],
        ],
        "reopen" => &[BODY, READ, WRITE, NAMED, KEYED, &[SequenceNotFound, PeriodClosed]],
        "ready" => &[&[
            Overloaded,
            StoreUnavailable,
            Draining,
            RestoredStore,
            NewerSchema,
            StoreFull,
        ]],
        _ => &[],
    };
    let mut codes: Vec<Code> = parts.concat();
    codes.sort_by_key(|code| Code::ALL.iter().position(|other| other == code));
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("SEQID_WRITE_OPENAPI").is_some() {
            std::fs::write(path, json()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == json(),
            "openapi.json is out of date: SEQID_WRITE_OPENAPI=1 cargo test -p seqid-http openapi"
        );
    }

    #[test]
    fn every_operation_has_a_summary_and_says_what_can_go_wrong() {
        for (path, item) in Api::openapi().paths.paths {
            for operation in [item.get, item.put, item.post, item.patch, item.delete]
                .into_iter()
                .flatten()
            {
                assert!(
                    operation.summary.is_some_and(|summary| !summary.is_empty()),
                    "{path}"
                );
                let problems = operation
                    .responses
                    .responses
                    .keys()
                    .any(|status| status.as_str() >= "400");
                assert_eq!(
                    problems,
                    !["/health", "/metrics"].contains(&path.as_str()),
                    "{path}"
                );
            }
        }
    }

    /// The references of a document, wherever they stand.
    fn references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => {
                found.extend(members.get("$ref").and_then(|to| to.as_str()).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_that_is_referred_to_is_there() {
        let document: serde_json::Value = serde_json::from_str(&json()).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn the_schema_of_a_definition_has_the_members_that_are_read() {
        let document: serde_json::Value = serde_json::from_str(&json()).unwrap();
        let properties = document
            .pointer("/components/schemas/Definition/properties")
            .unwrap();
        let mut described: Vec<_> = properties
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let unknown = serde_json::from_str::<seqid_core::DefinitionSpec>(r#"{"":0}"#)
            .unwrap_err()
            .to_string();
        let mut read: Vec<_> = unknown.split('`').skip(3).step_by(2).collect();
        described.sort_unstable();
        read.sort_unstable();
        assert_eq!(described, read);
    }
}
