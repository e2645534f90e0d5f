//! `seqid-server backup`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::config::Config;
use crate::{compose, say};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// File to write; must not exist yet
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
}

/// Copies the data file, whole as of one moment, whether it is served meanwhile or not.
///
/// # Errors
/// When there is no data file, or the copy cannot be written.
pub(crate) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(
        config.database.is_none(),
        "the numbers are in {}: back that up as a whole with the tools of PostgreSQL, such as pg_basebackup or pg_dump",
        config.place()
    );
    let (file, to) = (config.file(), arguments.to.display());
    ensure!(
        file.exists(),
        "there is no data file {}: check SEQID_DATA",
        file.display()
    );
    ensure!(
        !arguments.to.exists(),
        "{to} exists already: a backup never replaces a file"
    );
    seqid_sqlite::backup(&compose::store_config(config), &arguments.to).context("no backup was made")?;
    let summary = format!(
        "{} was copied to {to}. To go back to it, stop the service, put the copy in the file's place without any \
         seqid.db-* file beside it, and run `seqid-server recover`.",
        file.display()
    );
    say(&mut io::stdout(), &summary);
    Ok(ExitCode::SUCCESS)
}
