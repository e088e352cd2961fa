//! The stores, and how each is started on its own port and in its own folder.

mod commands;
mod list;
mod loss;
mod place;
mod specs;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::list::SERVERS;
pub(crate) use self::loss::Loss;
pub(crate) use self::place::Place;
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::setup::Package;
use crate::workspace::Workspace;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(90);

/// A store that can be started.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Where the program comes from.
    from: From,
    /// How to get the server, for people who do not have it.
    pub(crate) instead: &'static str,
    command: fn(&Path, &Place) -> Command,
    /// The spec of the cache with this name.
    spec: fn(&Place, &str) -> String,
    /// Whether the server can be used. It may create a bucket or the like first.
    is_up: fn(&Place) -> bool,
    pub(crate) loss: Loss,
    /// Environment variables that users of the server set.
    variables: fn(&Place) -> Vec<(&'static str, String)>,
}

/// Where the program of a server comes from.
enum From {
    /// The first of these variables or names on `PATH`, and the argument that prints its version.
    System(&'static [&'static str], &'static str),
    /// This repository; it runs with Python.
    Here,
    /// A program of the tests, and the version of the server in it.
    Built(&'static str, &'static str),
    Package(fn() -> Package),
}

/// A running server; it ends when it is dropped.
pub(crate) struct Started {
    process: Child,
    pub(crate) place: Place,
}

impl Server {
    /// Finds the program, or installs it from a package registry.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        match &self.from {
            From::System(names, _) => names.iter().find_map(|name| {
                let named = env::var_os(name).map(PathBuf::from).filter(|path| path.is_file());
                named.or_else(|| process::find(name, process::search_path()))
            }),
            From::Here => process::find("python3", process::search_path()),
            From::Built(name, _) => build(name).ok(),
            From::Package(package) => package().program(),
        }
    }

    pub(crate) fn version(&self, program: &Path) -> String {
        match &self.from {
            From::System(_, flag) => {
                let said = process::output(Command::new(program).arg(flag)).unwrap_or_default();
                said.split_whitespace().last().unwrap_or("unknown").to_owned()
            }
            From::Here => "tests/tools".to_owned(),
            From::Built(_, version) => (*version).to_owned(),
            From::Package(package) => package().version().to_owned(),
        }
    }

    pub(crate) fn start(&self, program: &Path, scratch: &Scratch) -> Result<Started, Failure> {
        let place = Place::new(scratch)?;
        let log = place.folder.join("log");
        let output = File::create(&log).map_err(|error| Failure::io("create", &log, &error))?;
        let mut command = (self.command)(program, &place);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let process =
            command.spawn().map_err(|error| Failure::new(format!("{} does not start: {error}", self.name)))?;
        let mut started = Started { process, place };
        started.wait(self.is_up).map_err(|failure| failure.within(self.name))?;
        Ok(started)
    }

    pub(crate) fn spec(&self, place: &Place, name: &str) -> String {
        (self.spec)(place, name)
    }

    pub(crate) fn variables(&self, place: &Place) -> Vec<(&'static str, String)> {
        (self.variables)(place)
    }
}

/// Builds a program of the tests as the tests are built, and returns its path.
fn build(name: &str) -> Result<PathBuf, Failure> {
    let workspace = Workspace::load()?;
    let mut cargo = process::cargo(["build", "--locked", "--workspace", "--all-features", "--bin", name]);
    process::run(cargo.current_dir(&workspace.root))?;
    let directory = workspace.target.join("debug");
    process::find(name, [directory]).ok_or_else(|| Failure::new(format!("cargo built no `{name}`")))
}

impl Started {
    fn wait(&mut self, is_up: fn(&Place) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                let log = fs::read_to_string(self.place.folder.join("log")).unwrap_or_default();
                return Err(Failure::new(format!("it has ended: {}", log.lines().last().unwrap_or_default())));
            }
            if is_up(&self.place) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(Failure::new("it does not answer"))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
