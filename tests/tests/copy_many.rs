//! Copies of one cache to several places: every blob is read once, and no place blocks another one.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cache_core::seams::{BlobInfo, Committed, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, BlobStream, CacheExporter, CacheImporter, CacheManifest, Descriptor, Error, ErrorKind, Event, Expect,
    Mode, Progress, Pushed, Result, Side,
};
use cache_memory::MemoryCache;
use cache_ops::{
    CopyOptions, CopyReport, Depth, Destination, ExportSettings, Recheck, copy_manifest, copy_many, export, verify,
};
use cache_tests::counting::Counting;
use cache_tests::faulty::{Fault, Faulty};
use cache_tests::graphs::{self, Generated, MANY_BLOBS};
use cache_tests::harness::Harness;
use cache_tests::places;
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::Instant;

fn cache() -> Generated {
    graphs::cache_of(1, MANY_BLOBS)
}

/// Copies to places with default options, with `concurrency` blobs at once.
async fn copy(
    cache: &Generated,
    source: &dyn BlobProvider,
    places: &[&dyn CacheExporter],
    at_once: usize,
) -> Vec<Result<CopyReport>> {
    let settings = ExportSettings::default().with_concurrency(at_once);
    let destinations: Vec<_> =
        places.iter().map(|place| Destination::new(*place).with_settings(settings.clone())).collect();
    copy_many(&cache.manifest, source, &destinations).await
}

async fn assert_holds(place: &MemoryCache, manifest: &CacheManifest) {
    let found = place.resolve().await.unwrap().expect("the place holds a cache").manifest;
    assert_eq!(found.config(), manifest.config());
    for blob in manifest.blobs() {
        assert!(place.stat(blob).await.unwrap().is_some_and(|info| info.size == blob.size));
    }
}

#[tokio::test(start_paused = true)]
async fn every_blob_is_read_once_for_all_places() {
    let cache = cache();
    for (at_once, fault) in [(1, Fault::Trickle(7)), (4, Fault::Trickle(1_000)), (64, Fault::Trickle(100))] {
        let slow = Faulty::new(&cache.blobs).with_everywhere(fault);
        let source = Counting::new(&slow);
        let places = [MemoryCache::new(), MemoryCache::new(), MemoryCache::new()];
        for report in copy(&cache, &source, &[&places[0], &places[1], &places[2]], at_once).await {
            let report = report.unwrap();
            assert_eq!(report.export.bytes, cache.manifest.unique_bytes());
            assert_eq!(report.export.count(Pushed::Uploaded), cache.manifest.blobs().len());
        }
        for place in &places {
            assert_holds(place, &cache.manifest).await;
        }
        assert_eq!(source.count(), cache.manifest.blobs().len());
    }
}

#[tokio::test(start_paused = true)]
async fn only_blobs_that_a_place_lacks_are_read() {
    let cache = cache();
    let [first, second, ..] = cache.manifest.blobs() else { panic!("the cache has many blobs") };
    let (one, two) = (MemoryCache::new(), MemoryCache::new());
    for (place, blobs) in [(&one, vec![first, second]), (&two, vec![second])] {
        for blob in blobs {
            place.push(blob, &cache.blobs).await.unwrap();
        }
    }
    let source = Counting::new(&cache.blobs);
    let reports = copy(&cache, &source, &[&one, &two], 4).await;
    let present: Vec<usize> = reports.into_iter().map(|report| report.unwrap().export.count(Pushed::Present)).collect();
    assert_eq!(present, [2, 1]);
    assert_eq!(source.reads().get(&first.digest), Some(&1));
    assert_eq!(source.reads().get(&second.digest), None);
    assert_eq!(source.count(), cache.manifest.blobs().len() - 1);
}

#[tokio::test(start_paused = true)]
async fn places_with_different_options_share_reads() {
    let cache = cache();
    let source = Counting::new(&cache.blobs);
    let (all, least) = (MemoryCache::new(), MemoryCache::new());
    let min = CopyOptions::default().with_mode(Some(Mode::Min));
    let destinations = [Destination::new(&least).with_options(min), Destination::new(&all)];
    let mut reports = copy_many(&cache.manifest, &source, &destinations).await;
    assert_holds(&all, &cache.manifest).await;
    let reduced = reports.remove(0).unwrap().manifest;
    assert!(reduced.blobs().len() < cache.manifest.blobs().len());
    assert_holds(&least, &reduced).await;
    assert_eq!(source.count(), cache.manifest.blobs().len());
}

#[tokio::test(start_paused = true)]
async fn a_failing_place_does_not_stop_the_others() {
    let cache = cache();
    for how in [How::Refuses, How::FailsMidway(u32::MAX), How::RefusesTheCommit] {
        let source = Counting::new(&cache.blobs);
        let (good, other) = (MemoryCache::new(), MemoryCache::new());
        let bad = Awkward::new(&other, how);
        let mut reports = copy(&cache, &source, &[&bad, &good], 2).await;
        reports.remove(1).unwrap();
        let error = reports.remove(0).unwrap_err();
        assert_eq!(error.side(), Some(Side::Destination), "{error:?}");
        assert_holds(&good, &cache.manifest).await;
        assert!(other.resolve().await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_retry_reads_the_blob_itself() {
    let cache = cache();
    let source = Counting::new(&cache.blobs);
    let (good, other) = (MemoryCache::new(), MemoryCache::new());
    let flaky = Awkward::new(&other, How::FailsMidway(3));
    for report in copy(&cache, &source, &[&flaky, &good], 4).await {
        report.unwrap();
    }
    assert_holds(&good, &cache.manifest).await;
    assert_holds(&other, &cache.manifest).await;
    assert_eq!(source.count(), cache.manifest.blobs().len() + 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_refuses_is_tried_again_for_every_place() {
    let cache = cache();
    let faulty = Faulty::new(&cache.blobs).with_refusals(3);
    let places = [MemoryCache::new(), MemoryCache::new()];
    for report in copy(&cache, &faulty, &[&places[0], &places[1]], 4).await {
        report.unwrap();
    }
    for place in &places {
        assert_holds(place, &cache.manifest).await;
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_reach_no_place() {
    let cache = cache();
    let blob = &cache.manifest.blobs()[1];
    for (fault, kind) in [
        (Fault::Corrupt(3), ErrorKind::DigestMismatch),
        (Fault::Lose, ErrorKind::NotFound),
        (Fault::Truncate(3), ErrorKind::Unavailable),
    ] {
        let source = Faulty::new(&cache.blobs).with(blob.digest, fault);
        let places = [MemoryCache::new(), MemoryCache::new()];
        for report in copy(&cache, &source, &[&places[0], &places[1]], 4).await {
            let error = report.unwrap_err();
            assert_eq!((error.kind(), error.side()), (kind, Some(Side::Source)), "{error:?}");
        }
        for place in &places {
            assert!(place.resolve().await.unwrap().is_none());
            assert!(place.stat(blob).await.unwrap().is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_place_delays_the_others_only_briefly() {
    let cache = cache();
    let hour = Duration::from_secs(3_600);
    for how in [How::StopsBeforeReading(hour), How::StopsMidway(hour)] {
        let large = graphs::cache_of(1, graphs::Shape { layer_bytes: 3 << 20, results: 2, ..MANY_BLOBS });
        let cache = if matches!(how, How::StopsMidway(_)) { &large } else { &cache };
        let slow = Faulty::new(&cache.blobs).with_everywhere(Fault::Trickle(1 << 18));
        let (good, other) = (Timed::new(), MemoryCache::new());
        let stuck = Awkward::new(&other, how);
        let mut reports = copy(cache, &slow, &[&stuck, &good], 64).await;
        reports.remove(1).unwrap();
        assert!(good.committed_after().is_some_and(|time| time < Duration::from_secs(600)));
        assert_holds(&good.inner, &cache.manifest).await;
        reports.remove(0).unwrap();
        assert_holds(&other, &cache.manifest).await;
    }
}

/// A place in memory that records the time of its commit.
struct Timed {
    inner: MemoryCache,
    start: Instant,
    committed: std::sync::Mutex<Option<Instant>>,
}

impl Timed {
    fn new() -> Self {
        Self { inner: MemoryCache::new(), start: Instant::now(), committed: std::sync::Mutex::default() }
    }

    fn committed_after(&self) -> Option<Duration> {
        self.committed.lock().unwrap().map(|committed| committed - self.start)
    }
}

#[async_trait]
impl CacheExporter for Timed {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        self.inner.push(blob, from).await
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        *self.committed.lock().unwrap() = Some(Instant::now());
        self.inner.commit(manifest, expect).await
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

/// A place with a fault.
struct Awkward<'a> {
    inner: &'a dyn CacheExporter,
    how: How,
    left: AtomicU32,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Fails before it reads.
    Refuses,
    /// Fails after a few bytes, this many times, like a broken connection.
    FailsMidway(u32),
    /// Accepts every blob, but no manifest.
    RefusesTheCommit,
    /// Its first push waits for a while before it reads.
    StopsBeforeReading(Duration),
    /// Its first push waits for a while in the middle.
    StopsMidway(Duration),
}

impl<'a> Awkward<'a> {
    fn new(inner: &'a dyn CacheExporter, how: How) -> Self {
        let times = if let How::FailsMidway(times) = how { times } else { 1 };
        Self { inner, how, left: AtomicU32::new(times) }
    }

    fn is_due(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[async_trait]
impl CacheExporter for Awkward<'_> {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        match self.how {
            How::Refuses => return Err(Error::new(ErrorKind::PermissionDenied, "no")),
            How::FailsMidway(_) if self.is_due() => {
                let mut stream = from.read(blob, None).await?;
                stream.next().await.transpose()?;
                return Err(Error::new(ErrorKind::Unavailable, "the connection broke"));
            }
            How::StopsBeforeReading(time) if self.is_due() => tokio::time::sleep(time).await,
            How::StopsMidway(time) if self.is_due() => {
                let mut stream = from.read(blob, None).await?;
                stream.next().await.transpose()?;
                tokio::time::sleep(time).await;
                while let Some(piece) = stream.next().await {
                    piece?;
                }
            }
            _ => {}
        }
        self.inner.push(blob, from).await
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        if let How::RefusesTheCommit = self.how {
            return Err(Error::new(ErrorKind::PermissionDenied, "no"));
        }
        self.inner.commit(manifest, expect).await
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

/// A source that stops at one of its reads, and signals that.
struct Holding<'a> {
    inner: &'a dyn BlobProvider,
    reads: AtomicU32,
    at: u32,
    reached: tokio::sync::Notify,
}

impl<'a> Holding<'a> {
    fn new(inner: &'a dyn BlobProvider, at: u32) -> Self {
        Self { inner, reads: AtomicU32::new(0), at, reached: tokio::sync::Notify::new() }
    }
}

#[async_trait]
impl BlobProvider for Holding<'_> {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.inner.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        if self.reads.fetch_add(1, Ordering::Relaxed) == self.at {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        self.inner.read(blob, range).await
    }
}

/// Drops a copy in the middle and repeats it.
async fn interrupt_and_resume(place: &dyn Harness) {
    let cache = cache();
    let done = 5;
    let holding = Holding::new(&cache.blobs, done);
    let settings = ExportSettings::default().with_concurrency(1);
    {
        let pushed = Arc::new(Semaphore::new(0));
        let count = Arc::clone(&pushed);
        let tell = move |event: &Event<'_>| {
            if let Event::BlobDone { .. } = event {
                count.add_permits(1);
            }
        };
        let settings = settings.clone().with_progress(Arc::new(tell));
        let exporter = place.exporter().await;
        let copying = copy_manifest(cache.manifest.clone(), &holding, &*exporter, CopyOptions::default(), &settings);
        // A directory may still write the last blob while the next one is read.
        let settled = async { tokio::join!(holding.reached.notified(), pushed.acquire_many(done)) };
        tokio::select! {
            _ = copying => panic!("the source stands still"),
            _ = settled => {}
        }
    }
    assert!(place.importer().await.resolve().await.unwrap().is_none());
    let source = Counting::new(&cache.blobs);
    let exporter = place.exporter().await;
    let report = copy_manifest(cache.manifest.clone(), &source, &*exporter, CopyOptions::default(), &settings).await;
    let (report, all) = (report.unwrap().export, cache.manifest.blobs().len());
    assert_eq!((report.count(Pushed::Present), report.count(Pushed::Uploaded)), (done as usize, all - done as usize));
    assert_eq!(source.count(), all - done as usize);
    let importer = place.importer().await;
    let found = importer.resolve().await.unwrap().expect("it was copied").manifest;
    assert!(verify(&found, &*importer, Depth::Deep, 4).await.unwrap().is_sound());
}

#[tokio::test]
async fn an_interrupted_copy_to_memory_continues_where_it_stopped() {
    interrupt_and_resume(&places::Memory::new()).await;
}

#[cfg(feature = "local")]
#[tokio::test]
async fn an_interrupted_copy_to_a_directory_continues_where_it_stopped() {
    interrupt_and_resume(&places::Local::new()).await;
}

#[cfg(feature = "registry")]
#[tokio::test]
async fn an_interrupted_copy_to_a_registry_continues_where_it_stopped() {
    interrupt_and_resume(&places::Registry::new()).await;
}

#[cfg(all(feature = "local", feature = "registry"))]
#[tokio::test]
async fn a_directory_and_a_registry_share_reads() {
    let cache = graphs::cache_of(1, graphs::Shape { layer_bytes: 1 << 20, results: 4, ..MANY_BLOBS });
    let (local, registry) = (places::Local::new(), places::Registry::new());
    let all: [&dyn Harness; 2] = [&local, &registry];
    let exporters = [all[0].exporter().await, all[1].exporter().await];
    let source = Counting::new(&cache.blobs);
    for report in copy(&cache, &source, &[&*exporters[0], &*exporters[1]], 4).await {
        report.unwrap();
    }
    assert_eq!(source.count(), cache.manifest.blobs().len());
    for place in all {
        let importer = place.importer().await;
        let found = importer.resolve().await.unwrap().expect("it was copied").manifest;
        assert!(verify(&found, &*importer, Depth::Deep, 4).await.unwrap().is_sound());
    }
}

/// A store that loses a blob right after the commit, and whose commit does not check blobs.
struct Forgetful {
    inner: MemoryCache,
    forgets: Descriptor,
    pushes: AtomicU32,
}

#[async_trait]
impl CacheExporter for Forgetful {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts { needs_recheck: true, ..ExporterFacts::default() }
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        self.pushes.fetch_add(1, Ordering::Relaxed);
        self.inner.push(blob, from).await
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        let committed = self.inner.commit(manifest, expect).await;
        self.inner.lose(&self.forgets.digest);
        committed
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_lost_at_the_commit_is_pushed_again_after_it() {
    let cache = cache();
    let forgets = cache.manifest.blobs()[3].as_ref().clone();
    for (recheck, is_pushed_again) in [(Recheck::WhereNeeded, true), (Recheck::Always, true), (Recheck::Never, false)] {
        let place = Forgetful { inner: MemoryCache::new(), forgets: forgets.clone(), pushes: AtomicU32::new(0) };
        place.inner.push(&forgets, &cache.blobs).await.unwrap();
        let settings = ExportSettings::default().with_recheck(recheck);
        let report = export(&cache.manifest, &cache.blobs, &place, &settings).await.unwrap();
        let is_there = place.inner.stat(&forgets).await.unwrap().is_some();
        assert_eq!(is_there, is_pushed_again, "{recheck:?}");
        // Only present blobs are checked again.
        let all = cache.manifest.blobs().len();
        assert_eq!(place.pushes.into_inner() as usize, all + usize::from(is_pushed_again));
        assert_eq!(report.count(Pushed::Uploaded), all - usize::from(!is_pushed_again));
    }
}
