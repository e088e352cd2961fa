//! Builds the program, with a linker that can.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Release;
use crate::failure::Failure;
use crate::process;
use crate::setup::zigbuild;

/// Builds it, and tells where it is.
pub(super) fn program(release: &Release<'_>) -> Result<PathBuf, Failure> {
    let target = release.target;
    has_standard_library(target)?;
    let mut cargo = if target.ends_with("-musl") { with_zig()? } else { process::cargo(["build"]) };
    cargo.args(["--profile", "dist", "--locked", "--package", "cache-cli", "--bin", "buildcache", "--target", target]);
    // Only the features that it asks for itself, whatever the configuration builds together.
    cargo.env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected");
    // Objects of C may hold the time at which they were compiled.
    cargo.env("SOURCE_DATE_EPOCH", release.epoch).env("CARGO_INCREMENTAL", "0");
    process::run(cargo.current_dir(&release.workspace.root))?;
    let folder = release.workspace.target.join(target).join("dist");
    let name = if target.contains("windows") { "buildcache.exe" } else { "buildcache" };
    Some(folder.join(name))
        .filter(|program| program.is_file())
        .ok_or_else(|| Failure::new(format!("cargo built no {name} in {}", folder.display())))
}

/// zig has a C compiler, a linker and a libc for every target, so that `aws-lc-sys` and `zstd-sys` build for each.
fn with_zig() -> Result<Command, Failure> {
    let program = process::find("cargo-zigbuild", process::search_path()).or_else(|| zigbuild().program());
    let program = program.ok_or_else(|| {
        Failure::new("cargo-zigbuild is not there, and PyPI does not give it: `pip install cargo-zigbuild` installs it")
    })?;
    let mut command = Command::new(&program);
    command.arg("zigbuild");
    // It looks for the zig of its own package through the Python beside it.
    if let Some(folder) = program.parent() {
        let paths = [folder.to_owned()].into_iter().chain(process::search_path());
        let paths = std::env::join_paths(paths).map_err(|error| Failure::new(format!("PATH: {error}")))?;
        command.env("PATH", paths);
    }
    Ok(command)
}

fn has_standard_library(target: &str) -> Result<(), Failure> {
    let folder = process::output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    Err(Failure::new(format!("the standard library for {target} is missing: `rustup target add {target}` installs it")))
}
