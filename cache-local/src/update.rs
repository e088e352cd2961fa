//! Atomic changes to `index.json`, under the lock.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{ErrorKind, Result};

use crate::error::at;
use crate::index::Index;
use crate::ingest::Ingest;
use crate::layout::{INDEX, Layout, sync};
use crate::lock::IndexLock;
use crate::task::blocking;

/// How often a change starts again because a BuildKit broke the lock or wrote in spite of it.
const TRIES: usize = 10;

/// The `index.json` to change.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) layout: Layout,
    pub(crate) ingest: Arc<Ingest>,
    /// How large `index.json` may be.
    pub(crate) limit: u64,
    /// How long to wait for the lock.
    pub(crate) timeout: Duration,
}

impl Place {
    /// Applies `change` and returns its value with the lock, which is still held. `change` may be called several times.
    ///
    /// A reader sees the file as it was or as it is after the change. When the future is dropped the change has
    /// happened or not, and the lock is free once it has.
    pub(crate) async fn update<T: Send + 'static>(
        &self,
        change: impl Fn(&mut Index) -> Result<T> + Send + Sync + 'static,
    ) -> Result<(T, IndexLock)> {
        let change = Arc::new(change);
        for _ in 0..TRIES {
            let lock = IndexLock::acquire(Arc::clone(self.ingest.root()), self.timeout).await?;
            let (place, change) = (self.clone(), Arc::clone(&change));
            let updated = blocking(move || Ok(place.try_update(&lock, change.as_ref())?.map(|value| (value, lock))));
            if let Some(done) = updated.await? {
                return Ok(done);
            }
        }
        Err(at(ErrorKind::Unavailable, "index.json changed despite its lock", &self.layout.index_path()))
    }

    /// `None` if another writer may have the lock by now.
    fn try_update<T>(&self, lock: &IndexLock, change: &dyn Fn(&mut Index) -> Result<T>) -> Result<Option<T>> {
        let root = self.ingest.root();
        let before = self.layout.read_index(self.limit)?;
        let (old, mut index) = before.map_or_else(Default::default, |found| (Some(found.bytes), found.index));
        let value = change(&mut index)?;
        let new = index.encode();
        if index.is_changed() && old.as_ref() != Some(&new) {
            let temp = self.ingest.write(INDEX, &new)?;
            let now = self.layout.read_index(self.limit)?.map(|found| found.bytes);
            if now != old || !lock.is_current() {
                return Ok(None);
            }
            temp.persist(root, INDEX)?;
        }
        sync(root)?;
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests;
