//! Real accounts: each test is a way in which some account answers.

use std::sync::Mutex;

use bytes::Bytes;
use cache_azblob::AzblobStore;
use cache_core::graph::FindingCode;
use cache_core::{BlobProvider, CacheExporter, CacheImporter, CacheStore, ErrorKind, Pushed, Timestamp};
use cache_ops::{Depth, PrunePolicy, PruneSettings, RepairOptions, plan_prune, prune, repair, verify};
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use cache_tests::servers::http::{Answer, empty, fields, full};

use crate::{Method, blob, exporter, importer, write};

fn refusal(status: u16, code: &'static str) -> Answer {
    let mut answer = full(status, "application/xml", format!("<Error><Code>{code}</Code></Error>").into());
    answer.headers_mut().insert("x-ms-error-code", code.parse().unwrap());
    answer
}

/// An account with a hierarchical namespace lists the folders of names as empty blobs.
#[tokio::test]
async fn a_directory_is_no_cache() {
    let place = Azblob::new();
    let spec = place.spec().with("name", "team/app");
    write(place.config_of(&spec), &graphs::cache(1)).await.unwrap();
    let (stray, source) = blob("stray");
    exporter(place.config()).push(&stray, &source).await.unwrap();
    place.server().stored(|stored| {
        for name in ["manifests", "manifests/team", "blobs", "manifests/other/"] {
            stored.put("buildkit-cache", name, Bytes::new());
        }
        let directory = stored.containers.get_mut("buildkit-cache").unwrap().blobs.get_mut("manifests/team").unwrap();
        directory.metadata.insert("hdi_isfolder".to_owned(), "true".to_owned());
        let names: Vec<String> = stored.blobs().map(|(_, name, _)| name.clone()).collect();
        names.iter().for_each(|name| stored.age(name, std::time::Duration::from_secs(9 * 24 * 3_600)));
    });
    let store = AzblobStore::new(place.config()).unwrap();
    let caches = store.caches().await.unwrap();
    assert_eq!(caches.iter().filter_map(|cache| cache.name.as_deref()).collect::<Vec<_>>(), ["team/app"]);
    let plan = plan_prune(
        &store,
        &PrunePolicy::new(std::time::Duration::from_secs(3_600)),
        Timestamp::now(),
        &PruneSettings::default(),
    )
    .await
    .unwrap();
    let report = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
    assert_eq!((report.blobs, importer(place.config()).stat(&stray).await.unwrap()), (1, None));
    let directory = importer(place.config_of(&place.spec().with("name", "team")));
    assert!(directory.resolve().await.unwrap().is_none(), "a directory is not a cache");
    let empty = importer(place.config_of(&place.spec().with("name", "other/")));
    assert!(empty.resolve().await.is_ok_and(|found| found.is_none()), "the name is cleaned");
}

/// Azurite refuses to write a blob with uncommitted blocks, as if the blob existed.
#[tokio::test(start_paused = true)]
async fn uncommitted_blocks_are_no_blob() {
    let place = Azblob::new();
    place.server().http().script(|asked| {
        let is_conditional = asked.headers.contains_key("if-none-match");
        (asked.method == Method::PUT && is_conditional).then(|| refusal(409, "BlobAlreadyExists"))
    });
    let (layer, source) = blob("left");
    let pushed = exporter(place.config()).push(&layer, &source).await.unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    assert!(importer(place.config()).stat(&layer).await.unwrap().is_some());
}

/// HEAD returns the tier. An archived blob can be deleted, but neither read nor overwritten.
#[tokio::test(start_paused = true)]
async fn an_archived_layer_is_a_finding_is_repaired_and_is_sent_again() {
    let place = Azblob::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let frozen = cache.manifest.blobs()[0].as_ref();
    let (hex, size, is_gone) = (frozen.digest.hex(), frozen.size, Mutex::new(false));
    place.server().http().script(move |asked| {
        let mut is_gone = is_gone.lock().unwrap();
        if *is_gone || !asked.path.contains(&hex) {
            return None;
        }
        match asked.method {
            Method::HEAD => {
                let mut head = empty(200);
                for (name, value) in [("x-ms-access-tier", "Archive"), ("etag", "\"0x8D0\"")] {
                    head.headers_mut().insert(name, value.parse().unwrap());
                }
                head.headers_mut().insert("content-length", size.into());
                Some(head)
            }
            Method::DELETE => {
                *is_gone = true;
                Some(empty(202))
            }
            _ => Some(refusal(409, "BlobArchived")),
        }
    });
    let from = importer(place.config());
    let manifest = from.resolve().await.unwrap().unwrap().manifest;
    for depth in [Depth::Fast, Depth::Deep] {
        let report = verify(&manifest, &from, depth, 4).await.unwrap();
        assert_eq!(report.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [FindingCode::BlobArchived]);
        let repaired = repair(&manifest, &from, RepairOptions::default().with_depth(depth)).await.unwrap();
        assert!(repaired.manifest.descriptor(&frozen.digest).is_none());
    }
    let error = from.read(frozen, None).await.err().unwrap();
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Archived, true), "{error:?}");
    place.server().stored(|stored| {
        let name = format!("blobs/{}", frozen.digest);
        stored.containers.get_mut("buildkit-cache").unwrap().blobs.remove(&name)
    });
    assert_eq!(exporter(place.config()).push(frozen, &cache.blobs).await.unwrap(), Pushed::Uploaded);
    assert!(verify(&manifest, &from, Depth::Deep, 4).await.unwrap().is_sound());
}

#[tokio::test(start_paused = true)]
async fn markers_that_repeat_are_an_error() {
    let place = Azblob::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    let page = |marker: &str| {
        let xml = format!(
            "<?xml version=\"1.0\"?><EnumerationResults><Blobs/><NextMarker>{marker}</NextMarker></EnumerationResults>"
        );
        full(200, "application/xml", xml.into())
    };
    place.server().http().script(move |asked| {
        let query = fields(asked.path.split_once('?')?.1);
        let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        value("comp").filter(|comp| *comp == "list")?;
        Some(page(if value("marker") == Some("a") { "b" } else { "a" }))
    });
    let error = AzblobStore::new(place.config()).unwrap().caches().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error:?}");
    assert!(place.server().take_log().len() < 20);
}
