//! Uploads in parts for all object stores: order, concurrency, memory and abort.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, ErrorKind, Result};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Buffers;

/// The part requests of one object, which a store supplies.
///
/// ```
/// use std::sync::Mutex;
///
/// use bytes::Bytes;
/// use cache_core::Result;
/// use cache_kit::{PartLimits, PartUpload, upload};
/// use cache_core::seams::stream_of;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// #[derive(Default)]
/// struct Object(Mutex<Vec<(u32, Bytes)>>);
///
/// #[async_trait::async_trait]
/// impl PartUpload for Object {
///     async fn put(&self, bytes: Bytes) -> Result<()> {
///         self.0.lock().unwrap().push((1, bytes));
///         Ok(())
///     }
///     async fn begin(&self) -> Result<String> {
///         Ok("upload 1".to_owned())
///     }
///     async fn part(&self, _: &str, number: u32, bytes: Bytes) -> Result<String> {
///         self.0.lock().unwrap().push((number, bytes));
///         Ok(format!("part {number}"))
///     }
///     async fn complete(&self, _: &str, _: Vec<String>) -> Result<()> {
///         self.0.lock().unwrap().sort();
///         Ok(())
///     }
///     async fn abort(&self, _: &str) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// let object = Object::default();
/// upload(stream_of("abcdefgh".into()), 8, &object, &PartLimits::new(3, 2)).await?;
/// assert_eq!(object.0.into_inner().unwrap().len(), 3);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait PartUpload: Send + Sync {
    /// Writes the whole object in one request; for objects of up to one part.
    async fn put(&self, bytes: Bytes) -> Result<()>;

    /// Opens an upload and names it.
    async fn begin(&self) -> Result<String>;

    /// Sends a part, numbered from 1, and returns the store's identifier for it. Parts are sent in any order.
    async fn part(&self, upload: &str, number: u32, bytes: Bytes) -> Result<String>;

    /// Assembles the object from its parts, in order of their numbers.
    async fn complete(&self, upload: &str, parts: Vec<String>) -> Result<()>;

    /// Aborts an upload; its parts are deleted.
    async fn abort(&self, upload: &str) -> Result<()>;

    /// The size of the assembled object, as the store reports it; `None` if that is not known. A store that orders
    /// parts in its own way may lose some.
    async fn stored_size(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// How many permits a whole part takes. What is smaller takes fewer, so that small objects do not wait for each other.
const WHOLE_PART: u32 = 64;

/// How objects are cut, and how many parts are in memory at once, over all uploads that share it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PartLimits {
    /// The size of a part in bytes; the last may be shorter. It grows if there would be too many parts.
    pub(crate) part_size: u64,
    /// How many parts one object may have.
    pub(crate) max_parts: u32,
    in_flight: Arc<Semaphore>,
    buffers: Arc<Buffers>,
}

impl PartLimits {
    /// Parts of `part_size` bytes, at most `in_flight` of them in memory, or as many bytes of smaller ones.
    #[must_use]
    pub fn new(part_size: u64, in_flight: usize) -> Self {
        let permits = in_flight.max(1).saturating_mul(WHOLE_PART as usize).min(Semaphore::MAX_PERMITS);
        let in_flight = Arc::new(Semaphore::new(permits));
        Self { part_size: part_size.max(1), max_parts: 10_000, in_flight, buffers: Arc::default() }
    }

    /// The size of a part in bytes.
    #[must_use]
    pub fn part_size(&self) -> u64 {
        self.part_size
    }

    /// How many parts one object may have.
    #[must_use]
    pub fn max_parts(&self) -> u32 {
        self.max_parts
    }

    /// Changes how many parts one object may have.
    #[must_use]
    pub fn with_max_parts(self, max_parts: u32) -> Self {
        Self { max_parts: max_parts.max(1), ..self }
    }

    fn part_size_of(&self, object: u64) -> u64 {
        self.part_size.max(object.div_ceil(u64::from(self.max_parts)))
    }

    /// Waits until there is room for so many bytes.
    async fn permit(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let permits = bytes.saturating_mul(WHOLE_PART.into()).div_ceil(self.part_size);
        let permits = u32::try_from(permits).unwrap_or(WHOLE_PART).clamp(1, WHOLE_PART);
        let permit = Arc::clone(&self.in_flight).acquire_many_owned(permits).await;
        permit.map_err(|closed| Error::new(ErrorKind::Unavailable, "no more parts are taken").with_source(closed))
    }
}

impl Default for PartLimits {
    /// 8 MiB, 12 at once.
    fn default() -> Self {
        Self::new(8 << 20, 12)
    }
}

const BAD_PARTS: &str = "delete the stored blob; the store joins parts in a wrong way";

/// Uploads `size` bytes of `stream`: one request for up to one part, else parts in parallel.
///
/// A failed upload is aborted. A dropped one stays open until the store's own clean-up or the next `prune`.
///
/// # Errors
/// The first error of the stream or a request, and [`ErrorKind::DigestMismatch`] when the stream is not `size` bytes,
/// or if the store has stored another number of bytes.
pub async fn upload(mut stream: BlobStream, size: u64, to: &dyn PartUpload, limits: &PartLimits) -> Result<()> {
    let part_size = limits.part_size_of(size);
    let _buffers = limits.buffers.use_them();
    let mut cutter = Cutter { stream: &mut stream, buffers: &limits.buffers, rest: Bytes::new(), read: 0, size };
    if size <= part_size {
        let _permit = limits.permit(size).await?;
        let bytes = cutter.next(part_size).await?;
        cutter.end().await?;
        return to.put(bytes).await;
    }
    let upload = to.begin().await?;
    let sent = send_parts(&mut cutter, part_size, &upload, to, limits).await;
    let done = match sent {
        Ok(parts) => to.complete(&upload, parts).await,
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        // The first error is returned; an upload that cannot be aborted is left to the store's clean-up.
        let _ = to.abort(&upload).await;
        return Err(error);
    }
    match to.stored_size().await? {
        Some(stored) if stored != size => {
            let error =
                Error::new(ErrorKind::DigestMismatch, "the stored size is not that of the parts that were sent");
            Err(error.with("size", size).with("stored", stored).with_hint(BAD_PARTS))
        }
        _ => Ok(()),
    }
}

async fn send_parts(
    cutter: &mut Cutter<'_>,
    part_size: u64,
    upload: &str,
    to: &dyn PartUpload,
    limits: &PartLimits,
) -> Result<Vec<String>> {
    let mut sending: FuturesUnordered<BoxFuture<'_, Result<(u32, String)>>> = FuturesUnordered::new();
    let mut tags: Vec<(u32, String)> = Vec::new();
    let mut number = 0;
    while cutter.read < cutter.size {
        let permit = loop {
            tokio::select! {
                permit = limits.permit(part_size.min(cutter.size - cutter.read)) => break permit?,
                Some(sent) = sending.next() => tags.push(sent?),
            }
        };
        let bytes = cutter.next(part_size).await?;
        number += 1;
        sending.push(Box::pin(async move {
            let _permit = permit;
            Ok((number, to.part(upload, number, bytes).await?))
        }));
    }
    cutter.end().await?;
    while let Some(sent) = sending.next().await {
        tags.push(sent?);
    }
    tags.sort_unstable();
    Ok(tags.into_iter().map(|(_, tag)| tag).collect())
}

/// Cuts a stream into pieces of one length.
struct Cutter<'a> {
    stream: &'a mut BlobStream,
    buffers: &'a Arc<Buffers>,
    /// The rest of the last piece, which belongs to the next part.
    rest: Bytes,
    read: u64,
    size: u64,
}

impl Cutter<'_> {
    /// The next `length` bytes, or what is left of the object.
    async fn next(&mut self, length: u64) -> Result<Bytes> {
        let length = usize::try_from(length.min(self.size - self.read)).unwrap_or(usize::MAX);
        let mut part = self.buffers.take(length);
        while part.len() < length {
            if self.rest.is_empty() {
                let piece = self.stream.next().await;
                self.rest = piece.unwrap_or_else(|| Err(self.wrong_length("blob ended early")))?;
            }
            let wanted = self.rest.len().min(length - part.len());
            part.extend_from_slice(&self.rest.split_to(wanted));
        }
        self.read += length as u64;
        Ok(self.buffers.lend(part))
    }

    /// Reads the stream to its end, where a verifying stream fails if the bytes were wrong.
    async fn end(&mut self) -> Result<()> {
        while self.rest.is_empty() {
            match self.stream.next().await {
                Some(piece) => self.rest = piece?,
                None => return Ok(()),
            }
        }
        Err(self.wrong_length("blob is longer than its descriptor says"))
    }

    fn wrong_length(&self, message: &str) -> Error {
        Error::new(ErrorKind::DigestMismatch, message).with("size", self.size)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;

    use super::*;

    #[derive(Default)]
    struct Store {
        parts: Mutex<Vec<(u32, Bytes)>>,
        object: Mutex<Option<Vec<u8>>>,
        aborted: Mutex<bool>,
        at_once: AtomicUsize,
        most: AtomicUsize,
        fail_part: Option<u32>,
        /// Whether the last part is lost.
        loses: bool,
    }

    impl Store {
        async fn count_at_once(&self) {
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(at_once, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[async_trait]
    impl PartUpload for Store {
        async fn put(&self, bytes: Bytes) -> Result<()> {
            self.count_at_once().await;
            *self.object.lock().unwrap() = Some(bytes.to_vec());
            Ok(())
        }

        async fn begin(&self) -> Result<String> {
            Ok("upload".to_owned())
        }

        async fn part(&self, _: &str, number: u32, bytes: Bytes) -> Result<String> {
            self.count_at_once().await;
            if self.fail_part == Some(number) {
                return Err(Error::new(ErrorKind::Unavailable, "500"));
            }
            self.parts.lock().unwrap().push((number, bytes));
            Ok(format!("tag-{number:05}"))
        }

        async fn complete(&self, _: &str, tags: Vec<String>) -> Result<()> {
            let expected: Vec<String> = (1..=tags.len()).map(|number| format!("tag-{number:05}")).collect();
            assert_eq!(tags, expected);
            let mut parts = self.parts.lock().unwrap();
            parts.sort_by_key(|(number, _)| *number);
            *self.object.lock().unwrap() = Some(parts.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect());
            Ok(())
        }

        async fn abort(&self, _: &str) -> Result<()> {
            *self.aborted.lock().unwrap() = true;
            Ok(())
        }

        async fn stored_size(&self) -> Result<Option<u64>> {
            let stored = self.object.lock().unwrap().as_ref().map(|object| object.len() as u64);
            Ok(stored.map(|stored| stored - u64::from(self.loses)))
        }
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|n| (n % 251) as u8).collect()
    }

    fn pieces(content: &[u8]) -> BlobStream {
        let pieces: Vec<Result<Bytes>> = content.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Box::pin(stream::iter(pieces))
    }

    #[tokio::test]
    async fn small_objects_share_the_memory_of_a_part() {
        let (store, limits, content) = (Store::default(), PartLimits::new(640, 1), content(10));
        let uploads = (0..100).map(|_| upload(pieces(&content), 10, &store, &limits));
        futures_util::future::try_join_all(uploads).await.unwrap();
        assert_eq!(store.most.into_inner(), 64);
    }

    #[tokio::test]
    async fn the_object_is_the_stream_however_it_is_cut() {
        for size in [0, 1, 9, 10, 11, 100, 101] {
            let (store, content) = (Store::default(), content(size));
            upload(pieces(&content), size as u64, &store, &PartLimits::new(10, 3)).await.unwrap();
            assert_eq!(store.object.lock().unwrap().as_deref(), Some(&content[..]));
            assert_eq!(store.parts.lock().unwrap().len(), if size <= 10 { 0 } else { size.div_ceil(10) });
            assert!(store.most.load(Ordering::SeqCst) <= 3);
        }
    }

    #[tokio::test]
    async fn parts_grow_when_there_would_be_too_many() {
        let (store, content) = (Store::default(), content(1000));
        let limits = PartLimits::new(10, 3).with_max_parts(8);
        upload(pieces(&content), 1000, &store, &limits).await.unwrap();
        assert_eq!(store.parts.lock().unwrap().len(), 8);
    }

    #[tokio::test]
    async fn a_failed_part_aborts_the_upload() {
        let (store, content) = (Store { fail_part: Some(3), ..Store::default() }, content(100));
        let error = upload(pieces(&content), 100, &store, &PartLimits::new(10, 3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(*store.aborted.lock().unwrap());
        assert_eq!(*store.object.lock().unwrap(), None);
    }

    #[tokio::test]
    async fn a_store_with_another_number_of_bytes_is_an_error() {
        let (store, content) = (Store { loses: true, ..Store::default() }, content(100));
        let error = upload(pieces(&content), 100, &store, &PartLimits::new(10, 3)).await.unwrap_err();
        assert_eq!((error.kind(), error.context("stored")), (ErrorKind::DigestMismatch, Some("99")));
    }

    #[tokio::test]
    async fn a_stream_of_another_length_completes_nothing() {
        for (size, given) in [(100, 99), (100, 101), (5, 4), (5, 6)] {
            let (store, content) = (Store::default(), content(given));
            let error = upload(pieces(&content), size, &store, &PartLimits::new(10, 3)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DigestMismatch);
            assert_eq!(*store.object.lock().unwrap(), None);
        }
    }
}
