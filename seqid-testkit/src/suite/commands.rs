use std::sync::Arc;
use std::time::{Duration, Instant};

use seqid_core::IdempotencyKey;
use seqid_core::Number;
use seqid_core::clock::Seed;
use seqid_core::command::{
    Act, Adopt, AdoptedNumbers, AdoptedRun, Archive, Archived, Close, Closed, Command, Dates, Defined, Draw,
    End, EndLease, Expired, ExtendLease, Freeze, Granted, LeaseEnd, NewHold, Reply, Report, Settle, Settled,
    Shift, Shifted, TakeLease, Target, Void, Voided,
};
use seqid_core::counter::{Run, SequenceKey};
use seqid_core::event::{EventKind, Fingerprint, Keyed, Origin};
use seqid_core::lease::{Holder, Lease, LeaseId};
use seqid_core::ledger::{Closer, Refusal};
use seqid_core::line::Line;
use seqid_core::names::{Label, Reason};
use seqid_core::reservation::ReservationId;
use seqid_core::store::StoreError;
use seqid_core::time::Timestamp;

use super::sequence::day;

/// What can be applied.
pub(super) trait Batch {
    fn commands(self) -> Vec<Command>;
}

impl<const N: usize> Batch for [Command; N] {
    fn commands(self) -> Vec<Command> {
        self.into()
    }
}

impl Batch for Vec<Command> {
    fn commands(self) -> Vec<Command> {
        self
    }
}

/// Gives out the next numbers of a line.
pub(super) fn draw(line: &Arc<Line>, count: u32) -> Command {
    command(Act::Draw(Draw {
        line: Arc::clone(line),
        count,
        reference: None,
        relates_to: None,
        hold: None,
    }))
}

/// The name of a case's `n`th reservation.
pub(super) fn hold(n: u64) -> ReservationId {
    ReservationId::nth(Seed(13), n, Timestamp::from_micros(0))
}

/// Holds the next numbers of a line for so many seconds, as its `n`th reservation.
pub(super) fn reserve(line: &Arc<Line>, count: u32, n: u64, seconds: u64) -> Command {
    let mut command = draw(line, count);
    if let Act::Draw(draw) = &mut command.act {
        draw.hold = Some(NewHold {
            id: hold(n),
            ttl: Duration::from_secs(seconds),
            on_expiry: line.definition().on_expiry(),
        });
    }
    command
}

/// Issues the numbers from `first` that the `n`th reservation holds.
pub(super) fn confirm(line: &Arc<Line>, first: u64, n: u64) -> Command {
    let end = End::Confirm {
        date: None,
        reference: None,
    };
    settle(line, first, n, end)
}

/// Voids the numbers from `first` that the `n`th reservation holds.
pub(super) fn give_up(line: &Arc<Line>, first: u64, n: u64) -> Command {
    let reason = because("given up");
    settle(line, first, n, End::Void { reason })
}

/// Ends the `n`th reservation, whose numbers from `first` are of the first generation.
pub(super) fn settle(line: &Arc<Line>, first: u64, n: u64, end: End) -> Command {
    command(Act::Settle(Settle {
        counter: line.key().clone(),
        generation: 1,
        first: number(first),
        reservation: hold(n),
        end,
    }))
}

/// Takes numbers of lines as given out by another system: of each so many from a first one.
pub(super) fn adopt(runs: &[(&Arc<Line>, u64, u64)]) -> Command {
    let runs = runs.iter().map(|(line, first, count)| AdoptedRun {
        line: Arc::clone(line),
        run: Run {
            first: number(*first),
            step: line.definition().step(),
            count: *count,
        },
    });
    let runs: Vec<AdoptedRun> = runs.collect();
    command(Act::Adopt(Adopt {
        sequence: runs[0].line.key().sequence().clone(),
        runs,
        reason: because("from the old system"),
    }))
}

/// Declares numbers of a line void.
pub(super) fn void(line: &Arc<Line>, first: u64, count: u64) -> Command {
    command(Act::Void(Void {
        line: Arc::clone(line),
        first: number(first),
        count,
        generation: None,
        reason: because("void"),
    }))
}

/// Lets go of the holds of a line that have ended.
pub(super) fn expire(line: &Arc<Line>) -> Command {
    command(Act::Expire(line.key().clone()))
}

/// The name of a case's `n`th lease.
pub(super) fn lease_id(n: u8) -> LeaseId {
    LeaseId([n; 16])
}

/// A history of a server.
pub(super) fn history(name: &str, topology: u64) -> Holder {
    let name = Label::new(name).expect("a label");
    Holder::History { name, topology }
}

/// A process.
pub(super) fn process(name: &str) -> Holder {
    Holder::Process(Label::new(name).expect("a label"))
}

/// Takes the `n`th lease of so many numbers, over from another one if there is one.
pub(super) fn lease(
    line: &Arc<Line>,
    n: u8,
    holder: Holder,
    count: u64,
    replaces: Option<&Lease>,
) -> Command {
    command(Act::Lease(TakeLease {
        line: Arc::clone(line),
        id: lease_id(n),
        holder,
        count,
        replaces: replaces.cloned(),
    }))
}

/// Puts the numbers behind the `n`th lease, which ends at `last`, into the same hands.
pub(super) fn extend(line: &Arc<Line>, n: u8, last: u64, count: u64) -> Command {
    command(Act::Extend(ExtendLease {
        line: Arc::clone(line),
        id: lease_id(n),
        last: number(last),
        count,
    }))
}

/// Records that the holder of the `n`th lease issued numbers at an instant.
pub(super) fn report(line: &Arc<Line>, n: u8, first: u64, count: u64, at: Timestamp) -> Command {
    command(Act::Report(Report {
        line: Arc::clone(line),
        lease: lease_id(n),
        run: Run {
            first: number(first),
            step: line.definition().step(),
            count,
        },
        at,
        reference: None,
        relates_to: None,
    }))
}

/// Ends a lease of which none was issued from this number on.
pub(super) fn give_back(line: &Arc<Line>, lease: &Lease, from: u64) -> Command {
    end_lease(line, lease, LeaseEnd::Unused { from })
}

/// Ends a lease whose holder is gone.
pub(super) fn lose(line: &Arc<Line>, lease: &Lease) -> Command {
    end_lease(line, lease, LeaseEnd::Lost)
}

fn end_lease(line: &Arc<Line>, lease: &Lease, end: LeaseEnd) -> Command {
    command(Act::EndLease(EndLease {
        line: Arc::clone(line),
        lease: lease.clone(),
        end,
    }))
}

/// Lets a line's counter give nothing any more.
pub(super) fn freeze(line: &Arc<Line>) -> Command {
    command(Act::Freeze(Freeze {
        line: Arc::clone(line),
        reason: because("it contradicts itself"),
    }))
}

/// Ends a sequence.
pub(super) fn archive(sequence: &SequenceKey) -> Command {
    command(Act::Archive(Archive {
        sequence: sequence.clone(),
        expected: None,
        reason: because("replaced"),
    }))
}

/// Closes the dates of a sequence up to this one.
pub(super) fn close(sequence: &SequenceKey, through: &str) -> Command {
    shut(sequence, Dates::ClosedThrough(day(through)))
}

/// Opens the dates of a sequence from this one on.
pub(super) fn reopen(sequence: &SequenceKey, from: &str) -> Command {
    shut(sequence, Dates::OpenFrom(day(from)))
}

fn shut(sequence: &SequenceKey, dates: Dates) -> Command {
    command(Act::Close(Close {
        sequence: sequence.clone(),
        dates,
        reason: because("a test"),
    }))
}

pub(super) fn because(text: &str) -> Reason {
    Reason::new(text).expect("a reason")
}

/// Makes `next` the next number of a line.
pub(super) fn reset(line: &Arc<Line>, next: u64) -> Command {
    shift(
        line,
        Target::Next {
            number: number(next),
            repeats_accepted: false,
        },
    )
}

/// Makes `next` the next number of a line, even if it was given out before.
pub(super) fn restart(line: &Arc<Line>, next: u64) -> Command {
    shift(
        line,
        Target::Next {
            number: number(next),
            repeats_accepted: true,
        },
    )
}

/// Takes the numbers up to `last_used` as given out by another system.
pub(super) fn sync(line: &Arc<Line>, last_used: u64) -> Command {
    shift(line, Target::Beyond(number(last_used)))
}

/// Begins an epoch with this margin, as after a restore.
pub(super) fn recover(line: &Arc<Line>, margin: u64) -> Command {
    shift(line, Target::NewEpoch(margin))
}

fn shift(line: &Arc<Line>, target: Target) -> Command {
    command(Act::Shift(Shift {
        line: Arc::clone(line),
        target,
        reason: None,
    }))
}

fn command(act: Act) -> Command {
    Command::new(act, Arc::new(Origin::default()))
}

pub(super) fn number(value: u64) -> Number {
    Number::new(value).expect("a number")
}

/// What cases do to a command.
pub(super) trait CommandExt {
    /// Under an idempotency key, with the digest of what is asked.
    fn under(self, key: &str) -> Command;

    /// Too late to be sealed.
    fn late(self) -> Command;
}

impl CommandExt for Command {
    fn under(self, key: &str) -> Command {
        let fingerprint = fingerprint(&self.act);
        let key = IdempotencyKey::new(key).expect("a key");
        let keyed = Keyed::new(self.act.sequence(), key, fingerprint);
        self.with_key(Some(keyed))
    }

    fn late(self) -> Command {
        self.with_deadline(Some(Instant::now()))
    }
}

/// Equal for commands that ask the same, whatever date and version their lines have.
fn fingerprint(act: &Act) -> Fingerprint {
    let (kind, value) = match act {
        Act::Draw(Draw {
            count, hold: Some(_), ..
        }) => (5, u64::from(*count)),
        Act::Draw(draw) => (1, u64::from(draw.count)),
        Act::Void(void) => (6, void.first.get()),
        Act::Adopt(adopt) => (7, adopt.runs.iter().map(|adopted| adopted.run.first.get()).sum()),
        Act::Shift(Shift {
            target: Target::Next { number, .. },
            ..
        }) => (2, number.get()),
        Act::Shift(Shift {
            target: Target::Beyond(number),
            ..
        }) => (3, number.get()),
        Act::Close(close) => match close.dates {
            Dates::ClosedThrough(date) => (7, date.days_since_epoch().unsigned_abs().into()),
            Dates::OpenFrom(date) => (8, date.days_since_epoch().unsigned_abs().into()),
        },
        Act::Report(report) => (9, report.run.count),
        _ => (4, 0),
    };
    let mut digest = [0; 16];
    digest[0] = kind;
    digest[8..].copy_from_slice(&value.to_be_bytes());
    Fingerprint(digest)
}

/// A reply in a word or two: `7` or `7..9` for numbers, `7 g2` for those of generation 2, `again 7` for a
/// replay, `held 7`, `confirmed 7` and `given up 7` for reservations, `void 7` for a void, `5 -> 9` for a move,
/// `v2 saved` or `v2 kept` for a definition, and the name of a refusal with what it says.
pub(super) fn told(reply: &Result<Reply, StoreError>) -> String {
    match reply {
        Ok(Reply::Granted(Granted {
            run,
            generation,
            expires_at,
            ..
        })) => {
            let held = if expires_at.is_some() { "held " } else { "" };
            format!("{held}{}", numbers(run, *generation))
        }
        Ok(Reply::Replayed(event)) => match &event.run {
            Some(run) => {
                let held = if event.kind == EventKind::Reserved {
                    "held "
                } else {
                    ""
                };
                format!("again {held}{}", numbers(run, event.generation))
            }
            None => "again".into(),
        },
        Ok(Reply::Settled(Settled { event, repeated })) => {
            let ended = match event.kind {
                EventKind::Confirmed => "confirmed",
                EventKind::Voided => "given up",
                other => other.as_str(),
            };
            let run = event.run.expect("a reservation has numbers");
            format!(
                "{}{ended} {}",
                if *repeated { "again " } else { "" },
                numbers(&run, event.generation)
            )
        }
        Ok(Reply::Voided(Voided {
            run,
            generation,
            repeated,
            ..
        })) => {
            let again = if *repeated { "again " } else { "" };
            format!("{again}void {}", numbers(run, *generation))
        }
        Ok(Reply::Expired(Expired { holds, more })) => {
            format!("{holds} let go{}", if *more { ", more left" } else { "" })
        }
        Ok(Reply::Archived(Archived { repeated })) => {
            if *repeated { "again archived" } else { "archived" }.into()
        }
        Ok(Reply::Closed(Closed { through, changed })) => {
            let still = if *changed { "" } else { "still " };
            match through {
                Some(through) => format!("{still}closed through {through}"),
                None => format!("{still}open"),
            }
        }
        Ok(Reply::Adopted(counters)) => counters.iter().map(adopted).collect::<Vec<_>>().join("; "),
        Ok(Reply::Shifted(Shifted {
            old_next,
            next,
            generation,
            ..
        })) => {
            format!("{old_next} -> {next}{}", of_generation(*generation))
        }
        Ok(Reply::Defined(Defined { version, saved: true })) => format!("v{version} saved"),
        Ok(Reply::Defined(Defined {
            version,
            saved: false,
        })) => format!("v{version} kept"),
        Ok(Reply::Leased(lease)) => {
            let state = format!("{:?}", lease.state).to_lowercase();
            let run = lease.run.as_ref().map(|run| numbers(run, lease.generation));
            format!("{state} {} e{}", run.as_deref().unwrap_or("nothing"), lease.epoch)
        }
        Ok(Reply::Frozen) => "frozen".into(),
        Ok(other) => format!("{other:?}"),
        Err(StoreError::Refused(refusal)) => refused(refusal),
        Err(StoreError::Late) => "late".into(),
        Err(StoreError::Draining) => "draining".into(),
        Err(other) => format!("{other:?}"),
    }
}

/// `adopted 3, again 1, skipped 2, next 7`, or `again 3, next 7` where nothing was done.
fn adopted(numbers: &AdoptedNumbers) -> String {
    let AdoptedNumbers {
        adopted,
        repeated,
        skipped,
        next,
        ..
    } = numbers;
    match (adopted, repeated) {
        (0, again) => format!("again {again}, next {next}"),
        (_, 0) => format!("adopted {adopted}, skipped {skipped}, next {next}"),
        _ => format!("adopted {adopted}, again {repeated}, skipped {skipped}, next {next}"),
    }
}

/// A run as `7` or `7..9`, of a later generation with its number.
pub(super) fn numbers(run: &Run, generation: u32) -> String {
    let generation = of_generation(generation);
    match run.count {
        1 => format!("{}{generation}", run.first),
        _ => format!("{}..{}{generation}", run.first, run.last()),
    }
}

fn of_generation(generation: u32) -> String {
    if generation == 1 {
        String::new()
    } else {
        format!(" g{generation}")
    }
}

fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Exhausted { max } => format!("exhausted at {max}"),
        Refusal::DoesNotFit { remaining, .. } => format!("{remaining} left"),
        Refusal::RangeExpired { range, date } => format!("{range} not on {date}"),
        Refusal::NotGranted { number } => format!("{number} is not granted"),
        Refusal::DefinitionChanged { head, opened } => format!("changed to v{head}, opened with v{opened}"),
        Refusal::DateBeforeLast { last } => format!("before {last}"),
        Refusal::ChainChanged => "chain changed".into(),
        Refusal::KeyMismatch => "key mismatch".into(),
        Refusal::CaseVariant { existing } => format!("case variant of {existing}"),
        Refusal::NotDefined => "not defined".into(),
        Refusal::Archived => "archived before".into(),
        Refusal::PeriodClosed { through, by } => {
            let all = if *by == Closer::Tenant { " for all" } else { "" };
            format!("closed through {through}{all}")
        }
        Refusal::AllClosed { through } => format!("all closed through {through}"),
        Refusal::WouldRepeat { last } => format!("would repeat up to {last}"),
        Refusal::NoReservation(_) => "no reservation".into(),
        Refusal::HoldExpired { .. } => "expired before".into(),
        Refusal::HoldVoided { .. } => "given up before".into(),
        Refusal::HoldConfirmed { .. } => "confirmed before".into(),
        Refusal::DateChanged { fixed } => format!("reserved for {fixed}"),
        Refusal::OpenReservations { count } => format!("{count} reserved"),
        Refusal::OpenLeases { count } => format!("{count} leased"),
        Refusal::NotLeasable { mode } => format!("{} is not leased so", mode.as_str()),
        Refusal::NoLease(_) => "no lease".into(),
        Refusal::LeaseTaken(_) => "lease of another".into(),
        Refusal::LeaseEnded(_) => "lease ended before".into(),
        Refusal::LeaseBuried(_) => "lease is behind".into(),
        Refusal::LeaseChanged { current } => match current {
            Some(lease) => format!("lease is e{}", lease.epoch),
            None => "no lease is open".into(),
        },
        Refusal::HistoryGone { name } => format!("{name} is gone"),
        Refusal::OldTopology { known } => format!("topology is {known}"),
        Refusal::NotPending { number } => format!("{number} is not pending"),
        Refusal::Frozen => "frozen before".into(),
        Refusal::NotVoidable { number, state } => format!("{number} is {state}"),
        Refusal::Taken { number, state, .. } => format!("{number} is {state}"),
        Refusal::NotAMember { number, .. } => format!("{number} is no member"),
        Refusal::VersionMismatch { head } => format!("version is {head}"),
        Refusal::VersionRequired { head } => format!("version {head} required"),
        Refusal::DefinitionRefused(_) => "definition refused".into(),
        Refusal::ImplicitEnded => "implicit ended".into(),
        Refusal::TooManyImplicit { limit } => format!("more than {limit} implicit"),
        other => format!("{other:?}"),
    }
}
