//! What each command does.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod counters;
pub(crate) mod define;
pub(crate) mod draw;
pub(crate) mod gaps;
pub(crate) mod generate;
pub(crate) mod inquire;
pub(crate) mod settle;
pub(crate) mod verify;

use crate::command_line::Command;
use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::printer::Printer;

/// Carries a command out that asks a desk.
pub(crate) async fn run(command: Command, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
    match command {
        Command::Next(next) => next.run(desk, printer).await,
        Command::Batch(batch) => batch.run(desk, printer).await,
        Command::Reserve(reserve) => reserve.run(desk, printer).await,
        Command::Confirm(confirm) => confirm.run(desk, printer).await,
        Command::Void(void) => void.run(desk, printer).await,
        Command::Status(status) => status.run(desk, printer).await,
        Command::Preview(preview) => preview.run(desk, printer).await,
        Command::Parse(parse) => parse.run(desk, printer).await,
        Command::Define(define) => define.run(desk, printer).await,
        Command::List(list) => list.run(desk, printer).await,
        Command::Reset(reset) => reset.run(desk, printer).await,
        Command::Sync(sync) => sync.run(desk, printer).await,
        Command::Gaps(gaps) => gaps.run(desk, printer).await,
        Command::Audit(audit) => audit.run(desk, printer).await,
        Command::Verify(verify) => verify.service(desk, printer).await,
        Command::Bench(bench) => bench.run(desk, printer).await,
        Command::Completions(shell) => generate::completions(&shell, printer),
        Command::Man(man) => generate::man(&man, printer),
    }
}
