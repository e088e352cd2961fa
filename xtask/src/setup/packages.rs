//! Packages of PyPI and npm, each in a folder of the user's cache, where the tests look for it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;
use crate::process;

/// A package, and what there is to say of it.
struct Package {
    name: &'static str,
    version: &'static str,
    /// What the registry calls it with its version.
    spec: String,
    /// The file in its folder that is there when it is installed.
    file: &'static str,
    /// What happens without it.
    skipped: &'static str,
}

/// An S3 store.
pub(super) fn moto() -> Outcome {
    if let Some(program) = process::find("moto_server", process::search_path()) {
        return Outcome::Found(program.display().to_string());
    }
    let version = "5.2.1";
    let (spec, skipped) = (format!("moto[server]=={version}"), "the tests of a second S3 store are skipped");
    pip(&Package { name: "moto", version, spec, file: "bin/moto_server", skipped })
}

/// Microsoft's emulator of Azure Storage.
pub(super) fn azurite() -> Outcome {
    let version = "3.35.0";
    let (spec, skipped) = (format!("azurite@{version}"), "the tests of a real Azure Blob Storage are skipped");
    npm(&Package { name: "azurite", version, spec, file: "node_modules/.bin/azurite-blob", skipped })
}

/// The official client of the cache service of GitHub Actions.
pub(super) fn actions_cache() -> Outcome {
    let version = "6.3.0";
    let (spec, skipped) = (format!("@actions/cache@{version}"), "the test of the official Actions client is skipped");
    let file = "node_modules/@actions/cache/lib/cache.js";
    npm(&Package { name: "actions-cache", version, spec, file, skipped })
}

fn pip(package: &Package) -> Outcome {
    package.install("pip", |folder| {
        let mut install = Command::new(folder.join("bin/pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check", &package.spec]);
        process::output(Command::new("python3").args(["-m", "venv"]).arg(folder)).is_ok()
            && process::output(&mut install).is_ok()
    })
}

fn npm(package: &Package) -> Outcome {
    package.install("npm", |folder| {
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(folder).arg(&package.spec);
        fs::create_dir_all(folder).is_ok() && process::output(&mut install).is_ok()
    })
}

impl Package {
    fn install(&self, tool: &str, install: impl FnOnce(&Path) -> bool) -> Outcome {
        let Some(cache) = cache_folder() else { return Outcome::Absent(self.skipped) };
        let folder = cache.join(format!("{}-{}", self.name, self.version));
        if folder.join(self.file).exists() {
            return Outcome::Found(self.version.to_owned());
        }
        if install(&folder) && folder.join(self.file).exists() {
            return Outcome::Installed(format!("{} with {tool}", self.version));
        }
        Outcome::Absent(self.skipped)
    }
}

fn cache_folder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(cache.or_else(|| Some(env::home_dir()?.join(".cache")))?.join("buildcache-tests"))
}
