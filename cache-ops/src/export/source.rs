//! The source as an export reads it: verified, and with every byte counted.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cache_core::seams::{BlobInfo, read_blob, stat_blob, verified};
use cache_core::{BlobProvider, BlobStream, Descriptor, Digest, Event, Progress, Result, Side};
use cache_layers::CodecPool;
use futures_util::stream::TryStreamExt;

/// A blob up to this size is hashed by the task that reads it: another thread would cost more than it saves.
const SMALL: u64 = 256 << 10;

/// With this many cores or fewer, the threads of a pool mostly wait for each other.
const FEW_THREADS: usize = 2;

/// Verifies whole blobs as they are read, and marks every error as one of the source.
///
/// All reads of an export are polled by one task. Large blobs are hashed on the pool where that is worth it, so that blobs
/// that move at once are hashed on several cores.
pub(super) struct Verified<'a> {
    pub(super) inner: &'a dyn BlobProvider,
    pub(super) pool: CodecPool,
}

impl Verified<'_> {
    fn is_for_the_pool(&self, blob: &Descriptor) -> bool {
        blob.size > SMALL && (self.pool.threads() > FEW_THREADS || !has_instructions(&blob.digest))
    }
}

/// Whether the processor has instructions for the algorithm, which then hash faster than most stores send.
fn has_instructions(digest: &Digest) -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let has_sha256 = std::arch::is_x86_feature_detected!("sha");
    #[cfg(target_arch = "aarch64")]
    let has_sha256 = std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let has_sha256 = false;
    has_sha256 && digest.algorithm() == "sha256"
}

#[async_trait]
impl BlobProvider for Verified<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        stat_blob(self.inner, blob).await.map_err(|error| error.on(Side::Source))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let is_whole = range.is_none();
        let stream = read_blob(self.inner, blob, range).await.map_err(|error| error.on(Side::Source))?;
        let stream = match is_whole {
            true if self.is_for_the_pool(blob) => self.pool.verified(blob.clone(), stream),
            true => verified(blob.clone(), stream),
            false => stream,
        };
        Ok(Box::pin(stream.map_err(|error| error.on(Side::Source))))
    }
}

/// Bytes sent to one place: each byte of a blob counts once, however often it is sent.
#[derive(Default)]
pub(super) struct SentBytes(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    bytes: u64,
    /// How far each blob was read.
    ends: HashMap<Digest, u64>,
}

impl SentBytes {
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Adds `len` bytes of a blob that end at `end`; returns how many of them are new.
    fn count(&self, blob: Digest, len: u64, end: u64) -> u64 {
        let mut counts = self.lock();
        let before = counts.ends.entry(blob).or_default();
        let new = end.saturating_sub(*before).min(len);
        *before = end.max(*before);
        counts.bytes = counts.bytes.saturating_add(new);
        new
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the bytes sent to one place.
pub(super) struct Counted<'a> {
    pub(super) inner: &'a dyn BlobProvider,
    pub(super) progress: &'a Arc<dyn Progress>,
    pub(super) sent: &'a Arc<SentBytes>,
}

#[async_trait]
impl BlobProvider for Counted<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let mut end = range.as_ref().map_or(0, |range| range.start);
        let stream = self.inner.read(blob, range).await?;
        let (progress, sent, blob) = (Arc::clone(self.progress), Arc::clone(self.sent), blob.digest);
        Ok(Box::pin(stream.inspect_ok(move |piece| {
            let len = piece.len() as u64;
            end = end.saturating_add(len);
            let bytes = sent.count(blob, len, end);
            if bytes > 0 {
                progress.event(&Event::BlobBytes { blob, bytes });
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use cache_core::{ErrorKind, MediaType};
    use cache_memory::MemoryCache;

    use super::*;

    #[tokio::test]
    async fn a_blob_is_verified_wherever_it_is_hashed() {
        for (threads, size) in [(1, SMALL), (1, SMALL + 1), (FEW_THREADS + 1, SMALL + 1)] {
            let (cache, bytes) = (MemoryCache::new(), vec![7; usize::try_from(size).unwrap()]);
            let source = Verified { inner: &cache, pool: CodecPool::new(threads) };
            let blob = Descriptor::of(MediaType::OCI_LAYER, &bytes);
            let read = || async { source.read(&blob, None).await?.try_collect::<Vec<_>>().await };
            cache.overwrite(blob.digest, bytes.clone());
            assert_eq!(read().await.unwrap().concat(), bytes);
            let mut wrong = bytes;
            wrong[0] = 8;
            cache.overwrite(blob.digest, wrong);
            let error = read().await.unwrap_err();
            assert_eq!((error.kind(), error.side()), (ErrorKind::DigestMismatch, Some(Side::Source)));
        }
    }

    #[test]
    fn the_pool_hashes_what_is_large_and_slow_to_hash() {
        let blob = |digest: &str, size| Descriptor::new(MediaType::OCI_LAYER, digest.parse().unwrap(), size);
        let (sha256, sha512) = (format!("sha256:{}", "0".repeat(64)), format!("sha512:{}", "0".repeat(128)));
        let cache = MemoryCache::new();
        let is_for_the_pool = |threads, digest: &str, size| {
            Verified { inner: &cache, pool: CodecPool::new(threads) }.is_for_the_pool(&blob(digest, size))
        };
        assert!(!is_for_the_pool(FEW_THREADS + 1, &sha512, SMALL));
        assert!(is_for_the_pool(FEW_THREADS + 1, &sha256, SMALL + 1));
        assert!(is_for_the_pool(FEW_THREADS, &sha512, SMALL + 1));
        let is_slow = !has_instructions(&Digest::sha256(b""));
        assert_eq!(is_for_the_pool(FEW_THREADS, &sha256, SMALL + 1), is_slow);
    }

    #[test]
    fn bytes_that_are_read_again_count_once() {
        let (sent, one, other) = (SentBytes::default(), Digest::sha256(b"1"), Digest::sha256(b"2"));
        assert_eq!((sent.count(one, 4, 4), sent.count(one, 4, 8)), (4, 4));
        // From the start, and past where it broke.
        assert_eq!((sent.count(one, 6, 6), sent.count(one, 6, 12)), (0, 4));
        // Skipped bytes were not sent.
        assert_eq!(sent.count(one, 4, 20), 4);
        assert_eq!((sent.count(other, 4, 4), sent.bytes()), (4, 20));
    }
}
