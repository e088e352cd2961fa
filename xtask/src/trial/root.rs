//! An empty root of a file system, in which programs see only what was put there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::failure::Failure;
use crate::process;

/// `PATH` in the root.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const HOME: &str = "/root";
/// The emulator, for programs of another machine.
const EMULATOR: &str = "/emulator";

/// The root, in a folder of this machine.
pub(super) struct Root {
    folder: PathBuf,
    emulates: bool,
}

impl Root {
    /// Creates it, for programs of this target.
    pub(super) fn new(folder: PathBuf, target: &str) -> Result<Self, Failure> {
        for name in ["work", "tmp", "root", "usr/local"] {
            make(&folder.join(name))?;
        }
        let mut root = Self { folder, emulates: false };
        let machine = target.split('-').next().unwrap_or_default();
        if machine != std::env::consts::ARCH {
            root.install_emulator(machine)?;
        }
        Ok(root)
    }

    /// A folder that is a root already.
    pub(super) fn made(folder: PathBuf) -> Self {
        Self { folder, emulates: false }
    }

    fn install_emulator(&mut self, machine: &str) -> Result<(), Failure> {
        let name = format!("qemu-{machine}-static");
        let emulator = process::find(&name, process::search_path()).ok_or_else(|| {
            Failure::new(format!("programs for {machine} need {name} here, which Debian has in qemu-user-static"))
        })?;
        copy(&emulator, &self.path(EMULATOR))?;
        self.emulates = true;
        Ok(())
    }

    /// Whether its programs are for another machine.
    pub(super) fn is_foreign(&self) -> bool {
        self.emulates
    }

    /// The path of one of its files on this machine.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside.trim_start_matches('/'))
    }

    /// Unpacks an archive below `/usr/local`, as the documentation says.
    pub(super) fn unpack(&self, archive: &Path) -> Result<(), Failure> {
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(archive).args(["--strip-components", "1", "-C"]).arg(self.path("usr/local"));
        process::output(&mut tar).map(drop)
    }

    /// Copies a program of this machine into it, with its libraries; returns whether the program exists.
    pub(super) fn install(&self, name: &str) -> Result<bool, Failure> {
        let Some(program) = process::find(name, process::search_path()) else { return Ok(false) };
        copy(&program, &self.path("usr/bin").join(name))?;
        // For a static program `ldd` fails.
        let libraries = process::output(Command::new("ldd").arg(&program)).unwrap_or_default();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), &self.path(library))?;
        }
        Ok(true)
    }

    /// Copies a folder of this machine into it.
    pub(super) fn add(&self, from: &Path, inside: &str) -> Result<(), Failure> {
        make(self.path(inside).parent().unwrap_or(&self.folder))?;
        process::output(Command::new("cp").arg("-R").arg(from).arg(self.path(inside))).map(drop)
    }

    /// Runs one of its programs in `/work`, with an empty environment.
    pub(super) fn run(&self, words: &[&str]) -> Result<Output, Failure> {
        let mut command = enter(&self.folder);
        if self.emulates {
            command.arg(EMULATOR);
        }
        let program = words.first().copied().unwrap_or_default();
        // The emulator does not search `PATH`.
        let found = PATH.split(':').map(|folder| format!("{folder}/{program}")).find(|path| self.path(path).is_file());
        command.arg(found.as_deref().unwrap_or(program)).args(words.get(1..).unwrap_or_default());
        command.env_clear().env("PATH", PATH).env("HOME", HOME).stdin(Stdio::null());
        command.output().map_err(|error| Failure::new(format!("cannot start unshare: {error}")))
    }
}

/// A command that runs in the root, in its own user namespace.
fn enter(root: &Path) -> Command {
    // Searched on this machine, since the root has no such program.
    let unshare = process::find("unshare", process::search_path());
    let mut command = Command::new(unshare.unwrap_or_else(|| "unshare".into()));
    command.args(["--map-root-user", "--mount", "--wd=/work"]).arg(format!("--root={}", root.display()));
    command
}

pub(super) fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))
}

pub(super) fn write(to: &Path, text: &str) -> Result<(), Failure> {
    make(to.parent().unwrap_or(to))?;
    fs::write(to, text).map_err(|error| Failure::io("write", to, &error))
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    make(to.parent().unwrap_or(to))?;
    fs::copy(from, to).map(drop).map_err(|error| Failure::io("copy", from, &error))
}
