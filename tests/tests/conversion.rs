//! Copies that change the compression: the blobs differ, the cache is the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cache_core::manifest::ManifestForm;
use cache_core::model::LayerEncoding;
use cache_core::seams::{Committed, Contributions, ExporterFacts};
use cache_core::{
    BlobProvider, CacheChains, CacheExporter, CacheImporter, CacheManifest, Compression, CompressionKind, Descriptor,
    DiffId, Digest, ErrorKind, Event, Expect, Progress, Pushed, Result, Side, Timestamp, annotation,
};
use cache_layers::{CodecPool, recompress};
use cache_memory::MemoryCache;
use cache_ops::{
    Conversion, CopyOptions, CopyReport, Depth, Destination, ExportSettings, copy_manifest, copy_many, verify,
};
use cache_tests::counting::Counting;
use cache_tests::faulty::{Fault, Faulty};
use cache_tests::fixtures::{self, Fixture};
use futures_util::TryStreamExt;
use tempfile::TempDir;

fn to(kind: CompressionKind, force: bool, spool: &Path) -> CopyOptions {
    let compression = Compression::new(kind).with_force(force);
    CopyOptions::default().with_conversion(Some(Conversion::new(compression).with_spool(spool)))
}

async fn copy(
    manifest: &CacheManifest,
    source: &dyn BlobProvider,
    place: &MemoryCache,
    options: CopyOptions,
) -> Result<CopyReport> {
    copy_manifest(manifest.clone(), source, place, options, &ExportSettings::default()).await
}

/// A cache as a lookup sees it: each record with its results, as digests of tars.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    key: String,
    inputs: Vec<Vec<(String, i64)>>,
    results: Vec<(Timestamp, Vec<DiffId>)>,
}

async fn records(manifest: &CacheManifest, blobs: &dyn BlobProvider) -> Vec<Record> {
    let config = CacheChains::from_manifest(manifest).unwrap().to_manifest();
    let mut tars = BTreeMap::new();
    for blob in config.blobs() {
        tars.insert(blob.digest, tar(blob, blobs).await);
    }
    let config = config.config();
    let chain = |top: i64| {
        let at = |layer: i64| usize::try_from(layer).ok().map(|layer| &config.layers[layer]);
        let mut chain: Vec<DiffId> =
            std::iter::successors(at(top), |layer| at(layer.parent)).map(|layer| tars[&layer.blob]).collect();
        chain.reverse();
        chain
    };
    let inputs = |inputs: &[Vec<cache_core::manifest::RecordLink>]| {
        inputs.iter().map(|input| input.iter().map(|link| (link.selector.clone(), link.link)).collect()).collect()
    };
    let records = config.records.iter().map(|record| Record {
        key: record.key.to_string(),
        inputs: inputs(&record.inputs),
        results: record.results.iter().map(|result| (result.created_at, chain(result.layer))).collect(),
    });
    records.collect()
}

/// The digest of a layer's tar, without the table of contents of an eStargz.
async fn tar(layer: &Descriptor, blobs: &dyn BlobProvider) -> DiffId {
    if !is_estargz(layer) {
        return layer.diff_id().expect("BuildKit needs it");
    }
    let (pool, plain) = (CodecPool::default(), Compression::new(CompressionKind::Uncompressed));
    let mut tar = recompress(layer, blobs.read(layer, None).await.unwrap(), &plain, &pool).unwrap();
    while tar.try_next().await.unwrap().is_some() {}
    tar.finish().unwrap().diff_id
}

fn is_estargz(layer: &Descriptor) -> bool {
    layer.annotations.contains_key(annotation::ESTARGZ_TOC)
}

fn is_of_kind(layer: &Descriptor, kind: CompressionKind) -> bool {
    layer.media_type.layer_encoding() == Some(kind.encoding())
        && is_estargz(layer) == (kind == CompressionKind::Estargz)
}

/// The caches of every fixture.
async fn caches() -> Vec<(Fixture, CacheManifest)> {
    let mut caches = Vec::new();
    for fixture in fixtures::all() {
        for (_, entry) in fixture.entries() {
            let manifest = fixture.load(fixture.document(&entry.digest)).await;
            caches.push((fixture.clone(), manifest));
        }
    }
    assert!(caches.len() > 30);
    caches
}

/// Copies every fixture to both families of media types, with and without force.
async fn convert_everything(kind: CompressionKind) {
    let spool = TempDir::new().unwrap();
    for (fixture, manifest) in caches().await {
        let before = records(&manifest, &fixture).await;
        for form in [ManifestForm::ImageManifest, ManifestForm::DockerList] {
            for force in [false, true] {
                let place = MemoryCache::new().with_form(form);
                copy(&manifest, &fixture, &place, to(kind, force, spool.path())).await.unwrap();
                let found = place.resolve().await.unwrap().expect("it was copied").manifest;
                let what = format!("{} {kind} {force} {form:?}", fixture.name);
                check_written(&found, &manifest, kind, force, form, &what);
                assert_eq!(records(&found, &place).await, before, "{what}");
                let report = verify(&found, &place, Depth::Deep, 4).await.unwrap();
                assert!(report.is_sound(), "{what}: {:?}", report.findings);
            }
        }
    }
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
}

fn check_written(
    found: &CacheManifest,
    original: &CacheManifest,
    kind: CompressionKind,
    force: bool,
    form: ManifestForm,
    what: &str,
) {
    for layer in found.blobs() {
        assert_eq!(layer.media_type.as_str().contains("docker"), form == ManifestForm::DockerList, "{what}");
        assert!(
            layer.created_at().is_some() || original.blobs().iter().any(|old| old.created_at().is_none()),
            "{what}"
        );
        match force {
            true => assert!(is_of_kind(layer, kind), "{what}: {layer:?}"),
            false => assert!(original.descriptor(&layer.digest).is_some(), "{what}"),
        }
    }
}

#[tokio::test]
async fn every_fixture_becomes_gzip() {
    convert_everything(CompressionKind::Gzip).await;
}

#[tokio::test]
async fn every_fixture_becomes_zstd() {
    convert_everything(CompressionKind::Zstd).await;
}

#[tokio::test]
async fn every_fixture_becomes_uncompressed() {
    convert_everything(CompressionKind::Uncompressed).await;
}

#[tokio::test]
async fn every_fixture_becomes_estargz() {
    convert_everything(CompressionKind::Estargz).await;
}

async fn fixture(name: &str) -> (Fixture, CacheManifest) {
    let fixture = fixtures::named(name);
    let (_, entry) = fixture.entries().remove(0);
    let manifest = fixture.load(fixture.document(&entry.digest)).await;
    (fixture, manifest)
}

#[tokio::test]
async fn nothing_to_convert_keeps_every_byte() {
    let spool = TempDir::new().unwrap();
    for (name, kind) in [("v0.32/max-manifest", CompressionKind::Gzip), ("v0.32/max-zstd", CompressionKind::Zstd)] {
        let (fixture, manifest) = fixture(name).await;
        for force in [false, true] {
            let place = MemoryCache::new();
            let report = copy(&manifest, &fixture, &place, to(kind, force, spool.path())).await.unwrap();
            assert_eq!(report.manifest.raw_manifest(), manifest.raw_manifest(), "{name}");
            let found = place.resolve().await.unwrap().unwrap().manifest;
            assert_eq!(found.raw_manifest(), manifest.raw_manifest(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_estargz_without_annotations_is_recognised() {
    let spool = TempDir::new().unwrap();
    let (fixture, manifest) = fixture("v0.32/max-estargz").await;
    let before = records(&manifest, &fixture).await;
    let silent = manifest.blobs().iter().map(|blob| {
        let mut blob = blob.as_ref().clone();
        blob.annotations.retain(|name, _| name == annotation::UNCOMPRESSED || name == annotation::CREATED_AT);
        blob
    });
    let silent = CacheManifest::new(manifest.config().clone(), silent);
    for kind in CompressionKind::ALL {
        let place = MemoryCache::new();
        let copied = copy(&silent, &fixture, &place, to(kind, true, spool.path())).await.unwrap().manifest;
        assert!(copied.blobs().iter().all(|layer| is_of_kind(layer, kind)), "{kind}");
        assert_eq!(records(&copied, &place).await, before, "{kind}");
    }
}

#[tokio::test]
async fn a_layer_is_read_and_converted_once_for_all_places() {
    let spool = TempDir::new().unwrap();
    let (fixture, manifest) = fixture("v0.32/max-manifest").await;
    let source = Counting::new(&fixture);
    let conversions = Arc::new(Mutex::new(BTreeMap::<Digest, usize>::new()));
    let counter = Arc::clone(&conversions);
    let count = move |event: &Event<'_>| {
        if let Event::Converted { blob, .. } = event {
            *counter.lock().unwrap().entry(blob.digest).or_default() += 1;
        }
    };
    let places = [MemoryCache::new(), MemoryCache::new(), MemoryCache::new(), MemoryCache::new()];
    let zstd = to(CompressionKind::Zstd, true, spool.path());
    let options = [zstd.clone(), CopyOptions::default(), zstd, to(CompressionKind::Uncompressed, true, spool.path())];
    let settings = ExportSettings::default().with_progress(Arc::new(count));
    let destinations: Vec<_> = places
        .iter()
        .zip(options)
        .map(|(place, options)| Destination::new(place).with_options(options).with_settings(settings.clone()))
        .collect();
    let reports = copy_many(&manifest, &source, &destinations).await;
    let manifests: Vec<CacheManifest> = reports.into_iter().map(|report| report.unwrap().manifest).collect();
    assert_eq!(source.reads().into_values().collect::<Vec<_>>(), vec![1; manifest.blobs().len()]);
    // Each of the three places that convert gets an event.
    assert!(conversions.lock().unwrap().values().all(|told| *told == 3));
    assert_eq!(manifests[0].config(), manifests[2].config());
    let before = records(&manifest, &fixture).await;
    for (place, manifest) in places.iter().zip(&manifests) {
        assert_eq!(records(manifest, place).await, before);
    }
}

#[tokio::test]
async fn uploads_start_while_the_next_layers_are_converted() {
    let spool = TempDir::new().unwrap();
    let (fixture, manifest) = fixture("v0.32/max-manifest").await;
    assert!(manifest.blobs().len() > 8);
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let tell = move |event: &Event<'_>| match event {
        Event::Converting { .. } => teller.lock().unwrap().push("converting"),
        Event::BlobDone { .. } => teller.lock().unwrap().push("done"),
        _ => {}
    };
    let settings = ExportSettings::default().with_concurrency(1).with_progress(Arc::new(tell));
    let options = to(CompressionKind::Zstd, true, spool.path());
    copy_manifest(manifest, &fixture, &MemoryCache::new(), options, &settings).await.unwrap();
    let told = told.lock().unwrap();
    let (first_done, last_converted) =
        (told.iter().position(|what| *what == "done"), told.iter().rposition(|what| *what == "converting"));
    assert!(first_done < last_converted, "{told:?}");
}

/// A place with its own folder for converted layers.
struct Roomy<'a>(&'a MemoryCache, &'a Path);

#[async_trait]
impl CacheExporter for Roomy<'_> {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        self.0.push(blob, from).await
    }

    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        self.0.commit(manifest, expect).await
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(Some(self.1.to_owned()))
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

#[tokio::test]
async fn converted_layers_are_kept_at_the_destination_unless_a_folder_is_named() {
    let (fixture, manifest) = fixture("v0.32/max-manifest").await;
    let (place, absent) = (MemoryCache::new(), Path::new("/nowhere/at/all"));
    let roomy = Roomy(&place, absent);
    let conversion = Conversion::new(Compression::new(CompressionKind::Zstd).with_force(true));
    let copy = async |conversion: Conversion| {
        let options = CopyOptions::default().with_conversion(Some(conversion));
        copy_manifest(manifest.clone(), &fixture, &roomy, options, &ExportSettings::default()).await
    };
    let error = copy(conversion.clone()).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    let named = tempfile::tempdir().unwrap();
    let report = copy(conversion.with_spool(named.path())).await.unwrap();
    assert!(!report.converted.is_empty());
}

#[test]
fn a_layer_with_a_wrong_diff_id_is_not_converted() {
    let spool = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (fixture, manifest) = fixture("v0.32/max-manifest").await;
        let mut blobs: Vec<Descriptor> = manifest.blobs().iter().map(|blob| blob.as_ref().clone()).collect();
        blobs[2].annotations.insert(annotation::UNCOMPRESSED.to_owned(), Digest::sha256(b"another").to_string());
        let wrong = CacheManifest::new(manifest.config().clone(), blobs);
        let place = MemoryCache::new();
        let error = copy(&wrong, &fixture, &place, to(CompressionKind::Zstd, true, spool.path())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error:?}");
        assert!(place.resolve().await.unwrap().is_none());
    });
    // The other conversions were dropped while they created their files, which are unlinked as soon as they are open.
    // The end of the runtime waits for that.
    drop(runtime);
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_failing_source_fails_every_destination_whether_it_converts_or_not() {
    let spool = TempDir::new().unwrap();
    let memory = MemoryCache::new();
    let (fixture, manifest) = fixture("v0.32/max-manifest").await;
    copy(&manifest, &fixture, &memory, CopyOptions::default()).await.unwrap();
    let blob = manifest.blobs()[1].digest;
    for (fault, kind) in [
        (Fault::Corrupt(40), ErrorKind::DigestMismatch),
        (Fault::Fail(ErrorKind::PermissionDenied, 40), ErrorKind::PermissionDenied),
        (Fault::Lose, ErrorKind::NotFound),
    ] {
        let source = Faulty::new(&memory).with(blob, fault);
        let places = [MemoryCache::new(), MemoryCache::new()];
        let zstd = to(CompressionKind::Zstd, true, spool.path());
        let destinations = [Destination::new(&places[0]).with_options(zstd), Destination::new(&places[1])];
        for report in copy_many(&manifest, &source, &destinations).await {
            let error = report.unwrap_err();
            assert_eq!((error.kind(), error.side()), (kind, Some(Side::Source)), "{fault:?}: {error:?}");
            assert_eq!(error.context("blob"), Some(blob.to_string().as_str()), "{error:?}");
        }
        for place in &places {
            assert!(place.resolve().await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn a_second_conversion_sends_nothing() {
    let spool = TempDir::new().unwrap();
    let (fixture, manifest) = fixture("v0.32/max-manifest").await;
    let place = MemoryCache::new();
    for sends in [true, false] {
        let report = copy(&manifest, &fixture, &place, to(CompressionKind::Zstd, true, spool.path())).await.unwrap();
        assert_eq!(report.export.bytes > 0, sends);
        assert!(
            report
                .manifest
                .blobs()
                .iter()
                .all(|blob| { blob.media_type.layer_encoding() == Some(LayerEncoding::Zstd) })
        );
    }
}

/// A cache of one layer, and its store.
fn cache_of(layer: Descriptor, bytes: impl Into<bytes::Bytes>) -> (CacheManifest, MemoryCache) {
    let (store, mut chains) = (MemoryCache::new(), CacheChains::new());
    let _ = store.insert(bytes);
    let result = cache_core::CacheResult::new(Timestamp::ZERO, vec![layer]);
    chains.add(cache_core::CacheKey::content(Digest::sha256(b"key")), &[], vec![result]).unwrap();
    (chains.to_manifest(), store)
}

/// Settings that collect the events about layers that are not converted.
fn listening() -> (ExportSettings, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let tell = move |event: &Event<'_>| {
        if let Event::Unconverted { reason, .. } = event {
            teller.lock().unwrap().push((*reason).to_owned());
        }
    };
    (ExportSettings::default().with_progress(Arc::new(tell)), told)
}

#[tokio::test]
async fn a_layer_that_cannot_become_an_estargz_is_not_converted() {
    let spool = TempDir::new().unwrap();
    let mut sparse = cache_tests::graphs::tar_of("file", b"content");
    // GNU tar's type of a sparse file, which readers of layers do not support.
    sparse[156] = b'S';
    sparse[148..156].copy_from_slice(b"        ");
    let sum: u32 = sparse[..512].iter().map(|&byte| u32::from(byte)).sum();
    sparse[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let layer = Descriptor::of(cache_core::MediaType::OCI_LAYER, &sparse)
        .with_annotation(annotation::UNCOMPRESSED, Digest::sha256(&sparse));
    let (manifest, source) = cache_of(layer.clone(), sparse);
    let (settings, told) = listening();
    let (place, other) = (MemoryCache::new(), MemoryCache::new());
    let estargz = to(CompressionKind::Estargz, true, spool.path());
    let destinations = [&place, &other]
        .map(|place| Destination::new(place).with_options(estargz.clone()).with_settings(settings.clone()));
    for report in copy_many(&manifest, &source, &destinations).await {
        assert!(report.unwrap().converted.is_empty());
    }
    for place in [&place, &other] {
        let found = place.resolve().await.unwrap().unwrap().manifest;
        assert_eq!(found.blobs()[0].digest, layer.digest);
        assert!(verify(&found, place, Depth::Deep, 1).await.unwrap().is_sound());
    }
    let told = told.lock().unwrap().clone();
    assert!(told.len() == 2 && told[0].starts_with("tar holds a sparse file"), "{told:?}");
    let gzip = to(CompressionKind::Gzip, true, spool.path());
    assert_eq!(copy(&manifest, &source, &MemoryCache::new(), gzip).await.unwrap().converted.len(), 1);
}

#[tokio::test]
async fn a_layer_is_converted_by_its_bytes_and_not_by_its_type() {
    let spool = TempDir::new().unwrap();
    let (fixture, manifest) = fixture("v0.32/max-manifest").await;
    let before = records(&manifest, &fixture).await;
    let mistyped = manifest.blobs().iter().map(|blob| {
        let media_type = blob.media_type.with_layer_encoding(LayerEncoding::Zstd);
        Descriptor { media_type, ..blob.as_ref().clone() }
    });
    let mistyped = CacheManifest::new(manifest.config().clone(), mistyped);
    let place = MemoryCache::new();
    let copied = copy(&mistyped, &fixture, &place, to(CompressionKind::Gzip, true, spool.path())).await.unwrap();
    assert_eq!(records(&copied.manifest, &place).await, before);
}
