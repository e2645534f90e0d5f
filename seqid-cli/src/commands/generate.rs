//! `completions` and `man`.

use std::path::PathBuf;

use clap_complete::Shell;
use clap_mangen::Man as Page;

use crate::command_line;
use crate::failure::{Ended, Failure};
use crate::printer::Printer;

pub(crate) const COMPLETIONS: &str = "\
Examples:
  seqid completions bash > /etc/bash_completion.d/seqid
  seqid completions zsh > \"${fpath[1]}/_seqid\"
  seqid completions fish > ~/.config/fish/completions/seqid.fish";

pub(crate) const MAN: &str = "\
Examples:
  seqid man | man -l -
  seqid man audit | man -l -
  seqid man --output /usr/local/share/man/man1";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Completions {
    /// Shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn completions(completions: &Completions, printer: &mut Printer) -> Result<Ended, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        completions.shell,
        &mut command_line::command(),
        "seqid",
        &mut script,
    );
    printer.text(&String::from_utf8_lossy(&script))?;
    Ok(Ended::Done)
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Man {
    /// Command; the page of seqid itself unless given
    #[arg(value_name = "COMMAND")]
    command: Option<String>,

    /// Folder to write the pages of all commands into
    #[arg(long, value_name = "PATH", conflicts_with = "command")]
    output: Option<PathBuf>,
}

pub(crate) fn man(man: &Man, printer: &mut Printer) -> Result<Ended, Failure> {
    let mut seqid = command_line::command().disable_help_subcommand(true);
    if let Some(folder) = &man.output {
        let written = clap_mangen::generate_to(seqid, folder);
        written.map_err(|error| Failure::unwritten(&folder.display().to_string(), &error))?;
        return Ok(Ended::Done);
    }
    seqid.build();
    let command = match &man.command {
        None => seqid,
        Some(name) => seqid.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::usage(format!("there is no command {name:?}: `seqid --help` lists them"))
        })?,
    };
    let mut page = Vec::new();
    Page::new(command).render(&mut page)?;
    printer.text(&String::from_utf8_lossy(&page))?;
    Ok(Ended::Done)
}
