use std::sync::Arc;
use std::time::Duration;

use super::sequences::{Asked, Loaded, changed};
use super::successor::Chain;
use super::{Issuer, fingerprint, successor};
use crate::command::{Act, Command, Draw, Granted, NewHold, Reply};
use crate::counter::{Run, SequenceKey};
use crate::error::Error;
use crate::event::{Event, Fingerprint};
use crate::ledger::{Refusal, range};
use crate::line::Line;
use crate::numbering::{DrawRequest, Issued, LARGEST_BATCH, Warning};
use crate::reservation::ReservationId;
use crate::store::StoreError;
use crate::template::Repeats;
use crate::time::{Date, Timestamp};

/// How often a draw follows a definition that changes under it, or goes on to a successor.
const ATTEMPTS: usize = 16;

/// Carries out the commands of one caller, one after the other.
pub trait Apply: Send {
    /// Carries out a command.
    fn apply(&mut self, command: Command) -> impl Future<Output = Result<Reply, StoreError>> + Send;
}

/// By the store of an issuer.
impl Apply for &Issuer {
    async fn apply(&mut self, command: Command) -> Result<Reply, StoreError> {
        Issuer::apply(self, command).await
    }
}

impl Issuer {
    pub(super) async fn draw_numbers(&self, request: &mut DrawRequest) -> Result<Issued, Error> {
        Ok(self.draw_or_hold(&mut &*self, request, None).await?.0)
    }

    /// Draws as [`Numbering::draw`](crate::Numbering::draw) does, but has the draw carried out by something else than
    /// its store as such: by a transaction of the caller's own on it, mostly. The sequence's definition is still read from
    /// the store, and made there if the draw is its first.
    ///
    /// # Errors
    /// As for any draw. What a transaction was told is true only if it is committed.
    pub async fn draw_through(
        &self,
        through: &mut impl Apply,
        mut request: DrawRequest,
    ) -> Result<Issued, Error> {
        Ok(self.draw_or_hold(through, &mut request, None).await?.0)
    }

    /// Draws numbers, to be issued or to be held for a while. The request is borrowed, as each future that it is moved
    /// through holds it twice.
    pub(super) async fn draw_or_hold(
        &self,
        through: &mut impl Apply,
        request: &mut DrawRequest,
        hold: Option<(ReservationId, Duration)>,
    ) -> Result<Drawn, Error> {
        let count = request.count.unwrap_or(1);
        if !(1..=LARGEST_BATCH).contains(&count) {
            return Err(Error::range(
                "/count",
                1,
                u64::from(LARGEST_BATCH),
                u64::from(count),
            ));
        }
        let key = SequenceKey::new(request.tenant.clone(), request.prefix.clone());
        let sent = request
            .key
            .take()
            .map(|name| (name, fingerprint_of(request, hold)));
        let mut keyed = successor::keyed(&key, sent.as_ref());
        let origin = self.origin(std::mem::take(&mut request.origin));
        // The rare paths are boxed: a future is as large as its largest path, and is moved for each draw.
        let mut sequence = match self.kept(&key) {
            Some(sequence) => sequence,
            None => Box::pin(self.find_or_define(&key, &origin)).await?,
        };
        let mut date = self.document_date(&sequence, request)?;
        let mut opened = None;
        let (mut chain, mut at) = (Chain::default(), 0);
        if !sequence.successors.is_empty() {
            chain = Box::pin(self.chain(&sequence)).await?;
        }
        for _ in 0..ATTEMPTS {
            let asked = Asked {
                scope: &request.scope,
                fields: &request.fields,
                date,
            };
            let line = match opened.take() {
                None => match self.line(&sequence, asked) {
                    Ok(line) => line,
                    Err(error) => self.older_line(&sequence, asked).ok_or(error)?,
                },
                Some(version) => self.make_line(&sequence, asked, version)?,
            };
            let draw = Draw {
                line: Arc::clone(&line),
                count,
                reference: request.reference.clone(),
                relates_to: request.relates_to.clone(),
                hold: hold.map(|(id, ttl)| NewHold {
                    id,
                    ttl,
                    on_expiry: sequence.head().definition.on_expiry(),
                }),
            };
            let command = Command::new(Act::Draw(draw), Arc::clone(&origin))
                .with_key(keyed.clone())
                .with_kin(chain.kin(at, sent.as_ref()))
                .with_deadline(request.deadline);
            match through.apply(command).await {
                Ok(Reply::Granted(granted)) => {
                    let request_id = origin.request.clone();
                    let reference = request.reference.take();
                    let mut issued = issued(&sequence, &line, granted, reference, request_id)?;
                    if issued.warnings.contains(&Warning::NearEnd) {
                        self.observer.near_end(line.key());
                    }
                    note_successor(&mut issued, &key);
                    let held = hold.zip(granted.expires_at);
                    return Ok((issued, line, held.map(|((id, _), expires_at)| (id, expires_at))));
                }
                Ok(Reply::Replayed(event)) => {
                    let mut drawn = Box::pin(self.replayed(sequence, *event)).await?;
                    note_successor(&mut drawn.0, &key);
                    return Ok(drawn);
                }
                Ok(_) => return Err(StoreError::Unknown(Arc::new(WrongReply)).into()),
                Err(StoreError::Refused(Refusal::DateBeforeLast { last })) if request.date.is_none() => {
                    date = last;
                }
                Err(StoreError::Refused(Refusal::Exhausted { max })) => {
                    at += 1;
                    sequence = Arc::clone(chain.get(at).ok_or(Refusal::Exhausted { max })?);
                    keyed = successor::keyed(&sequence.key, sent.as_ref());
                    date = self.document_date(&sequence, request)?;
                }
                Err(StoreError::Refused(Refusal::ChainChanged)) => {
                    (chain, at) = (Box::pin(self.reload_chain(&key)).await?, 0);
                    sequence = Box::pin(self.require(&key)).await?;
                    keyed = successor::keyed(&key, sent.as_ref());
                }
                Err(error) => {
                    let (head, version) = changed(&error).ok_or(error)?;
                    sequence = Box::pin(self.catch_up(sequence, head)).await?;
                    let first = chain.get(0).filter(|_| at > 0).unwrap_or(&sequence);
                    chain = Box::pin(self.chain(&Arc::clone(first))).await?;
                    if at == 0 || chain.get(at).is_some_and(|same| same.key == sequence.key) {
                        opened = Some(version);
                    } else {
                        at = 0;
                        sequence = Box::pin(self.require(&key)).await?;
                        keyed = successor::keyed(&key, sent.as_ref());
                    }
                }
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// The date asked for, or today's.
    fn document_date(&self, sequence: &Loaded, request: &DrawRequest) -> Result<Date, Error> {
        let definition = &sequence.head().definition;
        let today = self.today(definition.zone());
        let Some(date) = request.date else {
            return Ok(today);
        };
        match definition.latest_date(today) {
            Some(last) if date > last => {
                let first = definition
                    .template()
                    .window()
                    .map_or(Date::MIN, |(first, _)| first);
                Err(Error::DateOutOfWindow { date, first, last })
            }
            _ => Ok(date),
        }
    }

    /// The answer that was given when the key was used first.
    async fn replayed(&self, sequence: Arc<Loaded>, event: Event) -> Result<Drawn, Error> {
        let (Some(run), Some(key), Some(date)) = (event.run, event.subject.counter(), event.date) else {
            return Err(Refusal::KeyMismatch.into());
        };
        let sequence = if *key.sequence() == sequence.key {
            sequence
        } else {
            self.require(key.sequence()).await?
        };
        let sequence = match sequence.version(event.version) {
            Some(_) => sequence,
            None => self.reload(key.sequence()).await?.unwrap_or(sequence),
        };
        let line = self.line_of(&sequence, &event, key.clone(), date)?;
        let granted = Granted {
            run,
            generation: event.generation,
            epoch: event.epoch,
            n: event.n,
            at: event.at,
            expires_at: None,
        };
        let issued = issued(
            &sequence,
            &line,
            granted,
            event.reference.clone(),
            event.origin.request.clone(),
        )?;
        let issued = Issued {
            replayed: true,
            mode: event.mode,
            ..issued
        };
        let held = event.hold.map(|hold| (hold.id, hold.expires_at));
        Ok((issued, Arc::new(line), held))
    }
}

/// Numbers, the line that they were drawn on, and the hold that they are under.
pub(super) type Drawn = (Issued, Arc<Line>, Option<(ReservationId, Timestamp)>);

fn fingerprint_of(request: &DrawRequest, hold: Option<(ReservationId, Duration)>) -> Fingerprint {
    match hold {
        Some((_, ttl)) => fingerprint::of_reserve(request, ttl),
        None => fingerprint::of_draw(request),
    }
}

/// Says when another sequence than the one asked for gave the numbers.
fn note_successor(issued: &mut Issued, asked: &SequenceKey) {
    if issued.prefix != asked.prefix {
        issued.warnings.push(Warning::Successor);
    }
}

pub(super) fn issued(
    sequence: &Loaded,
    line: &Line,
    granted: Granted,
    reference: Option<crate::names::Reference>,
    request_id: Option<crate::names::Label>,
) -> Result<Issued, Error> {
    let Granted {
        run,
        generation,
        epoch,
        at,
        ..
    } = granted;
    let definition = line.definition();
    Ok(Issued {
        prefix: sequence.key.prefix.clone(),
        ids: ids(line, run, at)?,
        run,
        period: *line.key().period(),
        date: line.date(),
        scope: line.key().scope().clone(),
        generation,
        mode: definition.mode(),
        epoch,
        definition_version: line.opened(),
        reference,
        request_id,
        issued_at: at,
        warnings: warnings(sequence, line, run, at),
        replayed: false,
        numbers_as_text: definition.numbers_as_text(),
    })
}

/// The numbers are issued: an id that cannot be written is a fault with an unknown outcome.
fn ids(line: &Line, run: Run, at: Timestamp) -> Result<Vec<String>, Error> {
    let ids: Result<_, _> = run.numbers().map(|number| line.id(number, at)).collect();
    Ok(ids.map_err(|error| StoreError::Unknown(Arc::new(error)))?)
}

fn warnings(sequence: &Loaded, line: &Line, run: Run, at: Timestamp) -> Vec<Warning> {
    let head = &sequence.head().definition;
    let left = if line.ranges().is_empty() {
        (line.max().get() - run.last().get()) / run.step
    } else {
        range::place(line, run.next(), line.day_of(at)).map_or(0, |place| place.left)
    };
    let mut warnings = Vec::new();
    if head.warn_at() >= left {
        warnings.push(Warning::NearEnd);
    }
    if range::ends_soon(line, run) {
        warnings.push(Warning::RangeEnds);
    }
    if line.definition().repeats() == Repeats::Accepted {
        warnings.push(Warning::Repeats);
    }
    if sequence.implicit {
        warnings.push(Warning::ImplicitDefinition);
    }
    if sequence.unfenced {
        warnings.push(Warning::Unfenced);
    }
    warnings
}

/// The store answered a draw as if it had been something else.
#[derive(Debug, thiserror::Error)]
#[error("the store's answer does not belong to the command")]
pub(super) struct WrongReply;
