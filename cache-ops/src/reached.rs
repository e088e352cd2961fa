//! [`Reached`]: the blobs that all caches of a store need, in a fraction of the memory of a [`Reach`] for each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use cache_core::seams::CacheEntry;
use cache_core::{CacheImporter, CacheStore, Digest, Error, Result};
use cache_kit::Task;
use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;

use crate::Reach;
use crate::reading::{Turns, read_each};

/// How a blob is identified: by its SHA-256, or by the SHA-256 of a longer digest. A `Digest` takes twice as much
/// memory.
pub(crate) type Short = [u8; 32];

/// Blobs and their sizes, each once: up to 120 bytes for each while it grows, and 4 more for each cache that reaches it.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    numbers: HashMap<Short, u32>,
    /// By number.
    sizes: Vec<u64>,
}

/// What [`Reached::of_caches`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReachedByCaches {
    /// What the readable caches reach.
    pub reached: Reached,
    /// The caches that cannot be read.
    pub unreadable: Vec<UnreadEntry>,
}

/// A cache that cannot be read, with its entry in the store's list.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnreadEntry {
    /// The entry.
    pub entry: CacheEntry,
    /// Why it cannot be read.
    pub error: Error,
}

/// What one cache reaches: the numbers of blobs in a [`Reached`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers(Box<[u32]>);

impl Reach {
    /// The blobs that none of the caches reaches.
    #[must_use]
    pub fn outside(&self, caches: &Reached) -> Self {
        self.filtered(|blob| !caches.contains(blob))
    }
}

impl Reached {
    /// Reads `caches`, several at once, and adds up what they reach. Calls `done` with the number of caches read so
    /// far.
    ///
    /// # Panics
    /// Outside of a Tokio runtime: each cache is read in a task of its own.
    pub async fn of_caches(
        store: &dyn CacheStore,
        caches: Vec<CacheEntry>,
        done: &(dyn Fn(usize) + Sync),
    ) -> ReachedByCaches {
        let (mut reached, mut unreadable, mut count) = (Self::default(), Vec::new(), 0);
        let mut reading = read_each(caches, |cache, turns| {
            async move {
                let reach = match store.open(&cache).await {
                    Ok(importer) => Task::start(read(cache.clone(), importer, turns)).join().await,
                    Err(error) => Err(error),
                };
                (cache, reach)
            }
            .boxed()
        });
        while let Some((cache, reach)) = reading.next().await {
            match reach {
                Ok(reach) => reached.add(&reach),
                Err(error) => unreadable.push(UnreadEntry { entry: cache, error }),
            }
            count += 1;
            done(count);
        }
        ReachedByCaches { reached, unreadable }
    }

    /// Adds everything that a cache reaches.
    pub fn add(&mut self, reach: &Reach) {
        let _ = self.number(reach);
    }

    /// Adds everything that a cache reaches; returns the numbers of those blobs.
    pub(crate) fn number(&mut self, reach: &Reach) -> Numbers {
        Numbers(reach.iter().map(|(blob, size)| self.number_of(blob, size)).collect())
    }

    /// Whether the blob is reached.
    #[must_use]
    pub fn contains(&self, blob: &Digest) -> bool {
        self.contains_short(&short(blob))
    }

    pub(crate) fn contains_short(&self, blob: &Short) -> bool {
        self.numbers.contains_key(blob)
    }

    /// Whether the blob is marked in `among`.
    pub(crate) fn contains_among(&self, blob: &Digest, among: &[bool]) -> bool {
        let number = self.numbers.get(&short(blob)).and_then(|number| usize::try_from(*number).ok());
        number.and_then(|number| among.get(number)).copied().unwrap_or(false)
    }

    /// The blobs of a cache by number, with their sizes.
    pub(crate) fn sizes<'a>(&'a self, of: &'a Numbers) -> impl Iterator<Item = (usize, u64)> + 'a {
        let numbers = of.0.iter().filter_map(|number| usize::try_from(*number).ok());
        numbers.map(|number| (number, self.sizes.get(number).copied().unwrap_or_default()))
    }

    /// How many blobs these are.
    #[must_use]
    pub fn blobs(&self) -> usize {
        self.sizes.len()
    }

    fn number_of(&mut self, blob: &Digest, size: u64) -> u32 {
        // 4 billion blobs do not fit into memory.
        let next = u32::try_from(self.sizes.len()).unwrap_or(u32::MAX);
        match self.numbers.entry(short(blob)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.sizes.push(size);
                *new.insert(next)
            }
        }
    }
}

async fn read(cache: CacheEntry, importer: Box<dyn CacheImporter>, turns: Turns) -> Result<Reach> {
    // Below a listed manifest only manifests are read, no config.
    turns.take(cache.descriptor.as_ref().map(|manifest| manifest.size).or(cache.size)).await;
    Reach::of_opened(&cache, &*importer).await
}

pub(crate) fn short(blob: &Digest) -> Short {
    let hash = |bytes: &[u8]| Short::try_from(bytes).ok();
    let of_text = || hash(Digest::sha256(blob.to_string().as_bytes()).as_bytes()).unwrap_or_default();
    hash(blob.as_bytes()).unwrap_or_else(of_text)
}

#[cfg(test)]
mod tests {
    use cache_core::{Descriptor, MediaType};

    use super::*;

    fn reach(blobs: &[&str]) -> Reach {
        let mut reach = Reach::default();
        blobs.iter().for_each(|blob| reach.add(&Descriptor::new(MediaType::OCI_LAYER, digest(blob), 5)));
        reach
    }

    fn digest(text: &str) -> Digest {
        text.parse().unwrap_or_else(|_| Digest::sha256(text.as_bytes()))
    }

    #[test]
    fn each_blob_has_one_number_for_all_caches() {
        let mut reached = Reached::default();
        let (a, b) = (reached.number(&reach(&["a", "shared"])), reached.number(&reach(&["b", "shared"])));
        assert_eq!((reached.blobs(), a.0.len(), b.0.len()), (3, 2, 2));
        let both = reached.sizes(&a).filter(|(number, _)| reached.sizes(&b).any(|(other, _)| other == *number));
        assert_eq!(both.map(|(_, size)| size).collect::<Vec<_>>(), [5]);
        assert!(reached.contains(&digest("b")) && !reached.contains(&digest("c")));
        let mut among = vec![false; reached.blobs()];
        reached.sizes(&b).for_each(|(number, _)| among[number] = true);
        assert!(reached.contains_among(&digest("shared"), &among) && !reached.contains_among(&digest("a"), &among));
    }

    #[test]
    fn digests_of_other_algorithms_are_told_apart() {
        let long = |end: &str| format!("sha512:{}{end}", "0".repeat(126));
        let mut reached = Reached::default();
        reached.add(&reach(&[
            &long("01"),
            &format!("sha384:{}", "0".repeat(96)),
            &format!("sha256:{}", "0".repeat(64)),
        ]));
        assert_eq!(reached.blobs(), 3);
        assert!(reached.contains(&digest(&long("01"))) && !reached.contains(&digest(&long("02"))));
    }
}
