//! Adopting the ids that another system gave out, as JSON or as the first column of a CSV file.

mod csv;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::Response;
use axum::routing::post;
use seqid_core::error::{AdoptionRefused, WrongId, WrongIdReason};
use seqid_core::names::{Label, Reason};
use seqid_core::numbering::AdoptRequest;
use seqid_core::{Code, Error, Tenant};

use crate::draws::replayable;
use crate::problem::{MemberError, Problem};
use crate::request::{self, Caller, Key, Params};
use crate::service::Shared;
use crate::wire::{AdoptBody, AdoptionAnswer};

/// The most bytes of a list: a million ids of 64 characters.
const LIMIT: usize = 64 * 1024 * 1024;

/// How many times as long as other requests a list may take to arrive, and then to be adopted.
const LONGER: u32 = 12;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/adopt", post(adopt))
        .layer(DefaultBodyLimit::max(LIMIT))
}

/// Takes a list of ids as given out by another system, all of them or none.
///
/// Each id must be one that the sequence writes. Numbers between those of the list are skipped, and each counter goes
/// on behind the last one. Ids that are external already change nothing, so that a list may be sent again. As
/// `text/csv` the ids are the first column, and the other members are query parameters.
#[utoipa::path(post, path = "/api/v1/adopt", operation_id = "adopt", tag = "counters",
    params(
        ("prefix" = Option<String>, Query, description = "The sequence, of a list as CSV", example = "INV"),
        ("reason" = Option<String>, Query, description = "Why, of a list as CSV"),
        ("dry_run" = Option<bool>, Query, description = "Whether to check only, of a list as CSV"),
        ("client_id" = Option<String>, Query, description = "The program that asks, of a list as CSV"),
    ),
    request_body(content((AdoptBody = "application/json"), (String = "text/csv"))),
    responses((status = 200, description = "Every id of the list is external", body = AdoptionAnswer)))]
pub(crate) async fn adopt(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    mut params: Params,
    request: Request,
) -> Result<Response, Problem> {
    let patience = service.deadline.saturating_mul(LONGER);
    let List {
        mut request,
        tenant,
        client,
        lines,
    } = read(&service, &mut params, request, patience).await?;
    params.finish()?;
    request.tenant = caller.tenant(tenant)?;
    request.key = key;
    request.origin = caller.origin(client);
    let adopted = service
        .carry_out_within(patience, async { Ok(service.numbering.adopt(request).await) })
        .await?;
    match adopted {
        Ok(adoption) => Ok(replayable(adoption.replayed, AdoptionAnswer::from(adoption))),
        Err(Error::AdoptionRefused(refused)) => Err(wrong_ids(refused, lines.as_deref())),
        Err(error) => Err(match lines {
            Some(_) => Problem::from(error).in_query(),
            None => error.into(),
        }),
    }
}

/// What was sent, in either form.
struct List {
    request: AdoptRequest,
    tenant: Option<Tenant>,
    client: Option<Label>,
    /// The lines on which the ids stand, from 1; none in JSON.
    lines: Option<Vec<usize>>,
}

async fn read(
    service: &Shared,
    params: &mut Params,
    request: Request,
    patience: Duration,
) -> Result<List, Problem> {
    if !request::is_of_type(request.headers(), "text/csv")? {
        request::require_type(request.headers(), &["application/json", "text/csv"])?;
        let body = request::received(request, service, (LIMIT, patience)).await?;
        let body: AdoptBody = request::decode(&body)?;
        return Ok(List {
            tenant: body.tenant,
            client: body.client_id,
            lines: None,
            request: {
                let mut request = AdoptRequest::new(body.prefix, body.ids, body.reason);
                request.dry_run = body.dry_run;
                request
            },
        });
    }
    let prefix = params.prefix()?;
    let reason = params.take("reason", Reason::new)?;
    let reason = reason.ok_or_else(|| Problem::invalid("?reason", "is missing"))?;
    let dry_run = params.flag("dry_run")?;
    let client = params.take("client_id", Label::new)?;
    let body = request::received(request, service, (LIMIT, patience)).await?;
    let column = csv::first_column(&body)?;
    let (ids, lines) = column.into_iter().unzip();
    let mut request = AdoptRequest::new(prefix, ids, reason);
    request.dry_run = dry_run;
    Ok(List {
        request,
        tenant: None,
        client,
        lines: Some(lines),
    })
}

/// The wrong ids by their places in the body: elements of `ids`, or lines.
fn wrong_ids(refused: AdoptionRefused, lines: Option<&[usize]>) -> Problem {
    let line = |index: usize| lines.and_then(|lines| lines.get(index));
    let error = |WrongId { index, reason }: WrongId| {
        let code = reason.code();
        let detail = match &reason {
            WrongIdReason::Repeated { id, number, of } => {
                let place = match line(*of) {
                    Some(line) => format!("line {line}"),
                    None => format!("/ids/{of}"),
                };
                match number {
                    None => format!("{id:?} is {place} again"),
                    Some(number) => format!("{id:?} has the number {number}, as {place} has"),
                }
            }
            other => other.to_string(),
        };
        let detail = match line(index) {
            Some(line) => format!("line {line}: {detail}"),
            None => detail,
        };
        MemberError::new(format!("/ids/{index}"), code, detail)
    };
    let shown = refused.wrong.len();
    let mut detail = refused.to_string();
    if shown < refused.total {
        detail.push_str(&format!("; the first {shown} are named"));
    }
    let errors = refused.wrong.into_iter().map(error).collect();
    Problem::new(Code::AdoptionRefused, detail).with_errors(errors)
}
