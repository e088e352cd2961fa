//! Old present blobs.

use cache_core::{CacheExporter, Pushed};
use cache_ops::{ExportSettings, export};
use cache_s3::{S3Exporter, S3Importer};
use cache_tests::graphs;
use cache_tests::random::Random;
use cache_tests::servers::s3::{Fault, Options, Plan, Server};

use crate::{HOUR, Method, PART, blob, bytes_of, config, key};

#[tokio::test(start_paused = true)]
async fn a_blob_that_is_old_is_refreshed() {
    let server = Server::start(Options::default());
    let (small, source) = blob("layer");
    let exporter = S3Exporter::new(config(&server));
    exporter.push(&small, &source).await.unwrap();
    for (age, expected) in [(HOUR * 12, Pushed::Present), (HOUR * 13, Pushed::Refreshed)] {
        server.age(&key(&small), age);
        let _ = server.take_log();
        assert_eq!(exporter.push(&small, &source).await.unwrap(), expected);
        let is_refreshed = server.take_shorts() == ["HEAD blobs 200", "PUT blobs 200"];
        assert_eq!((is_refreshed, server.age_of(&key(&small)) < HOUR), (age > HOUR * 12, age > HOUR * 12));
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_blob_that_is_old_is_refreshed_in_parts() {
    let server = Server::start(Options::default());
    // One byte less than three parts: the last range has to end with the object.
    let size = 3 * PART - 1;
    let (large, source) = blob(Random::new(1).bytes(size as usize));
    let exporter = S3Exporter::new(config(&server));
    exporter.push(&large, &source).await.unwrap();
    server.age(&key(&large), HOUR * 25);
    let _ = server.take_log();
    assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Refreshed);
    let shorts = server.take_shorts();
    assert_eq!(shorts.iter().filter(|short| *short == "PUT blobs?partNumber 200").count(), 3, "{shorts:?}");
    assert!(server.age_of(&key(&large)) < HOUR && server.uploads().keys().is_empty());
    assert_eq!(bytes_of(&S3Importer::new(config(&server)), &large).await.unwrap().len() as u64, size);

    server.age(&key(&large), HOUR * 25);
    server.plan(Plan::new(Method::PUT, "partNumber=2", Fault::Answer(403, None, "")));
    assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Uploaded, "what cannot be copied is sent");
    assert!(server.uploads().keys().is_empty(), "the upload that failed is aborted");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_copy_gets_old_blobs_again() {
    let server = Server::start(Options { copies: false, ..Options::default() });
    let (cache, exporter) = (graphs::cache(1), S3Exporter::new(config(&server)));
    let settings = ExportSettings::default();
    export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
    cache.manifest.blobs().iter().for_each(|blob| server.age(&key(blob), HOUR * 25));
    let report = export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
    assert_eq!(report.count(Pushed::Uploaded), cache.manifest.blobs().len());
    assert!(cache.manifest.blobs().iter().all(|blob| server.age_of(&key(blob)) < HOUR));
}
