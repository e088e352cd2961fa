//! The files of an archive, laid out as they are installed below `/usr/local`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::packages::Package;
use super::{Release, bill, licences};
use crate::demo;
use crate::failure::Failure;
use crate::process;

const MANUAL: &str = "share/man/man1";
const DOCUMENTATION: &str = "share/doc/buildcache";
/// The path from which each shell loads completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/buildcache"),
    ("fish", "share/fish/vendor_completions.d/buildcache.fish"),
    ("zsh", "share/zsh/site-functions/_buildcache"),
];
/// The path of the plugin for Docker, below `/usr/local` or `/usr`.
#[cfg(unix)]
const PLUGIN: &str = "libexec/docker/cli-plugins/docker-buildcache";
/// Files of the repository that are in the archive.
const ALONG: [&str; 3] = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// The program of the release, and one of the same sources that runs on this machine and prints its own manual and
/// completions.
pub(super) struct Programs<'a> {
    pub(super) handed_out: &'a Path,
    pub(super) helper: &'a mut Option<PathBuf>,
}

/// Writes the folder again, from nothing.
pub(super) fn lay_out(release: &Release<'_>, programs: Programs<'_>, packages: &[Package]) -> Result<PathBuf, Failure> {
    let program = programs.handed_out;
    let tree = release.tree();
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(|error| Failure::io("remove", &tree, &error))?;
    }
    let name = program.file_name().unwrap_or_default();
    copy(program, &tree.join("bin").join(name))?;
    plugin(&tree)?;
    let helper = helper(release, programs)?;
    for (shell, path) in COMPLETIONS {
        write(&tree.join(path), &process::output(Command::new(&helper).args(["completions", shell]))?)?;
    }
    process::output(Command::new(&helper).arg("man").arg(tree.join(MANUAL)))?;
    let documentation = tree.join(DOCUMENTATION);
    let root = &release.workspace.root;
    copy(&root.join("cache-cli/README.md"), &documentation.join("README.md"))?;
    for file in ALONG {
        copy(&root.join(file), &documentation.join(file))?;
    }
    write(&documentation.join("THIRD-PARTY.txt"), &licences::text(packages)?)?;
    write(&documentation.join("buildcache.cdx.json"), &bill::cyclonedx(release, packages)?)?;
    Ok(tree)
}

/// Links the program under the name of a plugin, so that `docker buildcache` works.
#[cfg(unix)]
fn plugin(tree: &Path) -> Result<(), Failure> {
    let link = tree.join(PLUGIN);
    parent(&link)?;
    let linked = std::os::unix::fs::symlink("../../../bin/buildcache", &link);
    linked.map_err(|error| Failure::io("write", &link, &error))
}

#[cfg(not(unix))]
fn plugin(_: &Path) -> Result<(), Failure> {
    Ok(())
}

/// The program of this target if it runs here, or that of another target, or else one that is built for this machine.
fn helper(release: &Release<'_>, programs: Programs<'_>) -> Result<PathBuf, Failure> {
    let Programs { handed_out, helper } = programs;
    if process::output(Command::new(handed_out).arg("--version")).is_ok() {
        *helper = Some(handed_out.to_owned());
    }
    match helper {
        Some(helper) => Ok(helper.clone()),
        None => demo::build(release.workspace, &[]),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    parent(to)?;
    fs::copy(from, to).map(drop).map_err(|error| Failure::io("copy", from, &error))
}

fn write(to: &Path, text: &str) -> Result<(), Failure> {
    parent(to)?;
    fs::write(to, text).map_err(|error| Failure::io("write", to, &error))
}

fn parent(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))
}
