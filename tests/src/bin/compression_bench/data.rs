//! A tar of files of this machine.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// The folders of the files, and their share of the tar: libraries, text, programs.
const SOURCES: [(&[&str], u64); 3] = [
    (&["/usr/lib"], 2),
    (&["/usr/share/perl", "/usr/include", "/usr/share/doc", "/usr/lib/python3"], 1),
    (&["/usr/bin", "/usr/sbin"], 1),
];

/// The tar that all contenders read.
pub(crate) struct Data {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    files: usize,
}

impl Data {
    /// Packs files of at least `size` bytes together, if there are enough.
    pub(crate) fn make(folder: &Path, size: u64) -> Outcome<Self> {
        let parts: u64 = SOURCES.iter().map(|(_, part)| part).sum();
        let mut files = Vec::new();
        for (folders, part) in SOURCES {
            take(folders, size * part / parts, &mut files);
        }
        let list = folder.join("files");
        let mut out = BufWriter::new(File::create(&list)?);
        for file in &files {
            writeln!(out, "{}", file.display())?;
        }
        out.into_inner()?.sync_all()?;
        let path = folder.join("data.tar");
        let mut tar = Command::new("tar");
        tar.args(["--create", "--absolute-names", "--no-recursion", "--verbatim-files-from", "--files-from"]);
        if !tar.arg(&list).arg("--file").arg(&path).status()?.success() {
            return Err("tar failed".into());
        }
        let size = fs::metadata(&path)?.len();
        Ok(Self { path, size, files: files.len() })
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a tar of {} MiB, {} real files", self.size >> 20, self.files)
    }
}

/// Adds regular files in the order of their names, up to `size` bytes.
fn take(folders: &[&str], size: u64, files: &mut Vec<PathBuf>) {
    let mut folders: Vec<PathBuf> = folders.iter().rev().map(PathBuf::from).collect();
    let mut taken = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let is_plain = path.to_str().is_some_and(|path| !path.contains('\n'));
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() && is_plain {
                taken += metadata.len();
                files.push(path);
            }
            if taken >= size {
                return;
            }
        }
    }
}
