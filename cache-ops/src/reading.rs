//! Many caches read at once, as many as fit a budget of memory.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::seams::{BlobInfo, CacheEntry};
use cache_core::{BlobProvider, BlobStream, Descriptor, Result};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// How many of the smallest documents are read at once.
const TURNS: usize = 64;
/// A document of up to so many bytes takes so many turns, since in memory it takes a multiple of its size; a larger one
/// takes half of all turns.
const WEIGHTS: [(u64, u32); 3] = [(128 << 10, 1), (1 << 20, 2), (16 << 20, 8)];
const LARGE: u32 = 32;
/// The turns of a document of unknown size.
const UNKNOWN: u32 = 8;

/// Reads each of the caches, and returns the results in order. Caches are dropped once they are read. `read` takes
/// turns before it reads a document.
pub(crate) fn read_each<'a, T: Send + 'a>(
    caches: Vec<CacheEntry>,
    read: impl Fn(CacheEntry, Turns) -> BoxFuture<'a, T> + Send + 'a,
) -> BoxStream<'a, T> {
    let all = Arc::new(Semaphore::new(TURNS));
    let reading =
        stream::iter(caches).map(move |cache| read(cache, Turns { all: Arc::clone(&all), taken: Mutex::default() }));
    reading.buffered(TURNS).boxed()
}

/// The turns that one cache takes, until it is dropped.
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    taken: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turns {
    /// Waits until a document of this size can be read, in the place of the one before.
    pub(crate) async fn take(&self, size: Option<u64>) {
        let mut taken = self.taken.lock().await;
        // Caches that keep some turns while they wait for more could wait for each other.
        drop(taken.take());
        // The semaphore is never closed.
        *taken = Arc::clone(&self.all).acquire_many_owned(weight(size)).await.ok();
    }
}

/// How many turns a document takes.
fn weight(size: Option<u64>) -> u32 {
    let of_size = |size| WEIGHTS.iter().find(|(most, _)| size <= *most).map_or(LARGE, |(_, turns)| *turns);
    size.map_or(UNKNOWN, of_size)
}

/// The documents of one cache, each read in its turn.
pub(crate) struct InTurn<'a> {
    pub(crate) blobs: &'a dyn BlobProvider,
    pub(crate) turns: &'a Turns,
}

#[async_trait]
impl BlobProvider for InTurn<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.blobs.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        self.turns.take(Some(blob.size)).await;
        self.blobs.read(blob, range).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use cache_core::Version;
    use futures_util::future::FutureExt;

    use super::*;

    /// How many of 100 caches are read at once whose documents are so large.
    async fn most(sizes: &[Option<u64>]) -> usize {
        let cache = |n: usize| CacheEntry::new(Some(n.to_string()), Version::new("1"));
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let read: Vec<String> = read_each((0..100).map(cache).collect(), |cache, turns| {
            let (now, most) = (&now, &most);
            async move {
                for size in sizes {
                    turns.take(*size).await;
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    now.fetch_sub(1, Ordering::Relaxed);
                }
                cache.name.unwrap()
            }
            .boxed()
        })
        .collect()
        .await;
        assert_eq!(read, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
        most.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn large_documents_are_read_by_twos_and_small_ones_by_dozens() {
        assert_eq!(most(&[Some(16 << 10)]).await, 64);
        assert_eq!(most(&[Some(1 << 20)]).await, 32);
        assert_eq!(most(&[None]).await, 8);
        assert_eq!(most(&[Some(100 << 20)]).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_takes_the_turns_of_its_next_document_instead_of_those_of_the_one_before() {
        assert_eq!(most(&[Some(16 << 10), Some(16 << 10)]).await, 64);
        assert_eq!(most(&[Some(100 << 20), Some(100 << 20)]).await, 2);
    }
}
