//! Services other than GitHub's, which behave differently.

use cache_core::{BlobProvider, CacheExporter, CacheImporter, ErrorKind, Expect, Pushed};
use cache_gha::{ApiVersion, GhaExporter, GhaImporter};
use cache_kit::{PartLimits, Uploads};
use cache_ops::{CopyOptions, ExportSettings, copy_manifest, export};
use cache_tests::graphs;
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, VERSION};
use cache_tests::random::Random;
use cache_tests::servers::actions::{Fault, Options, Plan};

use crate::{Method, assert_holds, blob, main_token, told, write};

/// Tokens of Gitea and act have a scope without a name, in which their caches are.
#[tokio::test(start_paused = true)]
async fn the_scope_of_gitea_is_written_and_read() {
    let place = Gha::act();
    let config = place.config_of(place.token()).with_scope("Linux-X64").unwrap();
    let cache = graphs::cache(1);
    for _ in 0..2 {
        write(config.clone(), &cache).await.unwrap();
        assert_holds(config.clone(), &cache).await;
    }
    let keys = place.server().entries(|entries| entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>());
    assert!(keys.contains(&"index-linux-x64-1-e3b0c442#2".to_owned()), "{keys:?}");
}

/// act returns the oldest entry of a second, so a second index of the same second is not found.
#[tokio::test(start_paused = true)]
async fn an_index_that_readers_do_not_find_is_written_under_a_later_number() {
    let place = Gha::act();
    let (first, second) = (graphs::cache(1), graphs::cache(2));
    for cache in [&first, &second, &first, &second] {
        let (settings, _) = told();
        let exporter = GhaExporter::new(place.config_of(place.token())).unwrap();
        export(&cache.manifest, &cache.blobs, &exporter, &settings).await.unwrap();
        assert_holds(place.config_of(place.token()), cache).await;
    }
    let indices = place.server().entries(|e| e.iter().filter(|entry| entry.key.starts_with("index-")).count());
    assert!(indices > 4, "every index was seen at once: nothing is tested");
}

#[tokio::test(start_paused = true)]
async fn a_writer_notices_that_another_one_has_written_its_number() {
    let place = Gha::act();
    let cache = graphs::cache(1);
    let (one, two) =
        (GhaExporter::new(place.config_of(place.token())), GhaExporter::new(place.config_of(place.token())));
    let (one, two) = (one.unwrap(), two.unwrap());
    place.server().plan(Plan::new(Method::PATCH, "artifactcache/caches/", Fault::Hold));
    let (held, free) = tokio::join!(one.commit(&cache.manifest, Expect::Absent), async {
        arrived(&place, &Method::PATCH).await;
        let free = two.commit(&cache.manifest, Expect::Absent).await;
        place.server().release();
        free
    });
    assert!(free.is_ok(), "{free:?}");
    assert_eq!(held.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_message_means_that_the_key_is_being_uploaded() {
    let place = Gha::numbered();
    let (desc, source) = blob("layer");
    let key = format!("buildkit-blob-1-{}", desc.digest);
    place.server().entries(|entries| entries.insert_reserved(MAIN, &key, VERSION));
    let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
    assert_eq!(exporter.push(&desc, &source).await.unwrap_err().kind(), ErrorKind::Locked);
    place.server().entries(|entries| entries.remove(|entry| entry.key == key));
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
}

/// Missing and `null` fields of an answer are empty, as in Go.
#[tokio::test(start_paused = true)]
async fn answers_may_lack_fields() {
    let place = Gha::v2();
    let miss = r#"{"ok":false,"signed_download_url":null,"matched_key":null}"#;
    for body in [miss, r#"{"ok":null}"#, "{}", "null"] {
        place.server().plan(Plan::new(Method::POST, "GetCacheEntry", Fault::Answer(200, None, body)));
        place.server().plan(Plan::new(Method::POST, "GetCacheEntry", Fault::Answer(200, None, body)));
        let importer = GhaImporter::new(place.config_of(&main_token())).unwrap();
        assert!(importer.resolve().await.unwrap().is_none(), "{body}");
    }
}

/// Other services answer 404 for a missing entry, with or without a message, which is a miss.
#[tokio::test(start_paused = true)]
async fn an_answer_of_404_is_a_miss() {
    let lookups =
        [(ApiVersion::V2, Method::POST, "GetCacheEntry"), (ApiVersion::V1, Method::GET, "artifactcache/cache?")];
    for (api, method, path) in lookups {
        for body in
            ["", "404 page not found", r#"{"code":"not_found","msg":"cache not found"}"#, r#"{"message":"gone"}"#]
        {
            let place = Gha::with(api, Options::default());
            place.server().plan(Plan::always(method.clone(), path, Fault::Answer(404, None, body)));
            let importer = GhaImporter::new(place.config_of(&main_token())).unwrap();
            assert!(importer.resolve().await.unwrap().is_none(), "{api:?} {body}");
            let (desc, source) = blob("layer");
            assert_eq!(importer.stat(&desc).await.unwrap(), None, "{api:?} {body}");
            let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
            assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded, "{api:?} {body}");
        }
    }
}

/// Twirp's error for an unknown method is not a miss: the URL is that of another service.
#[tokio::test(start_paused = true)]
async fn a_service_without_lookups_is_an_error() {
    let place = Gha::v2();
    let body = r#"{"code":"bad_route","msg":"no handler for path"}"#;
    place.server().plan(Plan::always(Method::POST, "GetCacheEntry", Fault::Answer(404, None, body)));
    let importer = GhaImporter::new(place.config_of(&main_token())).unwrap();
    assert!(importer.resolve().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_the_service_has_forgotten_is_made_again() {
    let place = Gha::v2();
    let (desc, source) = blob(Random::new(5).bytes(3 << 20));
    let environment = place.environment().tune(|tuning| tuning.with_parts(PartLimits::new(1 << 20, 3)));
    let exporter = GhaExporter::new(place.config_in(&main_token(), environment)).unwrap();
    let gone = r#"{"code":"not_found","msg":"Upload not found"}"#;
    place.server().plan(Plan::new(Method::POST, "Finalize", Fault::Answer(404, None, gone)));
    let error = exporter.push(&desc, &source).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let key = format!("buildkit-blob-1-{}", desc.digest);
    place.server().entries(|entries| entries.remove(|entry| entry.key == key));
    assert_eq!(exporter.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
}

/// A dead job has reserved a blob: the results that need it are left out, and the rest is a sound cache.
#[tokio::test(start_paused = true)]
async fn results_with_a_blob_reserved_by_a_dead_job_are_left_out() {
    for api in [ApiVersion::V2, ApiVersion::V1] {
        let place = Gha::with(api, Options::default());
        let cache = graphs::cache(1);
        let lost = cache.manifest.blobs().last().unwrap().digest;
        let key = format!("buildkit-blob-1-{lost}");
        place.server().entries(|entries| entries.insert_reserved(MAIN, &key, VERSION));
        let config = place.config_of(&main_token());
        let exporter = GhaExporter::new(config.clone()).unwrap();
        let (settings, _) = told();
        let options = CopyOptions::default();
        let copied = copy_manifest(cache.manifest.clone(), &cache.blobs, &exporter, options, &settings).await.unwrap();
        assert_eq!(copied.export.left_out, [lost]);
        assert!(copied.manifest.blobs().iter().all(|blob| blob.digest != lost));
        let found = GhaImporter::new(config.clone()).unwrap().resolve().await.unwrap().unwrap().manifest;
        assert!(!found.blobs().is_empty() && found.blobs().len() < cache.manifest.blobs().len());
        assert_eq!(found.config().records, copied.manifest.config().records);
    }
}

/// If nothing would be left, the existing cache stays.
#[tokio::test(start_paused = true)]
async fn an_old_cache_is_not_replaced_by_one_without_results() {
    let place = Gha::v2();
    let (old, new) = (graphs::cache(1), graphs::cache(2));
    write(place.config_of(&main_token()), &old).await.unwrap();
    let held: Vec<String> = new.manifest.blobs().iter().map(|blob| blob.digest.to_string()).collect();
    place.server().entries(|entries| {
        held.iter().for_each(|digest| entries.insert_reserved(MAIN, &format!("buildkit-blob-1-{digest}"), VERSION));
    });
    let exporter = GhaExporter::new(place.config_of(&main_token())).unwrap();
    let settings = ExportSettings::default();
    let report = export(&new.manifest, &new.blobs, &exporter, &settings).await.unwrap();
    assert_eq!((report.left_out.len(), report.committed.version), (new.manifest.blobs().len(), None));
    assert_holds(place.config_of(&main_token()), &old).await;
}

/// An upload continues without its caller, so that no key stays locked.
#[tokio::test]
async fn an_upload_that_has_begun_is_finished_without_its_caller() {
    for (api, method, path) in
        [(ApiVersion::V2, Method::PUT, "actions-cache/"), (ApiVersion::V1, Method::PATCH, "artifactcache/caches/")]
    {
        for size in [100, (2 << 20) + 1] {
            let place = Gha::with(api, Options::default());
            let (desc, source) = blob(Random::new(5).bytes(size));
            let uploads = Uploads::new();
            let environment = place
                .environment()
                .tune(|tuning| tuning.with_parts(PartLimits::new(1 << 20, 3)))
                .with_uploads(uploads.clone());
            let exporter = GhaExporter::new(place.config_in(&main_token(), environment)).unwrap();
            place.server().plan(Plan::new(method.clone(), path, Fault::Hold));
            let pushed = tokio::select! {
                pushed = exporter.push(&desc, &source) => Some(pushed),
                () = arrived(&place, &method) => None,
            };
            assert!(pushed.is_none() && uploads.count() == 1, "{pushed:?}");
            place.server().release();
            uploads.settled().await;
            let key = format!("buildkit-blob-1-{}", desc.digest);
            let stored: Vec<usize> = place.server().entries(|entries| {
                let found = entries.iter().filter(|entry| entry.key == key && entry.is_ready);
                found.filter_map(|entry| Some(entry.bytes.as_ref()?.len())).collect()
            });
            assert_eq!(stored, [size]);
        }
    }
}

/// Waits until a request with this method is in the log.
async fn arrived(place: &Gha, method: &Method) {
    while !place.server().take_log().iter().any(|logged| logged.method == *method) {
        tokio::task::yield_now().await;
    }
}
