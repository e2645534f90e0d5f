//! Sequences: their definitions.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use seqid_core::numbering::{DefineRequest, Defined, DefinitionVersion, Listing, MemberChange, Sequence};
use seqid_core::time::Date;
use seqid_core::{Definition, DefinitionSpec, Prefix, Tenant};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::closing::delete_sequence;
use crate::problem::Problem;
use crate::request::{Body, Caller, IfMatch, MergePatch, Params, PathPrefix, pointer};
use crate::service::Shared;
use crate::wire::Integer;

pub(crate) fn routes() -> Router<Shared> {
    let one = get(sequence).put(put_sequence).patch(patch_sequence);
    Router::new()
        .route("/api/v1/sequences", get(sequences))
        .route("/api/v1/sequences/{prefix}", one.delete(delete_sequence))
        .route("/api/v1/sequences/{prefix}/versions", get(versions))
}

/// Lists the sequences of the tenant in the order of their prefixes.
#[utoipa::path(get, path = "/api/v1/sequences", operation_id = "sequences", tag = "sequences",
    params(
        ("after" = Option<String>, Query, description = "The `next` of the part before"),
        ("limit" = Option<u16>, Query, description = "How many, 100 unless sent", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "A part of the list", body = SequencesAnswer)))]
pub(crate) async fn sequences(
    State(service): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<SequencesAnswer>, Problem> {
    let (tenant, page) = (caller.tenant(None)?, params.page()?);
    params.finish()?;
    let listing = service.look_up(service.numbering.sequences(tenant, page)).await;
    listing.map_err(Problem::in_query)?.try_into().map(Json)
}

/// Shows a sequence with its newest definition.
#[utoipa::path(get, path = "/api/v1/sequences/{prefix}", operation_id = "sequence", tag = "sequences",
    params(("prefix" = String, Path, description = "The sequence", example = "INV")),
    responses((status = 200, description = "The sequence", body = SequenceAnswer,
        headers(("ETag" = String, description = "The version, for `If-Match`: `\"3\"`")))))]
pub(crate) async fn sequence(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
) -> Result<Response, Problem> {
    let sequence = service
        .look_up(service.numbering.sequence(caller.tenant(None)?, prefix))
        .await?;
    let version = sequence.version;
    Ok(tagged(version, Json(SequenceAnswer::try_from(sequence)?)))
}

/// Defines a sequence, or changes its whole definition.
///
/// A change names the version that it was made from in `If-Match`. The same definition again changes nothing and
/// needs no `If-Match`. Counters keep the version that they opened with.
#[utoipa::path(put, path = "/api/v1/sequences/{prefix}", operation_id = "put_sequence", tag = "sequences",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("dry_run" = Option<bool>, Query, description = "Check only, and save nothing"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the definition that is changed", example = "\"3\""),
    ),
    request_body = DefinitionDocument,
    responses(
        (status = 200, description = "It was changed, is the same, or was checked", body = DefinedAnswer,
            headers(("ETag" = String, description = "The version; absent from a dry run"))),
        (status = 201, description = "It is new", body = DefinedAnswer,
            headers(("ETag" = String, description = "The version")))))]
pub(crate) async fn put_sequence(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    IfMatch(version): IfMatch,
    mut params: Params,
    Body(definition): Body<DefinitionSpec>,
) -> Result<Response, Problem> {
    let mut request = DefineRequest::new(prefix, definition);
    request.tenant = caller.tenant(None)?;
    request.if_version = version;
    request.dry_run = params.flag("dry_run")?;
    request.origin = caller.origin(None);
    params.finish()?;
    define(&service, request).await
}

/// Changes members of a definition (JSON merge patch, RFC 7396). A member that is null goes back to its default.
#[utoipa::path(patch, path = "/api/v1/sequences/{prefix}", operation_id = "patch_sequence", tag = "sequences",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("dry_run" = Option<bool>, Query, description = "Check only, and save nothing"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the definition that is changed", example = "\"3\""),
    ),
    request_body(content = DefinitionPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "It was changed, is the same, or was checked", body = DefinedAnswer,
        headers(("ETag" = String, description = "The version; absent from a dry run")))))]
pub(crate) async fn patch_sequence(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    IfMatch(version): IfMatch,
    mut params: Params,
    MergePatch(patch): MergePatch,
) -> Result<Response, Problem> {
    let (tenant, dry_run) = (caller.tenant(None)?, params.flag("dry_run")?);
    params.finish()?;
    let definition = patched(&service, &tenant, &prefix, patch).await?;
    let mut request = DefineRequest::new(prefix, definition);
    request.tenant = tenant;
    request.if_version = version;
    request.dry_run = dry_run;
    request.origin = caller.origin(None);
    define(&service, request).await
}

/// Lists the versions of a sequence's definition, the oldest first, and what changed from one to the next.
#[utoipa::path(get, path = "/api/v1/sequences/{prefix}/versions", operation_id = "versions", tag = "sequences",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("after" = Option<String>, Query, description = "The `next` of the part before"),
        ("limit" = Option<u16>, Query, description = "How many, 100 unless sent", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "A part of the list", body = VersionsAnswer)))]
pub(crate) async fn versions(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    mut params: Params,
) -> Result<Json<VersionsAnswer>, Problem> {
    let (tenant, page) = (caller.tenant(None)?, params.page()?);
    params.finish()?;
    let listing = service
        .look_up(service.numbering.versions(tenant, prefix, page))
        .await;
    listing.map_err(Problem::in_query)?.try_into().map(Json)
}

/// The newest definition with a patch applied. Which version that is, the ledger compares with `If-Match`.
async fn patched(
    service: &Shared,
    tenant: &Tenant,
    prefix: &Prefix,
    patch: Map<String, Value>,
) -> Result<DefinitionSpec, Problem> {
    let found = service
        .look_up(service.numbering.sequence(tenant.clone(), prefix.clone()))
        .await?;
    let mut document = serde_json::to_value(found.definition.spec()).map_err(unwritable)?;
    merge(&mut document, Value::Object(patch));
    serde_path_to_error::deserialize(document)
        .map_err(|error| Problem::invalid(pointer(error.path()), error.inner().to_string()))
}

/// Applies a JSON merge patch, section 2 of RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

async fn define(service: &Shared, request: DefineRequest) -> Result<Response, Problem> {
    let dry_run = request.dry_run;
    let defined = service.carry_out(service.numbering.define(request)).await?;
    let version = defined.sequence.version;
    let status = if defined.created && defined.saved {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let answer = (status, Json(DefinedAnswer::try_from(defined)?));
    Ok(if dry_run {
        answer.into_response()
    } else {
        tagged(version, answer)
    })
}

fn tagged(version: u32, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A sequence with its newest definition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sequence)]
pub(crate) struct SequenceAnswer {
    /// The name.
    #[schema(examples("INV"))]
    prefix: String,
    /// The version of the definition, from 1.
    version: u32,
    /// The definition with every default made explicit. It can be sent back as it is.
    #[schema(value_type = DefinitionDocument)]
    definition: Map<String, Value>,
    /// Whether a draw made it.
    implicit: bool,
    /// Whether it was archived: it gives no numbers any more.
    archived: bool,
    /// The last document date that is closed, in this sequence or in all; null when all are open.
    #[schema(value_type = Option<String>, format = Date, required)]
    closed_through: Option<Date>,
    /// When the version was saved.
    #[schema(format = DateTime)]
    changed_at: String,
    /// Who saved it.
    #[schema(required)]
    changed_by: Option<String>,
    /// The first id of today's counter; null when a field without a default decides it.
    #[schema(required, examples("INV-001"))]
    first_id: Option<String>,
    /// The last id of today's counter; null when a field without a default decides it.
    #[schema(required)]
    last_id: Option<String>,
    /// How many characters the longest id has; null when nothing bounds it.
    #[schema(required)]
    longest: Option<usize>,
    /// The largest number, which follows from `max_length` or `ranges` where the definition sets no `max`.
    #[schema(value_type = Integer)]
    max: Value,
}

impl TryFrom<Sequence> for SequenceAnswer {
    type Error = Problem;

    fn try_from(sequence: Sequence) -> Result<Self, Problem> {
        let definition = complete(sequence.definition.spec())?;
        Ok(Self {
            prefix: sequence.prefix.to_string(),
            version: sequence.version,
            max: max(&sequence.definition),
            definition,
            implicit: sequence.implicit,
            archived: sequence.archived,
            closed_through: sequence.closed_through,
            changed_at: sequence.changed_at.to_string(),
            changed_by: sequence.changed_by.map(String::from),
            first_id: sequence.first_id,
            last_id: sequence.last_id,
            longest: sequence.definition.longest(),
        })
    }
}

/// The largest number, as a text where a reader could round it.
fn max(definition: &Definition) -> Value {
    let max = definition.max();
    if definition.numbers_as_text() {
        Value::String(max.to_string())
    } else {
        max.get().into()
    }
}

/// A definition with its absent members as null.
fn complete(spec: &DefinitionSpec) -> Result<Map<String, Value>, Problem> {
    let absent = serde_json::to_value(DefinitionDocument::default()).map_err(unwritable)?;
    let (Value::Object(mut document), Value::Object(members)) =
        (absent, serde_json::to_value(spec).map_err(unwritable)?)
    else {
        return Err(Problem::internal("a definition is not an object"));
    };
    document.extend(members);
    Ok(document)
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err calls")]
fn unwritable(error: serde_json::Error) -> Problem {
    Problem::internal(error.to_string())
}

/// A sequence after it was defined.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Defined)]
pub(crate) struct DefinedAnswer {
    #[serde(flatten)]
    sequence: SequenceAnswer,
    /// Whether the sequence is new, or would be.
    created: bool,
    /// Whether a version was saved: not when an equal one was there, and not by a dry run.
    saved: bool,
    /// What whoever defines the sequence should know, in sentences.
    remarks: Vec<String>,
}

impl TryFrom<Defined> for DefinedAnswer {
    type Error = Problem;

    fn try_from(defined: Defined) -> Result<Self, Problem> {
        let Defined {
            sequence,
            created,
            saved,
            remarks,
            ..
        } = defined;
        Ok(Self {
            sequence: sequence.try_into()?,
            created,
            saved,
            remarks,
        })
    }
}

/// The sequences of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sequences)]
pub(crate) struct SequencesAnswer {
    /// This part of the list.
    items: Vec<SequenceAnswer>,
    /// What to send as `after` for the next part; null at the end.
    #[schema(required)]
    next: Option<String>,
}

impl TryFrom<Listing<Sequence>> for SequencesAnswer {
    type Error = Problem;

    fn try_from(listing: Listing<Sequence>) -> Result<Self, Problem> {
        let items = listing
            .items
            .into_iter()
            .map(SequenceAnswer::try_from)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            items,
            next: listing.next,
        })
    }
}

/// A version of a definition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DefinitionVersion)]
pub(crate) struct VersionAnswer {
    /// The version, from 1.
    version: u32,
    /// When it was saved.
    #[schema(format = DateTime)]
    changed_at: String,
    /// Who saved it.
    #[schema(required)]
    changed_by: Option<String>,
    /// The definition with every default made explicit. It can be sent back as it is.
    #[schema(value_type = DefinitionDocument)]
    definition: Map<String, Value>,
    /// How it differs from the version before; empty for the first.
    changes: Vec<ChangeAnswer>,
}

/// A member of a definition that differs from the version before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MemberChange)]
pub(crate) struct ChangeAnswer {
    /// Its name.
    #[schema(examples("format"))]
    member: String,
    /// Its value in the version before; null where it was absent.
    before: Value,
    /// Its value now; null where it is absent.
    after: Value,
}

impl TryFrom<DefinitionVersion> for VersionAnswer {
    type Error = Problem;

    fn try_from(version: DefinitionVersion) -> Result<Self, Problem> {
        let change = |change: MemberChange| ChangeAnswer {
            member: change.member,
            before: change.before,
            after: change.after,
        };
        Ok(Self {
            version: version.version,
            changed_at: version.changed_at.to_string(),
            changed_by: version.changed_by.map(String::from),
            definition: complete(&version.definition)?,
            changes: version.changes.into_iter().map(change).collect(),
        })
    }
}

/// The versions of a definition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DefinitionVersions)]
pub(crate) struct VersionsAnswer {
    /// This part of the list.
    items: Vec<VersionAnswer>,
    /// What to send as `after` for the next part; null at the end.
    #[schema(required)]
    next: Option<String>,
}

impl TryFrom<Listing<DefinitionVersion>> for VersionsAnswer {
    type Error = Problem;

    fn try_from(listing: Listing<DefinitionVersion>) -> Result<Self, Problem> {
        let items = listing
            .items
            .into_iter()
            .map(VersionAnswer::try_from)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            items,
            next: listing.next,
        })
    }
}

/// The schema of a definition, and its members in their order. [`DefinitionSpec`] reads what is sent.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Definition, example = json!({"format": "INV-{fy}-{seq:5}", "reset": "fiscal_year", "fiscal_year_start": "04-01"}))]
pub(crate) struct DefinitionDocument {
    /// The template of the ids: `INV-{yyyy}-{seq:5}`.
    #[schema(value_type = String, required, max_length = 256)]
    format: Option<Value>,
    /// The guarantee: `gapless` (default), `ordered` or `leased`.
    #[schema(value_type = Option<String>)]
    mode: Option<Value>,
    /// The first number of every counter. 1 unless sent, or the first of `ranges`; 0 is allowed.
    #[schema(value_type = Option<Integer>)]
    start: Option<Value>,
    /// From one number to the next. 1 unless sent.
    #[schema(value_type = Option<Integer>)]
    step: Option<Value>,
    /// No number is larger. 2^53 - 1 unless sent, or the largest whose id fits `max_length`, or the last of `ranges`. With more than 2^53 - 1
    /// the sequence's numbers are written as texts.
    #[schema(value_type = Option<Integer>)]
    max: Option<Value>,
    /// The only numbers that counters give out: 1 to 100 ranges, one after the other. All up to `max` unless sent.
    #[schema(value_type = Option<Vec<RangeDocument>>, min_items = 1, max_items = 100)]
    ranges: Option<Value>,
    /// The prefix of the sequence that goes on when a counter of this one has ended.
    #[schema(value_type = Option<String>)]
    successor: Option<Value>,
    /// When a new counter begins: `never` (default), `day`, `week`, `month`, `quarter`, `half_year`, `year`,
    /// `fiscal_year`, `fiscal_quarter` or `fiscal_period`.
    #[schema(value_type = Option<String>)]
    reset: Option<Value>,
    /// The first day of every fiscal year, `MM-DD`. `01-01` unless sent.
    #[schema(value_type = Option<String>)]
    fiscal_year_start: Option<Value>,
    /// How `{fy}` names a fiscal year: `span` (default), `start` or `end`.
    #[schema(value_type = Option<String>)]
    fiscal_label: Option<Value>,
    /// The IANA zone in which today is decided. That of the service unless sent.
    #[schema(value_type = Option<String>)]
    time_zone: Option<Value>,
    /// The fields that split the sequence into lines with a counter each.
    #[schema(value_type = Option<Vec<FieldDocument>>)]
    scope: Option<Value>,
    /// The fields that are printed without choosing the counter.
    #[schema(value_type = Option<Vec<FieldDocument>>)]
    fields: Option<Value>,
    /// First and last year, both included, that a year printed with fewer than four digits can mean.
    #[schema(value_type = Option<Vec<i16>>, min_items = 2, max_items = 2)]
    window: Option<Value>,
    /// No id has more characters.
    #[schema(value_type = Option<Integer>)]
    max_length: Option<Value>,
    /// The characters that an id may have: `A-Z0-9/`. Any unless sent.
    #[schema(value_type = Option<String>)]
    charset: Option<Value>,
    /// A set of rules to hold: `in-gst`.
    #[schema(value_type = Option<String>)]
    profile: Option<Value>,
    /// Whether two counters may print one id: `refused` (default) or `accepted`.
    #[schema(value_type = Option<String>)]
    repeats: Option<Value>,
    /// Whether a counter refuses a date before the last it gave a number to.
    #[schema(value_type = Option<bool>)]
    chronological: Option<Value>,
    /// How many days after today a date may be. No limit unless sent; 0 when `chronological`.
    #[schema(value_type = Option<Integer>)]
    days_ahead: Option<Value>,
    /// What becomes of expired reservations: `void` (default) or `reuse`.
    #[schema(value_type = Option<String>)]
    on_expiry: Option<Value>,
    /// The most numbers that one fault may skip, where the mode skips any.
    #[schema(value_type = Option<Integer>)]
    largest_gap: Option<Value>,
    /// A warning begins when no more than this many numbers are left.
    #[schema(value_type = Option<Integer>)]
    warn_at: Option<Value>,
    /// What the sequence is for.
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Value>,
    /// The version of the template language. 1 is the only one.
    #[schema(value_type = Option<Integer>)]
    language: Option<Value>,
}

/// Members of a definition to change.
#[derive(ToSchema)]
#[schema(example = json!({"description": "Invoices of the branches"}))]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "a schema alone: what is sent is read as a merge patch")]
pub(crate) struct DefinitionPatch(Value);

/// A range of a definition.
#[derive(ToSchema)]
#[schema(as = Range, example = json!({"first": 1, "last": 1000, "valid_until": "2026-06-30", "reference": "18-0001"}))]
#[expect(dead_code, reason = "a schema alone: RangeSpec reads what is sent")]
pub(crate) struct RangeDocument {
    /// The first number.
    first: u64,
    /// The last number.
    last: u64,
    /// The first date that a document may have. Any unless sent.
    #[schema(format = Date)]
    valid_from: Option<String>,
    /// The last date that a document may have. Any unless sent.
    #[schema(format = Date)]
    valid_until: Option<String>,
    /// Who granted it.
    #[schema(max_length = 255)]
    authority: Option<String>,
    /// Under which document it was granted.
    #[schema(max_length = 255)]
    reference: Option<String>,
}

/// A field of a definition: its name alone, or an object.
#[derive(ToSchema)]
#[schema(as = Field)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema alone: FieldDeclaration reads what is sent")]
pub(crate) enum FieldDocument {
    /// The name.
    Name(String),
    /// A declaration.
    Declaration {
        /// The name, as the format and the draws write it.
        name: String,
        /// The characters that values may have. `A-Za-z0-9` unless declared.
        chars: Option<String>,
        /// Fewest characters of a value. 1 unless declared.
        min: Option<u16>,
        /// Most characters of a value. 32 unless declared.
        max: Option<u16>,
        /// The case to which values are brought: `upper` or `lower`.
        case: Option<String>,
        /// Shorter values get zeros in front until they have this many characters.
        pad: Option<u16>,
        /// The only values allowed, when there are any.
        values: Option<Vec<String>>,
        /// The value of a draw that gives none.
        default: Option<String>,
    },
}
