//! The requests to a registry: their number and scopes, and the handling of bad answers.

#![cfg(feature = "registry")]

use bytes::Bytes;
use cache_core::manifest::ManifestForm;
use cache_core::model::Limits;
use cache_core::seams::{Deleted, Silent};
use cache_core::{
    BlobProvider, CacheExporter, CacheImporter, CacheStore, Descriptor, Digest, Error, ErrorKind, Expect, MediaType,
    Pushed, Timestamp,
};
use cache_kit::{RetryPolicy, Timeouts};
use cache_memory::MemoryCache;
use cache_ops::{CopyOptions, ExportSettings, NameGlob, PrunePolicy, PruneSettings, copy, export, plan_prune, prune};
use cache_registry::{Credential, Environment, RegistryConfig, RegistryExporter, RegistryImporter, RegistryStore};
use cache_tests::graphs::{self, Generated};
use cache_tests::places::Registry;
use cache_tests::servers::registry::{Access, Account, Fault, Options, Plan, SIGNATURE, Server};
use futures_util::stream::{StreamExt, TryStreamExt};

type Method = hyper::Method;

fn blob(bytes: &'static [u8]) -> (Descriptor, MemoryCache) {
    let source = MemoryCache::new();
    let _ = source.insert(bytes);
    (Descriptor::of(MediaType::OCI_LAYER, bytes), source)
}

/// The requests in short form, without those of the login.
fn shorts(server: &Server) -> Vec<String> {
    let log = server.take_log();
    log.iter()
        .filter(|logged| logged.status != 401 && !logged.path.starts_with("/token"))
        .map(|logged| logged.short(&cache_tests::servers::registry::KINDS))
        .collect()
}

async fn write(config: RegistryConfig, cache: &Generated) -> Result<(), Error> {
    let exporter = RegistryExporter::new(config);
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.map(drop)
}

async fn bytes_of(importer: &RegistryImporter, blob: &Descriptor) -> Result<Vec<u8>, Error> {
    Ok(importer.read(blob, None).await?.try_collect::<Vec<Bytes>>().await?.concat())
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_number_of_requests() {
    let place = Registry::new();
    let (desc, source) = blob(b"layer");
    let exporter = RegistryExporter::new(place.config());
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
    assert_eq!(shorts(place.server()), ["HEAD blobs 404", "POST blobs/uploads 202", "PUT blobs/uploads 201"]);
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Present);
    assert_eq!(shorts(place.server()), ["HEAD blobs 200"]);

    let cache = graphs::cache(1);
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
    }
    let _ = shorts(place.server());
    exporter.commit(&cache.manifest, Expect::Any).await.unwrap();
    let commit = ["HEAD blobs 404", "POST blobs/uploads 202", "PUT blobs/uploads 201", "PUT manifests 201"];
    assert_eq!(shorts(place.server()), commit);

    RegistryImporter::new(place.config()).resolve().await.unwrap().unwrap();
    assert_eq!(shorts(place.server()), ["GET manifests 200", "GET blobs 200"]);
}

#[tokio::test(start_paused = true)]
async fn an_import_requests_only_pull_and_every_request_has_a_user_agent() {
    let place = Registry::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    let log = place.server().take_log();
    assert!(log.iter().all(|logged| logged.agent.starts_with("buildcache/")), "{log:?}");
    RegistryImporter::new(place.config()).resolve().await.unwrap().unwrap();
    let asked: Vec<_> =
        place.server().take_log().into_iter().filter(|logged| logged.path.starts_with("/token")).collect();
    assert_eq!(asked.len(), 1, "one token does for all requests");
    assert!(!place.server().tokens().is_empty());
    let place = Registry::behind(Access::Token(public()), public(), Options::default());
    write(place.config(), &graphs::cache(1)).await.unwrap();
    let _ = place.server().take_log();
    let anonymous =
        place.config_of("team/cache:main", Environment::new().tune(|tuning| tuning.with_timeouts(Timeouts::none())));
    RegistryImporter::new(anonymous.clone()).resolve().await.unwrap().unwrap();
    let log = place.server().take_log();
    let token = log.iter().find(|logged| logged.path.starts_with("/token")).unwrap();
    assert!(
        token.path.contains("scope=repository%3Ateam%2Fcache%3Apull") && !token.path.contains("push"),
        "{}",
        token.path
    );
    let error = write(anonymous, &graphs::cache(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
}

fn account() -> Account {
    Account::new("tester", "swordfish-3f9a")
}

fn public() -> Account {
    Account { is_public: true, ..account() }
}

#[tokio::test(start_paused = true)]
async fn every_way_to_log_in_works() {
    let no_forms = Account { takes_forms: false, ..account() };
    let password = Credential::password("tester", "swordfish-3f9a");
    let identity = Credential::IdentityToken(account().identity);
    let ways = [
        (Access::Open, Credential::Anonymous),
        (Access::Basic(account()), password.clone()),
        (Access::Token(account()), password.clone()),
        (Access::Token(no_forms), password),
        (Access::Token(account()), identity),
    ];
    for (access, credential) in ways {
        let place = Registry::behind(access.clone(), account(), Options::default());
        let environment =
            Environment::new().with_credential(credential).tune(|tuning| tuning.with_timeouts(Timeouts::none()));
        let config = place.config_of("team/cache:main", environment);
        let cache = graphs::cache(1);
        write(config.clone(), &cache).await.unwrap_or_else(|error| panic!("{access:?}: {error:?}"));
        let resolved = RegistryImporter::new(config).resolve().await.unwrap().unwrap();
        assert_eq!(resolved.manifest.config(), cache.manifest.config());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_refused_with_the_registrys_message() {
    for access in [Access::Basic(account()), Access::Token(account())] {
        let place = Registry::behind(access, account(), Options::default());
        let wrong = Environment::new()
            .with_credential(Credential::password("tester", "hush-hush"))
            .tune(|tuning| tuning.with_timeouts(Timeouts::none()));
        let config = place.config_of("team/cache:main", wrong);
        let read = RegistryImporter::new(config.clone()).resolve().await.unwrap_err();
        let written = write(config, &graphs::cache(1)).await.unwrap_err();
        for error in [read, written] {
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(error.context("server").unwrap().starts_with("UNAUTHORIZED: "), "{error}");
            assert!(!format!("{error:?}").contains("hush-hush"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_is_replaced() {
    let place = Registry::new();
    let exporter = RegistryExporter::new(place.config());
    let cache = graphs::cache(1);
    for blob in cache.manifest.blobs() {
        exporter.push(blob, &cache.blobs).await.unwrap();
        place.server().expire_tokens();
    }
    exporter.commit(&cache.manifest, Expect::Any).await.unwrap();
    let importer = RegistryImporter::new(place.config());
    let resolved = importer.resolve().await.unwrap().unwrap();
    for blob in resolved.manifest.blobs() {
        place.server().expire_tokens();
        bytes_of(&importer, blob).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_of_another_repository_is_mounted() {
    let place = Registry::new();
    let (desc, source) = blob(b"layer");
    RegistryExporter::new(place.config_of("team/other:x", place.environment())).push(&desc, &source).await.unwrap();
    let _ = shorts(place.server());
    let noted = desc.clone().with_annotation("containerd.io/distribution.source.127.0.0.1", "far/away,team/other");
    let exporter = RegistryExporter::new(place.config());
    assert_eq!(exporter.push(&noted, &source).await.unwrap(), Pushed::Mounted);
    assert_eq!(shorts(place.server()), ["HEAD blobs 404", "POST blobs/uploads 201"]);

    let (absent, source) = blob(b"elsewhere");
    let noted = absent.with_annotation("containerd.io/distribution.source.127.0.0.1", "team/other");
    assert_eq!(exporter.push(&noted, &source).await.unwrap(), Pushed::Uploaded);
    assert_eq!(shorts(place.server()).len(), 3, "an upload that a mount has started is used");
}

#[tokio::test(start_paused = true)]
async fn an_upload_to_another_host_gets_no_authorization_and_shows_no_signature() {
    let place = Registry::with(Options { uploads_elsewhere: true, ..Options::default() });
    let (desc, source) = blob(b"layer");
    let exporter = RegistryExporter::new(place.config());
    exporter.push(&desc, &source).await.unwrap();
    let log = place.server().take_log();
    let put = log.iter().find(|logged| logged.method == Method::PUT).unwrap();
    assert_eq!((put.authorization.as_deref(), put.path.contains(SIGNATURE)), (None, true));
    let (other, source) = blob(b"other");
    place.server().plan(Plan::new(Method::PUT, "uploads", Fault::Answer(403, None, "no such signature")));
    let error = exporter.push(&other, &source).await.unwrap_err();
    assert_eq!((error.kind(), error.context("server")), (ErrorKind::PermissionDenied, Some("no such signature")));
    assert!(!format!("{error:?}").contains(SIGNATURE), "{error:?}");
}

/// A copy through the place succeeds in spite of temporary faults.
#[tokio::test(start_paused = true)]
async fn a_copy_outlasts_faults_that_pass() {
    let faults = [
        Fault::Answer(429, Some(7), r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#),
        Fault::Answer(503, None, "down for a moment"),
        Fault::Drop,
    ];
    let calls = [
        (Method::HEAD, "/blobs/"),
        (Method::POST, "/uploads"),
        (Method::PUT, "/uploads"),
        (Method::PUT, "/manifests"),
        (Method::GET, "/manifests"),
        (Method::GET, "/blobs/"),
        (Method::GET, "/token"),
        (Method::POST, "/token"),
    ];
    for fault in faults {
        for (method, path) in calls.clone() {
            let place = Registry::new();
            place.server().plan(Plan::new(method.clone(), path, fault.clone()).times(3));
            let cache = graphs::cache(1);
            write(place.config(), &cache)
                .await
                .unwrap_or_else(|error| panic!("{fault:?} on {method} {path}: {error:?}"));
            let target = MemoryCache::new();
            let importer = RegistryImporter::new(place.config());
            let copied = copy(&importer, &target, CopyOptions::default(), &ExportSettings::default()).await;
            copied.unwrap_or_else(|error| panic!("{fault:?} on {method} {path}: {error:?}")).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_resumed() {
    let bytes: &'static [u8] = &[7; 100_000];
    for (options, is_ranged) in [(Options::default(), true), (Options { ranges: false, ..Options::default() }, false)] {
        for fault in [Fault::DropAfter(60_000), Fault::Truncate(60_000)] {
            let place = Registry::with(options);
            let (desc, source) = blob(bytes);
            RegistryExporter::new(place.config()).push(&desc, &source).await.unwrap();
            let importer = RegistryImporter::new(place.config());
            place.server().plan(Plan::new(Method::GET, "/blobs/", fault.clone()));
            let _ = place.server().take_log();
            assert!(bytes_of(&importer, &desc).await.unwrap() == bytes, "{fault:?}");
            let log = place.server().take_log();
            let again = log.iter().rfind(|logged| logged.method == Method::GET).unwrap();
            assert_eq!(
                (again.range.as_deref(), again.status),
                (Some("bytes=60000-99999"), if is_ranged { 206 } else { 200 })
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_breaks_ends_with_an_error() {
    let place = Registry::new();
    let (desc, source) = blob(&[7; 10_000]);
    RegistryExporter::new(place.config()).push(&desc, &source).await.unwrap();
    place.server().plan(Plan::new(Method::GET, "/blobs/", Fault::DropAfter(0)).times(1_000));
    let error = bytes_of(&RegistryImporter::new(place.config()), &desc).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(error.context("blob"), Some(desc.digest.to_string().as_str()));
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_are_named_and_nothing_is_written() {
    let place = Registry::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let broken = &cache.manifest.blobs()[0];
    place.server().plan(Plan::new(Method::GET, broken.digest.to_string(), Fault::Corrupt(3)).times(100));
    let other = RegistryExporter::new(place.config_of("team/copy:main", place.environment()));
    let importer = RegistryImporter::new(place.config());
    let error = copy(&importer, &other, CopyOptions::default(), &ExportSettings::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::DigestMismatch, Some(cache_core::Side::Source)));
    assert!(error.to_string().contains(&broken.digest.to_string()), "{error}");
    let tags = place.server().stored(|stored| stored.repositories.get("team/copy").map(|copy| copy.tags.len()));
    assert_eq!(tags.unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_with_other_bytes_is_a_digest_mismatch() {
    let place = Registry::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    place.server().plan(Plan::new(Method::GET, "/manifests/", Fault::Corrupt(40)));
    let error = RegistryImporter::new(place.config()).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error:?}");
    let limits = {
        let mut limits = Limits::default();
        limits.manifest = 100;
        limits
    };
    let error = RegistryImporter::new(place.config().with_limits(limits)).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_registrys_message_also_for_head() {
    let place = Registry::new();
    let denied = Fault::Answer(403, None, r#"{"errors":[{"code":"DENIED","message":"not\nyours"}]}"#);
    place.server().plan(Plan::new(Method::HEAD, "/blobs/", denied.clone()));
    place.server().plan(Plan::new(Method::GET, "/blobs/", denied.clone()));
    let (desc, source) = blob(b"layer");
    let error = RegistryExporter::new(place.config()).push(&desc, &source).await.unwrap_err();
    assert_eq!((error.kind(), error.context("server")), (ErrorKind::PermissionDenied, Some("DENIED: not yours")));
    place.server().plan(Plan::new(
        Method::PUT,
        "/manifests/",
        Fault::Answer(400, None, r#"{"errors":[{"code":"MANIFEST_INVALID","message":"what is this"}]}"#),
    ));
    let error = write(place.config(), &graphs::cache(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.context("status")), (ErrorKind::Unsupported, Some("400")));
    assert!(error.hint().unwrap().contains("image-manifest"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn digests_in_references_are_respected() {
    let place = Registry::new();
    let [first, second] = [1, 2].map(graphs::cache);
    write(place.config(), &first).await.unwrap();
    let pinned = RegistryImporter::new(place.config()).resolve().await.unwrap().unwrap().version;
    write(place.config(), &second).await.unwrap();
    let at = |path: String| place.config_of(&path, place.environment());
    for path in [format!("team/cache@{}", pinned.as_str()), format!("team/cache:main@{}", pinned.as_str())] {
        let resolved = RegistryImporter::new(at(path)).resolve().await.unwrap().unwrap();
        assert_eq!((resolved.manifest.config(), &resolved.version), (first.manifest.config(), &pinned));
    }
    let absent = Digest::sha256(b"absent");
    assert!(RegistryImporter::new(at(format!("team/cache@{absent}"))).resolve().await.unwrap().is_none());

    let tagged = || place.server().stored(|stored| stored.repositories["team/cache"].tags["main"]).to_string();
    let before = tagged();
    write(at(format!("team/cache:main@{}", pinned.as_str())), &graphs::cache(3)).await.unwrap();
    assert_eq!(tagged(), before, "a digest that is not ours keeps the tag as it is");
    write(at(format!("team/cache:main@{}", pinned.as_str())), &first).await.unwrap();
    assert_eq!(tagged(), pinned.as_str());
}

#[tokio::test(start_paused = true)]
async fn each_form_can_be_read_and_written_without_digest_headers() {
    let place = Registry::with(Options { says_digests: false, ..Options::default() });
    for form in [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList] {
        let cache = graphs::cache(1);
        write(place.config().with_form(form), &cache).await.unwrap();
        let resolved = RegistryImporter::new(place.config()).resolve().await.unwrap().unwrap();
        assert_eq!(resolved.manifest.form(), Some(form));
        let listed = RegistryStore::new(place.config()).caches().await.unwrap();
        assert_eq!(listed[0].version, resolved.version);
    }
}

#[tokio::test(start_paused = true)]
async fn an_overtaken_writer_gets_a_conflict() {
    let place = Registry::new();
    let [first, second] = [1, 2].map(graphs::cache);
    write(place.config(), &first).await.unwrap();
    let theirs = RegistryImporter::new(place.config()).resolve().await.unwrap().unwrap().version;
    let exporter = RegistryExporter::new(place.config());
    let settings = ExportSettings::default().with_expect(Expect::Version(theirs));
    let _ = shorts(place.server());
    export(&second.manifest, &second.blobs, &exporter, &settings).await.unwrap();
    let last: Vec<String> = shorts(place.server()).into_iter().rev().take(3).collect();
    assert_eq!(last, ["HEAD manifests 200", "PUT manifests 201", "HEAD manifests 200"]);
    let error = export(&first.manifest, &first.blobs, &exporter, &settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn tags_are_listed_page_by_page() {
    let place = Registry::with(Options { page: 3, ..Options::default() });
    for tag in 0..8 {
        write(place.config_of(&format!("team/cache:t{tag}"), place.environment()), &graphs::cache(tag)).await.unwrap();
    }
    let names: Vec<_> =
        RegistryStore::new(place.config()).caches().await.unwrap().into_iter().filter_map(|cache| cache.name).collect();
    assert_eq!(names, (0..8).map(|tag| format!("t{tag}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn unsupported_operations_are_reported() {
    let place = Registry::with(Options { deletes: false, ..Options::default() });
    write(place.config(), &graphs::cache(1)).await.unwrap();
    let store = RegistryStore::new(place.config());
    let blobs: Vec<_> = store.blobs().collect().await;
    assert_eq!(blobs.len(), 1);
    assert_eq!(blobs[0].as_ref().unwrap_err().kind(), ErrorKind::Unsupported);
    let listed = store.caches().await.unwrap().remove(0);
    let error = store.delete_cache(&listed).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.context("server")),
        (ErrorKind::Unsupported, Some("UNSUPPORTED: the operation is unsupported"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_manifest_with_another_tag_is_not_deleted_with_this_one() {
    let place = Registry::with(Options { deletes_tags: false, ..Options::default() });
    let other = place.config_of("team/cache:other", place.environment());
    write(place.config(), &graphs::cache(1)).await.unwrap();
    write(other.clone(), &graphs::cache(1)).await.unwrap();
    let store = RegistryStore::new(place.config());
    let listed = store.caches().await.unwrap();
    let error = store.delete_cache(&listed[0]).await.unwrap_err();
    assert_eq!((error.kind(), error.context("other")), (ErrorKind::InUse, Some("other")));
    assert!(error.hint().is_some_and(|hint| hint.contains("takes no space")), "{:?}", error.hint());
    write(other, &graphs::cache(2)).await.unwrap();
    assert_eq!(store.delete_cache(&listed[0]).await.unwrap(), Deleted::Removed);
    assert!(RegistryImporter::new(place.config()).resolve().await.unwrap().is_none());
}

/// If tags cannot be deleted alone, a prune deletes a manifest with all of its names or not at all.
#[tokio::test(start_paused = true)]
async fn a_prune_deletes_a_manifest_when_all_of_its_names_go() {
    let place = Registry::with(Options { deletes_tags: false, ..Options::default() });
    for (tag, seed) in [("a", 1), ("b", 1), ("c", 2), ("d", 2)] {
        write(place.config_of(&format!("team/cache:{tag}"), place.environment()), &graphs::cache(seed)).await.unwrap();
    }
    let store = RegistryStore::new(place.config());
    let policy =
        PrunePolicy::new(std::time::Duration::from_secs(3600)).with_keep_latest(0).with_keep(NameGlob::new("d"));
    let plan = plan_prune(&store, &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
    assert_eq!((plan.caches.len(), plan.blobs.is_none(), plan.note.is_some()), (3, true, true));
    let may_stay = plan.caches.iter().map(|cache| cache.may_stay_with.as_deref());
    let names = plan.caches.iter().map(|cache| cache.name.as_deref());
    let told: Vec<_> = names.zip(may_stay).filter(|(_, other)| other.is_some()).collect();
    assert_eq!(told, [(Some("c"), Some("d"))]);
    let report = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
    let kept: Vec<_> = report.kept_caches.iter().filter_map(|kept| kept.cache.name.as_deref()).collect();
    assert_eq!((report.caches.len(), kept), (2, vec!["c"]));
    let left: Vec<_> = store.caches().await.unwrap().into_iter().filter_map(|cache| cache.name).collect();
    assert_eq!(left, ["c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_a_prune_reads_each_document_once() {
    let place = Registry::new();
    for (tag, seed) in [("a", 1), ("b", 2)] {
        write(place.config_of(&format!("team/cache:{tag}"), place.environment()), &graphs::cache(seed)).await.unwrap();
    }
    let (store, policy) = (RegistryStore::new(place.config()), PrunePolicy::new(std::time::Duration::from_secs(3600)));
    let _ = shorts(place.server());
    let plan = plan_prune(&store, &policy, Timestamp::now(), &PruneSettings::default()).await.unwrap();
    assert_eq!(plan.kept_caches, 2);
    let mut asked = shorts(place.server());
    asked.retain(|asked| !asked.contains("tags"));
    asked.sort_unstable();
    let of_each = ["GET blobs 200", "GET manifests 200", "HEAD manifests 200"];
    assert_eq!(asked, of_each.map(|asked| [asked; 2]).concat());
}

#[tokio::test]
async fn a_stalled_server_is_an_error() {
    use std::time::Duration;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let wait = Timeouts::all(Duration::from_millis(50));
    let environment = Environment::new().tune(|tuning| tuning.with_timeouts(wait).with_retry(RetryPolicy::never()));
    let config = RegistryConfig::new(&format!("{host}/team/cache"), environment).unwrap();
    let error = RegistryImporter::new(config).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.context("cause").unwrap().contains("nothing has moved"), "{error}");
    drop((listener, Silent));
}
