//! `cargo xtask trial`: tries the archives of a release. Each is unpacked in an empty root without Rust, shell and
//! libraries, and everything in it is tried there.

mod bill;
mod image;
mod pages;
mod root;
mod verbs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::root::Root;
use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// A check of an archive; its result is printed.
struct Check {
    name: &'static str,
    run: fn(&Trial<'_>) -> Result<String, Failure>,
}

const CHECKS: [Check; 8] = [
    Check { name: "program", run: verbs::version },
    Check { name: "copy and verify", run: verbs::copy_and_verify },
    Check { name: "exit codes", run: verbs::exit_codes },
    Check { name: "completions", run: pages::completions },
    Check { name: "manual", run: pages::manual },
    Check { name: "licences and bill", run: bill::check },
    Check { name: "docker", run: verbs::docker },
    Check { name: "image", run: image::from_scratch },
];

/// An archive that is unpacked.
struct Trial<'a> {
    workspace: &'a Workspace,
    root: &'a Root,
    version: &'a str,
    /// The folder of the program and its files, below the root.
    prefix: &'a str,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    let folder = workspace.target.join("assets");
    let named = args.operands()?;
    let archives = if named.is_empty() { handed_out(&folder)? } else { named.iter().map(PathBuf::from).collect() };
    if archives.is_empty() {
        return Err(Failure::new(format!(
            "there is no archive in {}: `cargo xtask dist` makes them",
            folder.display()
        )));
    }
    for archive in &archives {
        println!("\n{}", archive.display());
        checksum(archive)?;
        let scratch = Scratch::new("trial")?;
        try_one(&workspace, archive, scratch.path())?;
    }
    Ok(())
}

/// The archives and packages for Linux in the folder.
fn handed_out(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_ours = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".deb") || name.ends_with("-linux-musl.tar.gz")
    };
    let mut archives: Vec<PathBuf> = paths.filter(is_ours).collect();
    archives.sort();
    Ok(archives)
}

/// The archive has the checksum in `SHA256SUMS`.
fn checksum(archive: &Path) -> Result<(), Failure> {
    let (folder, name) = (archive.parent().unwrap_or(Path::new(".")), archive.file_name().unwrap_or_default());
    let sums = folder.join("SHA256SUMS");
    let text = fs::read_to_string(&sums).map_err(|error| Failure::io("read", &sums, &error))?;
    let line = text.lines().find(|line| line.ends_with(&format!("  {}", name.to_string_lossy())));
    let told = line.and_then(|line| line.split(' ').next());
    let found = process::output(Command::new("sha256sum").arg(name).current_dir(folder))?;
    match told {
        Some(told) if found.starts_with(told) => said("checksum", &format!("sha256:{told}")),
        Some(_) => return Err(Failure::new("it has another checksum than SHA256SUMS says")),
        None => return Err(Failure::new("SHA256SUMS does not name it")),
    }
    Ok(())
}

fn try_one(workspace: &Workspace, archive: &Path, scratch: &Path) -> Result<(), Failure> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_package = name.ends_with(".deb");
    let target = if name.contains("aarch64") || name.contains("arm64") { "aarch64" } else { "x86_64" };
    let root = Root::new(scratch.join("root"), target)?;
    if is_package {
        process::output(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root.path("/")))?;
    } else {
        root.unpack(archive)?;
    }
    root.add(&workspace.root.join("tests/fixtures/local/v0.32/max-manifest"), "work/cache")?;
    let version = workspace.version()?;
    let trial =
        Trial { workspace, root: &root, version: &version, prefix: if is_package { "/usr" } else { "/usr/local" } };
    for Check { name, run } in CHECKS {
        let found = run(&trial).map_err(|failure| Failure::new(format!("{name}: {failure}")))?;
        said(name, &found);
    }
    Ok(())
}

fn said(name: &str, found: &str) {
    println!("  {name:<18}  {found}");
}

impl Trial<'_> {
    /// Runs the program and returns its output. An exit code other than `code` is a failure.
    fn buildcache(&self, words: &[&str], code: i32) -> Result<String, Failure> {
        self.program("buildcache", words, code)
    }

    fn program(&self, program: &str, words: &[&str], code: i32) -> Result<String, Failure> {
        let output = self.root.run(&[&[program], words].concat())?;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.code() == Some(code) {
            return Ok(stdout.into_owned());
        }
        let message = format!("`{program} {}` ended with {}, and not with {code}", words.join(" "), output.status);
        Err(Failure::new(format!("{message}: {stdout}{stderr}")))
    }

    /// A file of the archive, as text.
    fn read(&self, inside: &str) -> Result<String, Failure> {
        let path = self.root.path(&format!("{}/{inside}", self.prefix));
        fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))
    }
}
