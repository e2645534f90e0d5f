//! What a request says, read once into types that cannot be wrong.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use seqid_core::error::InvalidRequest;
use seqid_core::event::Origin;
use seqid_core::field::RawValues;
use seqid_core::names::{InvalidText, Label};
use seqid_core::numbering::{CounterSelector, Page, When};
use seqid_core::reservation::{InvalidReservationId, ReservationId};
use seqid_core::time::Date;
use seqid_core::{Code, IdempotencyKey, Prefix, Tenant};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::Problem;
use crate::service::{BODY_LIMIT, Shared};

pub(crate) const TENANT: HeaderName = HeaderName::from_static("seqid-tenant");
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who asks, as far as the headers say.
#[derive(Debug)]
pub(crate) struct Caller {
    tenant: Option<Tenant>,
    request: Option<Label>,
}

impl Caller {
    /// The tenant of the header, or else of the body, or else the default.
    pub(crate) fn tenant(&self, body: Option<Tenant>) -> Result<Tenant, Problem> {
        match (&self.tenant, body) {
            (Some(header), Some(body)) if *header != body => {
                let detail = format!("the header Seqid-Tenant says {header}, the body {body}");
                Err(Problem::new(Code::TenantMismatch, detail))
            }
            (Some(tenant), _) => Ok(tenant.clone()),
            (None, body) => Ok(body.unwrap_or_default()),
        }
    }

    /// The request's id, for the log.
    pub(crate) fn request_id(&self) -> String {
        self.request.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// What the audit keeps of the request.
    pub(crate) fn origin(&self, client: Option<Label>) -> Origin {
        Origin {
            actor: None,
            client,
            request: self.request.clone(),
        }
    }
}

/// The request's id, as the outermost layer found or made it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) Label);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let tenant = parsed_header(&parts.headers, &TENANT, "Seqid-Tenant", Tenant::new)?;
        Ok(Self {
            tenant,
            request: parts.extensions.get::<RequestId>().map(|id| id.0.clone()),
        })
    }
}

/// The header `Idempotency-Key`.
pub(crate) struct Key(pub(crate) Option<IdempotencyKey>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parsed_header(&parts.headers, &KEY, "Idempotency-Key", IdempotencyKey::new).map(Self)
    }
}

fn parsed_header<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
    parse: fn(&str) -> Result<T, InvalidText>,
) -> Result<Option<T>, Problem> {
    let Some(text) = single(headers, name, shown)? else {
        return Ok(None);
    };
    parse(text)
        .map(Some)
        .map_err(|error| Problem::invalid(shown, error.to_string()))
}

/// The only value of a header.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Problem::invalid(shown, "is there more than once"));
    }
    let text = |value: &'a axum::http::HeaderValue| {
        value
            .to_str()
            .map_err(|_| Problem::invalid(shown, "must be printable ASCII characters"))
    };
    value.map(text).transpose()
}

/// The header `If-Match`: the version that a change was made from.
pub(crate) struct IfMatch(pub(crate) Option<u32>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(tag) = single(&parts.headers, &header::IF_MATCH, "If-Match")? else {
            return Ok(Self(None));
        };
        let hint = || {
            Problem::invalid(
                "If-Match",
                "must be the ETag of the definition that is changed, such as \"3\"",
            )
        };
        // A proxy that compresses answers makes their tags weak; the version is the same.
        let strong = tag.strip_prefix("W/").unwrap_or(tag);
        let digits = strong
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or_else(hint)?;
        digits
            .parse()
            .map(|version| Self(Some(version)))
            .map_err(|_| hint())
    }
}

/// The prefix in the path.
pub(crate) struct PathPrefix(pub(crate) Prefix);

impl<S: Send + Sync> FromRequestParts<S> for PathPrefix {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| Problem::invalid("{prefix}", error.body_text()))?;
        Prefix::new(&text)
            .map(Self)
            .map_err(|error| Problem::invalid("{prefix}", error.to_string()))
    }
}

/// The reservation in the path. A text that names none is as unknown as a name that nobody was given.
pub(crate) struct PathReservation(pub(crate) ReservationId);

impl<S: Send + Sync> FromRequestParts<S> for PathReservation {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let unknown = |detail: String| Problem::new(Code::ReservationNotFound, detail);
        let Path(text) = path.map_err(|error| unknown(error.body_text()))?;
        text.parse()
            .map(Self)
            .map_err(|error: InvalidReservationId| unknown(error.to_string()))
    }
}

/// The query parameters. Each is taken by name; [`finish`](Params::finish) refuses what nobody took.
pub(crate) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = query.map_err(|error| Problem::invalid("?", error.body_text()))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if params.contains_key(&name) {
                return Err(Problem::invalid(format!("?{name}"), "is there more than once"));
            }
            params.insert(name, value);
        }
        Ok(Self(params))
    }
}

impl Params {
    /// The parameter of this name.
    pub(crate) fn take<T, E: ToString>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        parse(&text)
            .map(Some)
            .map_err(|error| Problem::invalid(format!("?{name}"), error.to_string()))
    }

    /// The parameter `prefix`, which must be there.
    pub(crate) fn prefix(&mut self) -> Result<Prefix, Problem> {
        self.take("prefix", Prefix::new)?
            .ok_or_else(|| Problem::invalid("?prefix", "is missing"))
    }

    /// A parameter whose text is parsed as it is.
    pub(crate) fn parsed<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        self.take(name, str::parse)
    }

    /// A parameter as it was sent.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Whether a parameter was sent.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// `true` or `false`; absent is false.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        Ok(self
            .take(name, |text| text.parse().map_err(|_| "must be true or false"))?
            .unwrap_or(false))
    }

    /// Which part of a list.
    pub(crate) fn page(&mut self) -> Result<Page, Problem> {
        let limit = self.limit()?;
        let after = self.0.remove("after");
        Ok(Page {
            after,
            limit: limit.unwrap_or(Page::default().limit),
        })
    }

    /// How many items a part of a list has.
    pub(crate) fn limit(&mut self) -> Result<Option<usize>, Problem> {
        let bounds = || format!("must be 1 to {}", Page::LARGEST);
        self.take("limit", |text| match text.parse() {
            Ok(limit) if (1..=Page::LARGEST).contains(&limit) => Ok(limit),
            _ => Err(bounds()),
        })
    }

    /// The counter meant: `scope.<name>` and `date` or `period`.
    pub(crate) fn counter(&mut self, tenant: Tenant, prefix: Prefix) -> Result<CounterSelector, Problem> {
        let date = self.take("date", str::parse::<Date>)?;
        let period = self.0.remove("period");
        let mut counter = CounterSelector::new(prefix);
        counter.tenant = tenant;
        counter.when = when(date, period).map_err(Problem::in_query)?;
        counter.scope = self.scope();
        Ok(counter)
    }

    /// The values of scope fields: `scope.<name>`.
    pub(crate) fn scope(&mut self) -> RawValues {
        let named = |name: &str| name.strip_prefix("scope.").map(str::to_owned);
        let scope: RawValues = self
            .0
            .iter()
            .filter_map(|(name, value)| Some((named(name)?, value.clone())))
            .collect();
        self.0.retain(|name, _| named(name).is_none());
        scope
    }

    /// Nothing else may have been sent.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            Some(name) => Err(Problem::invalid(
                format!("?{name}"),
                "is not a parameter of this path",
            )),
            None => Ok(()),
        }
    }
}

/// How a counter's period was named.
pub(crate) fn when(date: Option<Date>, period: Option<String>) -> Result<When, Problem> {
    match (date, period) {
        (Some(_), Some(_)) => {
            let reason = InvalidRequest::Contradiction("name the date or the period, not both");
            Err(seqid_core::Error::Invalid {
                pointer: "/period",
                reason,
            }
            .into())
        }
        (Some(date), None) => Ok(When::On(date)),
        (None, Some(period)) => Ok(When::In(period)),
        (None, None) => Ok(When::Today),
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Shared) -> Result<Self, Problem> {
        require_type(request.headers(), &["application/json"])?;
        decode(&received(request, service, usual(service)).await?).map(Self)
    }
}

/// A JSON body, or none at all, or null, in place of one without members.
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Shared> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Shared) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = received(Request::new(body), service, usual(service)).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        require_type(&parts.headers, &["application/json"])?;
        decode::<Option<T>>(&body).map(|body| Self(body.unwrap_or_default()))
    }
}

/// A JSON merge patch (RFC 7396).
pub(crate) struct MergePatch(pub(crate) serde_json::Map<String, serde_json::Value>);

impl FromRequest<Shared> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Shared) -> Result<Self, Problem> {
        require_type(
            request.headers(),
            &["application/merge-patch+json", "application/json"],
        )?;
        decode(&received(request, service, usual(service)).await?).map(Self)
    }
}

/// The body's media type without its parameters; empty where none was sent.
fn media_type(headers: &HeaderMap) -> Result<&str, Problem> {
    let sent = single(headers, &header::CONTENT_TYPE, "Content-Type")?.unwrap_or_default();
    Ok(sent.split(';').next().unwrap_or_default().trim())
}

/// Whether the body is said to be of this media type.
pub(crate) fn is_of_type(headers: &HeaderMap, expected: &str) -> Result<bool, Problem> {
    Ok(media_type(headers)?.eq_ignore_ascii_case(expected))
}

pub(crate) fn require_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let essence = media_type(headers)?;
    if accepted
        .iter()
        .any(|media_type| essence.eq_ignore_ascii_case(media_type))
    {
        return Ok(());
    }
    let found = if essence.is_empty() {
        "none".to_owned()
    } else {
        format!("\"{essence}\"")
    };
    let detail = format!(
        "the body's type is {found}; send the header \"Content-Type: {0}\" (curl -H 'Content-Type: {0}' -d ...)",
        accepted[0]
    );
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// How many bytes a body may have, and how long it may take to arrive.
fn usual(service: &Shared) -> (usize, Duration) {
    (BODY_LIMIT, service.deadline)
}

/// A body of so many bytes at most, which is the limit of its route, that arrives in time.
pub(crate) async fn received(
    request: Request,
    service: &Shared,
    (limit, deadline): (usize, Duration),
) -> Result<Bytes, Problem> {
    match tokio::time::timeout(deadline, Bytes::from_request(request, service)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => Err(
            Problem::new(Code::BodyTooLarge, format!("a body has at most {limit} bytes")),
        ),
        Ok(Err(_)) => Err(Problem::new(
            Code::MalformedBody,
            "the body ended before its time",
        )),
        Err(_) => Err(Problem::new(
            Code::MalformedBody,
            "the body did not arrive in time",
        )),
    }
}

pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Structures could be written as arrays too, by the order of their members.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid("", "must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => located::<T>(body, &error),
        _ if body.trim_ascii().is_empty() => {
            Problem::new(Code::MalformedBody, "the body is empty; send a JSON object")
        }
        _ => Problem::new(Code::MalformedBody, format!("the body is not JSON: {error}")),
    })
}

/// Reads the body once more, with an eye on where it goes wrong: too slow for bodies that are right.
fn located<T: DeserializeOwned>(body: &[u8], first: &serde_json::Error) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => Problem::invalid(pointer(error.path()), error.inner().to_string()),
        Ok(_) => Problem::invalid("", first.to_string()),
    }
}

/// A path as a JSON pointer (RFC 6901).
pub(crate) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}
