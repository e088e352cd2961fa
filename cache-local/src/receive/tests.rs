//! The received file has the sent bytes and length, and is synced to disk.

use std::fs::{self, OpenOptions};

use futures_util::stream;

use super::*;
use crate::layout::Layout;
use crate::tests::{files, layer};

fn ingest() -> (tempfile::TempDir, Arc<Ingest>) {
    let dir = tempfile::tempdir().unwrap();
    let ingest = Ingest::open(&Layout::new(dir.path())).unwrap();
    (dir, ingest)
}

async fn received(size: u64, pieces: Vec<Result<Bytes>>) -> Result<Vec<u8>> {
    let (_dir, ingest) = ingest();
    let blob = Descriptor { size, ..layer("") };
    let read = |temp: TempFile, _| Ok(fs::read(temp.path()).unwrap());
    let content = receive(&ingest, &blob, Box::pin(stream::iter(pieces)), read).await;
    assert_eq!(files(ingest.dir()), ["lock"], "the temporary file is gone");
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
async fn a_blob_that_is_synced_in_batches_is_complete() {
    let (_dir, ingest) = ingest();
    let pieces: Vec<Bytes> = (0..9_u8).map(|n| vec![n; BATCH / 2].into()).collect();
    let mut writer = Writer::new(ingest, BATCH);
    for piece in &pieces {
        writer = writer.write(piece.clone()).await.unwrap();
    }
    let written = writer.finish(|temp, _| Ok(fs::read(temp.path()).unwrap())).await.unwrap();
    assert_eq!(written, pieces.concat());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_failed_sync_is_an_error() {
    let (_dir, ingest) = ingest();
    let (temp, _) = ingest.create().unwrap();
    // Accepts writes, and cannot be synced.
    let file = OpenOptions::new().write(true).open("/dev/null").unwrap();
    let mut writer = Writer::new(ingest, BATCH);
    writer.task = Some(start(move || Ok((temp, file))));
    for _ in 0..2 {
        writer = writer.write(vec![0; BATCH].into()).await.unwrap();
    }
    let error = writer.finish(|_, _| Ok(())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().starts_with("cannot flush the temporary file to disk"), "{error}");
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
