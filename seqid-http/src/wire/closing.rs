use seqid_core::names::{Label, Reason};
use seqid_core::numbering::{CloseRequest, Closed, ReopenRequest};
use seqid_core::time::Date;
use seqid_core::{Prefix, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shown;
use crate::problem::Problem;
use crate::request::Caller;

/// Document dates to be closed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prefix": "INV", "through": "2026-03-31", "reason": "VAT return of March"}))]
pub(crate) struct CloseBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    tenant: Option<Tenant>,
    /// The sequence. Absent or null for all of the tenant, those included that are defined later.
    #[schema(value_type = Option<String>, examples("INV"), max_length = 64)]
    prefix: Option<Prefix>,
    /// The last date that is closed.
    #[schema(value_type = String, format = Date)]
    through: Date,
    /// Why, for the audit.
    #[schema(value_type = String, max_length = 500)]
    reason: Reason,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    client_id: Option<Label>,
}

impl CloseBody {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<CloseRequest, Problem> {
        let mut request = CloseRequest::new(self.through, self.reason);
        request.tenant = caller.tenant(self.tenant)?;
        request.prefix = self.prefix;
        request.origin = caller.origin(self.client_id);
        Ok(request)
    }
}

/// Document dates to be opened again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prefix": "INV", "from": "2026-03-01", "reason": "a forgotten invoice"}))]
pub(crate) struct ReopenBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    tenant: Option<Tenant>,
    /// The sequence. Absent or null for what was closed of all of the tenant.
    #[schema(value_type = Option<String>, examples("INV"), max_length = 64)]
    prefix: Option<Prefix>,
    /// The first date that is open.
    #[schema(value_type = String, format = Date)]
    from: Date,
    /// Why, for the audit.
    #[schema(value_type = String, max_length = 500)]
    reason: Reason,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    client_id: Option<Label>,
}

impl ReopenBody {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<ReopenRequest, Problem> {
        let mut request = ReopenRequest::new(self.from, self.reason);
        request.tenant = caller.tenant(self.tenant)?;
        request.prefix = self.prefix;
        request.origin = caller.origin(self.client_id);
        Ok(request)
    }
}

/// What is closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Closed)]
pub(crate) struct ClosedAnswer {
    /// The sequence; null for all of the tenant.
    #[schema(value_type = Option<String>, required, examples("INV"))]
    prefix: Option<Shown<Prefix>>,
    /// The last document date that is closed, in this sequence or in all; null when all are open.
    #[schema(value_type = Option<String>, format = Date, required)]
    closed_through: Option<Shown<Date>>,
    /// Whether the request changed it.
    changed: bool,
}

impl From<Closed> for ClosedAnswer {
    fn from(closed: Closed) -> Self {
        Self {
            prefix: closed.prefix.map(Shown),
            closed_through: closed.closed_through.map(Shown),
            changed: closed.changed,
        }
    }
}

/// The end of a sequence.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "replaced by INV2"}))]
pub(crate) struct ArchiveBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    pub(crate) tenant: Option<Tenant>,
    /// Why, for the audit.
    #[schema(value_type = String, max_length = 500)]
    pub(crate) reason: Reason,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) client_id: Option<Label>,
}

/// The end of a sequence, where a parameter may say why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "replaced by INV2"}))]
pub(crate) struct DeleteBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    pub(crate) tenant: Option<Tenant>,
    /// Why, for the audit.
    #[schema(value_type = Option<String>, max_length = 500)]
    pub(crate) reason: Option<Reason>,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) client_id: Option<Label>,
}
