//! The conformance suite on a directory, and directories of BuildKit.

#![cfg(feature = "local")]

use std::fs;
use std::path::Path;

use cache_local::{LocalConfig, LocalExporter, LocalImporter};
use cache_ops::{CopyOptions, ExportSettings, copy};
use cache_tests::fixtures::{self, Fixture};

cache_tests::conformance!(local, cache_tests::places::Local::new());

/// The directories with only one cache.
fn of_one_generation() -> impl Iterator<Item = Fixture> {
    let is_one = |fixture: &Fixture| !fixture.name.contains("generations") && !fixture.name.contains("inline");
    fixtures::all().into_iter().filter(is_one)
}

async fn copy_to(fixture: &Fixture, directory: &Path) {
    let importer = LocalImporter::new(LocalConfig::new(&fixture.path));
    let exporter = LocalExporter::new(LocalConfig::new(directory));
    let copied = copy(&importer, &exporter, CopyOptions::default(), &ExportSettings::default()).await.unwrap();
    assert!(copied.is_some(), "{} holds a cache", fixture.name);
}

#[tokio::test]
async fn a_copy_has_the_blobs_that_buildkit_wrote_and_no_others() {
    for fixture in of_one_generation() {
        let directory = tempfile::tempdir().unwrap();
        copy_to(&fixture, directory.path()).await;
        let copied = Fixture { name: "the copy".to_owned(), path: directory.path().to_owned() };
        assert!(copied.blobs() == fixture.blobs(), "{} has other blobs", fixture.name);
        assert_eq!(copied.entries(), fixture.entries(), "{}", fixture.name);
    }
}

#[tokio::test]
async fn a_copy_has_the_index_and_the_marker_of_buildkit() {
    // BuildKit before v0.14 left out the media type of the index, and v0.8 wrote no marker.
    let is_new = |fixture: &Fixture| ["v0.20/", "v0.32/"].iter().any(|version| fixture.name.starts_with(version));
    for fixture in of_one_generation().filter(is_new) {
        let directory = tempfile::tempdir().unwrap();
        copy_to(&fixture, directory.path()).await;
        for file in ["index.json", "oci-layout"] {
            let [copied, original] = [directory.path(), &fixture.path].map(|path| fs::read_to_string(path.join(file)));
            assert_eq!(copied.unwrap(), original.unwrap(), "{} of {}", file, fixture.name);
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn blobs_are_read_only_files() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    copy_to(&fixtures::named("v0.32/max-manifest"), directory.path()).await;
    for blob in fs::read_dir(directory.path().join("blobs/sha256")).unwrap() {
        let mode = blob.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0, "{mode:o}");
        assert_ne!(mode & 0o400, 0, "{mode:o}");
    }
}
