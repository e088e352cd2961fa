//! Exports: requests, keys, parts and documents.

use std::fs;

use cache_core::{BlobProvider, CacheExporter, CacheImporter, CacheManifest, CacheSpec, Descriptor, Expect, Pushed};
use cache_ops::{ExportSettings, export};
use cache_s3::{S3Config, S3Exporter, S3Importer};
use cache_tests::fixtures;
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::S3;
use cache_tests::random::Random;
use cache_tests::servers::s3::{Options, Server};

use crate::{LARGE, blob, bytes_of, config, environment, key, write};

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_number_of_requests() {
    let server = Server::start(Options::default());
    let (small, source) = blob("layer");
    let exporter = S3Exporter::new(config(&server));
    assert_eq!(exporter.push(&small, &source).await.unwrap(), Pushed::Uploaded);
    assert_eq!(server.take_shorts(), ["HEAD blobs 404", "PUT blobs 200"]);
    assert_eq!(exporter.push(&small, &source).await.unwrap(), Pushed::Present);
    assert_eq!(server.take_shorts(), ["HEAD blobs 200"]);

    let (cache, exporter) = (graphs::cache(1), S3Exporter::new(config(&server)));
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    let _ = server.take_log();
    exporter.commit(&cache.manifest, Expect::Any).await.unwrap();
    assert_eq!(server.take_shorts(), ["PUT manifests 200"]);

    let importer = S3Importer::new(config(&server));
    importer.resolve().await.unwrap().unwrap();
    assert_eq!(server.take_shorts(), ["GET manifests 200"]);
    importer.stat(&small).await.unwrap().unwrap();
    assert_eq!(server.take_shorts(), ["HEAD blobs 200"]);
    bytes_of(&importer, &small).await.unwrap();
    let log = server.take_log();
    assert_eq!((log.len(), log[0].range.as_deref()), (1, None), "a whole blob is asked for without a range");
}

#[tokio::test(start_paused = true)]
async fn a_second_export_only_looks_blobs_up() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    write(config(&server), &cache).await.unwrap();
    let _ = server.take_log();
    write(config(&server), &cache).await.unwrap();
    let shorts = server.take_shorts();
    let count = |short: &str| shorts.iter().filter(|found| *found == short).count();
    assert_eq!(count("HEAD blobs 200"), cache.manifest.blobs().len());
    // One list checks the present blobs again.
    assert_eq!((count("PUT manifests 200"), count("GET list 200")), (1, 1), "{shorts:?}");
    assert_eq!(shorts.len(), cache.manifest.blobs().len() + 2, "{shorts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_is_sent_in_parts() {
    let server = Server::start(Options::default());
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    let exporter = S3Exporter::new(config(&server));
    assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Uploaded);
    let mut shorts = server.take_shorts();
    shorts.sort();
    let expected = [
        "GET other?uploads 200",
        "HEAD blobs 200",
        "HEAD blobs 404",
        "POST blobs?uploadId 200",
        "POST blobs?uploads 200",
        "PUT blobs?partNumber 200",
        "PUT blobs?partNumber 200",
        "PUT blobs?partNumber 200",
    ];
    assert_eq!(shorts, expected);
    assert_eq!(bytes_of(&S3Importer::new(config(&server)), &large).await.unwrap().len(), LARGE);
    assert!(server.uploads().keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_header_is_sent_that_other_stores_refuse() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    S3Exporter::new(config(&server)).push(&large, &source).await.unwrap();
    write(config(&server), &cache).await.unwrap();
    S3Importer::new(config(&server)).resolve().await.unwrap().unwrap();
    for logged in server.take_log() {
        assert!(logged.agent.contains("aws-sdk-rust"), "{}", logged.agent);
        let authorization = logged.authorization.unwrap();
        assert!(!authorization.contains("accept-encoding"), "{authorization}");
        assert!(!authorization.contains("checksum") && !authorization.contains("trailer"), "{authorization}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_those_of_buildkit() {
    let (place, cache) = (S3::new(), graphs::cache(1));
    let spec = |spec: CacheSpec| S3Config::from_spec(&spec, environment()).unwrap();
    let names = place.spec().with("prefix", "pp").with("manifests_prefix", "mm").with("name", "a/b c+d;é#");
    write(spec(names), &cache).await.unwrap();
    let keys = place.server().keys();
    assert!(keys.contains(&"ppmma/b c+d".to_owned()) && keys.contains(&"ppmmé#".to_owned()), "{keys:?}");
    let digest = cache.manifest.blobs()[0].digest;
    assert!(keys.contains(&format!("ppblobs/{digest}")), "{keys:?}");
    let [written, other] = ["ppmma/b c+d", "ppmmé#"].map(|key| fs::read(place.server().path(key)).unwrap());
    assert_eq!(written, other);
    // An import reads the first name.
    let _ = place.server().take_log();
    let both = place.spec().with("prefix", "pp").with("manifests_prefix", "mm").with("name", "a/b c+d;absent");
    assert!(S3Importer::new(spec(both)).resolve().await.unwrap().is_some());
    assert!(place.server().take_log()[0].path.contains("/ppmma/b%20c%2Bd"));
}

/// The index of a real BuildKit is read, and written back unchanged.
#[tokio::test(start_paused = true)]
async fn the_index_of_buildkit_keeps_its_bytes() {
    let server = Server::start(Options::default());
    let objects = fixtures::root().join("objects/v0.32");
    let index = fs::read(objects.join("s3-manifests-main.json")).unwrap();
    for directory in ["manifests", "blobs"] {
        fs::create_dir_all(server.path(directory)).unwrap();
    }
    fs::write(server.path("manifests/main"), &index).unwrap();
    let named: CacheManifest = CacheManifest::decode_flat(index.clone()).unwrap();
    for blob in named.blobs() {
        let bytes = fs::read(objects.join("blobs/sha256").join(blob.digest.hex())).unwrap();
        fs::write(server.path(&key(blob)), bytes).unwrap();
    }
    let importer = S3Importer::new(config(&server));
    let resolved = importer.resolve().await.unwrap().unwrap();
    let exporter = S3Exporter::new(config(&server).with_prefix("copy/"));
    export(&resolved.manifest, &importer, &exporter, &ExportSettings::default()).await.unwrap();
    assert_eq!(fs::read(server.path("copy/manifests/main")).unwrap(), index);
    for blob in named.blobs() {
        let copied = fs::read(server.path(&format!("copy/{}", key(blob)))).unwrap();
        assert_eq!(copied, fs::read(server.path(&key(blob))).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_cache_is_the_empty_object() {
    let (server, cache) = (Server::start(Options::default()), graphs::cache(1));
    write(config(&server), &cache).await.unwrap();
    let empty = CacheManifest::new(cache_core::CacheConfig::default(), Vec::<Descriptor>::new());
    let committed = S3Exporter::new(config(&server)).commit(&empty, Expect::Any).await.unwrap();
    assert_eq!(fs::read(server.path("manifests/main")).unwrap(), b"{}");
    let resolved = S3Importer::new(config(&server)).resolve().await.unwrap().unwrap();
    assert!(resolved.manifest.is_empty() && committed.version == Some(resolved.version));
}
