//! `seqid-server dead-letters`.

use std::io;
use std::process::ExitCode;

use anyhow::Context;
use seqid_amqp::{DeadLetter, DeadLetters};
use serde_json::json;

use crate::config::Config;
use crate::{compose, say};

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Command {
    /// Print the oldest ones, each as a line of JSON. They stay where they are
    List {
        /// The most of them
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
    },
    /// Put the oldest ones back into the queue, to be recorded
    Replay {
        /// The most of them
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
        /// Only the one with this message id
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
}

/// Does it.
///
/// # Errors
/// When no broker is named, or it does not answer.
pub(crate) fn run(config: &Config, command: &Command) -> anyhow::Result<ExitCode> {
    let broker = config.broker.clone();
    let letters = DeadLetters::new(broker.context("dead letters are at a broker: set RABBITMQ_URL")?);
    match command {
        Command::List { limit } => {
            let listed = compose::block_on(letters.list(*limit))?;
            for letter in listed.context("the dead letters could not be read")? {
                say(&mut io::stdout(), &line(&letter));
            }
        }
        Command::Replay { limit, id } => {
            let replayed = compose::block_on(letters.replay(*limit, id.as_deref()))?;
            let replayed = replayed.context("not all dead letters could be put back")?;
            say(&mut io::stdout(), &format!("put back: {replayed}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A letter as JSON. A body that is no text is shown as far as it is.
fn line(letter: &DeadLetter) -> String {
    json!({
        "id": letter.id,
        "reason": letter.reason,
        "body": String::from_utf8_lossy(&letter.body),
    })
    .to_string()
}
