//! Real registries: each test is a way in which some registry differs from the specification or from others.

#![cfg(feature = "registry")]

use bytes::Bytes;
use cache_core::manifest::ManifestForm;
use cache_core::{
    BlobProvider, CacheExporter, CacheImporter, CacheStore, Descriptor, Digest, Error, ErrorKind, Expect, MediaType,
    Pushed, Timestamp,
};
use cache_kit::RetryPolicy;
use cache_memory::MemoryCache;
use cache_ops::{
    CopyOptions, Depth, EntryContent, ExportReport, ExportSettings, PrunePolicy, PruneSettings, copy, export,
    plan_prune, prune, verify,
};
use cache_registry::{RegistryConfig, RegistryExporter, RegistryImporter, RegistryStore};
use cache_tests::base64::base64;
use cache_tests::graphs::{self, Generated};
use cache_tests::places::Registry;
use cache_tests::servers::registry::{Access, Account, Fault, Listing, Options, Plan};
use futures_util::stream::TryStreamExt;
use hyper::Method;
use hyper::header::ACCEPT_ENCODING;

async fn write(config: RegistryConfig, cache: &Generated) -> Result<ExportReport, Error> {
    let exporter = RegistryExporter::new(config);
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await
}

/// Reads the cache back and verifies every blob.
async fn assert_sound(place: &Registry, cache: &Generated) {
    let importer = RegistryImporter::new(place.config());
    let resolved = importer.resolve().await.unwrap().expect("it was written");
    assert_eq!(resolved.manifest.config(), cache.manifest.config());
    for depth in [Depth::Fast, Depth::Deep] {
        let report = verify(&resolved.manifest, &importer, depth, 4).await.unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
    }
}

/// A registry in which a cache has `count` tags.
async fn tagged(options: Options, count: usize) -> Registry {
    let place = Registry::with(options);
    write(place.config_of("team/cache:t0000", place.environment()), &graphs::cache(1)).await.unwrap();
    place.server().stored(|stored| {
        let tags = &mut stored.repositories.get_mut("team/cache").unwrap().tags;
        let digest = tags["t0000"];
        tags.extend((0..count).map(|at| (format!("t{at:04}"), digest)));
    });
    let _ = place.server().take_log();
    place
}

/// A proxy redirects plain HTTP to HTTPS with a status that turns every request into a GET: the error names the target.
#[tokio::test(start_paused = true)]
async fn a_redirect_that_a_write_cannot_follow_is_an_error_with_its_target() {
    let place = Registry::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let location = "https://user:hush-hush@registry.test/v2/?token=hush-hush";
    for (method, path) in [(Method::DELETE, "/manifests/"), (Method::PUT, "/manifests/")] {
        for status in [301, 302, 303] {
            place.server().plan(Plan::always(method.clone(), path, Fault::Redirect(status, location.to_owned())));
            let error = if method == Method::DELETE {
                let store = RegistryStore::new(place.config());
                let listed = store.caches().await.unwrap();
                store.delete_cache(&listed[0]).await.unwrap_err()
            } else {
                RegistryExporter::new(place.config()).commit(&cache.manifest, Expect::Any).await.unwrap_err()
            };
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains("https://registry.test,") && !hint.contains("turned off"), "{error:?} {hint}");
            assert!(!format!("{error:?} {hint}").contains("hush"), "{error:?} {hint}");
            place.server().http().calm();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_tag_is_listed_however_a_registry_pages() {
    for listing in [Listing::Linked, Listing::Unlinked, Listing::LinkedElsewhere, Listing::Strict, Listing::Whole] {
        for page in [1, 3, 8, 100] {
            let place = tagged(Options { listing, page, ..Options::default() }, 8).await;
            let listed = RegistryStore::new(place.config()).caches().await.unwrap();
            let names: Vec<_> = listed.into_iter().filter_map(|cache| cache.name).collect();
            let expected: Vec<_> = (0..8).map(|at| format!("t{at:04}")).collect();
            assert_eq!(names, expected, "{listing:?} in pages of {page}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_may_not_be_whole_is_an_error() {
    for listing in [Listing::Stuck, Listing::Circles, Listing::Empty] {
        let place = tagged(Options { listing, page: 1_000, ..Options::default() }, 1_100).await;
        let error = RegistryStore::new(place.config()).caches().await.unwrap_err();
        assert!(error.to_string().contains("does not end"), "{listing:?}: {error}");
        let asked = place.server().take_log().len();
        assert!(asked < 30, "{listing:?}: {asked} requests");
    }
}

/// If tags cannot be deleted alone, a manifest is deleted only if no other tag has it, also on later pages.
#[tokio::test(start_paused = true)]
async fn a_tag_on_a_later_page_keeps_its_manifest() {
    for listing in [Listing::Unlinked, Listing::LinkedElsewhere, Listing::Strict] {
        let options = Options { listing, page: 2, deletes_tags: false, ..Options::default() };
        let place = tagged(options, 3).await;
        let store = RegistryStore::new(place.config());
        let first = store.caches().await.unwrap().remove(0);
        let error = store.delete_cache(&first).await.unwrap_err();
        assert_eq!((error.kind(), error.context("other")), (ErrorKind::InUse, Some("t0001")), "{listing:?}");
    }
}

/// A proxy removes the length of a body that it does not send.
#[tokio::test(start_paused = true)]
async fn a_length_of_0_is_ignored() {
    let place = Registry::with(Options { hides_lengths: true, ..Options::default() });
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let again = write(place.config(), &cache).await.unwrap();
    assert_eq!(again.bytes, 0, "nothing is sent that is there: {again:?}");
    assert_sound(&place, &cache).await;
    let listed = RegistryStore::new(place.config()).caches().await.unwrap().remove(0);
    let manifest = RegistryImporter::new(place.config()).resolve().await.unwrap().unwrap().manifest;
    assert_eq!(listed.descriptor.unwrap().size, manifest.raw_manifest().unwrap().descriptor.size);
}

/// A proxy compresses everything, although `identity` was requested: documents, layers, lists, tokens.
#[tokio::test(start_paused = true)]
async fn gzip_of_a_proxy_is_decompressed() {
    let place = Registry::with(Options { gzips: true, ..Options::default() });
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    assert_sound(&place, &cache).await;
    assert_eq!(RegistryStore::new(place.config()).caches().await.unwrap().len(), 1);
    let blob = &cache.manifest.blobs()[0];
    let stream = RegistryImporter::new(place.config()).read(blob, Some(1..blob.size)).await.unwrap();
    let part = stream.try_collect::<Vec<Bytes>>().await.unwrap().concat();
    let whole = RegistryImporter::new(place.config()).read(blob, None).await.unwrap();
    assert_eq!(part, whole.try_collect::<Vec<Bytes>>().await.unwrap().concat()[1..]);
    let log = place.server().take_log();
    assert!(log.iter().all(|logged| logged.headers.get(ACCEPT_ENCODING).is_some_and(|asked| asked == "identity")));
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_where_it_is_redirected_to() {
    let place = Registry::with(Options { redirects_writes: true, ..Options::default() });
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    assert_sound(&place, &cache).await;
    let log = place.server().take_log();
    for (method, path) in [(Method::POST, "uploads"), (Method::PUT, "uploads"), (Method::PUT, "manifests")] {
        let is_moved = |status| {
            log.iter().any(|logged| logged.method == method && logged.path.contains(path) && logged.status == status)
        };
        assert!(is_moved(307), "{method} {path} was not redirected");
    }
}

/// Garbage collection beside a running distribution: collected blobs still exist for HEAD, for mounts and for the check
/// of a manifest, and the manifest itself is not written again.
#[tokio::test(start_paused = true)]
async fn blobs_that_only_seem_to_exist_are_sent_again() {
    let place = Registry::with(Options { remembers: true, ..Options::default() });
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let collect = || {
        place.server().stored(|stored| {
            let repository = stored.repositories.get_mut("team/cache").unwrap();
            repository.blobs.clear();
            repository.manifests.clear();
            repository.tags.clear();
        });
    };
    collect();
    let report = write(place.config(), &cache).await.unwrap();
    assert!(report.pushed.contains_key("uploaded"), "{report:?}");
    assert_sound(&place, &cache).await;

    // A collected blob that another repository still seems to have.
    let exporter = RegistryExporter::new(place.config_of("team/other:main", place.environment()));
    let settings = ExportSettings::default();
    export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
    collect();
    write(place.config(), &cache).await.unwrap();
    assert_sound(&place, &cache).await;
}

/// A collection that began before the manifest was written deletes the older blobs and leaves the manifest.
#[tokio::test(start_paused = true)]
async fn deleted_blobs_of_a_readable_manifest_are_sent_again() {
    let place = Registry::with(Options { remembers: true, ..Options::default() });
    let cache = graphs::wide(40);
    write(place.config(), &cache).await.unwrap();
    place.server().stored(|stored| stored.repositories.get_mut("team/cache").unwrap().blobs.clear());
    let report = write(place.config(), &cache).await.unwrap();
    assert_eq!(report.pushed.get("uploaded"), Some(&40), "{report:?}");
    assert_sound(&place, &cache).await;
}

#[tokio::test(start_paused = true)]
async fn only_blobs_that_were_not_sent_are_read_back() {
    let place = Registry::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let reads = |place: &Registry| {
        let log = place.server().take_log();
        log.iter().filter(|logged| logged.method == Method::GET && logged.path.contains("/blobs/sha")).count()
    };
    assert_eq!(reads(&place), 0);
    write(place.config(), &cache).await.unwrap();
    let claimed = cache.manifest.blobs().len() + 1;
    assert_eq!(reads(&place), claimed, "one byte of each blob that was there, and of the config");
}

/// Distribution 3 accepts only indexes of manifests.
#[tokio::test(start_paused = true)]
async fn a_refused_index_is_not_retried_and_the_hint_names_the_form() {
    let place = Registry::with(Options { indexes_manifests: true, ..Options::default() });
    let cache = graphs::cache(1);
    for form in [ManifestForm::Index, ManifestForm::DockerList] {
        let error = write(place.config().with_form(form), &cache).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.hint().unwrap().contains("image-manifest=true"), "{error:?}");
        assert!(error.context("server").unwrap().starts_with("MANIFEST_BLOB_UNKNOWN"), "{error}");
        let log = place.server().take_log();
        let puts = log.iter().filter(|logged| logged.method == Method::PUT && logged.path.contains("/manifests/"));
        assert_eq!(puts.filter(|logged| logged.status != 401).count(), 1, "{form:?}");
    }
    write(place.config().with_form(ManifestForm::ImageManifest), &cache).await.unwrap();
    assert_sound(&place, &cache).await;
}

/// Answers that docker and containerd accept.
#[tokio::test(start_paused = true)]
async fn tokens_are_read_from_every_known_field() {
    for answer in [
        r#"{"token":"TOKEN","access_token":"","expires_in":1800}"#,
        r#"{"token":"TOKEN","access_token":null,"expires_in":-1}"#,
        r#"{"Access_Token":"TOKEN","expires_in":"300"}"#,
        r#"{"token":"TOKEN","expires_in":18446744073709551615}"#,
        r#"{"token":"TOKEN","expires_in":0}"#,
    ] {
        let account = Account { answer: Some(answer), ..Account::new("tester", "swordfish-3f9a") };
        let place = Registry::behind(Access::Token(account.clone()), account, Options::default());
        let cache = graphs::cache(1);
        write(place.config(), &cache).await.unwrap_or_else(|error| panic!("{answer}: {error:?}"));
        assert_sound(&place, &cache).await;
    }
}

/// An annotation is untrusted text: it cannot add a scope or change a path.
#[tokio::test(start_paused = true)]
async fn mounts_are_requested_only_from_valid_repositories() {
    let place = Registry::new();
    let source = MemoryCache::new();
    let _ = source.insert("layer");
    let blob = Descriptor::of(MediaType::OCI_LAYER, b"layer");
    for from in ["a:pull repository:b", "../b", "a/../b", "A", "a&x=y", ""] {
        let noted = blob.clone().with_annotation("containerd.io/distribution.source.127.0.0.1", from);
        let exporter = RegistryExporter::new(place.config());
        assert!(matches!(exporter.push(&noted, &source).await.unwrap(), Pushed::Uploaded | Pushed::Present));
        let log = place.server().take_log();
        assert!(!log.iter().any(|logged| logged.path.contains("mount=")), "{from}");
        place.server().stored(|stored| stored.lose(&blob.digest));
    }
}

/// Embedded content of a descriptor is not requested, as in containerd.
#[tokio::test(start_paused = true)]
async fn embedded_content_is_not_requested() {
    let place = Registry::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    place.server().stored(|stored| {
        let repository = stored.repositories.get_mut("team/cache").unwrap();
        let (media_type, bytes) = repository.manifests[&repository.tags["main"]].clone();
        let mut manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let embed = |descriptor: &mut serde_json::Value| {
            let digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
            descriptor["data"] = base64(&repository.blobs[&digest]).into();
        };
        embed(&mut manifest["config"]);
        manifest["layers"].as_array_mut().unwrap().iter_mut().for_each(embed);
        let bytes = Bytes::from(manifest.to_string());
        repository.blobs.clear();
        repository.tags.insert("main".to_owned(), Digest::sha256(&bytes));
        repository.manifests.insert(Digest::sha256(&bytes), (media_type, bytes));
    });
    assert_sound(&place, &cache).await;
    let importer = RegistryImporter::new(place.config());
    let copied = MemoryCache::new();
    let settings = ExportSettings::default();
    copy(&importer, &copied, CopyOptions::default(), &settings).await.unwrap().unwrap();
    let blob = &cache.manifest.blobs()[0];
    assert!(copied.stat(blob).await.unwrap().is_some());
}

/// A tag that cannot be read is named; the others are listed and can be deleted.
#[tokio::test(start_paused = true)]
async fn an_unreadable_tag_is_listed_beside_the_others() {
    let denied = r#"{"errors":[{"code":"DENIED","message":"not this one"}]}"#;
    for (status, deletes_tags) in [(400, true), (403, true), (500, true), (403, false)] {
        let place = Registry::with(Options { deletes_tags, ..Options::default() });
        for (seed, tag) in ["a", "b", "lost"].into_iter().enumerate() {
            let config = place.config_of(&format!("team/cache:{tag}"), place.environment());
            write(config, &graphs::cache(seed as u64)).await.unwrap();
        }
        for method in [Method::GET, Method::HEAD] {
            let fault = Fault::Answer(status, None, denied);
            place.server().plan(Plan::new(method, "/manifests/lost", fault).times(10_000));
        }
        let store = RegistryStore::new(place.config());
        let listing = store.list().await.unwrap();
        let names: Vec<_> = listing.caches.iter().filter_map(|cache| cache.name.as_deref()).collect();
        assert_eq!(names, ["a", "b"], "{status}");
        let [unreadable] = &listing.unreadable[..] else { panic!("{:?}", listing.unreadable) };
        assert_eq!((&*unreadable.name, unreadable.error.context("status")), ("lost", Some(&*status.to_string())));
        assert_eq!(store.caches().await.unwrap_err().context("cache"), Some("lost"));

        let policy = PrunePolicy::new(std::time::Duration::from_secs(3600)).with_keep_latest(1);
        let plan = plan_prune(&store, &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
        assert_eq!((plan.caches.len(), plan.unreadable.len()), (1, 1), "{status}");
        assert_eq!(plan.caches[0].may_stay_with.as_deref(), Some("lost"), "{status}");
        let report = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
        // If a manifest is deleted with all of its tags, the unreadable tag might be one of them.
        assert_eq!((report.caches.len(), report.kept_caches.len()), if deletes_tags { (1, 0) } else { (0, 1) });
    }
}

/// If a registry fails for every tag, or does not answer, that is an error of the list and not of single tags.
#[tokio::test(start_paused = true)]
async fn a_failing_registry_is_an_error_and_no_list_of_broken_tags() {
    let place = tagged(Options::default(), 60).await;
    place.server().plan(Plan::new(Method::HEAD, "/manifests/", Fault::Answer(503, None, "down")).times(100_000));
    place.server().plan(Plan::new(Method::GET, "/manifests/", Fault::Answer(503, None, "down")).times(100_000));
    let environment = place.environment().tune(|tuning| tuning.with_retry(RetryPolicy::never()));
    let store = RegistryStore::new(place.config_of("team/cache", environment.clone()));
    assert_eq!(store.list().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let place = tagged(Options::default(), 2).await;
    place.server().plan(Plan::new(Method::HEAD, "/manifests/", Fault::Drop).times(100));
    let store = RegistryStore::new(place.config_of("team/cache", environment));
    assert!(store.list().await.is_err());
}

/// A name in a list of tags is put into a URL only if it is a valid tag.
#[tokio::test(start_paused = true)]
async fn an_invalid_tag_is_not_requested() {
    let place = tagged(Options::default(), 1).await;
    let hostile = ["../../other/manifests/x", "a/b", "..", "", "a?x=y", "a#b", "\u{202e}evil", "a\u{1b}[31m", "%2e%2e"];
    place.server().stored(|stored| {
        let repository = stored.repositories.get_mut("team/cache").unwrap();
        let digest = repository.tags["t0000"];
        repository.tags.extend(hostile.map(|tag| (tag.to_owned(), digest)));
    });
    let listing = RegistryStore::new(place.config()).list().await.unwrap();
    assert_eq!((listing.caches.len(), listing.unreadable.len()), (1, hostile.len()));
    let log = place.server().take_log();
    let asked = log.iter().filter(|logged| logged.path.contains("/manifests/"));
    assert!(asked.clone().count() > 0 && asked.into_iter().all(|logged| logged.path.ends_with("/manifests/t0000")));
}

/// Charts, signatures, SBOMs and images of schema 1 are neither caches nor errors.
#[tokio::test(start_paused = true)]
async fn other_things_are_no_caches() {
    let place = Registry::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    let layer = Descriptor::of(MediaType::OCI_LAYER, b"layer");
    let config = Descriptor::of(MediaType::from("application/vnd.cncf.helm.config.v1+json".to_owned()), b"no JSON");
    let [layer, config] = [&layer, &config].map(|descriptor| serde_json::to_string(descriptor).unwrap());
    let documents = [
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#),
        r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[{"blobSum":"sha256:x"}],"signatures":[]}"#.to_owned(),
        r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
    ];
    for document in documents {
        place.server().stored(|stored| {
            let repository = stored.repositories.get_mut("team/cache").unwrap();
            repository.blobs.insert(Digest::sha256(b"no JSON"), Bytes::from_static(b"no JSON"));
            let (digest, bytes) = (Digest::sha256(document.as_bytes()), Bytes::from(document.clone()));
            repository.tags.insert("main".to_owned(), digest);
            repository.manifests.insert(digest, ("application/vnd.oci.image.manifest.v1+json".to_owned(), bytes));
        });
        let found = RegistryImporter::new(place.config())
            .resolve()
            .await
            .unwrap_or_else(|error| panic!("{document}: {error:?}"));
        assert!(found.is_none(), "{document}");
    }
}

/// The manifest of a tag can have any type, such as that of an old image or an artefact.
#[tokio::test(start_paused = true)]
async fn a_manifest_of_an_unknown_type_is_not_missing() {
    let place = Registry::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    for (media_type, document) in [
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[],"signatures":[]}"#,
        ),
        ("application/vnd.oci.artifact.manifest.v1+json", r#"{"artifactType":"x","blobs":[]}"#),
    ] {
        place.server().stored(|stored| {
            let repository = stored.repositories.get_mut("team/cache").unwrap();
            let digest = Digest::sha256(document.as_bytes());
            repository.tags.insert("main".to_owned(), digest);
            repository.manifests.insert(digest, (media_type.to_owned(), Bytes::from(document)));
        });
        let store = RegistryStore::new(place.config());
        let entry = store.caches().await.unwrap().remove(0);
        assert_eq!(EntryContent::of(&store, &entry).await.unwrap(), EntryContent::Other, "{media_type}");
    }
}

/// Distribution answers 416 for a deleted blob; other registries answer it to every range.
#[tokio::test(start_paused = true)]
async fn a_registry_without_ranges_is_recognised_by_reading_the_blob() {
    let place = Registry::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let _ = place.server().take_log();
    place.server().plan(Plan::new(Method::GET, "/blobs/", Fault::Answer(416, None, "")));
    write(place.config(), &cache).await.unwrap();
    let sent = place.server().take_log();
    assert!(!sent.iter().any(|logged| logged.path.contains("/uploads")), "nothing is sent again");
}
