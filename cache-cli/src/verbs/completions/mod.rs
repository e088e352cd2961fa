//! `completions`: what a shell needs to complete the command line.
//!
//! Verbs and flags are in the script itself. Where a spec stands, the script asks the program (`__complete`), which knows
//! the types, their attributes, and the caches in directories of this machine.

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

/// What completes specs in a shell; nothing in those that have no more than verbs and flags.
fn specs(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("specs.bash"),
        Shell::Fish => include_str!("specs.fish"),
        Shell::Zsh => include_str!("specs.zsh"),
        _ => "",
    }
}

/// Prints what a word of the command line can become, one a line.
pub(super) async fn complete(session: &Session, args: &CompleteArgs) -> Result<Exit, Failure> {
    let candidates = candidates::of(session, &args.word).await;
    output::write(candidates.iter().map(|word| format!("{word}\n")).collect::<String>().as_bytes())?;
    Ok(Exit::Done)
}
