//! `cargo xtask ci`: what CI runs, in order, until something fails.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::deps;
use crate::failure::Failure;
use crate::features;
use crate::process;
use crate::test::{self, selection};
use crate::tidy;
use crate::workspace::{Member, Workspace};

/// How long each fuzz target runs.
const FUZZ_SECONDS: &str = "10";

/// What the steps check.
struct Scope<'a> {
    workspace: &'a Workspace,
    krate: Option<&'a str>,
    members: Vec<&'a Member>,
}

/// One line of the closing table.
struct Step {
    name: &'static str,
    run: fn(&Scope<'_>) -> Result<(), Failure>,
}

const STEPS: [Step; 9] = [
    Step { name: "fmt", run: fmt },
    Step { name: "clippy", run: clippy },
    Step { name: "test", run: |scope| test::test(&scope.members, scope.krate) },
    Step { name: "doc", run: doc },
    Step { name: "features", run: |scope| features::check(&scope.members) },
    Step { name: "fuzz", run: fuzz },
    Step { name: "tidy", run: |scope| tidy::check(scope.workspace) },
    Step { name: "deps", run: |scope| deps::check(scope.workspace) },
    Step { name: "deny", run: deny },
];

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let krate = args.option("--crate")?;
    let without_tests = args.flag("--no-test");
    args.finish()?;
    let workspace = Workspace::load()?;
    let members = workspace.scope(krate.as_deref())?;
    let scope = Scope { workspace: &workspace, krate: krate.as_deref(), members };
    run_steps(&scope, STEPS.iter().filter(|step| !(without_tests && step.name == "test")))
}

/// Runs the steps until one fails, then prints the outcome of each.
fn run_steps<'a>(scope: &Scope<'_>, steps: impl Iterator<Item = &'a Step>) -> Result<(), Failure> {
    let mut table = String::new();
    let mut result = Ok(());
    for Step { name, run } in steps {
        if result.is_err() {
            table += &format!("  {name:<10} not run\n");
            continue;
        }
        println!("\n== {name} ==");
        let start = Instant::now();
        result = run(scope).map_err(|failure| failure.within(&format!("ci stopped at `{name}`")));
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        let time = as_time(start.elapsed());
        println!("== {name}: {verdict} in {time} ==");
        table += &format!("  {name:<10} {verdict:<7} {time:>9}\n");
    }
    print!("\n{table}");
    result
}

fn fmt(scope: &Scope<'_>) -> Result<(), Failure> {
    let selected = scope.krate.map_or_else(|| vec!["--all"], |name| vec!["--package", name]);
    process::run(process::cargo(["fmt", "--check"]).args(selected))
}

fn clippy(scope: &Scope<'_>) -> Result<(), Failure> {
    let mut command = process::cargo(["clippy", "--all-targets"]);
    process::run(command.args(selection(scope.krate)).args(["--", "-D", "warnings"]))
}

fn doc(scope: &Scope<'_>) -> Result<(), Failure> {
    let mut command = process::cargo(["doc", "--no-deps"]);
    process::run(command.args(selection(scope.krate)).env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// Feeds seeded mutations to every parser; the targets live in `cache-tests`.
fn fuzz(scope: &Scope<'_>) -> Result<(), Failure> {
    if scope.members.iter().all(|member| member.name != "cache-tests") {
        println!("the fuzz targets run with `cache-tests`");
        return Ok(());
    }
    // Built as the tests are, so that nothing is compiled twice; the core is optimised and overflow is checked.
    let mut command = process::cargo(["run", "--quiet"]);
    command.args(selection(Some("cache-tests")));
    process::run(command.args(["--bin", "fuzz", "--", "--seconds", FUZZ_SECONDS]))
}

/// Checks licences, bans and sources by `deny.toml`, and advisories if their database is on this machine. The database
/// changes daily and is not part of the repository; the workflow fetches it.
fn deny(_: &Scope<'_>) -> Result<(), Failure> {
    if process::output(&mut process::cargo(["deny", "--version"])).is_err() {
        println!(
            "not checked here: cargo-deny is not installed; the job `deny` of the workflow has it, and its database"
        );
        return Ok(());
    }
    process::run(&mut process::cargo(["deny", "--offline", "check", "bans", "licenses", "sources"]))?;
    if !has_advisories() {
        println!("advisories are not checked here: there is no database; `cargo deny fetch` gets it");
        return Ok(());
    }
    process::run(&mut process::cargo(["deny", "--offline", "check", "advisories"]))
}

/// Whether cargo-deny has fetched its database.
fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    home.is_some_and(|home| home.join("advisory-dbs").is_dir())
}

fn as_time(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} m {:02.0} s", seconds as u64 / 60, seconds % 60.0)
    }
}
