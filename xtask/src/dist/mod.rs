//! `cargo xtask dist`: makes the files of a release. For each target there is an archive with the program, its manual,
//! completions, the licences of its crates and a bill of materials. The checksums of the archives are in one file.
//!
//! The same sources, toolchain and paths give the same bytes. All times are `SOURCE_DATE_EPOCH`, or that of the last
//! commit.

mod archive;
mod bill;
mod build;
mod contents;
mod licences;
mod packages;
mod paths;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// The targets of a release for Linux. They are static, so that the program runs on any distribution and in an empty
/// image.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
/// The largest program that may be released, in bytes.
const MOST_BYTES: u64 = 25_000_000;

/// An archive that is made.
struct Release<'a> {
    workspace: &'a Workspace,
    version: &'a str,
    target: &'a str,
    /// The time of every file, in seconds since 1970.
    epoch: &'a str,
    /// `target/assets`, for the archives and their checksums.
    folder: &'a Path,
}

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let mut targets = Vec::new();
    while let Some(target) = args.option("--target")? {
        targets.push(target);
    }
    let makes_deb = args.flag("--deb");
    args.finish()?;
    if targets.is_empty() {
        targets = TARGETS.map(str::to_owned).to_vec();
    }
    let workspace = Workspace::load()?;
    let (version, epoch, folder) = (workspace.version()?, epoch()?, workspace.target.join("assets"));
    fs::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
    let mut helper = None;
    for target in &targets {
        let release = Release { workspace: &workspace, version: &version, target, epoch: &epoch, folder: &folder };
        release.make(&mut helper, makes_deb)?;
    }
    archive::sums(&folder)
}

impl Release<'_> {
    /// `helper` is a program of the same sources that runs on this machine, once one is built.
    fn make(&self, helper: &mut Option<PathBuf>, makes_deb: bool) -> Result<(), Failure> {
        println!("\n{}", self.target);
        let program = build::program(self)?;
        let bytes = fs::metadata(&program).map_err(|error| Failure::io("read", &program, &error))?.len();
        println!("  program: {:.1} MB", bytes as f64 / 1e6);
        if bytes > MOST_BYTES {
            return Err(Failure::new(format!("the program has {bytes} bytes, at most {MOST_BYTES}")));
        }
        let packages = packages::below(self)?;
        println!("  crates in it: {}", packages.len());
        let tree = contents::lay_out(self, contents::Programs { handed_out: &program, helper }, &packages)?;
        let archive = archive::pack(self, &tree)?;
        println!("  archive: {}", archive.display());
        if makes_deb {
            self.deb()?;
        }
        Ok(())
    }

    /// The name of the folder in the archive.
    fn name(&self) -> String {
        format!("buildcache-{}-{}", self.version, self.target)
    }

    /// The folder that is packed.
    fn tree(&self) -> PathBuf {
        self.folder.join(self.target)
    }

    /// Makes a package for Debian from the same files; needs `cargo-deb`.
    fn deb(&self) -> Result<(), Failure> {
        // `cache-cli/Cargo.toml` names the files below this path, whatever the target.
        process::output(Command::new("ln").args(["-sfn", self.target, "deb"]).current_dir(self.folder))?;
        let mut deb = process::cargo(["deb", "--no-build", "--no-strip", "--package", "cache-cli"]);
        deb.args(["--profile", "dist", "--target", self.target, "--output"]).arg(self.folder);
        process::run(deb.env("SOURCE_DATE_EPOCH", self.epoch).current_dir(&self.workspace.root))
    }
}

/// `SOURCE_DATE_EPOCH` (<https://reproducible-builds.org/specs/source-date-epoch/>), or the time of the last commit.
fn epoch() -> Result<String, Failure> {
    let told = env::var("SOURCE_DATE_EPOCH").ok().filter(|epoch| !epoch.is_empty());
    let epoch = match told {
        Some(epoch) => epoch,
        None => process::output(Command::new("git").args(["log", "-1", "--format=%ct"]))?.trim().to_owned(),
    };
    match epoch.parse::<u64>() {
        Ok(_) => Ok(epoch),
        Err(_) => Err(Failure::new(format!("SOURCE_DATE_EPOCH is {epoch:?}; expected seconds since 1970"))),
    }
}
