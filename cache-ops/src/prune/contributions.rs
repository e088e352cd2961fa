//! The contributions of publishers in a store; a recent one keeps the blobs that it reaches.

use cache_core::seams::{CacheEntry, ContributionName};
use cache_core::{CacheStore, Result, Timestamp};

use super::PruneSettings;
use super::look::{Looked, look};
use crate::Reached;
use crate::publish::KEPT;

/// The contributions of a store.
#[derive(Default)]
pub(super) struct Contributed {
    /// Those that the next publish adds to their cache if it lacks them.
    pub(super) young: Vec<Looked>,
    /// Those too old to be added by any publish.
    pub(super) old: Vec<Looked>,
}

impl Contributed {
    pub(super) async fn look(
        store: &dyn CacheStore,
        now: Timestamp,
        settings: &PruneSettings,
        reached: &mut Reached,
    ) -> Result<Self> {
        let looked = look(store, store.contributions().await?, settings, reached).await?;
        let (young, old) = looked.into_iter().partition(|looked| !is_old(&looked.entry, now));
        Ok(Self { young, old })
    }
}

fn is_old(entry: &CacheEntry, now: Timestamp) -> bool {
    let name = entry.name.as_deref().and_then(ContributionName::parse);
    name.is_some_and(|name| name.age(now) >= KEPT)
}
