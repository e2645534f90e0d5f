//! `seqid-server recover`.

use std::io;
use std::process::ExitCode;

use anyhow::ensure;
use seqid_core::clock::SystemClock;
use seqid_core::names::{Label, Reason};
use seqid_core::recovery::Recovery;
use seqid_postgres::PostgresConfig;

use crate::config::Config;
use crate::{compose, say};

/// What the command is for.
pub(crate) const ABOUT: &str = "\
Accept a data file or database that was restored from a backup, or copied, so that it can be served again.

The service refuses to start on such a one, because it does not know which numbers were given out after it was written. This command records the reason in the audit of every counter, begins a new epoch, and jumps over --margin \
numbers of each counter. All instances of the service must be stopped.";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Why, for the auditor
    #[arg(long, value_name = "TEXT", value_parser = |text: &str| Reason::new(text))]
    reason: Reason,

    /// Numbers of each counter to jump over: at least as many as may have been given out since it was
    /// written. With 0 those are given out again
    #[arg(long, value_name = "NUMBERS", default_value_t = 0)]
    margin: u64,

    /// Who accepts it
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Label::new(text))]
    actor: Option<Label>,
}

/// Accepts the data file or database.
///
/// # Errors
/// When it cannot be read, is damaged, or is in use. Nothing is changed then.
pub(crate) fn run(config: &Config, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        reason,
        margin,
        actor,
    } = arguments;
    let mut recovery = Recovery::new(reason);
    recovery.margin = margin;
    recovery.actor = actor;
    let (place, incarnation, counters) = match &config.database {
        Some(database) => of_database(database, &recovery)?,
        None => of_file(config, &recovery)?,
    };
    let summary = format!(
        "{place} can be served again. It begins incarnation {incarnation}; counters moved forward by {margin}: {counters}."
    );
    say(&mut io::stdout(), &summary);
    Ok(ExitCode::SUCCESS)
}

fn of_file(config: &Config, recovery: &Recovery) -> anyhow::Result<(String, u32, u64)> {
    let file = config.file();
    ensure!(
        file.exists(),
        "there is no data file {}: check SEQID_DATA",
        file.display()
    );
    let report = seqid_sqlite::recover(&compose::store_config(config), recovery, &SystemClock)?;
    Ok((
        report.path.display().to_string(),
        report.incarnation,
        report.counters,
    ))
}

fn of_database(database: &PostgresConfig, recovery: &Recovery) -> anyhow::Result<(String, u32, u64)> {
    let report = compose::block_on(seqid_postgres::recover(database, recovery))??;
    Ok((report.place, report.incarnation, report.counters))
}
