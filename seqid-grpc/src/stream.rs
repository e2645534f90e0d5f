//! Calls that go on: draws in both directions, and answers that come in parts.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use prost::Message;
use seqid_core::event::Origin;
use seqid_core::numbering::{AuditRequest, CounterSelector, DrawRequest, Page};
use seqid_core::query::EventPage;
use seqid_core::{Code, Error, Numbering};
use seqid_proto as proto;
use seqid_proto::draw_response::Result as Drawn;
use tokio::sync::watch;
use tonic::{Status, Streaming};

use crate::calls::Call;
use crate::convert::{self, drawing, optional};
use crate::request::{Caller, after};
use crate::service::{MOST_IN_FLIGHT, Service, within};
use crate::status::Problem;

/// How often a follower of the audit looks for new events.
const LOOK: Duration = Duration::from_secs(1);

/// About how many bytes of events one message has: far less than what clients take, however long the events are.
const PART: usize = 256 * 1024;

/// A stream of answers whose end its call is told.
pub struct Watched<S> {
    stream: S,
    call: Call,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, call: Call) -> Self {
        Self { stream, call }
    }
}

impl<S, T> Stream for Watched<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let answer = std::task::ready!(self.stream.poll_next_unpin(context));
        match &answer {
            None => self.call.end(tonic::Code::Ok),
            Some(Err(status)) => self.call.end(status.code()),
            Some(Ok(_)) => {}
        }
        Poll::Ready(answer)
    }
}

/// What draws the numbers of one stream.
pub(crate) struct Drawer {
    numbering: Arc<dyn Numbering>,
    caller: Caller,
    /// How long a draw may wait.
    patience: Duration,
}

impl Drawer {
    pub(crate) fn new(service: &Service, caller: Caller) -> Self {
        Self {
            numbering: Arc::clone(&service.numbering),
            caller,
            patience: service.deadline,
        }
    }

    /// One draw. It is not begun before it is polled, and begins nothing that outlives it.
    fn draw(&self, message: proto::DrawRequest) -> Draw {
        let call = message.call;
        let numbering = Arc::clone(&self.numbering);
        let request = self.request(message);
        Box::pin(async move {
            let drawn = async {
                let (request, deadline) = request?;
                let detail = "the store did not answer in time and may have carried it out";
                within(deadline, numbering.draw(request), Code::OutcomeUnknown, detail).await
            };
            let result = match drawn.await {
                Ok(issued) => Drawn::Numbers(convert::numbers(issued)),
                Err(problem) => {
                    problem.log("");
                    Drawn::Failure(problem.failure())
                }
            };
            proto::DrawResponse {
                call,
                result: Some(result),
            }
        })
    }

    fn request(&self, message: proto::DrawRequest) -> Result<(DrawRequest, Instant), Problem> {
        let patience = match message.timeout_ms.map(u64::try_from) {
            None => self.patience,
            Some(Ok(patience)) => Duration::from_millis(patience).min(self.patience),
            Some(Err(_)) => return Err(Problem::invalid("/timeout_ms", "must be at least 0")),
        };
        let deadline = after(Instant::now(), patience);
        let count = message.count.map(convert::count).transpose()?;
        // A draw has no name but its own: that of the stream would be the same for all of its draws.
        let key = optional(&message.request_id, "/request_id")?;
        let origin = Origin {
            actor: None,
            client: optional(&message.client_id, "/client_id")?,
            request: optional(&message.x_request_id, "/x_request_id")?.or(key),
        };
        let mut request = drawing!(message).request(&self.caller)?;
        request.count = count;
        request.deadline = Some(deadline);
        request.origin = origin;
        Ok((request, deadline))
    }
}

type Draw = Pin<Box<dyn Future<Output = proto::DrawResponse> + Send>>;

/// The draws of one stream. They are begun in the order in which they come, and answered as they are done. When the
/// stream is dropped, so are those that wait: what was not sealed into a batch draws nothing.
pub struct Draws {
    drawer: Drawer,
    messages: Streaming<proto::DrawRequest>,
    waiting: FuturesUnordered<Draw>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Why no more are taken; `Ok` where the client has closed its side.
    closed: Option<Result<(), Status>>,
}

impl Draws {
    pub(crate) fn new(
        drawer: Drawer,
        messages: Streaming<proto::DrawRequest>,
        stop: Option<watch::Receiver<bool>>,
    ) -> Self {
        Self {
            drawer,
            messages,
            waiting: FuturesUnordered::new(),
            stop: Box::pin(Service::stopped(stop)),
            closed: None,
        }
    }

    /// Takes draws as long as there are some and room for them.
    fn take_in(&mut self, context: &mut Context<'_>) {
        while self.closed.is_none() && self.waiting.len() < MOST_IN_FLIGHT {
            match self.messages.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(message))) => self.waiting.push(self.drawer.draw(message)),
                Poll::Ready(Some(Err(status))) => self.closed = Some(Err(status)),
                Poll::Ready(None) => self.closed = Some(Ok(())),
                Poll::Pending => break,
            }
        }
        if self.closed.is_none() && self.stop.poll_unpin(context).is_ready() {
            let detail = "the service is stopping: what it did not answer on this stream was not drawn";
            let problem = Problem::new(Code::Draining, detail);
            self.closed = Some(Err(problem.into_status(self.drawer.caller.name())));
        }
    }
}

impl Stream for Draws {
    type Item = Result<proto::DrawResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.take_in(context);
        match self.waiting.poll_next_unpin(context) {
            Poll::Ready(Some(drawn)) => Poll::Ready(Some(Ok(drawn))),
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => match &mut self.closed {
                Some(closed) => Poll::Ready(std::mem::replace(closed, Ok(())).err().map(Err)),
                None => Poll::Pending,
            },
        }
    }
}

/// Answers, and what follows on them; `None` at the end.
type Part<A> = (VecDeque<A>, Option<Box<dyn Pages<A>>>);
type Step<A> = Pin<Box<dyn Future<Output = Result<Part<A>, Problem>> + Send>>;

/// What is read page by page.
trait Pages<A>: Send {
    /// Reads the next page.
    fn step(self: Box<Self>) -> Step<A>;
}

/// Answers in parts, each read only when those before were sent.
pub struct Parts<A> {
    ready: VecDeque<A>,
    next: Option<Box<dyn Pages<A>>>,
    step: Option<Step<A>>,
    request: String,
}

/// The gap report of a counter.
pub(crate) type Gaps = Parts<proto::ListGapsResponse>;
/// Events of the audit.
pub(crate) type Events = Parts<proto::QueryAuditResponse>;

impl<A: Unpin> Stream for Parts<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(answer)));
            }
            if let Some(step) = &mut self.step {
                let done = std::task::ready!(step.as_mut().poll(context));
                self.step = None;
                match done {
                    Ok((ready, next)) => (self.ready, self.next) = (ready, next),
                    Err(problem) => return Poll::Ready(Some(Err(problem.into_status(&self.request)))),
                }
                continue;
            }
            match self.next.take() {
                Some(next) => self.step = Some(next.step()),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<A> Parts<A> {
    /// Begins with a first step, whose failure is that of the call.
    async fn open(caller: &Caller, first: Step<A>) -> Result<Self, Problem> {
        let (ready, next) = first.await?;
        Ok(Self {
            ready,
            next,
            step: None,
            request: caller.name().to_owned(),
        })
    }
}

/// Waits for a page.
async fn read<T>(patience: Duration, page: impl Future<Output = Result<T, Error>>) -> Result<T, Problem> {
    let deadline = after(Instant::now(), patience);
    within(
        deadline,
        page,
        Code::StoreUnavailable,
        "the store did not answer in time",
    )
    .await
}

impl Gaps {
    pub(crate) async fn begin(
        service: &Service,
        caller: &Caller,
        counter: CounterSelector,
        page: Page,
        all: bool,
    ) -> Result<Self, Problem> {
        let report = GapReport {
            numbering: Arc::clone(&service.numbering),
            patience: service.deadline,
            counter,
            page,
            all,
            first: true,
        };
        Self::open(caller, Box::new(report).step()).await
    }
}

/// Where a gap report stands.
struct GapReport {
    numbering: Arc<dyn Numbering>,
    patience: Duration,
    counter: CounterSelector,
    page: Page,
    /// Whether more than one page is sent.
    all: bool,
    first: bool,
}

impl Pages<proto::ListGapsResponse> for GapReport {
    fn step(mut self: Box<Self>) -> Step<proto::ListGapsResponse> {
        Box::pin(async move {
            let page = self.numbering.gaps(self.counter.clone(), self.page.clone());
            let mut answer = convert::gaps(read(self.patience, page).await?);
            if !std::mem::replace(&mut self.first, false) {
                answer.report = None;
            }
            let more = if self.all { answer.next.take() } else { None };
            let next = more.map(|after| {
                self.page.after = Some(after);
                self as Box<dyn Pages<_>>
            });
            Ok((VecDeque::from([answer]), next))
        })
    }
}

impl Events {
    pub(crate) async fn begin(
        service: &Service,
        caller: &Caller,
        request: AuditRequest,
        limited: bool,
        follow: bool,
    ) -> Result<Self, Problem> {
        let numbering = Arc::clone(&service.numbering);
        let page = read(service.deadline, numbering.audit(request.clone())).await?;
        let log = Box::new(Log {
            numbering,
            patience: service.deadline,
            stop: service.stop.clone(),
            request,
            until: match (limited, follow) {
                (true, _) => Until::Page,
                (false, true) => Until::Stop,
                (false, false) => Until::Position(page.last),
            },
            waits: false,
        });
        let first = log.send(page);
        Self::open(caller, Box::pin(std::future::ready(Ok(first)))).await
    }
}

/// Where a stream of events ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// After one page.
    Page,
    /// With the event that was the newest when it began.
    Position(u64),
    /// When the client goes away or the service stops.
    Stop,
}

/// Where a stream of events stands.
struct Log {
    numbering: Arc<dyn Numbering>,
    patience: Duration,
    stop: Option<watch::Receiver<bool>>,
    /// The page that is read next.
    request: AuditRequest,
    until: Until,
    /// Whether everything that is there was sent.
    waits: bool,
}

impl Pages<proto::QueryAuditResponse> for Log {
    fn step(self: Box<Self>) -> Step<proto::QueryAuditResponse> {
        Box::pin(async move {
            loop {
                if self.waits {
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        () = Service::stopped(self.stop.clone()) => {
                            let detail = "the service is stopping; go on after the last event elsewhere";
                            return Err(Problem::new(Code::Draining, detail));
                        }
                    }
                }
                let page = read(self.patience, self.numbering.audit(self.request.clone())).await?;
                if !self.waits || !page.events.is_empty() || page.next.is_some() {
                    return Ok(self.send(page));
                }
            }
        })
    }
}

impl Log {
    /// The messages of a page, and what follows on them.
    fn send(mut self: Box<Self>, page: EventPage) -> Part<proto::QueryAuditResponse> {
        let EventPage { events, next, last } = page;
        let end = match self.until {
            Until::Position(end) => end,
            Until::Page | Until::Stop => u64::MAX,
        };
        let events = events.into_iter().take_while(|recorded| recorded.position <= end);
        let mut parts = parts(events.map(convert::event), last);
        let goes_on = match (self.until, next) {
            (Until::Page, _) => false,
            (Until::Position(end), next) => next.is_some_and(|next| next < end),
            (Until::Stop, _) => true,
        };
        if !goes_on {
            if parts.is_empty() {
                parts.push_back(proto::QueryAuditResponse {
                    last,
                    ..Default::default()
                });
            }
            if let (Until::Page, Some(part)) = (self.until, parts.back_mut()) {
                part.next = next;
            }
            return (parts, None);
        }
        self.waits = next.is_none();
        self.request.after = next.or(self.request.after.max(Some(last)));
        (parts, Some(self))
    }
}

/// Events in messages of about [`PART`] bytes.
fn parts(events: impl Iterator<Item = proto::Event>, last: u64) -> VecDeque<proto::QueryAuditResponse> {
    let mut parts = VecDeque::<proto::QueryAuditResponse>::new();
    let mut room = 0;
    for event in events {
        let length = event.encoded_len();
        match parts.back_mut() {
            Some(part) if length <= room => {
                room -= length;
                part.events.push(event);
            }
            _ => {
                room = PART.saturating_sub(length);
                let events = vec![event];
                parts.push_back(proto::QueryAuditResponse {
                    events,
                    next: None,
                    last,
                });
            }
        }
    }
    parts
}
