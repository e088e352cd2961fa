//! `cargo xtask compatibility`: tries the same steps on every store that can be started here, and makes a table of the
//! outcomes.
//!
//! It is not part of CI. A server that is not installed is installed from a package registry in the version that is
//! pinned here, and left out if no registry has it. The table replaces the one in `docs/compatibility.md`.

mod battery;
mod servers;
mod table;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::battery::Row;
use self::servers::{SERVERS, Server};
use crate::args::Args;
use crate::demo;
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

const LARGE: &str = include_str!("large.py");

/// What every battery needs.
pub(crate) struct Bench {
    buildcache: PathBuf,
    root: PathBuf,
    scratch: Scratch,
}

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let only = args.option("--store")?;
    let is_kept = args.flag("--no-write");
    args.finish()?;
    let workspace = Workspace::load()?;
    let buildcache = match env::var_os("BUILDCACHE") {
        Some(program) => program.into(),
        None => demo::build(&workspace, &[])?,
    };
    let bench = Bench { buildcache, root: workspace.root.clone(), scratch: Scratch::new("compatibility")? };
    make_large(&bench.large())?;
    let mut rows = Vec::new();
    for server in SERVERS.iter().filter(|server| only.as_deref().is_none_or(|only| server.name.contains(only))) {
        rows.extend(try_out(server, &bench)?);
    }
    let table = table::render(&rows);
    println!("\n{table}");
    if only.is_none() && !is_kept {
        table::write(&workspace.root.join("docs/compatibility.md"), &table)?;
    }
    let lies: Vec<String> =
        rows.iter().flat_map(|row| row.lies.iter().map(|lie| format!("{}: {lie}", row.store))).collect();
    if lies.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("doctor does not say what is true: {}", lies.join("; "))))
    }
}

/// Runs the battery on one server; `None` if the server is not installed.
fn try_out(server: &Server, bench: &Bench) -> Result<Option<Row>, Failure> {
    println!("\n{}", server.name);
    let Some(program) = server.find() else {
        println!("  left out: it is not installed, and {}", server.instead);
        return Ok(None);
    };
    let version = server.version(&program);
    let started = match server.start(&program, &bench.scratch) {
        Ok(started) => started,
        Err(failure) => {
            println!("  left out: {failure}");
            return Ok(None);
        }
    };
    println!("  version {version}");
    Ok(Some(battery::run(server, &version, &started, bench)))
}

impl Bench {
    /// Runs the program in an environment without credentials.
    fn buildcache(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.buildcache);
        command.args(words).current_dir(&self.root).env_clear().env("HOME", self.scratch.path());
        command.env("PATH", env::var_os("PATH").unwrap_or_default());
        command
    }

    /// A cache with one layer of 20 MiB.
    fn large(&self) -> PathBuf {
        self.scratch.path().join("large")
    }
}

fn make_large(folder: &Path) -> Result<(), Failure> {
    process::output(Command::new("python3").args(["-c", LARGE]).arg(folder)).map(drop)
}
