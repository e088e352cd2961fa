//! `cargo xtask`: the tasks that people and CI run in this workspace.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to a terminal")]

mod args;
mod bench;
mod ci;
mod compatibility;
mod demo;
mod deps;
mod dist;
mod failure;
mod features;
mod hits;
mod interop;
mod plan;
mod process;
mod recipes;
mod schemas;
mod scratch;
mod servers;
mod setup;
mod test;
mod tidy;
mod trial;
mod way;
mod workspace;

use std::process::ExitCode;

use crate::args::Args;
use crate::failure::Failure;

/// A command as shown in the usage, and its function.
struct Task {
    name: &'static str,
    synopsis: &'static str,
    about: &'static str,
    run: fn(Args) -> Result<(), Failure>,
}

const TASKS: [Task; 14] = [
    Task { name: "setup", synopsis: "", about: "make sure that what the tests need is there", run: setup::run },
    Task { name: "test", synopsis: "[--crate X]", about: "set up, then run every test", run: test::run },
    Task { name: "demo", synopsis: "", about: "copy and verify a cache that BuildKit wrote", run: demo::run },
    Task { name: "ci", synopsis: "[--crate X] [--no-test]", about: "what CI runs, in order", run: ci::run },
    Task { name: "tidy", synopsis: "", about: "check the house rules", run: tidy::run },
    Task {
        name: "deps",
        synopsis: "[--pin]",
        about: "check who depends on what, on how much, and what runs in a build",
        run: deps::run,
    },
    Task {
        name: "plan", synopsis: "[--base REF | FILE…]", about: "name the crates a change touches", run: plan::run
    },
    Task { name: "bench", synopsis: "[NAME] [ARG…]", about: "run one benchmark", run: bench::run },
    Task {
        name: "compatibility",
        synopsis: "[--store NAME] [--no-write]",
        about: "try every store that can be started here",
        run: compatibility::run,
    },
    Task { name: "dist", synopsis: "[--target T]… [--deb]", about: "make what a release has", run: dist::run },
    Task { name: "trial", synopsis: "[ARCHIVE…]", about: "try what dist made, in an empty root", run: trial::run },
    Task { name: "recipes", synopsis: "", about: "run every recipe of the documentation", run: recipes::run },
    Task { name: "schemas", synopsis: "", about: "write the schemas of all JSON documents anew", run: schemas::run },
    Task { name: "interop", synopsis: "", about: "round trip through a real BuildKit", run: interop::run },
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "help".to_owned());
    if matches!(name.as_str(), "help" | "-h" | "--help") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprint!("error: there is no command `{name}`\n\n{}", usage());
        return ExitCode::from(failure::USAGE);
    };
    match (task.run)(Args::new(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn usage() -> String {
    let lines: String = TASKS
        .iter()
        .map(|task| format!("  {:<42}  {}\n", format!("{} {}", task.name, task.synopsis), task.about))
        .collect();
    format!("usage: cargo xtask COMMAND\n\n{lines}")
}
