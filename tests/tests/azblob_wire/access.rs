//! Access with keys and signatures, and without.

use cache_azblob::AzblobStore;
use cache_core::{BlobProvider, CacheExporter, CacheImporter, CacheSpec, CacheStore, ErrorKind, Expect};
use cache_tests::base64::base64;
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use cache_tests::servers::azblob::{Container, Options, SIGNATURE};

use crate::{blob, exporter, importer, write};

#[tokio::test(start_paused = true)]
async fn a_signature_in_the_url_is_enough() {
    let place = Azblob::new();
    let config = place.config_of(&place.signed_spec());
    let cache = graphs::cache(1);
    write(config.clone(), &cache).await.unwrap();
    assert!(importer(config.clone()).resolve().await.unwrap().is_some());
    let log = place.server().take_log();
    assert!(log.iter().all(|logged| logged.path.contains("sig=hush") && logged.authorization.is_none()), "{log:?}");
    // It may be valid only for blobs, so that it is unknown whether the container exists.
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

/// An unreachable server, with a signature that must not be shown.
#[tokio::test(start_paused = true)]
async fn the_error_for_an_unreachable_server_shows_no_signature() {
    let spec = CacheSpec::new("azblob").with("account_url", format!("http://127.0.0.1:1/acc?sig={SIGNATURE}"));
    let error = importer(Azblob::new().config_of(&spec)).resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    assert!(!shown.contains("hush") && shown.contains("tries=6"), "{shown}");
}
