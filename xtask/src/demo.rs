//! `cargo xtask demo`: copies and checks a cache that BuildKit wrote, without any configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// The release of BuildKit that wrote the fixture.
const VERSION: &str = "v0.32";
const FIXTURE: &str = "tests/fixtures/local/v0.32/max-manifest";

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    let workspace = Workspace::load()?;
    // The demo copies a directory. Without the cloud SDKs a first build is short.
    let buildcache = build(&workspace, &["--no-default-features", "--features", "local"])?;
    let scratch = Scratch::new("demo")?;
    let copy = scratch.path().join("copy");
    let source = format!("type=local,src={FIXTURE}");
    let written = format!("type=local,dest={}", copy.display());
    let read = format!("type=local,src={}", copy.display());
    let verbs: [&[&str]; 3] = [&["inspect", &source], &["copy", &source, &written], &["verify", &read]];
    for words in verbs {
        println!();
        process::run(Command::new(&buildcache).args(words).current_dir(&workspace.root))?;
    }
    let blobs = blobs(&workspace.root.join(FIXTURE))?;
    compare(&blobs, &self::blobs(&copy)?)?;
    println!("\nA cache that BuildKit {VERSION} wrote was copied and verified:");
    println!("{} blobs, {} bytes, each byte the same.", blobs.len(), blobs.values().map(Vec::len).sum::<usize>());
    Ok(())
}

/// Builds the command line with these flags of cargo, and returns its path.
pub(crate) fn build(workspace: &Workspace, flags: &[&str]) -> Result<PathBuf, Failure> {
    let mut cargo = process::cargo(["build", "--locked", "--package", "cache-cli", "--bin", "buildcache"]);
    process::run(cargo.args(flags).current_dir(&workspace.root))?;
    let directory = workspace.target.join("debug");
    process::find("buildcache", [directory.clone()])
        .ok_or_else(|| Failure::new(format!("cargo built no `buildcache` in {}", directory.display())))
}

/// The blobs of a cache on disk, by their hexadecimal digest.
fn blobs(cache: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let directory = cache.join("blobs/sha256");
    let failed = |error| Failure::io("read", &directory, &error);
    let mut blobs = BTreeMap::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let bytes = fs::read(entry.path()).map_err(|error| Failure::io("read", &entry.path(), &error))?;
        blobs.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
    }
    Ok(blobs)
}

/// Fails with the first blob that is missing, surplus or different.
fn compare(source: &BTreeMap<String, Vec<u8>>, copy: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    match source.keys().chain(copy.keys()).find(|digest| source.get(*digest) != copy.get(*digest)) {
        Some(digest) => Err(Failure::new(format!("the copy differs from its source in blob {digest}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::compare;

    fn cache(blobs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        blobs.iter().map(|(digest, bytes)| ((*digest).to_owned(), bytes.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_missing_surplus_or_changed_blob_is_named() {
        let source = cache(&[("a", "1"), ("b", "2")]);
        assert!(compare(&source, &source).is_ok());
        for (copy, named) in [
            (cache(&[("a", "1")]), "b"),
            (cache(&[("a", "1"), ("b", "2"), ("c", "3")]), "c"),
            (cache(&[("a", "x"), ("b", "2")]), "a"),
        ] {
            assert!(compare(&source, &copy).unwrap_err().to_string().ends_with(named));
        }
    }
}
