//! Prunes of a large store during an export that reuses old unreachable blobs.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cache_core::manifest::Document;
use cache_core::seams::{BlobEntry, CacheEntry, Deleted, ImageStore as _, Quota};
use cache_core::{
    BlobProvider as _, CacheExporter, CacheImporter, CacheStore, Descriptor, Digest, Expect, MediaType, Result,
    Timestamp,
};
use cache_memory::MemoryCache;
use cache_ops::{Depth, ExportSettings, PrunePolicy, PruneSettings, export, plan_prune, prune, verify};
use cache_tests::graphs::{self, Generated, Shape};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, TryStreamExt};

const HOUR: Duration = Duration::from_secs(3600);
const SHAPE: Shape = Shape { records: 70, depth: 5, results: 54, layer_bytes: 40 };

/// A store that counts listings, and lets another writer act before a cache is opened and before each batch of deletions.
struct Watched<'a> {
    store: &'a MemoryCache,
    /// What the other writer does before the first cache is opened.
    opening: Mutex<Option<BoxFuture<'a, ()>>>,
    /// The steps of the other writer, one before each batch.
    steps: Mutex<Vec<BoxFuture<'a, ()>>>,
    listings: AtomicUsize,
    batches: AtomicUsize,
    largest: AtomicUsize,
}

impl<'a> Watched<'a> {
    fn new(store: &'a MemoryCache, opening: Option<BoxFuture<'a, ()>>, steps: Vec<BoxFuture<'a, ()>>) -> Self {
        Self {
            store,
            opening: Mutex::new(opening),
            steps: Mutex::new(steps),
            listings: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            largest: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl CacheStore for Watched<'_> {
    async fn caches(&self) -> Result<Vec<CacheEntry>> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        self.store.caches().await
    }

    async fn contributions(&self) -> Result<Vec<CacheEntry>> {
        CacheStore::contributions(self.store).await
    }

    async fn open(&self, cache: &CacheEntry) -> Result<Box<dyn CacheImporter>> {
        let opening = self.opening.lock().unwrap().take();
        if let Some(opening) = opening {
            opening.await;
        }
        self.store.open(cache).await
    }

    fn blobs(&self) -> BoxStream<'_, Result<BlobEntry>> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        self.store.blobs()
    }

    async fn delete_cache(&self, cache: &CacheEntry) -> Result<Deleted> {
        self.store.delete_cache(cache).await
    }

    async fn delete_blob(&self, blob: &BlobEntry) -> Result<Deleted> {
        self.store.delete_blob(blob).await
    }

    async fn delete_blobs(&self, blobs: &[BlobEntry]) -> Vec<Result<Deleted>> {
        let step = {
            let mut steps = self.steps.lock().unwrap();
            (!steps.is_empty()).then(|| steps.remove(0))
        };
        if let Some(step) = step {
            step.await;
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(blobs.len(), Ordering::Relaxed);
        self.store.delete_blobs(blobs).await
    }

    async fn abort_uploads(&self, before: Timestamp) -> Result<usize> {
        self.store.abort_uploads(before).await
    }

    async fn quota(&self) -> Result<Option<Quota>> {
        self.store.quota().await
    }
}

async fn digests(store: &MemoryCache) -> BTreeSet<Digest> {
    store.blobs().map_ok(|blob| blob.digest).try_collect().await.unwrap()
}

/// A store with 50 caches and 5,000 blobs. About 3,000 blobs are unreachable; of those, 100 are young, and some are
/// those of `running`.
struct Store {
    store: MemoryCache,
    running: Generated,
    reached: BTreeSet<Digest>,
    young: BTreeSet<Digest>,
}

async fn store() -> Store {
    let store = MemoryCache::new();
    for seed in 0..50 {
        let cache = graphs::cache_of(seed, SHAPE);
        let place = store.named(format!("cache-{seed:02}"));
        export(&cache.manifest, &cache.blobs, &place, &ExportSettings::default()).await.unwrap();
    }
    let reached = digests(&store).await;
    assert!(reached.len() > 1_500, "{}", reached.len());
    let running = graphs::cache_of(99, SHAPE);
    for blob in running.manifest.blobs() {
        store.push(blob, &running.blobs).await.unwrap();
    }
    let mut stray = 0;
    while digests(&store).await.len() < 4_900 {
        for _ in 0..100 {
            let _ = store.insert(format!("stray {stray}"));
            stray += 1;
        }
    }
    let long_ago = Timestamp::now().saturating_sub(48 * HOUR);
    for blob in digests(&store).await {
        store.set_modified(&blob, long_ago);
    }
    let young = (0..100).map(|n| store.insert(format!("young {n}"))).collect();
    Store { store, running, reached, young }
}

/// An export in `count` steps: the blobs in as many parts, and the commit with the last one.
fn steps<'a>(store: &'a MemoryCache, running: &'a Generated, count: usize) -> Vec<BoxFuture<'a, ()>> {
    let place = store.named("running");
    let blobs = running.manifest.blobs();
    let length = blobs.len().div_ceil(count).max(1);
    let step = move |n: usize| -> BoxFuture<'a, ()> {
        let place = place.clone();
        Box::pin(async move {
            for blob in blobs.iter().skip(n * length).take(length) {
                place.push(blob, &running.blobs).await.unwrap();
            }
            if n + 1 == count {
                place.commit(&running.manifest, Expect::Any).await.unwrap();
            }
        })
    };
    (0..count).map(step).collect()
}

/// However the steps of the export and the prune interleave, exactly the old unreachable blobs are deleted.
#[tokio::test]
async fn a_running_export_that_reuses_old_blobs_loses_none() {
    for count in [1, 2, 3] {
        let Store { store, running, reached, young } = store().await;
        let before = digests(&store).await;
        let watched = Watched::new(&store, None, steps(&store, &running, count));
        let started = Instant::now();
        let plan = plan_prune(
            &watched,
            &PrunePolicy::new(Duration::from_secs(3600)),
            Timestamp::now(),
            &PruneSettings::default(),
        )
        .await
        .unwrap();
        let report = prune(&watched, &plan, &PruneSettings::default()).await.unwrap();
        // The rest of the export, after the prune.
        let left = std::mem::take(&mut *watched.steps.lock().unwrap());
        for step in left {
            step.await;
        }
        let (listings, batches) = (watched.listings.into_inner(), watched.batches.into_inner());
        let seconds = started.elapsed().as_secs_f32();
        println!(
            "{} caches, {} blobs: {} deleted, {} kept, {listings} listings, {batches} batches, {seconds:.2} s",
            plan.kept_caches,
            before.len(),
            report.blobs,
            report.kept_blobs.len()
        );
        assert!(listings <= 2 + 2 + batches && watched.largest.into_inner() <= 1_000);

        let mut expected: BTreeSet<Digest> = reached.union(&young).copied().collect();
        expected.extend(running.manifest.blobs().iter().map(|blob| blob.digest));
        let documents = store.named("running").resolve().await.unwrap().unwrap().manifest;
        expected.extend(
            [documents.raw_manifest(), documents.raw_config()]
                .into_iter()
                .flatten()
                .map(|document| document.descriptor.digest),
        );
        assert_eq!(digests(&store).await, expected, "{count} steps");
        let sound = verify(&documents, &store, Depth::Deep, 4).await.unwrap();
        assert!(sound.is_sound(), "{:?}", sound.findings);
    }
}

#[tokio::test]
async fn a_cache_that_replaces_one_that_was_just_listed_keeps_its_blobs() {
    let store = MemoryCache::new();
    let [old, garbage] = ["old", "garbage"].map(|content| {
        let _ = store.insert(content);
        Descriptor::of(MediaType::OCI_LAYER, content.as_bytes())
    });
    let image = |layer: &Descriptor| {
        let layer = serde_json::to_string(layer).unwrap();
        Document::new(MediaType::OCI_MANIFEST, format!(r#"{{"schemaVersion":2,"layers":[{layer}]}}"#))
    };
    let (old, new) = (image(&old), image(&garbage));
    store.put_root(&old, Expect::Any).await.unwrap();
    let settings = PruneSettings::default();
    let plan = plan_prune(&store, &PrunePolicy::new(Duration::ZERO), Timestamp::now(), &settings).await.unwrap();
    assert_eq!(plan.blobs.as_ref().unwrap().len(), 1);
    let replace = async {
        store.lose(&old.descriptor.digest);
        store.put_root(&new, Expect::Any).await.unwrap();
    };
    let watched = Watched::new(&store, Some(Box::pin(replace)), Vec::new());
    let report = prune(&watched, &plan, &settings).await.unwrap();
    assert_eq!(report.kept_blobs, [garbage.digest]);
    assert!(store.stat(&garbage).await.unwrap().is_some());
}

#[tokio::test]
async fn a_cache_without_its_config_stays_with_its_blobs_and_is_named() {
    let store = MemoryCache::new();
    let cache = graphs::cache(1);
    export(&cache.manifest, &cache.blobs, &store.named("dev"), &ExportSettings::default()).await.unwrap();
    let written = store.named("dev").resolve().await.unwrap().unwrap().manifest;
    store.lose(&written.raw_config().unwrap().descriptor.digest);
    let (policy, settings) = (PrunePolicy::new(Duration::ZERO), PruneSettings::default());
    let plan = plan_prune(&store, &policy, Timestamp::now(), &settings).await.unwrap();
    let unreadable: Vec<&str> = plan.unreadable.iter().map(|unreadable| &*unreadable.name).collect();
    assert_eq!((unreadable, plan.kept_caches, plan.blobs), (vec!["dev"], 1, Some(Vec::new())));
}

#[cfg(feature = "local")]
#[tokio::test]
async fn a_cache_that_is_exported_again_after_the_plan_stays_though_its_digest_is_the_same() {
    use cache_local::{LocalConfig, LocalExporter, LocalStore};

    let folder = tempfile::tempdir().unwrap();
    let config = LocalConfig::new(folder.path()).with_tag("main");
    let (cache, settings) = (graphs::cache(1), ExportSettings::default());
    let write = async || {
        let exporter = LocalExporter::new(config.clone());
        export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
    };
    write().await;
    let store = LocalStore::new(config.clone());
    let long_ago = std::time::SystemTime::now() - 48 * HOUR;
    for blob in store.blobs().try_collect::<Vec<BlobEntry>>().await.unwrap() {
        let path = folder.path().join("blobs/sha256").join(blob.digest.hex());
        std::fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let policy = PrunePolicy::new(HOUR).with_older_than(HOUR);
    let plan = plan_prune(&store, &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
    assert_eq!(plan.caches.len(), 1);
    write().await;
    let report = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.caches.len(), report.kept_caches.len(), report.blobs), (0, 1, 0));
    assert_eq!(store.caches().await.unwrap().len(), 1);
}

/// On a directory, with export and prune at the same time.
#[cfg(feature = "local")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_and_an_export_in_one_directory_do_not_harm_each_other() {
    use cache_local::{LocalConfig, LocalExporter, LocalImporter, LocalStore};

    let folder = tempfile::tempdir().unwrap();
    let config = |tag: &str| LocalConfig::new(folder.path().join("cache")).with_tag(tag);
    let kept = graphs::cache(1);
    let settings = ExportSettings::default();
    export(&kept.manifest, &kept.blobs, &LocalExporter::new(config("kept")), &settings).await.unwrap();
    let running = graphs::cache_of(2, graphs::MANY_BLOBS);
    for round in 0..5 {
        let exporter = LocalExporter::new(config("running"));
        for blob in running.manifest.blobs() {
            exporter.push(blob, &running.blobs).await.unwrap();
        }
        let store = LocalStore::new(config("kept"));
        let long_ago = std::time::SystemTime::now() - 48 * HOUR;
        for blob in store.blobs().try_collect::<Vec<BlobEntry>>().await.unwrap() {
            let path = folder.path().join("cache/blobs/sha256").join(blob.digest.hex());
            std::fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
        }
        let policy = PrunePolicy::new(Duration::from_secs(3600));
        let pruning = async {
            let plan = plan_prune(&store, &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
            prune(&store, &plan, &PruneSettings::default()).await.unwrap()
        };
        let exporter = LocalExporter::new(config("running"));
        let (_, exported) = tokio::join!(pruning, export(&running.manifest, &running.blobs, &exporter, &settings));
        exported.unwrap();
        for tag in ["kept", "running"] {
            let importer = LocalImporter::new(config(tag));
            let resolved = importer.resolve().await.unwrap().expect("it was written");
            let report = verify(&resolved.manifest, &importer, Depth::Deep, 4).await.unwrap();
            assert!(report.is_sound(), "round {round}, {tag}: {:?}", report.findings);
        }
        let entry = store.caches().await.unwrap().into_iter().find(|entry| entry.name.as_deref() == Some("running"));
        store.delete_cache(&entry.unwrap()).await.unwrap();
    }
}
