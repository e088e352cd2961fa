//! The workspace as `cargo metadata` describes it: its members and what they depend on.

use std::path::PathBuf;

use serde_json::Value;

use crate::failure::Failure;
use crate::process;

/// The root, the target directory and the member crates.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<Member>,
}

/// One crate of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Relative to the root.
    pub(crate) dir: PathBuf,
    pub(crate) has_library: bool,
    pub(crate) is_published: bool,
    pub(crate) features: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One entry of a `[dependencies]` table.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) is_dev: bool,
    pub(crate) has_path: bool,
    pub(crate) has_version: bool,
}

impl Workspace {
    /// Asks cargo about the workspace the current directory is in.
    pub(crate) fn load() -> Result<Self, Failure> {
        let text = process::output(&mut process::cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("cannot parse the output of `cargo metadata`: {error}")))?;
        Ok(Self::from_metadata(&metadata))
    }

    fn from_metadata(metadata: &Value) -> Self {
        let root = PathBuf::from(text(&metadata["workspace_root"]));
        let members = list(&metadata["packages"]).map(|package| Member::from_metadata(package, &root)).collect();
        Self { target: text(&metadata["target_directory"]).into(), root, members }
    }

    /// Builds a program in release mode with these flags of cargo, and returns its path.
    pub(crate) fn build_release(&self, package: &str, name: &str, flags: &[&str]) -> Result<PathBuf, Failure> {
        let mut cargo = process::cargo(["build", "--locked", "--release", "--package", package, "--bin", name]);
        process::run(cargo.args(flags).current_dir(&self.root))?;
        let directory = self.target.join("release");
        process::find(name, [directory.clone()])
            .ok_or_else(|| Failure::new(format!("cargo built no `{name}` in {}", directory.display())))
    }

    /// The version that all crates share.
    pub(crate) fn version(&self) -> Result<String, Failure> {
        let text = process::output(process::cargo(["pkgid", "--package", "cache-cli"]).current_dir(&self.root))?;
        let version = text.trim().rsplit(['#', '@']).next().filter(|version| !version.is_empty());
        version.map(str::to_owned).ok_or_else(|| Failure::new(format!("cargo names no version in {text:?}")))
    }

    /// The member of this name; a usage failure that lists the members if there is none.
    pub(crate) fn member(&self, name: &str) -> Result<&Member, Failure> {
        self.members.iter().find(|member| member.name == name).ok_or_else(|| {
            let known: Vec<_> = self.members.iter().map(|member| member.name.as_str()).collect();
            Failure::usage(format!("there is no crate `{name}` here, only {}", known.join(", ")))
        })
    }

    /// The member that `--crate` names, or all of them.
    pub(crate) fn scope(&self, krate: Option<&str>) -> Result<Vec<&Member>, Failure> {
        match krate {
            Some(name) => Ok(vec![self.member(name)?]),
            None => Ok(self.members.iter().collect()),
        }
    }

    /// The crates that keep a cache in one kind of place.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.backend().is_some())
    }
}

impl Member {
    fn from_metadata(package: &Value, root: &std::path::Path) -> Self {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let dir = manifest.parent().unwrap_or(root);
        let mut kinds = list(&package["targets"]).flat_map(|target| list(&target["kind"]));
        Self {
            name: text(&package["name"]),
            dir: dir.strip_prefix(root).unwrap_or(dir).to_owned(),
            has_library: kinds.any(|kind| kind == "lib"),
            is_published: package["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            features: package["features"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default(),
            dependencies: list(&package["dependencies"]).map(Dependency::from_metadata).collect(),
        }
    }

    /// The type of this backend: `local` for `cache-local`; `None` for the other crates.
    pub(crate) fn backend(&self) -> Option<&str> {
        let name = self.name.strip_prefix("cache-")?;
        (!["core", "kit", "layers", "ops", "report", "cli", "tests"].contains(&name)).then_some(name)
    }
}

impl Dependency {
    fn from_metadata(dependency: &Value) -> Self {
        Self {
            name: text(&dependency["name"]),
            is_dev: dependency["kind"] == "dev",
            has_path: dependency["path"].is_string(),
            has_version: dependency["req"] != "*",
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
pub(crate) mod tests;
