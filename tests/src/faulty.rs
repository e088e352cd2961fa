//! [`Faulty`]: a source with planned faults: it truncates, corrupts, fails, refuses, loses, or is slow.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, CacheImporter, Descriptor, Digest, Error, ErrorKind, Resolved, Result};
use futures_util::stream::{self, StreamExt};

use crate::random::Random;

/// A fault of a blob. Offsets are those of the whole blob, whatever range is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The stream ends before this byte, without an error.
    Truncate(u64),
    /// This byte is wrong.
    Corrupt(u64),
    /// The stream fails in this way before this byte.
    Fail(ErrorKind, u64),
    /// The store does not have the blob.
    Lose,
    /// The bytes are sent in pieces of this length, and other tasks run before each of them.
    Trickle(usize),
    /// Each piece takes this long; for tests whose time is paused.
    Delay(Duration),
}

/// A cache that is read through faults.
pub struct Faulty<'a> {
    inner: &'a dyn CacheImporter,
    faults: HashMap<Digest, Fault>,
    /// The fault of all other blobs.
    otherwise: Option<Fault>,
    refusals: AtomicU32,
    /// The blobs whose first read has failed, if that is planned.
    stumbled: Option<Mutex<HashSet<Digest>>>,
}

impl<'a> Faulty<'a> {
    /// A source without faults.
    #[must_use]
    pub fn new(inner: &'a dyn CacheImporter) -> Self {
        Self { inner, faults: HashMap::new(), otherwise: None, refusals: AtomicU32::new(0), stumbled: None }
    }

    /// Plans a fault for one blob.
    #[must_use]
    pub fn with(mut self, blob: Digest, fault: Fault) -> Self {
        self.faults.insert(blob, fault);
        self
    }

    /// Plans a fault for every other blob.
    #[must_use]
    pub fn with_everywhere(self, fault: Fault) -> Self {
        Self { otherwise: Some(fault), ..self }
    }

    /// Refuses the first `calls` reads, like a server with a rate limit.
    #[must_use]
    pub fn with_refusals(self, calls: u32) -> Self {
        Self { refusals: AtomicU32::new(calls), ..self }
    }

    /// Makes the first read of every blob fail in the middle, with an error that may pass.
    #[must_use]
    pub fn with_stumbles(self) -> Self {
        Self { stumbled: Some(Mutex::default()), ..self }
    }

    /// Plans a random fault for one of `blobs` that makes an export fail. Each seed gives another one.
    #[must_use]
    pub fn with_random(self, seed: u64, blobs: &[Arc<Descriptor>]) -> Self {
        let mut random = Random::new(seed);
        let blob = random.pick(blobs);
        let at = random.below(usize::try_from(blob.size).unwrap_or(usize::MAX)) as u64;
        let fault = match random.below(4) {
            0 => Fault::Truncate(at),
            1 => Fault::Corrupt(at),
            2 => Fault::Lose,
            _ => Fault::Fail(*random.pick(&[ErrorKind::Unavailable, ErrorKind::PermissionDenied]), at),
        };
        self.with(blob.digest, fault)
    }

    fn fault(&self, blob: &Descriptor) -> Option<Fault> {
        self.faults.get(&blob.digest).copied().or(self.otherwise)
    }

    fn stumbles(&self, blob: &Descriptor) -> bool {
        let stumbled = self.stumbled.as_ref();
        stumbled.is_some_and(|blobs| blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(blob.digest))
    }

    fn refuse(&self) -> Result<()> {
        let left = self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(Error::new(ErrorKind::RateLimited, "too many requests (planned)")),
            Err(_) => Ok(()),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl BlobProvider for Faulty<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        if self.fault(blob) == Some(Fault::Lose) { Ok(None) } else { self.inner.stat(blob).await }
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        self.refuse()?;
        let fault = self.fault(blob);
        if fault == Some(Fault::Lose) {
            return Err(Error::new(ErrorKind::NotFound, "blob not found (planned)").with("blob", blob.digest));
        }
        let at = range.as_ref().map_or(0, |range| range.start);
        let stream = self.inner.read(blob, range).await?;
        if self.stumbles(blob) {
            return Ok(ended(stream, at, blob.size / 2, Some(ErrorKind::Unavailable)));
        }
        Ok(match fault {
            Some(Fault::Truncate(end)) => ended(stream, at, end, None),
            Some(Fault::Fail(kind, end)) => ended(stream, at, end, Some(kind)),
            Some(Fault::Corrupt(byte)) => corrupted(stream, at, byte),
            Some(Fault::Trickle(len)) => slowed(stream, len, None),
            Some(Fault::Delay(wait)) => slowed(stream, usize::MAX, Some(wait)),
            Some(Fault::Lose) | None => stream,
        })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl CacheImporter for Faulty<'_> {
    async fn resolve(&self) -> Result<Option<Resolved>> {
        self.refuse()?;
        self.inner.resolve().await
    }
}

/// The stream, which starts at byte `at` of the blob, up to byte `end`, and then an error or nothing.
fn ended(stream: BlobStream, at: u64, end: u64, error: Option<ErrorKind>) -> BlobStream {
    let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
    let cut = stream.scan(left, |left, piece| {
        let piece = piece.map(|bytes| bytes.slice(..bytes.len().min(*left)));
        *left -= piece.as_ref().map_or(0, Bytes::len);
        let is_over = piece.as_ref().is_ok_and(Bytes::is_empty);
        async move { (!is_over).then_some(piece) }
    });
    let error = error.map(|kind| Err(Error::new(kind, "the source failed (planned)")));
    Box::pin(cut.chain(stream::iter(error)))
}

/// The stream, which starts at byte `at` of the blob, with a wrong byte at `byte`.
fn corrupted(stream: BlobStream, at: u64, byte: u64) -> BlobStream {
    let broken = stream.scan(at, move |at, piece| {
        let piece = piece.map(|bytes| {
            let here = byte.checked_sub(*at).and_then(|here| usize::try_from(here).ok());
            *at += bytes.len() as u64;
            match here.filter(|&here| here < bytes.len()) {
                Some(here) => flipped(&bytes, here),
                None => bytes,
            }
        });
        async move { Some(piece) }
    });
    Box::pin(broken)
}

/// The bytes with one flipped bit in byte `at`.
#[must_use]
pub fn flipped(bytes: &[u8], at: usize) -> Bytes {
    let mut flipped = BytesMut::from(bytes);
    flipped[at] ^= 1;
    flipped.freeze()
}

fn slowed(stream: BlobStream, len: usize, wait: Option<Duration>) -> BlobStream {
    let pieces = stream.flat_map(move |piece| {
        let pieces: Vec<Result<Bytes>> = match piece {
            Ok(bytes) => cut(bytes, len.max(1)).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(pieces)
    });
    let slow = pieces.then(move |piece| async move {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => tokio::task::yield_now().await,
        }
        piece
    });
    Box::pin(slow)
}

fn cut(mut bytes: Bytes, len: usize) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while bytes.len() > len {
        pieces.push(bytes.split_to(len));
    }
    pieces.push(bytes);
    pieces
}

#[cfg(test)]
mod tests {
    use cache_core::{MediaType, read_all, read_verified};
    use cache_memory::MemoryCache;
    use futures_util::stream::TryStreamExt;

    use super::*;

    fn source(bytes: &'static [u8]) -> (MemoryCache, Descriptor) {
        let memory = MemoryCache::new();
        let _ = memory.insert(bytes);
        (memory, Descriptor::of(MediaType::OCI_LAYER, bytes))
    }

    async fn read(fault: Fault, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let (memory, blob) = source(b"0123456789");
        let faulty = Faulty::new(&memory).with(blob.digest, fault);
        let pieces: Vec<Bytes> = faulty.read(&blob, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn a_stream_is_truncated_where_planned() {
        assert_eq!(read(Fault::Truncate(4), None).await.unwrap(), b"0123");
        assert_eq!(read(Fault::Truncate(4), Some(2..9)).await.unwrap(), b"23");
        assert_eq!(read(Fault::Truncate(0), None).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn one_byte_is_corrupted() {
        assert_eq!(read(Fault::Corrupt(3), None).await.unwrap(), b"0122456789");
        assert_eq!(read(Fault::Corrupt(3), Some(3..5)).await.unwrap(), b"24");
    }

    #[tokio::test]
    async fn a_stream_fails_in_the_planned_way() {
        assert_eq!(
            read(Fault::Fail(ErrorKind::Unavailable, 5), None).await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        assert_eq!(read(Fault::Lose, None).await.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_stream_has_the_same_bytes() {
        assert_eq!(read(Fault::Trickle(3), None).await.unwrap(), b"0123456789");
        assert_eq!(read(Fault::Delay(Duration::from_secs(3600)), None).await.unwrap(), b"0123456789");
    }

    #[tokio::test]
    async fn refusals_end() {
        let (memory, blob) = source(b"bytes");
        let faulty = Faulty::new(&memory).with_refusals(1);
        assert_eq!(faulty.resolve().await.unwrap_err().kind(), ErrorKind::RateLimited);
        assert_eq!(read_all(&faulty, &blob, 10).await.unwrap(), "bytes");
    }

    #[tokio::test]
    async fn a_random_fault_always_makes_a_read_fail() {
        let (memory, blob) = source(b"0123456789");
        for seed in 0..50 {
            let faulty = Faulty::new(&memory).with_random(seed, &[Arc::new(blob.clone())]);
            let read = async { read_verified(&faulty, &blob).await?.try_collect::<Vec<_>>().await };
            assert!(read.await.is_err(), "{seed}");
        }
    }
}
