//! Exports: requests, parts and keys.

use bytes::Bytes;
use cache_core::{BlobProvider, CacheExporter, CacheImporter, Expect, Pushed};
use cache_gha::{GhaExporter, GhaImporter};
use cache_kit::PartLimits;
use cache_memory::MemoryCache;
use cache_ops::{CopyOptions, ExportSettings, copy_manifest, export};
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::Gha;
use cache_tests::random::Random;
use cache_tests::servers::actions::{KINDS, Logged, Server};
use futures_util::stream::TryStreamExt;

use crate::{Method, blob, main_token, write};

/// The requests since the last call, in short form.
fn shorts(server: &Server) -> Vec<String> {
    server.take_log().iter().map(|logged| logged.short(&KINDS)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_number_of_requests_in_version_2() {
    let place = Gha::v2();
    let (desc, source) = blob("layer");
    let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
    let write = ["POST CreateCacheEntry 200", "PUT actions-cache/ 201", "POST FinalizeCacheEntryUpload 200"];
    let lookup = "POST GetCacheEntryDownloadURL 200";
    assert_eq!(shorts(place.server()), [&[lookup], &write[..]].concat());
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Present);
    assert_eq!(shorts(place.server()), [lookup]);

    let cache = graphs::cache(1);
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    let _ = shorts(place.server());
    exporter.commit(&cache.manifest, Expect::Any).await.unwrap();
    // The last lookup checks that readers find the index.
    assert_eq!(shorts(place.server()), [&[lookup], &write[..], &[lookup]].concat());
    GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap().unwrap();
    assert_eq!(shorts(place.server()), [lookup, "GET actions-cache/ 200"]);
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_number_of_requests_in_version_1() {
    let place = Gha::v1();
    let (desc, source) = blob("layer");
    let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
    exporter.push(&desc, &source).await.unwrap();
    let (miss, hit) = ("GET artifactcache/cache 204", "GET artifactcache/cache 200");
    let write = ["POST artifactcache/caches 201", "PATCH artifactcache/caches 204", "POST artifactcache/caches 204"];
    assert_eq!(shorts(place.server()), [&[miss], &write[..]].concat());
    exporter.push(&desc, &source).await.unwrap();
    assert_eq!(shorts(place.server()), [hit]);
    exporter.commit(&graphs::cache(1).manifest, Expect::Any).await.unwrap();
    assert_eq!(shorts(place.server()), [&[miss], &write[..], &[hit]].concat());
    GhaImporter::new(place.config_of(&main_token())).unwrap().resolve().await.unwrap().unwrap();
    assert_eq!(shorts(place.server()), [hit, "GET artifactcache/artifact/ 200"]);
}

#[tokio::test(start_paused = true)]
async fn one_list_replaces_the_lookups_of_all_blobs() {
    let place = Gha::v2();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let _ = place.server().take_log();
    write(place.config(), &cache).await.unwrap();
    let log = place.server().take_log();
    let count = |method: &str, kind: &str| Server::count(&log, method, kind);
    // One list before the blobs, and one before the index, to check that they still exist.
    assert_eq!(count("GET", "actions/caches"), 2);
    assert_eq!((count("POST", "GetCacheEntry"), count("POST", "CreateCacheEntry"), count("PUT", "")), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_second_export_uploads_no_blob() {
    for place in [Gha::v2(), Gha::v1()] {
        let cache = graphs::cache(3);
        write(place.config_of(&main_token()), &cache).await.unwrap();
        let _ = place.server().take_log();
        write(place.config_of(&main_token()), &cache).await.unwrap();
        let log = place.server().take_log();
        let reserved = Server::count(&log, "POST", "CreateCacheEntry")
            + log.iter().filter(|l| l.status == 201 && l.method == Method::POST).count();
        assert_eq!(reserved, 1, "only the index is new");
    }
}

#[tokio::test(start_paused = true)]
async fn large_blobs_are_sent_in_parts() {
    let numbered = Gha::numbered();
    let places = [(Gha::v2(), "comp=block&", 5), (numbered, "comp=block&", 5), (Gha::v1(), "artifactcache/caches/", 6)];
    for (place, kind, parts) in places {
        let bytes = Random::new(5).bytes((4 << 20) + 1);
        let (desc, source) = blob(bytes.clone());
        let environment = place.environment().tune(|tuning| tuning.with_parts(PartLimits::new(1 << 20, 3)));
        let config = place.config_in(&main_token(), environment);
        GhaExporter::new(config.clone()).unwrap().push(&desc, &source).await.unwrap();
        let log = place.server().take_log();
        assert_eq!(log.iter().filter(|logged| logged.path.contains(kind)).count(), parts, "{log:?}");
        let stream = GhaImporter::new(config).unwrap().read(&desc, None).await.unwrap();
        assert!(stream.try_collect::<Vec<Bytes>>().await.unwrap().concat() == bytes);
    }
}

/// With more blobs than fit on three pages, those in the present index count as present; an evicted one is sent again.
#[tokio::test(start_paused = true)]
async fn blobs_in_the_present_index_need_no_list() {
    let reserved = |log: &[Logged]| {
        let version_1 = log.iter().filter(|l| l.status == 201 && l.method == Method::POST).count();
        Server::count(log, "POST", "CreateCacheEntry") + version_1
    };
    for place in [Gha::v2(), Gha::v1()] {
        let cache = graphs::wide(310);
        write(place.config(), &cache).await.unwrap();
        let _ = place.server().take_log();
        write(place.config(), &cache).await.unwrap();
        let log = place.server().take_log();
        assert!(log.len() <= 12 && reserved(&log) == 1, "{} requests", log.len());
        place.lose(&cache.manifest.blobs()[100].digest).await;
        write(place.config(), &cache).await.unwrap();
        assert_eq!(reserved(&place.server().take_log()), 2, "the blob and the index");
    }
}

/// A cache of BuildKit that is copied out and in again has the same keys.
#[tokio::test(start_paused = true)]
async fn a_cache_of_buildkit_copied_out_and_in_makes_the_keys_of_buildkit() {
    let root = cache_tests::fixtures::root().join("objects/v0.32");
    let listed: serde_json::Value =
        serde_json::from_slice(&std::fs::read(root.join("gha-entries.json")).unwrap()).unwrap();
    let from = Gha::v2();
    let mut expected = Vec::new();
    for entry in listed.as_array().unwrap() {
        let [key, version, scope] = ["key", "version", "scope"].map(|name| entry[name].as_str().unwrap());
        let bytes = match key.strip_prefix("buildkit-blob-1-sha256:") {
            Some(hex) => std::fs::read(root.join("blobs").join(hex))
                .or_else(|_| std::fs::read(root.join("blobs/sha256").join(hex)))
                .or_else(|_| std::fs::read(root.join("blobs").join(format!("sha256:{hex}")))),
            None => std::fs::read(root.join("gha-index.json")),
        };
        from.server().entries(|entries| entries.insert(scope, key, version, bytes.unwrap().into()));
        expected.push((key.to_owned(), version.to_owned(), scope.to_owned(), entry["size"].as_u64().unwrap()));
    }
    let importer = GhaImporter::new(from.config()).unwrap();
    let manifest = importer.resolve().await.unwrap().unwrap().manifest;
    let out = MemoryCache::new();
    let settings = ExportSettings::default();
    let copied = copy_manifest(manifest, &importer, &out, CopyOptions::default(), &settings).await.unwrap();
    for place in [Gha::v2(), Gha::v1()] {
        let exporter = GhaExporter::new(place.config()).unwrap();
        export(&copied.manifest, &out, &exporter, &settings).await.unwrap();
        let mut found: Vec<_> = place.server().entries(|entries| {
            let all = entries.iter().map(|e| (e.key.clone(), e.version.clone(), e.scope.clone(), e.size()));
            all.collect()
        });
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        let index = place.server().entries(|entries| {
            entries.iter().find(|entry| entry.key.starts_with("index-")).and_then(|entry| entry.bytes.clone())
        });
        assert_eq!(index.unwrap(), std::fs::read(root.join("gha-index.json")).unwrap());
    }
}
