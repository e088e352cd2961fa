//! A real server: Azurite, Microsoft's emulator. `cargo xtask setup` installs it.

#![cfg(feature = "azblob")]

use cache_azblob::{Azblob, AzblobConfig, AzblobExporter, AzblobImporter, Environment};
use cache_core::seams::Check;
use cache_core::{CacheBackend, CacheImporter, CacheSpec, ErrorKind};
use cache_memory::MemoryCache;
use cache_ops::{CopyOptions, Depth, ExportSettings, copy, export, verify};
use cache_tests::graphs;
use cache_tests::servers::azurite::{ACCOUNT, Azurite, KEY};

cache_tests::conformance!(azurite, cache_tests::places::Azurite::new());

/// An Azurite; `None`, with a message, if it is not installed.
fn start() -> Option<Azurite> {
    if Azurite::is_installed() {
        return Some(Azurite::start());
    }
    println!("skipped: azurite is not installed; `cargo xtask setup` does that");
    None
}

fn spec(server: &Azurite) -> CacheSpec {
    CacheSpec::new("azblob")
        .with("account_url", server.url())
        .with("account_name", ACCOUNT)
        .with("secret_access_key", KEY)
}

fn config(spec: &CacheSpec) -> AzblobConfig {
    AzblobConfig::from_spec(spec, Environment::new()).unwrap()
}

fn signed(server: &Azurite, permissions: &str) -> CacheSpec {
    CacheSpec::new("azblob").with("account_url", server.signed_url("", permissions))
}

#[tokio::test]
async fn a_signature_is_enough_and_its_limits_are_reported() {
    let Some(server) = start() else { return };
    let cache = graphs::cache(1);
    let all = config(&signed(&server, "rwdlac"));
    export(&cache.manifest, &cache.blobs, &AzblobExporter::new(all.clone()).unwrap(), &ExportSettings::default())
        .await
        .unwrap();
    let importer = AzblobImporter::new(config(&signed(&server, "r"))).unwrap();
    let manifest = importer.resolve().await.unwrap().unwrap().manifest;
    assert!(verify(&manifest, &importer, Depth::Deep, 4).await.unwrap().is_sound());
    let reader = AzblobExporter::new(config(&signed(&server, "r"))).unwrap();
    let new = graphs::cache(2);
    let error = export(&new.manifest, &new.blobs, &reader, &ExportSettings::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert!(error.context("server").unwrap().starts_with("AuthorizationPermissionMismatch"), "{error}");
    assert!(!format!("{error:?}").contains("sig="), "{error:?}");
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_azurites_words() {
    let Some(server) = start() else { return };
    let wrong = spec(&server).with("secret_access_key", "aHVzaA==");
    let error = AzblobImporter::new(config(&wrong)).unwrap().resolve().await.unwrap_err();
    assert!(error.context("server").unwrap().starts_with("AuthorizationFailure"), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied), "{error:?}");
    assert!(!format!("{error:?}").contains("aHVzaA"));
}

/// Prefixes with all characters that have to be encoded, and a container with another name.
#[tokio::test]
async fn names_are_taken_as_they_are() {
    let Some(server) = start() else { return };
    let spec = spec(&server).with("container", "other-box").with("prefix", "/a b/é+%/").with("name", "x&y;z%2Fz");
    let cache = graphs::cache(1);
    let exporter = AzblobExporter::new(config(&spec)).unwrap();
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.unwrap();
    let importer = AzblobImporter::new(config(&spec)).unwrap();
    let copied = copy(&importer, &MemoryCache::new(), CopyOptions::default(), &ExportSettings::default()).await;
    assert!(copied.unwrap().is_some());
    let store = Azblob::new(Environment::new()).store(&spec).await.unwrap().unwrap();
    let names: Vec<_> = store.caches().await.unwrap().into_iter().filter_map(|cache| cache.name).collect();
    assert_eq!(names, ["x&y", "z%2Fz"]);
}

#[tokio::test]
async fn the_probe_finds_everything_sound() {
    let Some(server) = start() else { return };
    let probe = Azblob::new(Environment::new()).probe(&spec(&server)).await.unwrap().unwrap();
    let found = probe.diagnose().await.unwrap();
    assert!(found.checks.iter().all(Check::works) && found.leftovers.is_empty(), "{found:?}");
}
