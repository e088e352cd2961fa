//! Packages of PyPI and npm, each in a folder of the user's cache, where the tests find it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;
use crate::process;

/// A package in one version.
pub(crate) struct Package {
    name: &'static str,
    version: &'static str,
    /// The name and version for the registry; for PyPI also dependencies whose version is pinned.
    spec: &'static str,
    /// The file in its folder that shows that it is installed.
    file: &'static str,
    tool: Tool,
}

#[derive(Clone, Copy)]
enum Tool {
    Pip,
    Npm,
}

/// An S3 store.
pub(crate) fn moto_package() -> Package {
    Package::pip("moto", "5.2.1", "moto[server]==5.2.1", "bin/moto_server")
}

/// Microsoft's emulator of Azure Storage.
pub(crate) fn azurite_package() -> Package {
    Package::npm("azurite", "3.35.0", "azurite@3.35.0", "node_modules/.bin/azurite-blob")
}

/// Zig, a C compiler and linker for every target. Its version is pinned, so that the same sources give the same bytes.
pub(crate) fn zigbuild() -> Package {
    Package::pip("cargo-zigbuild", "0.24.1", "cargo-zigbuild==0.24.1 ziglang==0.17.1", "bin/cargo-zigbuild")
}

pub(super) fn moto() -> Outcome {
    if let Some(program) = process::find("moto_server", process::search_path()) {
        return Outcome::Found(program.display().to_string());
    }
    moto_package().step("the tests of a second S3 store are skipped")
}

pub(super) fn azurite() -> Outcome {
    azurite_package().step("the tests of a real Azure Blob Storage are skipped")
}

/// The official client of the cache service of GitHub Actions.
pub(super) fn actions_cache() -> Outcome {
    let file = "node_modules/@actions/cache/lib/cache.js";
    let package = Package::npm("actions-cache", "6.3.0", "@actions/cache@6.3.0", file);
    package.step("the test of the official Actions client is skipped")
}

impl Package {
    /// A package of PyPI, in its own environment.
    pub(crate) const fn pip(name: &'static str, version: &'static str, spec: &'static str, file: &'static str) -> Self {
        Self { name, version, spec, file, tool: Tool::Pip }
    }

    /// A package of npm.
    pub(crate) const fn npm(name: &'static str, version: &'static str, spec: &'static str, file: &'static str) -> Self {
        Self { name, version, spec, file, tool: Tool::Npm }
    }

    pub(crate) fn version(&self) -> &'static str {
        self.version
    }

    /// Its file, installed if needed; `None` if that fails.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        match self.step("") {
            Outcome::Found(_) | Outcome::Installed(_) => Some(self.folder()?.join(self.file)),
            Outcome::Absent(_) => None,
        }
    }

    /// Installs it if it is missing. `skipped` says what happens without it.
    fn step(&self, skipped: &'static str) -> Outcome {
        let Some(folder) = self.folder() else { return Outcome::Absent(skipped) };
        if folder.join(self.file).exists() {
            return Outcome::Found(self.version.to_owned());
        }
        let (is_done, tool) = match self.tool {
            Tool::Pip => (self.pip_install(&folder), "pip"),
            Tool::Npm => (self.npm_install(&folder), "npm"),
        };
        if is_done && folder.join(self.file).exists() {
            return Outcome::Installed(format!("{} with {tool}", self.version));
        }
        Outcome::Absent(skipped)
    }

    fn pip_install(&self, folder: &Path) -> bool {
        let mut install = Command::new(folder.join("bin/pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check"]).args(self.spec.split(' '));
        process::output(Command::new("python3").args(["-m", "venv"]).arg(folder)).is_ok()
            && process::output(&mut install).is_ok()
    }

    fn npm_install(&self, folder: &Path) -> bool {
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(folder).arg(self.spec);
        fs::create_dir_all(folder).is_ok() && process::output(&mut install).is_ok()
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(cache_folder()?.join(format!("{}-{}", self.name, self.version)))
    }
}

fn cache_folder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(cache.or_else(|| Some(env::home_dir()?.join(".cache")))?.join("buildcache-tests"))
}
