//! `cargo xtask dist`: what a release has, for each target: an archive with the program, its manual, completions, the licences of
//! all that is in it and a bill of materials, and the checksums of the archives.
//!
//! Equal sources, toolchain and paths make equal bytes: times are those of `SOURCE_DATE_EPOCH`, or of the last commit.

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

/// What a release for Linux is built for: static, so that it runs on any distribution and in an empty image.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
/// The largest program that is handed out, in bytes.
const MOST_BYTES: u64 = 25_000_000;

/// One archive in the making.
struct Release<'a> {
    workspace: &'a Workspace,
    version: &'a str,
    target: &'a str,
    /// Seconds since 1970 that every file is said to be written at.
    epoch: &'a str,
    /// `target/assets`, where the archives and their checksums go.
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
    /// `helper` is a program of the same sources that runs here, once there is one.
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

    /// What the folder in the archive is called.
    fn name(&self) -> String {
        format!("buildcache-{}-{}", self.version, self.target)
    }

    /// The folder that is packed.
    fn tree(&self) -> PathBuf {
        self.folder.join(self.target)
    }

    /// A package for Debian, of the files that are laid out; `cargo-deb` has to be installed.
    fn deb(&self) -> Result<(), Failure> {
        // Where `cache-cli/Cargo.toml` looks for the files, whatever the target.
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
