//! [`ReadAhead`]: reads large blobs in parts, several at once, because one connection is rarely as fast as a store.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::BlobStream;
use cache_core::{Error, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{ResumeSource, Task, resuming};

/// How many parts of one blob are read ahead of the current one.
const AHEAD: usize = 3;

/// How blobs are read in parts, and how many parts are in memory at once, over all reads that share it.
///
/// Reading ahead never waits for memory: if there is none left, the blob is read part by part. So reads cannot block
/// each other.
#[derive(Debug, Clone)]
pub struct ReadAhead {
    part_size: u64,
    permits: Arc<Semaphore>,
}

impl ReadAhead {
    /// Parts of `part_size` bytes, at most `in_memory` of them.
    #[must_use]
    pub fn new(part_size: u64, in_memory: usize) -> Self {
        let permits = in_memory.min(Semaphore::MAX_PERMITS);
        Self { part_size: part_size.max(1), permits: Arc::new(Semaphore::new(permits)) }
    }

    /// Reads every range in one request.
    #[must_use]
    pub fn none() -> Self {
        Self::new(u64::MAX, 0)
    }

    /// The range of the first request: the whole range if it is at most two parts long, else its first part.
    #[must_use]
    pub fn first(&self, range: &Range<u64>) -> Range<u64> {
        let is_small = range.end.saturating_sub(range.start) <= self.part_size.saturating_mul(2);
        if is_small { range.clone() } else { range.start..range.start.saturating_add(self.part_size) }
    }

    /// The bytes in `range`; `body` is the answer to the [first](Self::first) request. Each part is resumed where it
    /// breaks, as by [`resuming`].
    ///
    /// # Panics
    /// The stream of more than two parts panics if it is polled outside of a Tokio runtime.
    pub fn read(&self, source: impl ResumeSource + 'static, body: BlobStream, range: Range<u64>) -> BlobStream {
        let first = self.first(&range);
        if first == range {
            return resuming(source, body, range);
        }
        let source = Arc::new(source);
        let current = resuming(Shared(Arc::clone(&source)), body, first.clone());
        let parts = Parts {
            ahead: self.clone(),
            source,
            current,
            permit: None,
            reading: VecDeque::new(),
            next: first.end,
            end: range.end,
        };
        Box::pin(stream::try_unfold(
            parts,
            |mut parts| async move { Ok(parts.next().await?.map(|piece| (piece, parts))) },
        ))
    }
}

impl Default for ReadAhead {
    /// 4 MiB, 8 of them.
    fn default() -> Self {
        Self::new(4 << 20, 8)
    }
}

/// A part that is in memory.
type Part = (Vec<Bytes>, OwnedSemaphorePermit);

struct Parts<S> {
    ahead: ReadAhead,
    source: Arc<S>,
    current: BlobStream,
    /// For the memory of the current part.
    permit: Option<OwnedSemaphorePermit>,
    /// Read by tasks, so that single pieces do not wake the reader.
    reading: VecDeque<Task<Part>>,
    /// The offset of the next part to read.
    next: u64,
    end: u64,
}

impl<S: ResumeSource + 'static> Parts<S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            self.extend();
            if let Some(piece) = self.current.next().await.transpose()? {
                return Ok(Some(piece));
            }
            if let Some(reading) = self.reading.pop_front() {
                let (pieces, permit) = reading.join().await?;
                self.current = Box::pin(stream::iter(pieces.into_iter().map(Ok)));
                self.permit = Some(permit);
            } else if self.next < self.end {
                let range = self.take_range();
                let body = self.source.reopen(range.clone()).await?;
                self.current = resuming(Shared(Arc::clone(&self.source)), body, range);
                self.permit = None;
            } else {
                return Ok(None);
            }
        }
    }

    /// Starts to read as many parts ahead as there is memory for.
    fn extend(&mut self) {
        while self.next < self.end && self.reading.len() < AHEAD {
            let Ok(permit) = Arc::clone(&self.ahead.permits).try_acquire_owned() else { return };
            let (range, source) = (self.take_range(), Arc::clone(&self.source));
            self.reading.push_back(Task::start(async move {
                let body = source.reopen(range.clone()).await?;
                let pieces = resuming(Shared(source), body, range).try_collect().await?;
                Ok((pieces, permit))
            }));
        }
    }

    fn take_range(&mut self) -> Range<u64> {
        let start = self.next;
        self.next = start.saturating_add(self.ahead.part_size).min(self.end);
        start..self.next
    }
}

/// One source for several streams.
struct Shared<S>(Arc<S>);

#[async_trait]
impl<S: ResumeSource> ResumeSource for Shared<S> {
    async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
        self.0.reopen(range).await
    }

    fn with_context(&self, error: Error) -> Error {
        self.0.with_context(error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use cache_core::ErrorKind;

    use super::*;

    const BYTES: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    /// Counts what is asked for; every second stream breaks after a byte.
    #[derive(Default)]
    struct Store {
        asked: Mutex<Vec<Range<u64>>>,
        lost: Option<u64>,
    }

    impl Store {
        fn body(&self, range: &Range<u64>) -> BlobStream {
            let mut asked = self.asked.lock().unwrap();
            asked.push(range.clone());
            let bytes = &BYTES[range.start as usize..range.end as usize];
            let breaks = asked.len().is_multiple_of(2);
            let given = if breaks { &bytes[..1] } else { bytes };
            let broken = breaks.then(|| Err(Error::new(ErrorKind::Unavailable, "reset")));
            Box::pin(stream::iter([Ok(Bytes::from_static(given))].into_iter().chain(broken)))
        }
    }

    struct Source(Arc<Store>);

    #[async_trait]
    impl ResumeSource for Source {
        async fn reopen(&self, range: Range<u64>) -> Result<BlobStream> {
            match self.0.lost.filter(|lost| range.contains(lost)) {
                Some(_) => Err(Error::new(ErrorKind::NotFound, "gone")),
                None => Ok(self.0.body(&range)),
            }
        }

        fn with_context(&self, error: Error) -> Error {
            error
        }
    }

    async fn read(ahead: &ReadAhead, store: Store, range: Range<u64>) -> (Result<Vec<u8>>, Vec<Range<u64>>) {
        let store = Arc::new(store);
        let body = store.body(&ahead.first(&range));
        let read = ahead.read(Source(Arc::clone(&store)), body, range).try_collect::<Vec<Bytes>>().await;
        let asked = store.asked.lock().unwrap().clone();
        (read.map(|pieces| pieces.concat()), asked)
    }

    #[tokio::test]
    async fn the_parts_come_in_order_however_many_are_in_memory() {
        for in_memory in [0, 1, 2, 8] {
            for range in [0..36, 1..35, 0..9, 7..8, 0..8] {
                let expected = &BYTES[range.start as usize..range.end as usize];
                let (read, _) = read(&ReadAhead::new(4, in_memory), Store::default(), range.clone()).await;
                assert_eq!(read.unwrap(), expected, "{in_memory} {range:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_small_range_is_one_request_and_a_larger_one_several() {
        let ahead = ReadAhead::new(8, 8);
        assert_eq!(read(&ahead, Store::default(), 0..16).await.1, std::slice::from_ref(&(0..16)));
        let (_, asked) = read(&ahead, Store::default(), 0..20).await;
        // The second and the fourth stream break.
        assert_eq!(asked, [0..8, 8..16, 9..16, 16..20, 17..20]);
    }

    #[tokio::test]
    async fn memory_is_released() {
        let ahead = ReadAhead::new(4, 2);
        drop(read(&ahead, Store::default(), 0..36).await);
        let _all = ahead.permits.acquire_many(2).await.unwrap();
    }

    #[tokio::test]
    async fn an_error_comes_after_the_bytes_before_it() {
        let lost = Store { lost: Some(10), ..Store::default() };
        let stream = {
            let (store, range) = (Arc::new(lost), 0..36);
            let ahead = ReadAhead::new(4, 8);
            let body = store.body(&ahead.first(&range));
            ahead.read(Source(store), body, range)
        };
        let pieces: Vec<Result<Bytes>> = stream.collect().await;
        let (last, before) = pieces.split_last().unwrap();
        assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::NotFound);
        let before: Vec<u8> = before.iter().flat_map(|piece| piece.as_ref().unwrap().to_vec()).collect();
        assert_eq!(before, &BYTES[..8]);
    }
}
