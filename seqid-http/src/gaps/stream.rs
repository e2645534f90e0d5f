//! A report as a body that is written part by part, as fast as the caller reads it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use http_body::Frame;
use seqid_core::gap_report::GapReport;

use super::sheet::Sheet;
use crate::service::Shared;

type Step = Pin<Box<dyn Future<Output = io::Result<Option<(Bytes, Writing)>>> + Send>>;

/// The body. An error of it makes the server cut the connection, so that half a report is never taken for a whole one.
pub(super) struct Pages {
    step: Option<Step>,
}

struct Writing {
    service: Shared,
    report: GapReport,
    sheet: Box<dyn Sheet>,
    request_id: String,
    begun: bool,
    ended: bool,
}

impl Pages {
    pub(super) fn new(service: Shared, report: GapReport, sheet: Box<dyn Sheet>, request_id: String) -> Self {
        let writing = Writing {
            service,
            report,
            sheet,
            request_id,
            begun: false,
            ended: false,
        };
        Self {
            step: Some(Box::pin(writing.step())),
        }
    }
}

impl Writing {
    /// Writes one part.
    async fn step(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.ended {
            return Ok(None);
        }
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            self.sheet.begin(&mut out, self.report.head());
        }
        match self.service.look_up(self.report.next()).await {
            Ok(Some(gaps)) => {
                for gap in &gaps {
                    self.sheet.gap(&mut out, self.report.head(), gap);
                }
            }
            Ok(None) => {
                self.ended = true;
                self.sheet
                    .end(&mut out, self.report.head(), self.report.summary());
            }
            Err(problem) => {
                let (code, cause) = (problem.code.as_str(), problem.cause());
                tracing::error!(request_id = self.request_id, code, cause, "gap report cut short");
                return Err(io::Error::other("the rest of the report could not be read"));
            }
        }
        Ok(Some((out.into(), self)))
    }
}

impl http_body::Body for Pages {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        while let Some(step) = &mut self.step {
            let written = ready!(step.as_mut().poll(context));
            self.step = None;
            match written {
                Ok(Some((bytes, rest))) => {
                    self.step = Some(Box::pin(rest.step()));
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Ok(None) => {}
                Err(cut) => return Poll::Ready(Some(Err(cut))),
            }
        }
        Poll::Ready(None)
    }
}
