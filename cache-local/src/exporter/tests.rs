//! The files of an export, and when it refuses.

use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::task::Poll;

use cache_core::manifest::ManifestForm;
use cache_core::{CacheChains, CacheImporter};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, PublishSettings, export, publish};

use super::*;
use crate::lock::IndexLock;
use crate::tests::{age, blob_path, cache, copy_of, files, fixture, fixture_index, ingests, layer, try_write, write};
use crate::{KIND, LocalImporter};

fn root() -> (tempfile::TempDir, LocalConfig) {
    let dir = tempfile::tempdir().unwrap();
    let config = LocalConfig::new(dir.path().join("cache")).with_lock_timeout(Duration::ZERO);
    (dir, config)
}

async fn tag_leads_to(config: &LocalConfig) -> Option<Version> {
    LocalImporter::new(config.clone()).resolve().await.unwrap().map(|resolved| resolved.version)
}

async fn copy(from: &Path, to: LocalConfig) {
    let importer = LocalImporter::new(LocalConfig::new(from));
    let exporter = LocalExporter::new(to);
    let manifest = importer.resolve().await.unwrap().unwrap().manifest;
    export(&manifest, &importer, &exporter, &ExportSettings::default()).await.unwrap();
}

#[tokio::test]
async fn a_copy_of_buildkits_cache_is_the_same_to_the_byte() {
    for name in ["v0.20/max-index", "v0.20/max-docker", "v0.32/max-manifest", "v0.32/max-estargz"] {
        let (_dir, config) = root();
        copy(&fixture(name), config.clone()).await;
        assert_eq!(files(config.root()), files(&fixture(name)), "{name}");
        for path in files(config.root()) {
            let (written, expected) = (fs::read(config.root().join(&path)), fs::read(fixture(name).join(&path)));
            assert!(written.unwrap() == expected.unwrap(), "{name}: {path}");
        }
    }
}

#[tokio::test]
async fn converted_layers_have_a_folder_in_the_directory_for_as_long_as_the_exporter_lives() {
    let (_dir, config) = root();
    let exporter = LocalExporter::new(config.clone());
    let spool = exporter.spool().await.unwrap().unwrap();
    assert!(spool.is_dir() && spool.starts_with(config.root()), "{}", spool.display());
    drop(exporter);
    assert!(!spool.exists());
}

#[tokio::test]
async fn exports_of_two_generations_give_buildkits_index() {
    let from = fixture("v0.20/generations");
    let (_dir, config) = root();
    write(config.clone(), "the older generation").await;
    copy(&from, config.clone()).await;
    let release = LocalImporter::new(LocalConfig::new(&from).with_tag("release"));
    let manifest = release.resolve().await.unwrap().unwrap().manifest;
    let exporter = LocalExporter::new(config.clone().with_tag("release"));
    export(&manifest, &release, &exporter, &ExportSettings::default()).await.unwrap();
    let index = fs::read_to_string(config.root().join("index.json")).unwrap();
    assert_eq!(index, fixture_index("v0.20/generations"));
}

#[cfg(unix)]
#[tokio::test]
async fn modes_are_those_of_buildkit() {
    use crate::tests::mode;
    let (dir, config) = root();
    let umask = 0o666 & !mode_of_new_file(dir.path());
    write(config.clone(), "a").await;
    let root = config.root();
    assert_eq!(mode(&blob_path(root, &layer("a").digest)), 0o444 & !umask);
    for file in ["index.json", "oci-layout"] {
        assert_eq!(mode(&root.join(file)), 0o644 & !umask, "{file}");
    }
    for dir in [root.to_owned(), root.join("blobs"), root.join("blobs/sha256")] {
        assert_eq!(mode(&dir), 0o755 & !umask, "{}", dir.display());
    }
}

#[cfg(unix)]
fn mode_of_new_file(dir: &Path) -> u32 {
    let path = dir.join("probe");
    fs::write(&path, "").unwrap();
    crate::tests::mode(&path)
}

#[cfg(unix)]
#[tokio::test]
async fn an_index_keeps_a_changed_mode() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, config) = root();
    write(config.clone(), "a").await;
    let index = config.root().join("index.json");
    fs::set_permissions(&index, fs::Permissions::from_mode(0o664)).unwrap();
    write(config, "b").await;
    assert_eq!(crate::tests::mode(&index), 0o664);
}

#[tokio::test]
async fn nothing_temporary_stays_behind() {
    let (_dir, config) = root();
    write(config.clone(), "a").await;
    assert_eq!(ingests(config.root()), [""; 0]);
    let (manifest, blobs) = cache("a");
    blobs.overwrite(layer("a").digest, "b");
    let other = config.clone().with_tag("other");
    fs::remove_file(blob_path(config.root(), &layer("a").digest)).unwrap();
    let failed = export(&manifest, &blobs, &LocalExporter::new(other.clone()), &ExportSettings::default()).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::DigestMismatch);
    assert_eq!(ingests(config.root()), [""; 0]);
    assert!(!blob_path(config.root(), &layer("a").digest).exists());
    assert_eq!(tag_leads_to(&other).await, None);
}

#[tokio::test]
async fn an_exporter_that_does_nothing_touches_nothing() {
    let (_dir, config) = root();
    drop(LocalExporter::new(config.clone()));
    assert!(!config.root().exists());
}

#[tokio::test]
async fn an_empty_cache_is_not_written() {
    let (_dir, config) = root();
    let exporter = LocalExporter::new(config.clone());
    let committed = exporter.commit(&CacheChains::new().to_manifest(), Expect::Any).await.unwrap();
    assert_eq!(committed, Committed::default());
    assert!(!config.root().exists());
}

#[tokio::test]
async fn a_present_blob_is_not_read_again() {
    let (_dir, config) = root();
    write(config.clone(), "a").await;
    let exporter = LocalExporter::new(config);
    let nobody = MemoryCache::new();
    assert_eq!(exporter.push(&layer("a"), &nobody).await.unwrap(), Pushed::Present);
    assert_eq!(exporter.push(&layer("b"), &nobody).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_old_blob_is_refreshed() {
    let (_dir, config) = root();
    write(config.clone(), "a").await;
    let path = blob_path(config.root(), &layer("a").digest);
    age(&path, REFRESH_AFTER * 2);
    let exporter = LocalExporter::new(config);
    assert_eq!(exporter.push(&layer("a"), &MemoryCache::new()).await.unwrap(), Pushed::Refreshed);
    assert!(!is_older_than(&fs::metadata(&path).unwrap(), REFRESH_AFTER));
    assert_eq!(exporter.push(&layer("a"), &MemoryCache::new()).await.unwrap(), Pushed::Present);
}

#[tokio::test]
async fn a_blob_of_another_size_is_written_again() {
    let (_dir, config) = root();
    write(config.clone(), "abc").await;
    let path = blob_path(config.root(), &layer("abc").digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "ab").unwrap();
    let (_, blobs) = cache("abc");
    let exporter = LocalExporter::new(config);
    assert_eq!(exporter.push(&layer("abc"), &blobs).await.unwrap(), Pushed::Uploaded);
    assert_eq!(fs::read(&path).unwrap(), b"abc");
}

#[tokio::test]
async fn a_manifest_with_other_bytes_is_written_again() {
    let (_dir, config) = root();
    let manifest = write(config.clone(), "a").await.descriptor.unwrap();
    let path = blob_path(config.root(), &manifest.digest);
    let sound = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, vec![b' '; sound.len()]).unwrap();
    write(config, "a").await;
    assert_eq!(fs::read(&path).unwrap(), sound);
}

#[tokio::test]
async fn a_commit_happens_only_on_what_is_expected() {
    let (_dir, config) = root();
    let attempt = async |layer: &str, expect| {
        let result = try_write(config.clone(), layer, expect).await;
        result.map(|committed| committed.version.unwrap()).map_err(|error| error.kind())
    };
    let absent = Version::new(layer("nothing").digest.to_string());
    assert_eq!(attempt("a", Expect::Version(absent)).await, Err(ErrorKind::Conflict));
    let first = attempt("a", Expect::Absent).await.unwrap();
    assert_eq!(attempt("b", Expect::Absent).await, Err(ErrorKind::Conflict));
    let second = attempt("b", Expect::Version(first.clone())).await.unwrap();
    assert_eq!(attempt("c", Expect::Version(first)).await, Err(ErrorKind::Conflict));
    assert_eq!(tag_leads_to(&config).await, Some(second));
}

#[tokio::test]
async fn a_conflict_names_what_was_found() {
    let (_dir, config) = root();
    let found = write(config.clone(), "a").await.version.unwrap();
    let error = try_write(config, "b", Expect::Absent).await.unwrap_err();
    assert_eq!(error.context("expected"), Some("nothing"));
    assert_eq!(error.context("found"), Some(found.as_str()));
    assert_eq!((error.context("tag"), error.context("backend")), (Some("latest"), Some(KIND)));
}

#[tokio::test]
async fn the_expected_version_is_the_one_an_importer_reads() {
    let dir = copy_of("v0.32/inline-image");
    let config = LocalConfig::new(dir.path());
    let read = tag_leads_to(&config).await.unwrap();
    assert!(try_write(config.clone(), "a", Expect::Absent).await.is_err());
    let written = try_write(config.clone(), "a", Expect::Version(read)).await.unwrap();
    assert_eq!(tag_leads_to(&config).await, written.version);
}

#[tokio::test]
async fn the_empty_tag_is_written_as_one() {
    let (_dir, config) = root();
    let config = config.with_tag("");
    let first = write(config.clone(), "a").await.version.unwrap();
    assert!(try_write(config.clone(), "b", Expect::Absent).await.is_err());
    try_write(config.clone(), "b", Expect::Version(first)).await.unwrap();
    let index = fs::read_to_string(config.root().join("index.json")).unwrap();
    assert_eq!(index.matches("\"org.opencontainers.image.ref.name\":\"\"").count(), 1);
}

#[tokio::test]
async fn the_form_is_the_one_that_was_asked_for() {
    for form in [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList] {
        let (_dir, config) = root();
        let written = write(config.clone().with_form(form), "a").await.descriptor.unwrap();
        assert_eq!(written.media_type, form.media_type());
        assert_eq!(LocalImporter::new(config).resolve().await.unwrap().unwrap().manifest.form(), Some(form));
    }
}

#[tokio::test]
async fn a_broken_index_is_an_error_before_anything_is_written() {
    let (_dir, config) = root();
    fs::create_dir(config.root()).unwrap();
    fs::write(config.root().join("index.json"), "{]").unwrap();
    let error = try_write(config.clone(), "a", Expect::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert!(error.context("path").unwrap().ends_with("index.json"));
    assert_eq!(files(config.root()), ["index.json"]);
    assert_eq!(fs::read(config.root().join("index.json")).unwrap(), b"{]");
}

#[tokio::test]
async fn a_marker_with_other_content_is_replaced() {
    let (_dir, config) = root();
    fs::create_dir(config.root()).unwrap();
    fs::write(config.root().join("oci-layout"), "{\"imageLayoutVersion\":\"0.9\"}").unwrap();
    write(config.clone(), "a").await;
    assert_eq!(fs::read(config.root().join("oci-layout")).unwrap(), LAYOUT);
}

#[tokio::test]
async fn a_commit_fails_when_a_blob_was_deleted_meanwhile() {
    let (_dir, config) = root();
    let (manifest, blobs) = cache("a");
    let exporter = LocalExporter::new(config.clone());
    exporter.push(&layer("a"), &blobs).await.unwrap();
    fs::remove_file(blob_path(config.root(), &layer("a").digest)).unwrap();
    let error = exporter.commit(&manifest, Expect::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    assert_eq!(error.context("blob"), Some(layer("a").digest.to_string().as_str()));
    assert_eq!(tag_leads_to(&config).await, None);
    exporter.push(&layer("a"), &blobs).await.unwrap();
    exporter.commit(&manifest, Expect::Any).await.unwrap();
}

#[tokio::test]
async fn a_blob_of_an_earlier_attempt_may_be_missing() {
    let (_dir, config) = root();
    let (first, blobs) = cache("a");
    let (second, more) = cache("b");
    let exporter = LocalExporter::new(config.clone());
    export(&first, &blobs, &exporter, &ExportSettings::default()).await.unwrap();
    for path in files(&config.root().join("blobs")) {
        fs::remove_file(config.root().join("blobs").join(path)).unwrap();
    }
    export(&second, &more, &exporter, &ExportSettings::default()).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_held_leaves_the_index_as_it_is() {
    let (_dir, config) = root();
    write(config.clone(), "a").await;
    let before = fs::read(config.root().join("index.json")).unwrap();
    let root = Arc::new(Dir::open(config.root()).unwrap());
    let lock = IndexLock::acquire(root, Duration::ZERO).await.unwrap();
    let error = try_write(config.clone(), "b", Expect::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.context("path").unwrap().ends_with("index.json.lock"));
    assert_eq!(fs::read(config.root().join("index.json")).unwrap(), before);
    drop(lock);
    write(config, "b").await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_created_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = try_write(LocalConfig::new(file.join("cache")), "a", Expect::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.context("backend")), (ErrorKind::Storage, Some(KIND)));
    assert!(error.context("path").unwrap().starts_with(file.to_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_exporters_at_once_leave_eight_tags() {
    let (_dir, config) = root();
    let config = config.with_lock_timeout(Duration::from_secs(60));
    let writes: Vec<_> = (0..8)
        .map(|n| {
            let config = config.clone().with_tag(format!("tag-{n}"));
            tokio::spawn(async move { write(config, &format!("layer {n}")).await })
        })
        .collect();
    for (n, written) in writes.into_iter().enumerate() {
        let version = written.await.unwrap().version;
        assert_eq!(tag_leads_to(&config.clone().with_tag(format!("tag-{n}"))).await, version);
    }
    assert_eq!(ingests(config.root()), [""; 0]);
    assert!(!config.root().join("index.json.lock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_at_once_lose_nothing() {
    let (_dir, config) = root();
    let config = config.with_lock_timeout(Duration::from_secs(60));
    let publishes: Vec<_> = (0..4)
        .map(|n| {
            let config = config.clone();
            tokio::spawn(async move {
                let (manifest, blobs) = cache(&format!("layer {n}"));
                let chains = CacheChains::from_manifest(&manifest).unwrap();
                let place = (LocalImporter::new(config.clone()), LocalExporter::new(config));
                publish(&chains, &blobs, &place.0, &place.1, &PublishSettings::default()).await.unwrap();
            })
        })
        .collect();
    for published in publishes {
        published.await.unwrap();
    }
    let merged = LocalImporter::new(config).resolve().await.unwrap().unwrap().manifest;
    assert_eq!(merged.blobs().len(), 4);
}

/// Polls a future this often, each time after it asked for it; `None` when it was not done by then.
async fn polled<F: Future>(future: F, mut polls: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    poll_fn(|cx| match polls.checked_sub(1) {
        None => Poll::Ready(None),
        Some(left) => {
            polls = left;
            future.as_mut().poll(cx).map(Some)
        }
    })
    .await
}

#[tokio::test]
async fn an_export_may_be_dropped_anywhere() {
    let (_dir, config) = root();
    let config = config.with_lock_timeout(Duration::from_secs(60));
    let mut expected = write(config.clone(), "layer 0").await.version;
    for polls in 0.. {
        let layer = format!("layer {}", polls + 1);
        let Some(written) = polled(write(config.clone(), &layer), polls).await else {
            let found = tag_leads_to(&config).await;
            let is_whole = found == expected || found == write(config.clone().with_tag("same"), &layer).await.version;
            assert!(is_whole, "after {polls} polls");
            expected = found;
            continue;
        };
        assert_eq!(tag_leads_to(&config).await, written.version);
        break;
    }
}

#[tokio::test]
async fn a_present_blob_of_other_bytes_is_written_again_when_it_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let config = LocalConfig::new(dir.path());
    write(config.clone(), "layer").await;
    let path = blob_path(dir.path(), &layer("layer").digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "LAYER").unwrap();
    write(config.clone(), "layer").await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "LAYER", "its name and size are right");
    write(config.with_check_present(true), "layer").await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "layer");
}

/// A directory with links to outside and names that block on open, and the directory outside.
#[cfg(unix)]
fn hostile(name: &str, make: impl Fn(&Path, &Path)) -> (tempfile::TempDir, LocalConfig) {
    let temp = tempfile::tempdir().unwrap();
    let (inside, outside) = (temp.path().join("inside"), temp.path().join("outside"));
    for dir in [&inside, &outside, &outside.join("sha256"), &outside.join("buildcache-0123456789abcdef")] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(outside.join("buildcache-0123456789abcdef/theirs"), "theirs").unwrap();
    make(&outside, &inside.join(name));
    let config = LocalConfig::new(inside).with_lock_timeout(Duration::ZERO);
    (temp, config)
}

#[cfg(unix)]
#[tokio::test]
async fn no_name_in_a_hostile_directory_escapes_it_or_blocks() {
    use std::os::unix::fs::symlink;
    let link = |to: &Path, name: &Path| symlink(to, name).unwrap();
    let dangling = |to: &Path, name: &Path| symlink(to.join("new"), name).unwrap();
    let fifo = |_: &Path, name: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(name).status().unwrap().success());
    };
    type Make<'a> = &'a dyn Fn(&Path, &Path);
    let cases: [(&str, Make<'_>); 8] = [
        ("ingest", &link),
        ("blobs", &link),
        ("ingest", &fifo),
        ("blobs", &fifo),
        ("index.json", &fifo),
        ("index.json.lock", &fifo),
        ("index.json.lock", &dangling),
        ("ingest", &dangling),
    ];
    for (name, make) in cases {
        let (temp, config) = hostile(name, make);
        let before = files(&temp.path().join("outside"));
        assert!(try_write(config.clone(), "layer", Expect::Any).await.is_err(), "{name}");
        let store = crate::LocalStore::new(config);
        let _ = (cache_core::CacheStore::caches(&store).await, cache_core::CacheStore::unnamed(&store).await);
        let _ = cache_core::CacheStore::abort_uploads(&store, cache_core::Timestamp::now()).await;
        assert_eq!(files(&temp.path().join("outside")), before, "{name}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_document_that_is_a_link_is_replaced_and_not_written_through() {
    for name in ["index.json", "oci-layout"] {
        let (temp, config) = hostile(name, |to, name| std::os::unix::fs::symlink(to.join("new"), name).unwrap());
        write(config.clone(), "layer").await;
        assert!(!temp.path().join("outside/new").exists(), "{name}");
        assert!(fs::symlink_metadata(config.root().join(name)).unwrap().is_file(), "{name}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn foreign_files_of_a_dead_writer_stay_and_do_not_block() {
    let (_temp, config) = hostile("x", |_, _| {});
    let dead = config.root().join("ingest/buildcache-0123456789abcdef");
    fs::create_dir_all(&dead).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dead.join("lock")).status().unwrap().success());
    let other = config.root().join("ingest/buildcache-fedcba9876543210");
    fs::create_dir_all(other.join("folder")).unwrap();
    fs::write(other.join("7"), "half a blob").unwrap();
    fs::write(other.join("precious"), "theirs").unwrap();
    write(config, "layer").await;
    assert!(dead.exists() && other.join("folder").exists() && other.join("precious").exists());
    assert!(!other.join("7").exists());
}
