//! Reproducible archives, and the list of their checksums.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Release;
use crate::failure::Failure;
use crate::process;

/// Packs the folder. Entries are in the order of their names, have the same time, and belong to root.
pub(super) fn pack(release: &Release<'_>, tree: &Path) -> Result<PathBuf, Failure> {
    let archive = release.folder.join(format!("{}.tar.gz", release.name()));
    let tar = archive.with_extension("");
    // GNU tar has another name on macOS.
    let gnu = ["gtar", "tar"].into_iter().find_map(|name| process::find(name, process::search_path()));
    let mut pack = Command::new(gnu.unwrap_or_else(|| "tar".into()));
    pack.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar", "--mode=go-w"]);
    pack.arg(format!("--mtime=@{}", release.epoch)).arg(format!(
        "--transform=s,^{},{},",
        release.target,
        release.name()
    ));
    pack.arg("--directory").arg(release.folder).arg("--create").arg("--file").arg(&tar);
    process::output(pack.arg(tree.file_name().unwrap_or_default()))?;
    // `--no-name` leaves the file's name and time out.
    process::output(Command::new("gzip").args(["--no-name", "--best", "--force"]).arg(&tar))?;
    Ok(archive)
}

/// Writes `SHA256SUMS` of all files of the release, in the form of `sha256sum --check`.
pub(super) fn sums(folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("read", folder, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".tar.gz") || name.ends_with(".deb") {
            names.push(name);
        }
    }
    names.sort();
    let mut program = match process::find("sha256sum", process::search_path()) {
        Some(program) => Command::new(program),
        None => Command::new("shasum"),
    };
    if program.get_program() == "shasum" {
        program.args(["-a", "256"]);
    }
    let sums = process::output(program.args(&names).current_dir(folder))?;
    print!("\n{sums}");
    let path = folder.join("SHA256SUMS");
    fs::write(&path, sums).map_err(|error| Failure::io("write", &path, &error))
}
