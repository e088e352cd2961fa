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
    /// Waits until the only document can be read, of this size.
    pub(crate) async fn take(&self, size: Option<u64>) {
        let mut taken = self.taken.lock().await;
        self.replace(&mut taken, weight(size)).await;
    }

    /// Waits until the next of several documents can be read, of this size.
    ///
    /// The turn of a small document is given back first: caches that keep some turns while they wait for more could wait
    /// for each other. A large document stays in memory, so its turns are kept, and are those of all that follow.
    async fn take_next(&self, size: u64) {
        let mut taken = self.taken.lock().await;
        let turns = match taken.as_ref().map(OwnedSemaphorePermit::num_permits) {
            None if weight(Some(size)) == 1 => 1,
            None => UNKNOWN,
            Some(1) => weight(Some(size)),
            Some(_) => return,
        };
        self.replace(&mut taken, turns).await;
    }

    async fn replace(&self, taken: &mut Option<OwnedSemaphorePermit>, turns: u32) {
        drop(taken.take());
        // The semaphore is never closed.
        *taken = Arc::clone(&self.all).acquire_many_owned(turns).await.ok();
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
        self.turns.take_next(blob.size).await;
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

    /// The turns that a cache takes.
    enum Step {
        Only(Option<u64>),
        Next(u64),
    }

    /// How many of 100 caches are at the last of these steps at once.
    async fn most(steps: &[Step]) -> usize {
        let cache = |n: usize| CacheEntry::new(Some(n.to_string()), Version::new("1"));
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let read: Vec<String> = read_each((0..100).map(cache).collect(), |cache, turns| {
            let (now, most) = (&now, &most);
            async move {
                for step in steps {
                    match step {
                        Step::Only(size) => turns.take(*size).await,
                        Step::Next(size) => turns.take_next(*size).await,
                    }
                }
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::Relaxed);
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
        for (size, expected) in [(Some(16 << 10), 64), (Some(1 << 20), 32), (None, 8), (Some(100 << 20), 2)] {
            assert_eq!(most(&[Step::Only(size)]).await, expected, "{size:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_small_document_the_size_of_the_next_counts_and_after_a_large_one_its_own() {
        let (small, large) = (16 << 10, 100 << 20);
        assert_eq!(most(&[Step::Next(small), Step::Next(small)]).await, 64);
        assert_eq!(most(&[Step::Next(small), Step::Next(large)]).await, 2);
        assert_eq!(most(&[Step::Next(4 << 20), Step::Next(small)]).await, 8);
    }
}
