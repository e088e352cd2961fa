//! What goes over the wire to Azure Blob Storage: how many requests, under which names, and what is made of bad answers.

#![cfg(feature = "azblob")]

use std::time::Duration;

use bytes::Bytes;
use cache_azblob::{AzblobConfig, AzblobExporter, AzblobImporter, AzblobStore};
use cache_core::{
    BlobProvider, CacheChains, CacheConfig, CacheExporter, CacheImporter, CacheManifest, CacheSpec, CacheStore,
    CopyOptions, Descriptor, Error, ErrorKind, Expect, ExportSettings, MediaType, MemoryCache, PartLimits, Pushed,
    copy, export, publish,
};
use cache_tests::faulty::{self, Faulty};
use cache_tests::fixtures;
use cache_tests::graphs::{self, Generated};
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use cache_tests::random::Random;
use cache_tests::servers::azblob::{Container, Fault, Options, Plan, SIGNATURE, Server, base64};
use futures_util::future::join_all;
use futures_util::stream::TryStreamExt;

type Method = hyper::Method;

fn blob(bytes: impl Into<Bytes>) -> (Descriptor, MemoryCache) {
    let (bytes, source) = (bytes.into(), MemoryCache::new());
    let _ = source.insert(bytes.clone());
    (Descriptor::of(MediaType::OCI_LAYER, &bytes), source)
}

/// The requests since the last call: method, what it is about, and status.
fn shorts(server: &Server) -> Vec<String> {
    let kinds = [
        ("comp=list", "list"),
        ("restype=container", "container"),
        ("comp=metadata", "metadata"),
        ("comp=blocklist", "blocklist"),
        ("comp=block&", "block"),
        ("blockid=", "block"),
        ("/blobs%2F", "blob"),
        ("/manifests%2F", "index"),
    ];
    let short = |path: &str| {
        kinds
            .iter()
            .find(|(part, _)| path.contains(part) && !(*part == "comp=list" && path.contains("comp=blocklist")))
            .map_or("other", |(_, kind)| kind)
    };
    server
        .take_log()
        .iter()
        .map(|logged| format!("{} {} {}", logged.method, short(&logged.path), logged.status))
        .collect()
}

fn importer(config: AzblobConfig) -> AzblobImporter {
    AzblobImporter::new(config).unwrap()
}

fn exporter(config: AzblobConfig) -> AzblobExporter {
    AzblobExporter::new(config).unwrap()
}

async fn write(config: AzblobConfig, cache: &Generated) -> Result<(), Error> {
    export(&cache.manifest, &cache.blobs, &exporter(config), &ExportSettings::default()).await.map(drop)
}

async fn bytes_of(importer: &AzblobImporter, blob: &Descriptor) -> Result<Vec<u8>, Error> {
    Ok(importer.read(blob, None).await?.try_collect::<Vec<Bytes>>().await?.concat())
}

fn names(server: &Server) -> Vec<String> {
    server.stored(|stored| stored.blobs().map(|(_, name, _)| name.clone()).collect())
}

#[tokio::test(start_paused = true)]
async fn budgets_are_kept() {
    let place = Azblob::new();
    let (desc, source) = blob("layer");
    let to = exporter(place.config());
    assert_eq!(to.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
    let first = ["GET container 404", "PUT container 201", "HEAD blob 404", "PUT blob 201"];
    assert_eq!(shorts(place.server()), first);
    let (other, source) = blob("other");
    assert_eq!(to.push(&other, &source).await.unwrap(), Pushed::Uploaded);
    assert_eq!(shorts(place.server()), ["HEAD blob 404", "PUT blob 201"]);
    assert_eq!(to.push(&other, &source).await.unwrap(), Pushed::Present);
    assert_eq!(shorts(place.server()), ["HEAD blob 200"]);

    let cache = graphs::cache(1);
    let names = place.spec().with("name", "a;b");
    let to = exporter(place.config_of(&names));
    for blob in cache.manifest.blobs() {
        to.push(blob, &cache.blobs).await.unwrap();
    }
    let _ = shorts(place.server());
    to.commit(&cache.manifest, Expect::Any).await.unwrap();
    assert_eq!(shorts(place.server()), ["PUT index 201", "PUT index 201"]);
    importer(place.config_of(&names)).resolve().await.unwrap().unwrap();
    assert_eq!(shorts(place.server()), ["GET index 206", "GET index 206"]);
    importer(place.config()).resolve().await.unwrap();
    assert_eq!(shorts(place.server()), ["GET index 404"]);

    let (desc, _) = blob("layer");
    bytes_of(&importer(place.config()), &desc).await.unwrap();
    assert_eq!(shorts(place.server()), ["GET blob 206"]);
}

/// A second copy looks at every blob twice, and writes nothing but the index.
#[tokio::test(start_paused = true)]
async fn a_second_copy_uploads_no_blob() {
    let place = Azblob::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let _ = shorts(place.server());
    write(place.config(), &cache).await.unwrap();
    let log = shorts(place.server());
    let count = |short: &str| log.iter().filter(|logged| *logged == short).count();
    assert_eq!(count("HEAD blob 200"), 2 * cache.manifest.blobs().len());
    assert_eq!(
        (count("GET container 200"), count("PUT index 201"), log.len() - count("HEAD blob 200")),
        (1, 1, 2),
        "{log:?}"
    );
}

/// The names that a real BuildKit gave them.
#[tokio::test(start_paused = true)]
async fn blobs_are_named_as_buildkit_names_them() {
    let (desc, source) = blob("layer");
    let layer = desc.digest;
    for (attributes, index, blob) in [
        (&[("prefix", "a/b"), ("name", "n1")][..], "a/b/manifests/n1", format!("a/b/blobs/{layer}")),
        (&[("prefix", "/lead/"), ("name", "n2")], "/lead/manifests/n2", format!("/lead/blobs/{layer}")),
        (
            &[("prefix", "p"), ("manifests_prefix", "../m"), ("blobs_prefix", "./b//x/"), ("name", "n3")],
            "m/n3",
            format!("p/b/x/{layer}"),
        ),
        (&[("manifests_prefix", ""), ("blobs_prefix", ""), ("name", "n4")], "n4", layer.to_string()),
        (&[("prefix", "f"), ("name", "")], "f/manifests", format!("f/blobs/{layer}")),
        (&[("name", " y é+%#?&<")], "manifests/ y é+%#?&<", format!("blobs/{layer}")),
    ] {
        let place = Azblob::new();
        let spec = attributes.iter().fold(place.spec(), |spec, (name, value)| spec.with(name, *value));
        let to = exporter(place.config_of(&spec));
        to.push(&desc, &source).await.unwrap();
        to.commit(&graphs::cache(1).manifest, Expect::Any).await.unwrap();
        let mut expected = vec![blob, index.to_owned()];
        expected.sort();
        assert_eq!(names(place.server()), expected);
        assert!(importer(place.config_of(&spec)).resolve().await.unwrap().is_some());
        let store = AzblobStore::new(place.config_of(&spec)).unwrap();
        let caches = store.caches().await.unwrap();
        assert_eq!(
            caches.iter().filter_map(|cache| cache.name.as_deref()).collect::<Vec<_>>(),
            [spec.get("name").unwrap()]
        );
        assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), 1);
        assert!(store.open(&caches[0]).await.unwrap().resolve().await.unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_one_segment_of_the_path() {
    let place = Azblob::new();
    importer(place.config_of(&place.spec().with("name", "a/b+c d%:"))).resolve().await.unwrap();
    let log = place.server().take_log();
    assert_eq!(log[0].path, "/devstoreaccount1/buildkit-cache/manifests%2Fa%2Fb+c%20d%25:");
}

/// All names are written, and what they hold is read together.
#[tokio::test(start_paused = true)]
async fn all_names_are_merged_on_import() {
    let place = Azblob::new();
    let (one, two) = (graphs::cache(1), graphs::cache(2));
    write(place.config_of(&place.spec().with("name", "one")), &one).await.unwrap();
    write(place.config_of(&place.spec().with("name", "two")), &two).await.unwrap();
    let all = importer(place.config_of(&place.spec().with("name", "none;one;two")));
    let resolved = all.resolve().await.unwrap().unwrap();
    let mut expected = CacheChains::from_manifest(&one.manifest).unwrap();
    expected.merge(&CacheChains::from_manifest(&two.manifest).unwrap()).unwrap();
    assert_eq!(resolved.manifest.config().records, expected.to_manifest().config().records);
    // The first name leads nowhere, and a commit can be conditioned on that.
    let to = exporter(place.config_of(&place.spec().with("name", "none;one")));
    let version = Expect::Version(resolved.version);
    to.commit(&one.manifest, version.clone()).await.unwrap();
    let other = exporter(place.config_of(&place.spec().with("name", "none")));
    assert_eq!(other.commit(&two.manifest, version).await.unwrap_err().kind(), ErrorKind::Conflict);
}

/// What BuildKit stored for `type=s3`, which is the same document.
#[tokio::test(start_paused = true)]
async fn the_index_of_buildkit_is_read_and_written_byte_for_byte() {
    let index = Bytes::from(std::fs::read(fixtures::root().join("objects/v0.32/s3-manifests-main.json")).unwrap());
    let place = Azblob::new();
    place.server().stored(|stored| {
        stored.containers.entry("buildkit-cache".to_owned()).or_default();
        stored.put("buildkit-cache", "manifests/main", index.clone())
    });
    let manifest = importer(place.config()).resolve().await.unwrap().unwrap().manifest;
    let to = place.spec().with("name", "kept");
    exporter(place.config_of(&to)).commit(&manifest, Expect::Absent).await.unwrap();
    let again = CacheChains::from_manifest(&manifest).unwrap().to_manifest();
    let to = place.spec().with("name", "encoded");
    exporter(place.config_of(&to)).commit(&again, Expect::Absent).await.unwrap();
    for name in ["manifests/kept", "manifests/encoded"] {
        let stored = place.server().stored(|stored| stored.containers["buildkit-cache"].blobs[name].bytes.clone());
        assert_eq!(String::from_utf8_lossy(&stored), String::from_utf8_lossy(&index), "{name}");
    }
}

/// As BuildKit does here, and not in a registry: an index without anything replaces the old one.
#[tokio::test(start_paused = true)]
async fn an_empty_cache_is_two_bytes() {
    let place = Azblob::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    let empty = CacheManifest::new(CacheConfig::default(), Vec::<Descriptor>::new());
    assert!(exporter(place.config()).commit(&empty, Expect::Any).await.unwrap().version.is_some());
    let stored =
        place.server().stored(|stored| stored.containers["buildkit-cache"].blobs["manifests/main"].bytes.clone());
    assert_eq!(stored, "{}");
    assert!(importer(place.config()).resolve().await.unwrap().unwrap().manifest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_signature_in_the_url_is_enough() {
    let place = Azblob::new();
    let config = place.config_of(&place.signed_spec());
    let cache = graphs::cache(1);
    write(config.clone(), &cache).await.unwrap();
    assert!(importer(config.clone()).resolve().await.unwrap().is_some());
    let log = place.server().take_log();
    assert!(log.iter().all(|logged| logged.path.contains("sig=hush") && logged.authorization.is_none()), "{log:?}");
    // It may be good for blobs alone, which leaves open whether the container is there.
    let place = Azblob::with(Options { is_signature_for_blobs: true, ..Options::default() });
    let config = place.config_of(&place.signed_spec());
    let error = write(config.clone(), &cache).await.unwrap_err();
    assert!(error.context("server").unwrap().starts_with("ContainerNotFound"), "{error}");
    place.server().stored(|stored| stored.containers.insert("buildkit-cache".to_owned(), Container::default()));
    write(config, &cache).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_and_a_wrong_signature_are_refused_in_the_services_words() {
    let place = Azblob::new();
    let wrong_key = place.spec().with("secret_access_key", base64(b"hush-another-key"));
    let wrong_name = place.spec().with("account_name", "another");
    let wrong_signature =
        CacheSpec::new("azblob").with("account_url", format!("{}?sig=hush-wrong", place.server().url()));
    for spec in [wrong_key, wrong_name, wrong_signature] {
        let config = place.config_of(&spec);
        let (desc, source) = blob("layer");
        let errors = [
            importer(config.clone()).resolve().await.unwrap_err(),
            importer(config.clone()).stat(&desc).await.unwrap_err(),
            importer(config.clone()).read(&desc, None).await.err().unwrap(),
            exporter(config.clone()).push(&desc, &source).await.unwrap_err(),
            exporter(config.clone()).commit(&graphs::cache(1).manifest, Expect::Any).await.unwrap_err(),
            AzblobStore::new(config).unwrap().caches().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
            assert!(error.context("server").unwrap().starts_with("AuthenticationFailed"), "{error}");
            let shown = format!("{error} {error:?} {:?}", error.hint());
            assert!(!shown.contains("hush") && !shown.contains(&base64(b"hush-another-key")), "{shown}");
        }
    }
    assert!(place.server().stored(|stored| stored.contents()).is_empty());
}

/// The host of a port that nobody listens to, with a signature that must not be shown.
#[tokio::test(start_paused = true)]
async fn nobody_there_shows_no_signature() {
    let spec = CacheSpec::new("azblob").with("account_url", format!("http://127.0.0.1:1/acc?sig={SIGNATURE}"));
    let error = importer(Azblob::new().config_of(&spec)).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    assert!(!shown.contains("hush") && shown.contains("tries=6"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_outlasts_faults_that_pass() {
    let faults = [
        Fault::Answer(429, Some(7), "slow down"),
        Fault::Answer(503, None, "busy"),
        Fault::Answer(500, None, ""),
        Fault::Drop,
    ];
    let calls = [
        (Method::GET, "restype=container"),
        (Method::PUT, "restype=container"),
        (Method::HEAD, "/blobs%2F"),
        (Method::PUT, "/blobs%2F"),
        (Method::PUT, "comp=block&"),
        (Method::PUT, "comp=blocklist"),
        (Method::PUT, "/manifests%2F"),
        (Method::GET, "/manifests%2F"),
        (Method::GET, "/blobs%2F"),
    ];
    for fault in faults {
        for (method, path) in calls.clone() {
            let place = Azblob::new();
            place.server().plan(Plan::new(method.clone(), path, fault.clone()).times(3));
            let environment = Azblob::environment().with_parts(PartLimits::new(1_000, 4));
            let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
            let cache = graphs::cache(1);
            write(config.clone(), &cache)
                .await
                .unwrap_or_else(|error| panic!("{fault:?} on {method} {path}: {error:?}"));
            let target = MemoryCache::new();
            let copied = copy(&importer(config), &target, CopyOptions::default(), &ExportSettings::default()).await;
            copied.unwrap_or_else(|error| panic!("{fault:?} on {method} {path}: {error:?}")).unwrap();
        }
    }
}

/// `Retry-After` is kept to: time is paused, and passes only in waits.
#[tokio::test(start_paused = true)]
async fn the_wait_that_the_service_asks_for_is_kept_to() {
    let place = Azblob::new();
    place.server().plan(Plan::new(Method::GET, "/manifests%2F", Fault::Answer(429, Some(30), "")).times(2));
    let start = tokio::time::Instant::now();
    importer(place.config()).resolve().await.unwrap();
    assert!((60..70).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_goes_on_where_it_stopped() {
    for fault in [Fault::DropAfter(60_000), Fault::Truncate(60_000)] {
        let place = Azblob::new();
        let (desc, source) = blob(vec![7; 100_000]);
        exporter(place.config()).push(&desc, &source).await.unwrap();
        place.server().plan(Plan::new(Method::GET, "/blobs%2F", fault.clone()));
        assert!(bytes_of(&importer(place.config()), &desc).await.unwrap() == vec![7; 100_000], "{fault:?}");
        let again = place.server().take_log().pop().unwrap();
        assert_eq!(again.range.as_deref(), Some("bytes=60000-99999"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_breaks_ends_with_an_error() {
    let place = Azblob::new();
    let (desc, source) = blob(vec![7; 10_000]);
    exporter(place.config()).push(&desc, &source).await.unwrap();
    place.server().plan(Plan::new(Method::GET, "/blobs%2F", Fault::DropAfter(0)).times(1_000));
    let error = bytes_of(&importer(place.config()), &desc).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error:?}");
}

/// A document that ends early, wrong JSON, and a page of HTML.
#[tokio::test(start_paused = true)]
async fn bad_indexes_are_told_apart() {
    let place = Azblob::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    place.server().plan(Plan::new(Method::GET, "/manifests%2F", Fault::Truncate(50)));
    assert!(importer(place.config()).resolve().await.unwrap().is_some());
    place
        .server()
        .stored(|stored| stored.put("buildkit-cache", "manifests/main", Bytes::from_static(b"{\"layers\":[{}]}")));
    let error = importer(place.config()).resolve().await.unwrap_err();
    assert_eq!((error.kind(), error.context("key")), (ErrorKind::InvalidManifest, Some("manifests/main")), "{error:?}");
    place.server().plan(Plan::new(Method::GET, "/manifests%2F", Fault::Answer(404, None, "<html>nothing here</html>")));
    let error = importer(place.config()).resolve().await.unwrap_err();
    assert_eq!((error.kind(), error.context("status")), (ErrorKind::NotFound, Some("404")), "{error:?}");
    let limits = {
        let mut limits = cache_core::Limits::default();
        limits.config = 5;
        limits
    };
    let error = importer(place.config().with_limits(limits)).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error:?}");
}

/// Somebody else may write a blob between our look and our write, in one request or while we send blocks.
#[tokio::test(start_paused = true)]
async fn somebody_who_is_faster_with_a_blob_is_fine() {
    for part_size in [1_000, 100_000] {
        let place = Azblob::new();
        let environment = Azblob::environment().with_parts(PartLimits::new(part_size, 4));
        let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
        let (desc, source) = blob(Random::new(1).bytes(10_000));
        let slow = Faulty::new(&source).with_everywhere(faulty::Fault::Trickle(100));
        let (one, two) = (exporter(config.clone()), exporter(config.clone()));
        for round in 0..5 {
            let pushes = join_all([one.push(&desc, &slow), two.push(&desc, &slow)]).await;
            let pushed: Vec<Pushed> = pushes.into_iter().map(|pushed| pushed.unwrap()).collect();
            assert!(round > 0 || pushed.contains(&Pushed::Uploaded), "{pushed:?}");
        }
        let stored =
            place.server().stored(|stored| stored.blobs().map(|(_, _, blob)| blob.bytes.len()).collect::<Vec<_>>());
        assert_eq!(stored, [10_000]);
    }
}

/// Blocks are sent in parallel, and all uploads share the bound.
#[tokio::test(start_paused = true)]
async fn large_blobs_are_sent_in_blocks() {
    let place = Azblob::new();
    let environment = Azblob::environment().with_parts(PartLimits::new(10_000, 4));
    let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
    let blobs: Vec<_> = (0..3).map(|seed| blob(Random::new(seed).bytes(95_001))).collect();
    let to = exporter(config.clone());
    for pushed in join_all(blobs.iter().map(|(desc, source)| to.push(desc, source))).await {
        assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    }
    let log = shorts(place.server());
    let count = |short: &str| log.iter().filter(|logged| *logged == short).count();
    assert_eq!((count("PUT block 201"), count("PUT blocklist 201"), count("PUT blob 201")), (30, 3, 0), "{log:?}");
    for (desc, source) in &blobs {
        let read = source.read(desc, None).await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat();
        assert!(bytes_of(&importer(config.clone()), desc).await.unwrap() == read);
    }
    assert!(place.server().stored(|stored| stored.containers["buildkit-cache"].blocks.is_empty()));
}

/// What was sent of an upload that fails is dropped by the service when somebody sends the blob whole.
#[tokio::test(start_paused = true)]
async fn blocks_of_an_upload_that_failed_are_dropped_by_the_next() {
    let place = Azblob::new();
    let environment = Azblob::environment().with_parts(PartLimits::new(1_000, 4));
    let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
    let (desc, source) = blob(Random::new(1).bytes(10_000));
    let broken = Faulty::new(&source).with_everywhere(faulty::Fault::Truncate(9_000));
    exporter(config.clone()).push(&desc, &broken).await.unwrap_err();
    let waiting = |place: &Azblob| place.server().stored(|stored| stored.containers["buildkit-cache"].blocks.len());
    assert_eq!((waiting(&place), importer(config.clone()).stat(&desc).await.unwrap()), (1, None));
    exporter(config).push(&desc, &source).await.unwrap();
    assert_eq!(waiting(&place), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_blob_is_refreshed_and_keeps_its_metadata() {
    let place = Azblob::new();
    let (desc, source) = blob("layer");
    exporter(place.config()).push(&desc, &source).await.unwrap();
    let name = format!("blobs/{}", desc.digest);
    place.server().stored(|stored| {
        stored.age(&name, Duration::from_secs(40 * 60));
        let blob = stored.containers.get_mut("buildkit-cache").unwrap().blobs.get_mut(&name).unwrap();
        blob.metadata.insert("owner".to_owned(), "team".to_owned());
    });
    let before = importer(place.config()).stat(&desc).await.unwrap().unwrap().modified;
    let listed = AzblobStore::new(place.config()).unwrap();
    let stale = listed.blobs().try_collect::<Vec<_>>().await.unwrap().remove(0);
    let _ = shorts(place.server());
    assert_eq!(exporter(place.config()).push(&desc, &source).await.unwrap(), Pushed::Refreshed);
    assert_eq!(shorts(place.server()), ["GET container 200", "HEAD blob 200", "PUT metadata 200"]);
    assert!(importer(place.config()).stat(&desc).await.unwrap().unwrap().modified > before);
    assert_eq!(listed.delete_blob(&stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    let kept = place.server().stored(|stored| stored.containers["buildkit-cache"].blobs[&name].metadata.clone());
    assert_eq!(kept.get("owner").map(String::as_str), Some("team"));
    // Who may not refresh may still export.
    place.server().stored(|stored| stored.age(&name, Duration::from_secs(40 * 60)));
    place.server().plan(Plan::new(Method::PUT, "comp=metadata", Fault::Answer(403, None, "")));
    assert_eq!(exporter(place.config()).push(&desc, &source).await.unwrap(), Pushed::Present);
}

/// Two writers, 50 rounds: nothing of either is lost.
#[tokio::test(start_paused = true)]
async fn two_publishers_lose_nothing() {
    let caches = [graphs::cache(1), graphs::cache(2)];
    for round in 0..50 {
        let place = Azblob::new();
        let settings = ExportSettings::default();
        let publishing = caches.iter().map(|cache| {
            let (from, to, settings) = (importer(place.config()), exporter(place.config()), settings.clone());
            async move { publish(&cache.chains, &cache.blobs, (&from, &to), &settings).await }
        });
        for published in join_all(publishing).await {
            published.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        }
        let found = importer(place.config()).resolve().await.unwrap().unwrap().manifest;
        for cache in &caches {
            for blob in cache.manifest.blobs() {
                assert!(found.descriptor(&blob.digest).is_some(), "round {round}: {} is lost", blob.digest);
            }
        }
    }
}

/// Two writers, 50 rounds: exactly one of two conditional commits wins, and plain ones both succeed.
#[tokio::test(start_paused = true)]
async fn one_of_two_conditional_commits_wins() {
    let caches = [graphs::cache(1), graphs::cache(2)];
    let place = Azblob::new();
    write(place.config(), &graphs::cache(3)).await.unwrap();
    for round in 0..50 {
        let version = importer(place.config()).resolve().await.unwrap().unwrap().version;
        let commits = caches.iter().map(|cache| {
            let (to, expect) = (exporter(place.config()), Expect::Version(version.clone()));
            async move { to.commit(&cache.manifest, expect).await }
        });
        let outcomes = join_all(commits).await;
        let winners: Vec<usize> = (0..2).filter(|at| outcomes[*at].is_ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        let lost = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).unwrap();
        assert_eq!(lost.kind(), ErrorKind::Conflict, "{lost:?}");
        let found = importer(place.config()).resolve().await.unwrap().unwrap().manifest;
        assert_eq!(found.config().records, caches[winners[0]].manifest.config().records);
        let plain = caches.iter().map(|cache| {
            let to = exporter(place.config());
            async move { to.commit(&cache.manifest, Expect::Any).await }
        });
        assert!(join_all(plain).await.iter().all(Result::is_ok));
    }
}

/// A commit whose answer is lost has happened: the next try does not take it for somebody else's.
#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_not_a_conflict() {
    let place = Azblob::new();
    let cache = graphs::cache(1);
    let to = exporter(place.config());
    for blob in cache.manifest.blobs() {
        to.push(blob, &cache.blobs).await.unwrap();
    }
    place.server().plan(Plan::new(Method::PUT, "/manifests%2F", Fault::DropAfter(0)));
    let committed = to.commit(&cache.manifest, Expect::Absent).await.unwrap();
    assert_eq!(committed.version, Some(importer(place.config()).resolve().await.unwrap().unwrap().version));
}

#[tokio::test(start_paused = true)]
async fn a_store_is_listed_page_by_page() {
    let place = Azblob::with(Options { page: 2, ..Options::default() });
    let to = exporter(place.config());
    let blobs: Vec<_> = (0..5_u8).map(|at| blob(vec![at])).collect();
    for (desc, source) in &blobs {
        to.push(desc, source).await.unwrap();
    }
    for name in ["c", "a", "b"] {
        write(place.config_of(&place.spec().with("name", name)), &graphs::cache(1)).await.unwrap();
    }
    place.server().plan(Plan::new(Method::GET, "comp=list", Fault::Drop).after(1));
    let store = AzblobStore::new(place.config()).unwrap();
    let caches = store.caches().await.unwrap();
    assert_eq!(caches.iter().filter_map(|cache| cache.name.as_deref()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let listed: Vec<_> = store.blobs().try_collect::<Vec<_>>().await.unwrap();
    for (desc, _) in &blobs {
        let entry = listed.iter().find(|entry| entry.digest == desc.digest).unwrap();
        assert!(entry.size == desc.size && entry.modified.is_some());
    }
}

/// Real time: the wait for a server that does not move is over before the test is.
#[tokio::test]
async fn a_server_that_does_not_move_is_given_up() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let spec =
        CacheSpec::new("azblob").with("account_url", format!("http://{}/a?sig=x", listener.local_addr().unwrap()));
    let idle = Some(Duration::from_millis(50));
    let environment = Azblob::environment().with_timeouts(None, idle).with_retry(cache_core::RetryPolicy::never());
    let error = importer(AzblobConfig::from_spec(&spec, environment).unwrap()).resolve().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.context("cause")),
        (ErrorKind::Unavailable, Some("nothing has moved for 0.05 s")),
        "{error:?}"
    );
}
