//! `man`: the manual pages, one for the program and one for each verb.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::{Cli, ManArgs};
use crate::exit::{Exit, Failure};

pub(super) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Adds the global flags to the verbs.
    command.build();
    fs::create_dir_all(&args.folder).map_err(|error| unwritten(&args.folder, &error))?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write(&args.folder, verb.clone())?;
    }
    write(&args.folder, command)?;
    Ok(Exit::Done)
}

/// Writes a page. It has no date, so that equal sources make equal pages.
fn write(folder: &Path, command: Command) -> Result<(), Failure> {
    let manual = Man::new(command);
    let path = folder.join(manual.get_filename());
    let mut page = Vec::new();
    let written = manual.render(&mut page);
    page.extend_from_slice(exit_status().as_bytes());
    written.and_then(|()| fs::write(&path, page)).map_err(|error| unwritten(&path, &error))
}

/// The section about exit codes, which is the same for every verb.
fn exit_status() -> String {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        section.control("TP", []).text([bold(exit.code().to_string())]).text([roman(exit.meaning())]);
    }
    section.render()
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
}
