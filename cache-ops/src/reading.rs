//! Many caches read at once, as many as fit a budget of memory.

use std::sync::Arc;

use cache_core::seams::CacheEntry;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Semaphore;

/// How many of the smallest caches are read at once.
const TURNS: usize = 64;
/// A document of up to so many bytes takes so many turns, since in memory it takes a multiple of its size; a larger one
/// takes half of all turns.
const WEIGHTS: [(u64, u32); 3] = [(128 << 10, 1), (1 << 20, 2), (16 << 20, 8)];
const LARGE: u32 = 32;
/// The turns of a config whose size the list does not tell: few if its manifest is small, since such a config mostly is.
const BEHIND_SMALL: u32 = 4;
const UNKNOWN: u32 = 8;

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

/// How many turns a cache takes.
fn weight(cache: &CacheEntry) -> u32 {
    let of_size = |size| WEIGHTS.iter().find(|(most, _)| size <= *most).map_or(LARGE, |(_, turns)| *turns);
    let has_small_manifest = cache.descriptor.as_ref().is_some_and(|manifest| of_size(manifest.size) == 1);
    cache.size.map_or(if has_small_manifest { BEHIND_SMALL } else { UNKNOWN }, of_size)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use cache_core::{Descriptor, Digest, MediaType, Version};
    use futures_util::future::FutureExt;

    use super::*;

    /// How many of 100 caches whose documents are so large are read at once.
    async fn most(size: Option<u64>) -> usize {
        most_of(|cache| cache.size = size).await
    }

    async fn most_of(change: impl Fn(&mut CacheEntry)) -> usize {
        let cache = |n: usize| {
            let mut cache = CacheEntry::new(Some(n.to_string()), Version::new("1"));
            change(&mut cache);
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
        assert_eq!(most(Some(16 << 10)).await, 64);
        assert_eq!(most(Some(1 << 20)).await, 32);
        assert_eq!(most(None).await, 8);
        let manifest = |size| Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"m"), size);
        assert_eq!(most_of(|cache| cache.descriptor = Some(manifest(16 << 10))).await, 16);
        assert_eq!(most_of(|cache| cache.descriptor = Some(manifest(4 << 20))).await, 8);
        assert_eq!(most(Some(100 << 20)).await, 2);
    }
}
