//! Temporary directories of the dead and of the living.

use cache_core::stream_of;
use futures_util::stream;

use super::*;
use crate::tests::{age, files, ingests, layer};

fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    (dir, layout)
}

/// What a writer that was killed leaves: a lock that nobody holds.
fn leave_dead(layout: &Layout, name: &str) -> PathBuf {
    let dir = layout.ingest_dir().join(name);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(LOCK), "").unwrap();
    fs::write(dir.join("0"), "half a blob").unwrap();
    dir
}

#[test]
fn what_a_dead_writer_left_is_removed() {
    let (_dir, layout) = layout();
    let dead = [leave_dead(&layout, "buildcache-dead"), leave_dead(&layout, "buildcache-0")];
    let without_lock = layout.ingest_dir().join("buildcache-unlocked");
    fs::create_dir(&without_lock).unwrap();
    fs::write(without_lock.join("1"), "").unwrap();
    let _own = Ingest::open(&layout).unwrap();
    assert!(!dead[0].exists() && !dead[1].exists() && !without_lock.exists());
    assert_eq!(ingests(layout.root()).len(), 1);
}

#[test]
fn what_a_live_writer_has_stays() {
    let (_dir, layout) = layout();
    let live = Ingest::open(&layout).unwrap();
    let (temp, _file) = live.create().unwrap();
    let _other = Ingest::open(&layout).unwrap();
    assert!(temp.path().exists());
    assert_eq!(ingests(layout.root()).len(), 2);
}

#[test]
fn what_is_not_ours_stays() {
    let (_dir, layout) = layout();
    let buildkits = layout.ingest_dir().join("6d5b1f0c");
    fs::create_dir_all(&buildkits).unwrap();
    fs::write(buildkits.join("ref"), "layer").unwrap();
    fs::write(layout.ingest_dir().join("buildcache-file"), "").unwrap();
    drop(Ingest::open(&layout).unwrap());
    assert_eq!(ingests(layout.root()), ["6d5b1f0c", "buildcache-file"]);
    assert!(buildkits.join("ref").exists());
}

#[test]
fn a_writer_that_is_done_leaves_nothing_but_the_directory_that_buildkit_relies_on() {
    let (_dir, layout) = layout();
    let ingest = Ingest::open(&layout).unwrap();
    let _kept = File::create(ingest.dir.join("7")).unwrap();
    drop(ingest);
    assert_eq!(files(layout.root()), [""; 0]);
    assert!(layout.ingest_dir().is_dir());
}

#[test]
fn a_directory_that_a_cleaner_has_locked_is_not_claimed() {
    let (_dir, layout) = layout();
    let dir = leave_dead(&layout, "buildcache-0");
    assert!(claim(&dir).unwrap().is_none());
    assert!(claim(&layout.ingest_dir().join("gone").join("buildcache-1")).unwrap().is_none());
}

#[test]
fn company_is_a_live_writer_or_a_buildkit_that_wrote_lately() {
    let (_dir, layout) = layout();
    let own = Ingest::open(&layout).unwrap();
    leave_dead(&layout, "buildcache-dead");
    assert!(!own.has_company());
    let other = Ingest::open(&layout).unwrap();
    assert!(own.has_company());
    drop(other);
    assert!(!own.has_company());
    let buildkits = layout.ingest_dir().join("6d5b1f0c");
    fs::create_dir(&buildkits).unwrap();
    fs::write(buildkits.join("data"), "").unwrap();
    assert!(own.has_company());
    age(&buildkits.join("data"), Duration::from_secs(7200));
    age(&buildkits, Duration::from_secs(7200));
    assert!(!own.has_company());
}

async fn received(size: u64, pieces: Vec<Result<Bytes>>) -> Result<Vec<u8>> {
    let (_dir, layout) = layout();
    let ingest = Ingest::open(&layout).unwrap();
    let blob = Descriptor { size, ..layer("") };
    let result = receive(&ingest, &blob, Box::pin(stream::iter(pieces))).await;
    let content = result.map(|(temp, _file)| fs::read(temp.path()).unwrap());
    assert_eq!(files(&ingest.dir), [LOCK], "the temporary file is gone");
    content
}

#[tokio::test]
async fn pieces_of_any_size_arrive_in_order() {
    let pieces: Vec<Bytes> = (0..40_u8).map(|n| vec![n; usize::from(n) * 4_000].into()).collect();
    let whole = pieces.concat();
    let size = whole.len() as u64;
    assert_eq!(received(size, pieces.into_iter().map(Ok).collect()).await.unwrap(), whole);
    assert_eq!(received(0, Vec::new()).await.unwrap(), b"");
}

#[tokio::test]
async fn a_blob_of_another_length_is_refused() {
    let piece = || vec![Ok(Bytes::from_static(b"abc"))];
    let error = received(4, piece()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable(), error.side()), (ErrorKind::Unavailable, true, Some(Side::Source)));
    let error = received(2, piece()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::DigestMismatch, false));
}

#[tokio::test]
async fn an_error_of_the_source_is_passed_on() {
    let failure = Error::new(ErrorKind::RateLimited, "slow down");
    let error = received(3, vec![Ok(Bytes::from_static(b"abc")), Err(failure)]).await.unwrap_err();
    assert_eq!(error.to_string(), "slow down");
}

#[tokio::test]
async fn a_blob_that_is_put_on_disk_piece_by_piece_is_the_same() {
    let (_dir, layout) = layout();
    let (temp, file) = Ingest::open(&layout).unwrap().create().unwrap();
    let pieces: Vec<Bytes> = (0..9_u8).map(|n| vec![n; BATCH / 2].into()).collect();
    let mut writer = Writer::new(file, temp.path(), BATCH);
    for piece in &pieces {
        writer = writer.write(piece.clone()).await.unwrap();
    }
    writer.finish().await.unwrap();
    assert_eq!(fs::read(temp.path()).unwrap(), pieces.concat());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_cannot_be_put_on_disk_is_an_error() {
    // Takes what is written, and has no disk.
    let path = Path::new("/dev/null");
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let mut writer = Writer::new(file, path, BATCH);
    for _ in 0..2 {
        writer = writer.write(vec![0; BATCH].into()).await.unwrap();
    }
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().starts_with("cannot put the temporary file on disk"), "{error}");
}

#[tokio::test]
async fn a_directory_lives_as_long_as_a_file_in_it() {
    let (_dir, layout) = layout();
    let ingest = Ingest::open(&layout).unwrap();
    let (temp, _file) = receive(&ingest, &layer("a"), stream_of(Bytes::from_static(b"a"))).await.unwrap();
    drop(ingest);
    assert!(temp.path().exists());
    temp.persist(&layout.root().join("blob")).unwrap();
    assert_eq!(files(layout.root()), ["blob"]);
}

/// Takes a few bytes of the first piece at a time.
struct Stingy(Vec<u8>);

impl Write for Stingy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(3);
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn pieces_are_written_whole_and_in_order() {
    let pieces = ["", "abcd", "", "e", "fghijkl", ""].map(|piece| Bytes::from_static(piece.as_bytes()));
    let mut written = Stingy(Vec::new());
    write_all(&mut written, &pieces).unwrap();
    assert_eq!(written.0, b"abcdefghijkl");
    write_all(&mut written, &[Bytes::new()]).unwrap();
}
