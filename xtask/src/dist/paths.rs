//! Keeps the paths of the building machine out of the program, so that two machines build the same bytes.

use std::env;
use std::path::PathBuf;

use super::Release;
use crate::failure::Failure;

/// The variables with which the Rust and C compilers replace folders in messages and debug information.
pub(super) fn unnamed(release: &Release<'_>) -> Result<Vec<(String, String)>, Failure> {
    let (root, target) = (release.workspace.root.clone(), release.workspace.target.clone());
    // If several prefixes match, the last one is used.
    let folders = [(cargo_home()?, "/cargo"), (root, "/buildcache"), (target, "/target")];
    let flags =
        |flag: &str| folders.iter().map(|(from, to)| format!("{flag}={}={to}", from.display())).collect::<Vec<_>>();
    let mut variables = vec![("CARGO_ENCODED_RUSTFLAGS".to_owned(), flags("--remap-path-prefix").join("\u{1f}"))];
    // MSVC has no such flag.
    if !release.target.ends_with("-msvc") {
        let name = format!("CFLAGS_{}", release.target.replace('-', "_"));
        variables.push((name, flags("-ffile-prefix-map").join(" ")));
    }
    Ok(variables)
}

/// The folder with the sources of all crates.
fn cargo_home() -> Result<PathBuf, Failure> {
    let told = env::var_os("CARGO_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    told.or_else(|| Some(env::home_dir()?.join(".cargo")))
        .ok_or_else(|| Failure::new("neither CARGO_HOME nor HOME is set"))
}
