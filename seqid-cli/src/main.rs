#![doc = include_str!("../README.md")]

mod command_line;
mod commands;
mod desk;
mod documents;
mod failure;
mod given;
mod printer;
mod progress;

use std::process::ExitCode;

use clap::FromArgMatches;

use command_line::{Command, CommandLine};
use desk::Desk;
use failure::{Ended, Failure};
use printer::Printer;

fn main() -> ExitCode {
    let matches = command_line::command().get_matches();
    let line = match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line,
        Err(error) => error.exit(),
    };
    let json = line.shared.json;
    let mut printer = Printer::new(json);
    let ended = run(line, &matches, &mut printer).and_then(|ended| {
        printer.flush()?;
        Ok(ended)
    });
    match ended {
        Ok(ended) => ended.into(),
        Err(failure) => failure.tell(json).into(),
    }
}

fn run(line: CommandLine, matches: &clap::ArgMatches, printer: &mut Printer) -> Result<Ended, Failure> {
    let CommandLine { shared, command } = line;
    shared.check(matches)?;
    match command {
        Command::Completions(shell) => return commands::generate::completions(&shell, printer),
        Command::Man(man) => return commands::generate::man(&man, printer),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("the system has no room for this program: {error}")))?;
    runtime.block_on(async {
        if let Command::Verify(verify) = &command
            && let Some(ended) = verify.elsewhere(&shared, printer).await?
        {
            return Ok(ended);
        }
        let desk = Desk::open(&shared, command.keys()).await?;
        let ended = commands::run(command, &desk, printer).await;
        let closed = desk.close().await;
        ended.and_then(|ended| closed.map(|()| ended))
    })
}
