//! Many caches read at once, as many as fit a budget of memory.

use std::sync::Arc;

use cache_core::seams::CacheEntry;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Semaphore;

/// How many small caches are read at once.
const TURNS: usize = 32;
/// A document up to this size in bytes takes one turn, one of more than `LARGE` half of all turns: in memory it takes a
/// multiple of its size.
const SMALL: u64 = 1 << 20;
const LARGE: u64 = 16 << 20;

/// Reads each of the caches, and returns the results in order. Caches are dropped once they are read.
pub(crate) fn read_each<'a, T: Send + 'a>(
    caches: Vec<CacheEntry>,
    read: impl Fn(CacheEntry) -> BoxFuture<'a, T> + Send + 'a,
) -> BoxStream<'a, T> {
    let turns = Arc::new(Semaphore::new(TURNS));
    let reading = stream::iter(caches).map(move |cache| {
        let (turns, weight) = (Arc::clone(&turns), weight(&cache));
        let reading = read(cache);
        async move {
            // The semaphore is never closed.
            let _turns = turns.acquire_many(weight).await.ok();
            reading.await
        }
    });
    reading.buffered(TURNS).boxed()
}

/// How many turns a cache takes. Where the list does not say how large its document is, eight are read at once.
fn weight(cache: &CacheEntry) -> u32 {
    match cache.size {
        Some(size) if size <= SMALL => 1,
        Some(size) if size > LARGE => 16,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use cache_core::Version;
    use futures_util::future::FutureExt;

    use super::*;

    /// How many of 100 caches whose documents are so large are read at once.
    async fn most(size: Option<u64>) -> usize {
        let cache = |n: usize| {
            let mut cache = CacheEntry::new(Some(n.to_string()), Version::new("1"));
            cache.size = size;
            cache
        };
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let read: Vec<String> = read_each((0..100).map(cache).collect(), |cache| {
            let (now, most) = (&now, &most);
            async move {
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
        assert_eq!(most(Some(16 << 10)).await, 32);
        assert_eq!(most(None).await, 8);
        assert_eq!(most(Some(100 << 20)).await, 2);
    }
}
