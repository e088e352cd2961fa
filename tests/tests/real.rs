//! Real servers: Debian's `docker-registry`, plain, with a password, with TLS. `cargo xtask setup` installs it.

#![cfg(feature = "registry")]

use cache_core::manifest::ManifestForm;
use cache_core::seams::{CacheProbe, Deleted};
use cache_core::{CacheImporter, CacheStore, ErrorKind};
use cache_local::{LocalConfig, LocalExporter, LocalImporter};
use cache_ops::{CopyOptions, ExportSettings, copy, export};
use cache_registry::{
    Credential, Environment, RegistryConfig, RegistryExporter, RegistryImporter, RegistryProbe, RegistryStore,
};
use cache_tests::fixtures;
use cache_tests::graphs;
use cache_tests::servers::docker_registry::{ACCOUNT, DockerRegistry, Setup};

cache_tests::conformance!(docker_registry, cache_tests::places::DockerRegistry::new());

/// A registry; `None`, with a message, if it is not installed.
fn start(setup: Setup) -> Option<DockerRegistry> {
    if DockerRegistry::is_installed() {
        return Some(DockerRegistry::start(setup));
    }
    println!("skipped: docker-registry is not installed; `cargo xtask setup` does that");
    None
}

fn config(registry: &DockerRegistry, tag: &str, environment: Environment) -> RegistryConfig {
    RegistryConfig::new(&format!("{}/team/cache:{tag}", registry.host()), environment).unwrap()
}

/// Copies every fixture to the registry and back, in its own form byte for byte, and in every other form.
#[tokio::test]
async fn every_fixture_round_trips() {
    let Some(registry) = start(Setup::Plain) else { return };
    let settings = ExportSettings::default();
    let forms = [None, Some(ManifestForm::ImageManifest), Some(ManifestForm::Index), Some(ManifestForm::DockerList)];
    for (at, fixture) in fixtures::all().into_iter().enumerate() {
        // The forms are the same for all versions.
        let count = if fixture.name.starts_with("v0.32") { forms.len() } else { 1 };
        for form in forms.into_iter().take(count) {
            let config = config(&registry, &format!("t{at}"), Environment::new());
            let config = form.map_or(config.clone(), |form| config.with_form(form));
            let source = LocalImporter::new(LocalConfig::new(&fixture.path));
            let to = RegistryExporter::new(config.clone());
            let report = copy(&source, &to, CopyOptions::default(), &settings).await;
            let report = report.unwrap_or_else(|error| panic!("{} {form:?}: {error:?}", fixture.name));
            let Some(report) = report else { continue };
            let importer = RegistryImporter::new(config);
            let Some(resolved) = importer.resolve().await.unwrap() else {
                assert!(report.export.committed.descriptor.is_none(), "{}", fixture.name);
                continue;
            };
            let expected = form.or(report.manifest.form()).unwrap_or(ManifestForm::ImageManifest);
            assert_eq!(resolved.manifest.form(), Some(expected), "{}", fixture.name);
            if form.is_none() && report.manifest.raw_manifest().is_some() {
                assert_eq!(resolved.manifest.raw_manifest(), report.manifest.raw_manifest(), "{}", fixture.name);
            }
            if report.manifest.raw_manifest().is_some() {
                assert_eq!(resolved.manifest.raw_config(), report.manifest.raw_config(), "{}", fixture.name);
            }
            let back = tempfile::tempdir().unwrap();
            let local = LocalConfig::new(back.path());
            copy(&importer, &LocalExporter::new(local.clone()), CopyOptions::default(), &settings)
                .await
                .unwrap()
                .unwrap();
            let again = LocalImporter::new(local).resolve().await.unwrap().unwrap();
            assert_eq!(again.manifest.raw_manifest(), resolved.manifest.raw_manifest(), "{}", fixture.name);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let Some(registry) = start(Setup::Password) else { return };
    let credentials = [Credential::Anonymous, Credential::password(ACCOUNT.0, "hush-hush")];
    for credential in credentials {
        let config = config(&registry, "x", Environment::new().with_credential(credential));
        let error = RegistryImporter::new(config).resolve().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
        assert!(error.context("server").unwrap().contains("UNAUTHORIZED"), "{error}");
        assert!(!format!("{error:?}").contains("hush-hush"));
    }
    let right = Environment::new().with_credential(Credential::password(ACCOUNT.0, ACCOUNT.1));
    assert!(RegistryImporter::new(config(&registry, "x", right)).resolve().await.unwrap().is_none());
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_only_if_configured() {
    let Some(registry) = start(Setup::Tls) else { return };
    let certs = tempfile::tempdir().unwrap();
    let host = certs.path().join(registry.host());
    std::fs::create_dir(&host).unwrap();
    std::fs::copy(registry.certificate(), host.join("ca.crt")).unwrap();

    // Loopback is plain HTTP, unless `registry.insecure` detects TLS, whose certificate is not checked.
    let insecure = config(&registry, "x", Environment::new()).with_insecure(true);
    let cache = graphs::cache(1);
    let exporter = RegistryExporter::new(insecure.clone());
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.unwrap();
    assert!(RegistryImporter::new(insecure).resolve().await.unwrap().is_some());
    let plain = RegistryImporter::new(config(&registry, "x", Environment::new().with_certs_dir(certs.path())));
    assert!(plain.resolve().await.is_err());
}

#[tokio::test]
async fn an_insecure_registry_without_tls_gets_plain_http() {
    let Some(registry) = start(Setup::Plain) else { return };
    let config = config(&registry, "x", Environment::new()).with_insecure(true);
    assert!(RegistryImporter::new(config).resolve().await.unwrap().is_none());
}

#[tokio::test]
async fn caches_are_listed_and_deleted_if_the_registry_allows_it() {
    for (setup, expected) in [(Setup::Plain, Ok(Deleted::Removed)), (Setup::NoDelete, Err(ErrorKind::Unsupported))] {
        let Some(registry) = start(setup) else { return };
        for tag in ["b", "a"] {
            let cache = graphs::cache(tag.len() as u64 + u64::from(tag == "a"));
            let exporter = RegistryExporter::new(config(&registry, tag, Environment::new()));
            export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.unwrap();
        }
        let store = RegistryStore::new(config(&registry, "x", Environment::new()));
        let listed = store.caches().await.unwrap();
        assert_eq!(listed.iter().filter_map(|cache| cache.name.as_deref()).collect::<Vec<_>>(), ["a", "b"]);
        let deleted = store.delete_cache(&listed[0]).await;
        if let Err(error) = &deleted {
            assert!(error.context("server").is_some(), "{error}");
        }
        assert_eq!(deleted.map_err(|error| error.kind()), expected);
    }
}

/// The probe writes in every form, and leaves a tag only if nothing can be deleted.
#[tokio::test]
async fn a_probe_finds_what_works() {
    for (setup, left) in [(Setup::Plain, 0), (Setup::NoDelete, 1)] {
        let Some(registry) = start(setup) else { return };
        let config = config(&registry, "main", Environment::new());
        let found = RegistryProbe::new(config.clone()).diagnose().await.unwrap();
        for form in ["image-manifest", "index", "docker-list", "chunked-upload", "mount", "range-read", "tag-list"] {
            assert!(found.works(form), "{form}: {found:?}");
        }
        assert_eq!((found.works("delete"), found.leftovers.len()), (left == 0, left), "{found:?}");
        assert_eq!(RegistryStore::new(config).caches().await.unwrap().len(), left);
    }
}
