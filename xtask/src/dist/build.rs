//! Builds the program for a target. For musl, zig compiles C and links.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Release, paths};
use crate::failure::Failure;
use crate::process;
use crate::setup::zigbuild;

/// Builds the program, and returns its path.
pub(super) fn program(release: &Release<'_>) -> Result<PathBuf, Failure> {
    let target = release.target;
    has_standard_library(target)?;
    let mut cargo = auditable(target.ends_with("-musl"))?;
    cargo.args(["--profile", "dist", "--locked", "--package", "cache-cli", "--bin", "buildcache", "--target", target]);
    // Features are those of the program alone, whatever the configuration unifies.
    cargo.env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected");
    // C objects may contain the time at which they were compiled.
    cargo.env("SOURCE_DATE_EPOCH", release.epoch).env("CARGO_INCREMENTAL", "0");
    for (name, value) in paths::unnamed(release)? {
        cargo.env(name, value);
    }
    process::run(cargo.current_dir(&release.workspace.root))?;
    let folder = release.workspace.target.join(target).join("dist");
    let name = if target.contains("windows") { "buildcache.exe" } else { "buildcache" };
    Some(folder.join(name))
        .filter(|program| program.is_file())
        .ok_or_else(|| Failure::new(format!("cargo built no {name} in {}", folder.display())))
}

/// A build that embeds the list of all crates in the program, for `cargo audit bin` and image scanners.
fn auditable(with_zig: bool) -> Result<Command, Failure> {
    if process::output(&mut process::cargo(["auditable", "--version"])).is_err() {
        return Err(Failure::new("cargo-auditable is missing: `cargo install cargo-auditable --locked` installs it"));
    }
    let mut cargo = process::cargo(["auditable"]);
    if !with_zig {
        cargo.arg("build");
        return Ok(cargo);
    }
    cargo.arg("zigbuild").env("PATH", zig_path()?);
    Ok(cargo)
}

/// `PATH` with zig. Zig has a C compiler, a linker and a libc for every target, with which `aws-lc-sys` and `zstd-sys`
/// build.
fn zig_path() -> Result<OsString, Failure> {
    let program = zigbuild().program().or_else(|| process::find("cargo-zigbuild", process::search_path()));
    let program = program.ok_or_else(|| {
        Failure::new("cargo-zigbuild is not there, and PyPI does not give it: `pip install cargo-zigbuild` installs it")
    })?;
    // `cargo-zigbuild` finds the zig of its own package with the Python in the same folder.
    let folder = program.parent().map(Path::to_owned);
    env::join_paths(folder.into_iter().chain(process::search_path()))
        .map_err(|error| Failure::new(format!("PATH: {error}")))
}

fn has_standard_library(target: &str) -> Result<(), Failure> {
    let folder = process::output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    Err(Failure::new(format!("the standard library for {target} is missing: `rustup target add {target}` installs it")))
}
