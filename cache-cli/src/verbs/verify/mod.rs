//! `verify`: checks that BuildKit can use every part of a cache.

pub(super) mod report;

use std::mem::ManuallyDrop;
use std::sync::Arc;

use cache_ops::{Depth, Shard, bytes_of, part_of, verify_shard};

use self::report::Verification;
use super::unnamed;
use crate::args::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::progress::{Step, Watched};
use crate::session::Session;
use crate::spec::Place;
use crate::unreadable;

/// Checks the cache. One that cannot be read is a finding too.
pub(super) async fn run(session: &Session, args: &VerifyArgs) -> Result<Exit, Failure> {
    let mut place = Place::parse(session, &args.spec)?;
    let depth = if args.fast { Depth::Fast } else { Depth::Deep };
    let verification = verify(session, &mut place, depth, args.shard.unwrap_or(Shard::WHOLE)).await?;
    output::print(session, &verification)?;
    Ok(if verification.is_sound() { Exit::Done } else { Exit::Findings })
}

async fn verify(session: &Session, place: &mut Place, depth: Depth, shard: Shard) -> Result<Verification, Failure> {
    let importer = place.importer(session).await?;
    let manifest = match importer.resolve().await {
        // The process ends soon, so a million records need not be freed one by one.
        Ok(Some(resolved)) => ManuallyDrop::new(resolved.manifest),
        Ok(None) => return Err(place.no_cache_here(session).await),
        Err(error) => match unreadable::findings(&error, &*importer).await {
            findings if findings.is_empty() => return Err(place.explain(error).into()),
            findings => {
                if unnamed::is_there(session, place).await {
                    session.warn("there is a cache without a name: repair points this name to it");
                }
                return Ok(Verification::of_unreadable(depth, &findings));
            }
        },
    };
    let bytes = if depth == Depth::Deep { bytes_of(&manifest, shard) } else { 0 };
    let count = part_of(&manifest, shard).count();
    session.reporter.step(&Step::Started { task: "verify", blobs: count, bytes });
    let blobs = Watched { inner: &*importer, reporter: Arc::clone(&session.reporter), depth };
    let report = verify_shard(&manifest, &blobs, shard, depth, session.concurrency()).await;
    session.reporter.finish();
    Ok(Verification::new(depth, shard, &manifest, &report.map_err(|error| place.explain(error))?))
}

#[cfg(test)]
mod tests {
    use cache_core::CacheStore as _;
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::{LAYERS, insert, layer, session};

    async fn codes(store: &MemoryCache, depth: Depth) -> Vec<&'static str> {
        let session = session(store);
        let mut place = Place::parse(&session, "type=memory").unwrap();
        let verification = verify(&session, &mut place, depth, Shard::WHOLE).await.unwrap();
        verification.findings.iter().map(|finding| finding.code).collect()
    }

    async fn store() -> MemoryCache {
        let store = MemoryCache::new();
        insert(&store, "latest", LAYERS).await;
        store
    }

    #[tokio::test]
    async fn a_sound_cache_has_no_findings() {
        assert_eq!(codes(&store().await, Depth::Deep).await, Vec::<&str>::new());
    }

    #[tokio::test]
    async fn wrong_bytes_are_found_only_by_reading() {
        let store = store().await;
        store.overwrite(layer("cccc").digest, "CCCC");
        assert_eq!(codes(&store, Depth::Fast).await, Vec::<&str>::new());
        assert_eq!(codes(&store, Depth::Deep).await, ["blob-corrupt"]);
    }

    #[tokio::test]
    async fn a_lost_blob_names_every_result_that_needs_it() {
        let store = store().await;
        store.lose(&layer("bb").digest);
        let session = session(&store);
        let mut place = Place::parse(&session, "type=memory").unwrap();
        let verification = verify(&session, &mut place, Depth::Fast, Shard::WHOLE).await.unwrap();
        assert_eq!(verification.findings[0].affected.len(), 3);
        assert!(!verification.is_sound());
    }

    #[tokio::test]
    async fn documents_that_cannot_be_read_are_findings() {
        let config = async |store: &MemoryCache| {
            let session = session(store);
            let (_, resolved) = Place::parse(&session, "type=memory").unwrap().resolve(&session).await.unwrap();
            resolved.manifest.raw_config().unwrap().descriptor.digest
        };
        let lost = store().await;
        lost.lose(&config(&lost).await);
        assert_eq!(codes(&lost, Depth::Fast).await, ["blob-missing"]);

        let cut = store().await;
        cut.overwrite(config(&cut).await, "{}");
        assert_eq!(codes(&cut, Depth::Fast).await, ["blob-size-wrong", "config-unreadable"]);

        let wrong = store().await;
        let manifest = wrong.caches().await.unwrap().remove(0).descriptor.unwrap();
        wrong.overwrite(manifest.digest, vec![b' '; usize::try_from(manifest.size).unwrap()]);
        assert_eq!(codes(&wrong, Depth::Fast).await, ["blob-corrupt"]);
    }
}
