//! `completions`: scripts that complete the command line in a shell.
//!
//! Verbs and flags are in the script itself. For a spec, the script calls the program (`__complete`), which knows the
//! types, their attributes, and the caches in directories of this machine.

mod candidates;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::{Cli, CompleteArgs, CompletionsArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;

pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "buildcache", &mut script);
    script.extend_from_slice(specs(args.shell).as_bytes());
    output::write(&script)?;
    Ok(Exit::Done)
}

/// The part of the script that completes specs; empty for shells in which only verbs and flags are completed.
fn specs(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("specs.bash"),
        Shell::Fish => include_str!("specs.fish"),
        Shell::Zsh => include_str!("specs.zsh"),
        _ => "",
    }
}

/// Prints the completions of a word of the command line, one per line.
pub(super) async fn complete(session: &Session, args: &CompleteArgs) -> Result<Exit, Failure> {
    let candidates = candidates::of(session, &args.word).await;
    output::write(candidates.iter().map(|word| format!("{word}\n")).collect::<String>().as_bytes())?;
    Ok(Exit::Done)
}
