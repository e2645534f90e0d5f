#![doc = include_str!("../README.md")]

mod backlog;
mod backup;
mod checkpoints;
mod compose;
mod config;
mod connections;
mod dead_letters;
mod ends;
mod files;
mod instance;
mod metrics;
mod reader;
mod recover;
mod redis;
mod relay;
mod serve;
mod shutdown;
mod signing;
mod telemetry;
mod verify;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use config::{Config, Settings};

/// Requests are made on one thread and answered on another, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What stands below the options in `--help`.
const NOTES: &str = "\
Each setting is taken from its flag, else from its environment variable, else from the configuration file, else its \
default. An empty variable counts as unset. The file is TOML; its keys are the flags' names with `_` for `-`:

  port = 8080
  time_zone = \"Asia/Jakarta\"

Exit codes: 0 done, or stopped as asked; 1 could not start, or failed; 2 the command line is wrong (`verify --help` \
has its own); 130 and 143 stopped at once by a second SIGINT or SIGTERM.";

/// Sequential document numbers over REST and gRPC, kept in one file or in PostgreSQL.
///
/// Without a command it serves. With nothing configured it listens on 127.0.0.1:8080, and on 9090 for gRPC, and keeps its data in the
/// folder seqid-data.
#[derive(Debug, Parser)]
#[command(name = "seqid-server", version, after_help = NOTES, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Serve requests until SIGTERM or SIGINT. The default
    Serve,
    /// Take events from RabbitMQ and record them in the audit of a PostgreSQL database, until SIGTERM or SIGINT
    #[command(long_about = worker::ABOUT)]
    Worker,
    /// Look at messages that a worker could not record, or put them back into the queue
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Accept a data file that was restored from a backup, or copied, so that it can be served again
    #[command(long_about = recover::ABOUT)]
    Recover(recover::Arguments),
    /// Copy the data file to another place, also while the service runs
    Backup(backup::Arguments),
    /// Check that the audit is as it was recorded
    #[command(long_about = verify::ABOUT, after_help = verify::EXAMPLES)]
    Verify(verify::Arguments),
    /// Read the configuration, print what is in effect and where it comes from, and exit
    CheckConfig,
}

fn main() -> ExitCode {
    let matches = CommandLine::command()
        .mut_args(|argument| argument.hide_env_values(true))
        .get_matches();
    let line = match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line,
        Err(error) => error.exit(),
    };
    match run(line.command.unwrap_or(Command::Serve), &matches) {
        Ok(code) => code,
        Err(error) => {
            say(
                &mut io::stderr(),
                &format!("seqid-server: {}", with_causes(&error)),
            );
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, matches: &clap::ArgMatches) -> anyhow::Result<ExitCode> {
    let config = || Config::read(matches);
    match command {
        Command::Serve => serve::run(config()?),
        Command::Worker => worker::run(config()?),
        Command::DeadLetters(command) => dead_letters::run(&config()?, &command),
        Command::Recover(arguments) => recover::run(&config()?, arguments),
        Command::Backup(arguments) => backup::run(&config()?, &arguments),
        Command::Verify(arguments) => Ok(verify::run(&arguments, matches)),
        Command::CheckConfig => {
            say(&mut io::stdout(), config()?.to_string().trim_end());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Writes a line for a person. Nobody may be reading, which is no reason to fail.
fn say(to: &mut impl Write, line: &str) {
    let _unread = writeln!(to, "{line}").and_then(|()| to.flush());
}

/// An error with its causes, those left out that were said already.
fn with_causes(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |text, cause| match text.as_str() {
            "" => cause,
            said if said.contains(&cause) => text,
            said => format!("{said}: {cause}"),
        })
}
