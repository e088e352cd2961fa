//! Temporary directories of the dead and of the living.

use cache_core::seams::stream_of;

use super::*;
use crate::receive::receive;
use crate::tests::{age, files, ingests, layer};

fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    (dir, layout)
}

/// The lock file of a killed writer, which is not locked.
fn leave_dead(layout: &Layout, name: &str) -> PathBuf {
    let dir = layout.root().join(INGEST).join(name);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(LOCK), "").unwrap();
    fs::write(dir.join("0"), "half a blob").unwrap();
    dir
}

#[test]
fn files_of_dead_writers_are_removed() {
    let (_dir, layout) = layout();
    let dead = [leave_dead(&layout, "buildcache-000000000000dead"), leave_dead(&layout, "buildcache-0000000000000000")];
    let without_lock = layout.root().join(INGEST).join("buildcache-00000000000000aa");
    fs::create_dir(&without_lock).unwrap();
    fs::write(without_lock.join("1"), "").unwrap();
    let _own = Ingest::open(&layout).unwrap();
    assert!(!dead[0].exists() && !dead[1].exists() && !without_lock.exists());
    assert_eq!(ingests(layout.root()).len(), 1);
}

#[test]
fn files_of_live_writers_stay() {
    let (_dir, layout) = layout();
    let live = Ingest::open(&layout).unwrap();
    let (temp, _file) = live.create().unwrap();
    let _other = Ingest::open(&layout).unwrap();
    assert!(temp.path().exists());
    assert_eq!(ingests(layout.root()).len(), 2);
}

#[test]
fn files_of_other_programs_stay() {
    let (_dir, layout) = layout();
    let buildkits = layout.root().join(INGEST).join("6d5b1f0c");
    fs::create_dir_all(&buildkits).unwrap();
    fs::write(buildkits.join("ref"), "layer").unwrap();
    fs::write(layout.root().join(INGEST).join("buildcache-00000000000000ff"), "").unwrap();
    leave_dead(&layout, "buildcache-ours");
    drop(Ingest::open(&layout).unwrap());
    assert_eq!(ingests(layout.root()), ["6d5b1f0c", "buildcache-00000000000000ff", "buildcache-ours"]);
    assert!(buildkits.join("ref").exists());
}

#[test]
fn a_writer_that_is_done_leaves_nothing_but_the_directory_that_buildkit_relies_on() {
    let (_dir, layout) = layout();
    let ingest = Ingest::open(&layout).unwrap();
    let _kept = File::create(ingest.dir().join("7")).unwrap();
    drop(ingest);
    assert_eq!(files(layout.root()), [""; 0]);
    assert!(layout.root().join(INGEST).is_dir());
}

#[test]
fn a_directory_that_a_cleaner_has_locked_is_not_claimed() {
    let (_dir, layout) = layout();
    leave_dead(&layout, "buildcache-0000000000000000");
    let parent = Dir::open(&layout.root().join(INGEST)).unwrap();
    assert!(claim(&parent, "buildcache-0000000000000000").unwrap().is_none());
    fs::remove_dir_all(parent.path()).unwrap();
    assert!(claim(&parent, "buildcache-0000000000000001").unwrap().is_none());
}

#[test]
fn company_is_a_live_writer_or_a_buildkit_that_wrote_lately() {
    let (_dir, layout) = layout();
    let own = Ingest::open(&layout).unwrap();
    leave_dead(&layout, "buildcache-000000000000dead");
    assert!(!own.has_company());
    let other = Ingest::open(&layout).unwrap();
    assert!(own.has_company());
    drop(other);
    assert!(!own.has_company());
    let buildkits = layout.root().join(INGEST).join("6d5b1f0c");
    fs::create_dir(&buildkits).unwrap();
    fs::write(buildkits.join("data"), "").unwrap();
    assert!(own.has_company());
    age(&buildkits.join("data"), Duration::from_secs(7200));
    age(&buildkits, Duration::from_secs(7200));
    assert!(!own.has_company());
}

#[tokio::test]
async fn a_directory_lives_as_long_as_a_file_in_it() {
    let (_dir, layout) = layout();
    let ingest = Ingest::open(&layout).unwrap();
    let (temp, _file) =
        receive(&ingest, &layer("a"), stream_of("a".into()), |temp, file| Ok((temp, file))).await.unwrap();
    drop(ingest);
    assert!(temp.path().exists());
    temp.persist(&Dir::open(layout.root()).unwrap(), "blob").unwrap();
    assert_eq!(files(layout.root()), ["blob"]);
}
