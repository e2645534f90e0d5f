//! Events as a stream: page by page, each read only when the one before was sent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame};
use seqid_core::Code;
use seqid_core::event::Recorded;
use seqid_core::event_table;
use seqid_core::numbering::AuditRequest;
use seqid_core::query::EventPage;

use crate::problem::Problem;
use crate::service::Shared;

/// How often a follower looks for new events.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks for nothing an empty line is sent, so that nobody takes the connection for a dead one.
const LOOKS: u32 = 20;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A JSON object a line.
    Lines,
    /// Comma-separated values, by RFC 4180, with a header row.
    Table,
}

impl Format {
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Table => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What a browser saves it as.
    pub(crate) const fn file_name(self) -> Option<&'static str> {
        match self {
            Self::Lines => None,
            Self::Table => Some("attachment; filename=\"audit.csv\""),
        }
    }
}

/// Some bytes, and where the export goes on; `None` at its end.
type Step = Pin<Box<dyn Future<Output = Result<(Bytes, Option<Pages>), Problem>> + Send>>;

/// The body of an export. Nothing is read ahead: the next page is asked for when it can be sent.
pub(crate) struct Export {
    /// `None` once it has ended.
    step: Option<Step>,
}

impl Export {
    /// Reads the first page: what is wrong with the request shows before the answer begins.
    pub(crate) async fn begin(
        service: Shared,
        request: AuditRequest,
        format: Format,
        follow: bool,
    ) -> Result<Self, Problem> {
        let page = service.look_up(service.numbering.audit(request.clone())).await;
        let page = page.map_err(Problem::in_query)?;
        let pages = Pages {
            service,
            request,
            format,
            end: (!follow).then_some(page.last),
            waits: false,
        };
        let header = match format {
            Format::Lines => String::new(),
            Format::Table => event_table::header(),
        };
        let first = std::future::ready(pages.write(&page, header));
        Ok(Self {
            step: Some(Box::pin(first)),
        })
    }
}

impl Body for Export {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        while let Some(step) = &mut self.step {
            let done = std::task::ready!(step.as_mut().poll(context));
            self.step = None;
            match done {
                Ok((bytes, pages)) => {
                    self.step = pages.map(|pages| Box::pin(pages.read()) as Step);
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                // The answer has begun: that it is not whole can only be told by cutting it off.
                Err(problem) => {
                    let code = problem.code.as_str();
                    tracing::error!(code, "an export was cut off");
                    return Poll::Ready(Some(Err(std::io::Error::other(code))));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// Where an export stands.
struct Pages {
    service: Shared,
    /// The page that is read next.
    request: AuditRequest,
    format: Format,
    /// The last event; `None` for a follower.
    end: Option<u64>,
    /// Whether everything that is there was read.
    waits: bool,
}

impl Pages {
    async fn read(self) -> Result<(Bytes, Option<Self>), Problem> {
        let mut looks = 0;
        loop {
            if self.waits {
                if (self.service.ready)().is_err_and(|not| not.code == Code::Draining) {
                    return Ok((Bytes::new(), None));
                }
                if looks == LOOKS {
                    return Ok((Bytes::from_static(b"\n"), Some(self)));
                }
                tokio::time::sleep(LOOK).await;
                looks += 1;
            }
            let audit = self.service.numbering.audit(self.request.clone());
            let page = self.service.look_up(audit).await?;
            if !self.waits || !page.events.is_empty() || page.next.is_some() {
                return self.write(&page, String::new());
            }
        }
    }

    fn write(mut self, page: &EventPage, mut text: String) -> Result<(Bytes, Option<Self>), Problem> {
        let end = self.end.unwrap_or(u64::MAX);
        for recorded in page.events.iter().take_while(|recorded| recorded.position <= end) {
            match self.format {
                Format::Lines => write_line(recorded, &mut text),
                Format::Table => event_table::write_row(recorded, &mut text),
            }
            .map_err(|error| Problem::internal(error.to_string()))?;
        }
        self.waits = page.next.is_none();
        let goes_on = match page.next {
            Some(next) => next < end,
            None => self.end.is_none(),
        };
        self.request.after = page.next.or(self.request.after.max(Some(page.last)));
        Ok((text.into(), goes_on.then_some(self)))
    }
}

fn write_line(recorded: &Recorded, text: &mut String) -> serde_json::Result<()> {
    text.push_str(&serde_json::to_string(recorded)?);
    text.push('\n');
    Ok(())
}
