//! Exports and prunes of a directory that are killed, run concurrently, or run out of space: nothing is ever lost.

#![cfg(all(feature = "local", unix))]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cache_core::{CacheImporter, CacheStore, ErrorKind};
use cache_local::{LocalConfig, LocalExporter, LocalImporter, LocalStore};
use cache_ops::{Depth, ExportSettings, export, verify};
use cache_tests::graphs::{Generated, MANY_BLOBS, Shape, cache, cache_of};
use cache_tests::places::{temporary_files, wrong_blobs};
use cache_tests::random::Random;
use tempfile::TempDir;

/// How many exports are killed, and how many run at once.
const KILLS: usize = 200;
const AT_ONCE: u64 = 4;

fn exporter(directory: &Path, tag: &str, seed: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exporter"));
    command.arg(directory).arg(tag).arg(seed.to_string());
    command
}

/// Runs a future and its background work to the end.
fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn write(directory: &Path, tag: &str, cache: &Generated) -> cache_core::Result<()> {
    let exporter = LocalExporter::new(LocalConfig::new(directory).with_tag(tag));
    run(async { export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.map(|_| ()) })
}

/// Verifies every cache in `index.json`, and returns the names.
fn verified_tags(directory: &Path) -> Vec<String> {
    run(verify_all(directory))
}

async fn verify_all(directory: &Path) -> Vec<String> {
    let store = LocalStore::new(LocalConfig::new(directory));
    let mut tags = Vec::new();
    for entry in store.caches().await.unwrap() {
        let importer = store.open(&entry).await.unwrap();
        let manifest = importer.resolve().await.unwrap().expect("it is listed").manifest;
        let report = verify(&manifest, &*importer, Depth::Deep, 4).await.unwrap();
        assert!(report.is_sound(), "{:?}: {:?}", entry.name, report.findings);
        tags.extend(entry.name);
    }
    tags
}

fn holds(directory: &Path, tag: &str, cache: &Generated) -> bool {
    let importer = LocalImporter::new(LocalConfig::new(directory).with_tag(tag));
    let resolved = run(importer.resolve()).unwrap();
    resolved.is_some_and(|resolved| resolved.manifest.config() == cache.manifest.config())
}

/// Checks that no blob has its name before all of its bytes are written.
fn assert_right_blobs(directory: &Path) {
    let wrong = wrong_blobs(directory);
    assert!(wrong.is_empty(), "{} blobs are wrong, like {}", wrong.len(), wrong[0]);
}

#[test]
fn a_killed_export_leaves_every_cache_sound_and_the_next_one_cleans_up() {
    let directory = TempDir::new().unwrap();
    let old = cache(1);
    write(directory.path(), "old", &old).unwrap();
    let most = longest_export();
    let killed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for slot in 0..AT_ONCE {
            let (killed, directory) = (&killed, directory.path());
            scope.spawn(move || kill_exports(directory, slot, most, killed));
        }
    });
    assert!(killed.into_inner() >= KILLS);
    assert_right_blobs(directory.path());
    let tags = verified_tags(directory.path());
    assert!(tags.contains(&"old".to_owned()) && tags.len() <= 1 + AT_ONCE as usize, "{tags:?}");
    assert!(holds(directory.path(), "old", &old));
    write(directory.path(), "new", &cache(2)).unwrap();
    assert_eq!(temporary_files(directory.path()), [""; 0]);
    assert!(verified_tags(directory.path()).contains(&"new".to_owned()));
}

/// The time of an export while others run; at most a second, for slow disks.
fn longest_export() -> Duration {
    let directory = TempDir::new().unwrap();
    let start = Instant::now();
    let children: Vec<Child> =
        (0..AT_ONCE).map(|seed| exporter(directory.path(), &seed.to_string(), seed).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    start.elapsed().min(Duration::from_secs(1))
}

/// Kills exports at random moments until there are enough; those that had ended already do not count.
fn kill_exports(directory: &Path, slot: u64, most: Duration, killed: &AtomicUsize) {
    let mut random = Random::new(slot);
    while killed.load(Ordering::Relaxed) < KILLS {
        let mut child = exporter(directory, &format!("tag-{slot}"), random.number()).spawn().unwrap();
        thread::sleep(most.mul_f64(random.below(1_000) as f64 / 1_000.0));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        killed.fetch_add(usize::from(status.signal().is_some()), Ordering::Relaxed);
        assert!(status.signal().is_some() || status.success(), "an export failed on its own: {status}");
    }
}

/// How many prunes are killed, and the number of tags before each.
const PRUNES: usize = 20;
const TAGS: u64 = 4;

#[test]
fn a_killed_prune_leaves_every_cache_sound_and_the_next_one_finishes() {
    let directory = TempDir::new().unwrap();
    let mut random = Random::new(1);
    fill(directory.path(), &mut random);
    let start = Instant::now();
    assert!(pruner(directory.path()).status().unwrap().success());
    let most = start.elapsed().min(Duration::from_secs(1));
    let mut killed = 0;
    while killed < PRUNES {
        fill(directory.path(), &mut random);
        let mut child = pruner(directory.path()).spawn().unwrap();
        thread::sleep(most.mul_f64(random.below(1_000) as f64 / 1_000.0));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        killed += usize::from(status.signal().is_some());
        assert!(status.signal().is_some() || status.success(), "a prune failed on its own: {status}");
        assert!(!verified_tags(directory.path()).is_empty());
        assert_right_blobs(directory.path());
    }
    assert!(pruner(directory.path()).status().unwrap().success());
    let tags = verified_tags(directory.path());
    assert_eq!(tags.len(), 1);
    let importer = LocalImporter::new(LocalConfig::new(directory.path()).with_tag(&tags[0]));
    let kept = run(importer.resolve()).unwrap().expect("it is listed").manifest;
    let left = std::fs::read_dir(directory.path().join("blobs/sha256")).unwrap().count();
    // Layers, config and manifest.
    assert_eq!(left, kept.blobs().len() + 2);
    assert_eq!(temporary_files(directory.path()), [""; 0]);
}

fn pruner(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pruner"));
    command.arg(directory);
    command
}

/// Writes new caches under all tags, old enough that all unreachable blobs may be deleted.
fn fill(directory: &Path, random: &mut Random) {
    for tag in 0..TAGS {
        write(directory, &format!("tag-{tag}"), &cache_of(random.number(), MANY_BLOBS)).unwrap();
    }
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(24 * 3_600);
    for entry in std::fs::read_dir(directory.join("blobs/sha256")).unwrap() {
        std::fs::File::open(entry.unwrap().path()).unwrap().set_modified(long_ago).unwrap();
    }
}

#[test]
fn eight_exporters_with_eight_tags_leave_eight_tags() {
    let directory = TempDir::new().unwrap();
    for round in 0..3 {
        let tag = |n: u64| format!("tag-{n}");
        let children: Vec<Child> =
            (0..8).map(|n| exporter(directory.path(), &tag(n), 10 * round + n).spawn().unwrap()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let mut tags = verified_tags(directory.path());
        tags.sort();
        assert_eq!(tags, (0..8).map(tag).collect::<Vec<_>>());
        for n in 0..8 {
            assert!(holds(directory.path(), &tag(n), &cache_of(10 * round + n, MANY_BLOBS)));
        }
        assert_eq!(temporary_files(directory.path()), [""; 0]);
    }
}

#[test]
fn an_export_cleans_up_after_the_dead_and_not_after_the_living() {
    let directory = TempDir::new().unwrap();
    let mut living = Held::start(directory.path(), "living", 1);
    let (writer, files) = (writers(directory.path()), temporary_files(directory.path()));
    assert_eq!(writer.len(), 1, "the export that is held has no temporary directory");
    let mut dead = Held::start(directory.path(), "dead", 2);
    dead.0.kill().unwrap();
    dead.0.wait().unwrap();
    assert_eq!(writers(directory.path()).len(), 2);
    write(directory.path(), "other", &cache(3)).unwrap();
    assert_eq!(writers(directory.path()), writer);
    let left = temporary_files(directory.path());
    assert!(files.iter().all(|file| left.contains(file)), "of {files:?} there is only {left:?}");
    living.release();
    assert!(living.0.wait().unwrap().success());
    assert_eq!(temporary_files(directory.path()), [""; 0]);
    let mut tags = verified_tags(directory.path());
    tags.sort();
    assert_eq!(tags, ["living", "other"]);
}

/// The temporary directories, one for each writer.
fn writers(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join("ingest")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// An export that stopped in the middle of a blob.
struct Held(Child);

impl Held {
    fn start(directory: &Path, tag: &str, seed: u64) -> Self {
        let mut command = exporter(directory, tag, seed);
        let mut child = command.arg("--hold").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "holding\n");
        Self(child)
    }

    /// Lets it continue to its end.
    fn release(&mut self) {
        let stdin = self.0.stdin.take();
        // It may exit before it has read every line.
        let _ = stdin.unwrap().write_all(&[b'\n'; 1_000]);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_full_disk_is_a_clear_error_and_the_old_cache_stays() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: mounting a file system needs root");
        return;
    };
    let directory = disk.0.path().join("cache");
    let old = cache(1);
    write(&directory, "main", &old).unwrap();
    let large = cache_of(2, Shape { layer_bytes: 300_000, results: 12, ..MANY_BLOBS });
    assert!(large.manifest.unique_bytes() > 2 << 20);
    let error = write(&directory, "main", &large).expect_err("there is no room");
    assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("free space")), "{:?}", error.hint());
    assert!(error.to_string().contains(&directory.display().to_string()), "{error}");
    assert!(holds(&directory, "main", &old));
    assert_right_blobs(&directory);
    assert_eq!(verified_tags(&directory), ["main"]);
    assert_eq!(temporary_files(&directory), [""; 0]);
}

/// A file system of 1 MiB in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
