//! What a call says beside its message, read once into types that cannot be wrong.

use std::time::{Duration, Instant};

use seqid_core::event::Origin;
use seqid_core::names::Label;
use seqid_core::{Code, Tenant};
use seqid_proto::{REQUEST_ID, TENANT};
use tonic::metadata::MetadataMap;

use crate::service::Service;
use crate::status::Problem;

/// The metadata of the deadline, as every gRPC library sends it.
const TIMEOUT: &str = "grpc-timeout";

/// Who asks, as far as the metadata say.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    tenant: Option<Tenant>,
    /// The name of the call: the metadatum, or else made here.
    name: Label,
    named: bool,
    begun: Instant,
    /// How long its client waits.
    patience: Duration,
    /// When the call must have been sealed into a batch.
    pub(crate) deadline: Instant,
}

impl Caller {
    pub(crate) fn read(service: &Service, metadata: &MetadataMap) -> Result<Self, Problem> {
        let sent = metadata
            .get(REQUEST_ID)
            .and_then(|id| Label::new(id.to_str().ok()?).ok());
        let patience = match single(metadata, TIMEOUT)? {
            Some(text) => timeout(text).ok_or_else(|| {
                Problem::invalid(TIMEOUT, "must be at most 8 digits and a unit of H, M, S, m, u, n")
            })?,
            None => Duration::MAX,
        };
        let begun = Instant::now();
        Ok(Self {
            tenant: tenant(metadata)?,
            named: sent.is_some(),
            name: sent.unwrap_or_else(|| service.name()),
            begun,
            patience,
            deadline: after(begun, patience.min(service.deadline)),
        })
    }

    /// The same for a call that may take so many times as long as others.
    pub(crate) fn longer(&self, service: &Service, times: u32) -> Self {
        let patience = self.patience.min(service.deadline.saturating_mul(times));
        Self {
            deadline: after(self.begun, patience),
            ..self.clone()
        }
    }

    /// The name of the call, for the log.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The tenant of the metadata, or else of the message, or else the default.
    pub(crate) fn tenant(&self, message: &str) -> Result<Tenant, Problem> {
        let message = match message {
            "" => None,
            text => Some(Tenant::new(text).map_err(|error| Problem::invalid("/tenant", error.to_string()))?),
        };
        match (&self.tenant, message) {
            (Some(metadata), Some(message)) if *metadata != message => {
                let detail = format!("the metadatum {TENANT} says {metadata}, the message {message}");
                Err(Problem::new(Code::TenantMismatch, detail))
            }
            (Some(tenant), _) => Ok(tenant.clone()),
            (None, message) => Ok(message.unwrap_or_default()),
        }
    }

    /// What the audit keeps of the call. An idempotency key names it where the metadata do not.
    pub(crate) fn origin(&self, client: &str, key: &str) -> Result<Origin, Problem> {
        let request = match Label::new(key) {
            Ok(key) if !self.named => key,
            _ => self.name.clone(),
        };
        Ok(Origin {
            actor: None,
            client: crate::convert::optional(client, "/client_id")?,
            request: Some(request),
        })
    }
}

/// An instant so long after another.
pub(crate) fn after(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or(instant)
}

fn tenant(metadata: &MetadataMap) -> Result<Option<Tenant>, Problem> {
    single(metadata, TENANT)?
        .map(Tenant::new)
        .transpose()
        .map_err(|error| Problem::invalid(TENANT, error.to_string()))
}

/// The only value of a metadatum.
fn single<'a>(metadata: &'a MetadataMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = metadata.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Problem::invalid(name, "is there more than once"));
    }
    value
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| Problem::invalid(name, "must be printable ASCII characters"))
}

/// A timeout as the gRPC protocol writes it.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 60 * 60)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: Option<Duration>) {
        assert_eq!(timeout(text), expected, "{text:?}");
    }

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        reads("1H", Some(Duration::from_secs(3600)));
        reads("2M", Some(Duration::from_secs(120)));
        reads("99999999S", Some(Duration::from_secs(99_999_999)));
        reads("250m", Some(Duration::from_millis(250)));
        reads("7u", Some(Duration::from_micros(7)));
        reads("0n", Some(Duration::ZERO));
        for wrong in ["", "m", "1", "1s", "100000000m", "-1m", "1.5S", "1é"] {
            reads(wrong, None);
        }
    }
}
