//! What may stand on the command line. Each command has its arguments in its own file.

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, Parser, Subcommand};
use seqid_core::Tenant;

use crate::commands::{audit, bench, counters, define, draw, gaps, generate, inquire, settle, verify};
use crate::failure::Failure;
use crate::given;

/// Where requests go unless told.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:9090";

const NOTES: &str = "\
Examples:
  seqid next INV                                       draw the next number of INV from the service on this machine
  seqid next INV --key order-4711                      safe to repeat: the same order gets the same number
  seqid --url http://numbers:9090 status INV           ask a service elsewhere; so does SEQID_URL
  seqid --file numbers.db --create next INV            without a service: from a file that nobody serves
  seqid --json status INV | jq .next_number            one JSON document a line, members as in the REST API

Exit codes:
  0  done; for verify: nothing is wrong
  1  refused, and nothing was issued: the same request would be refused again; for verify: something is wrong
  2  the command line is wrong, or a file that it names cannot be read: nothing was asked
  3  not carried out, and nothing was issued: the same request may be sent again later
  4  unknown: it may have been carried out. Repeat it under the key that the message names
  5  carried out, but the output could not be written
";

/// Sequential document numbers: drawn, looked up and verified from a terminal.
///
/// Asks a service over gRPC, or opens an embedded file. For people it prints texts and tables, for programs JSON.
#[derive(Debug, Parser)]
#[command(name = "seqid", version, after_help = NOTES, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Where and how")]
pub(crate) struct Shared {
    /// Address of a service's gRPC interface. Several with commas between, or the option repeated, are instances of one
    /// service [default: http://127.0.0.1:9090]
    #[arg(
        long,
        env = "SEQID_URL",
        value_name = "URL",
        value_delimiter = ',',
        global = true
    )]
    pub(crate) url: Vec<String>,

    /// Certificates of the authorities, in PEM, that vouch for a service at an https address; those that the machine trusts
    /// unless given
    #[arg(long, env = "SEQID_CA_FILE", value_name = "PATH", global = true)]
    pub(crate) ca_file: Option<PathBuf>,

    /// Data file to open instead of asking a service. No service may be running on it
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) file: Option<PathBuf>,

    /// Make the data file when there is none
    #[arg(long, global = true)]
    pub(crate) create: bool,

    /// Tenant
    #[arg(long, value_name = "NAME", default_value = "default", global = true)]
    pub(crate) tenant: Tenant,

    /// How long to wait for a service's answer, repetitions included: 100ms to 10m
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = given::patience, global = true)]
    pub(crate) timeout: Duration,

    /// Print JSON, one document a line; errors too, on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Shared {
    /// What clap cannot know: an address in the environment gives way to a file, one on the command line contradicts it.
    pub(crate) fn check(&self, matches: &ArgMatches) -> Result<(), Failure> {
        let url_is_named = matches.value_source("url") == Some(ValueSource::CommandLine);
        if self.file.is_some() && url_is_named {
            let detail = "--url and --file name two places: give one of them";
            return Err(Failure::usage(detail.to_owned()));
        }
        if self.file.is_none() && self.create {
            let detail = "--create makes a data file: name it with --file";
            return Err(Failure::usage(detail.to_owned()));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Draw one number and print its id
    #[command(after_help = draw::NEXT)]
    Next(draw::Next),
    /// Draw several numbers, all or none
    #[command(after_help = draw::BATCH)]
    Batch(draw::Batch),
    /// Hold numbers for a while: they are issued when they are confirmed
    #[command(after_help = draw::RESERVE)]
    Reserve(draw::Reserve),
    /// Issue the numbers of a reservation
    #[command(after_help = settle::CONFIRM)]
    Confirm(settle::Confirm),
    /// Declare numbers void: those of a reservation, an id, or numbers of a counter
    #[command(after_help = settle::VOID)]
    Void(settle::Void),
    /// Show where a counter stands
    #[command(after_help = counters::STATUS)]
    Status(counters::StatusOf),
    /// Show the id that a draw would give, or that a definition would make. Consumes nothing
    #[command(after_help = inquire::PREVIEW)]
    Preview(inquire::Preview),
    /// Read an id back: its number, period and scope
    #[command(after_help = inquire::PARSE)]
    Parse(inquire::Parse),
    /// Define a sequence from flags or a TOML file, or check a definition
    #[command(after_help = define::DEFINE)]
    Define(define::Define),
    /// List the sequences, or the counters of a sequence
    #[command(after_help = counters::LIST)]
    List(counters::List),
    /// Set what a counter issues next
    #[command(after_help = counters::RESET)]
    Reset(counters::ResetTo),
    /// Take numbers as given out by another system
    #[command(after_help = counters::SYNC)]
    Sync(counters::SyncTo),
    /// Show every number of a counter that was not plainly issued, and why
    #[command(after_help = gaps::GAPS)]
    Gaps(gaps::Gaps),
    /// Show, follow or export who got which numbers when and why
    #[command(after_help = audit::AUDIT)]
    Audit(Box<audit::Audit>),
    /// Check that the audit is as it was recorded, and the counters are where it left them
    #[command(long_about = verify::ABOUT, after_help = verify::VERIFY)]
    Verify(verify::Verify),
    /// Put load on a service and measure it. Draws real numbers
    #[command(after_help = bench::BENCH)]
    Bench(bench::Bench),
    /// Print a shell's completions
    #[command(after_help = generate::COMPLETIONS)]
    Completions(generate::Completions),
    /// Print manual pages, or write all of them into a folder
    #[command(after_help = generate::MAN)]
    Man(generate::Man),
}

/// Whether draws that bear no idempotency key get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Made,
    None,
}

impl Command {
    pub(crate) const fn keys(&self) -> Keys {
        match self {
            Self::Bench(bench) => bench.keys(),
            _ => Keys::Made,
        }
    }
}

/// The whole command line, as clap knows it.
pub(crate) fn command() -> clap::Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_each_command_has_an_example() {
        let mut command = command();
        command.build();
        command.clone().debug_assert();
        for subcommand in command
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
        {
            let help = subcommand.clone().render_long_help().to_string();
            let name = subcommand.get_name();
            let example = format!("seqid {name}");
            let (_, examples) = help.split_once("Examples:\n").expect(name);
            assert!(examples.contains(&example), "{name}: {help}");
        }
    }
}
