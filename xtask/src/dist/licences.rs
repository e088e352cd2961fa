//! The licences of all crates in one text, which have to be distributed with the program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::packages::Package;
use crate::failure::Failure;

/// Prefixes of the names of files with licences and notices.
const NAMES: [&str; 5] = ["copying", "copyright", "licence", "license", "notice"];

/// A list of the crates with their licences, then every text once, below the crates that have it.
pub(super) fn text(packages: &[Package]) -> Result<String, Failure> {
    let mut text = "buildcache contains the crates below. The texts of their licences follow.\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages.iter().filter(|package| package.checksum.is_some()) {
        let licence = if package.licence.is_empty() { "see below" } else { &package.licence };
        let _ = writeln!(text, "{} {}: {licence}", package.name, package.version);
        for file in files(package)? {
            let bytes = fs::read(&file).map_err(|error| Failure::io("read", &file, &error))?;
            let licence = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            let from = format!("{} {}", package.name, package.version);
            texts.entry(licence.trim().to_owned()).or_default().push(from);
        }
    }
    // In the order of the crates, and not of the texts.
    let mut texts: Vec<(Vec<String>, String)> = texts.into_iter().map(|(licence, from)| (from, licence)).collect();
    texts.sort();
    for (mut from, licence) in texts {
        from.dedup();
        let _ = write!(text, "\n{}\n{}\n\n{licence}\n", "=".repeat(80), from.join(", "));
    }
    Ok(text)
}

/// The files of a crate with a licence or a notice, in the order of their names.
fn files(package: &Package) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::io("read", &package.folder, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(&package.folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
