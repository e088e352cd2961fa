//! The credentials of a registry are sent only to the registry and to the token server that it names.

#![cfg(feature = "registry")]

use cache_core::{CacheImporter, CacheStore, Error, ErrorKind};
use cache_kit::{RetryPolicy, Timeouts};
use cache_ops::{ExportSettings, export};
use cache_registry::{Credential, Environment, RegistryExporter, RegistryImporter, RegistryStore};
use cache_tests::graphs;
use cache_tests::places::Registry;
use cache_tests::servers::registry::{Access, Account, Fault, Options, Plan};
use cache_tests::servers::thief::{Asks, Thief};
use futures_util::stream::TryStreamExt;
use hyper::Method;

const PASSWORD: &str = "swordfish-3f9a";

fn account() -> Account {
    Account::new("tester", PASSWORD)
}

/// Runs all operations of the backend, and returns the errors.
async fn everything(place: &Registry, environment: &Environment) -> Vec<Error> {
    let config = || place.config_of("team/cache:main", environment.clone());
    let cache = graphs::cache(1);
    let mut errors = Vec::new();
    let exporter = RegistryExporter::new(config());
    let settings = ExportSettings::default().with_retry(RetryPolicy::never());
    errors.extend(export(&cache.manifest, &cache.blobs, &exporter, &settings).await.err());
    let importer = RegistryImporter::new(config());
    errors.extend(importer.resolve().await.err());
    for blob in cache.manifest.blobs() {
        use cache_core::BlobProvider as _;
        errors.extend(importer.stat(blob).await.err());
        for range in [None, Some(0..1)] {
            match importer.read(blob, range).await {
                Ok(stream) => errors.extend(stream.try_collect::<Vec<_>>().await.err()),
                Err(error) => errors.push(error),
            }
        }
    }
    let store = RegistryStore::new(config());
    match store.caches().await {
        Ok(listed) => {
            for entry in listed {
                errors.extend(store.delete_cache(&entry).await.err());
            }
        }
        Err(error) => errors.push(error),
    }
    errors
}

/// Every request of the backend is redirected to the thief, with every status.
#[tokio::test(start_paused = true)]
async fn the_target_of_a_redirect_gets_no_credential() {
    let requests = [
        (Method::HEAD, "/blobs/"),
        (Method::GET, "/blobs/"),
        (Method::POST, "/uploads"),
        (Method::PUT, "/uploads"),
        (Method::GET, "/manifests/"),
        (Method::HEAD, "/manifests/"),
        (Method::PUT, "/manifests/"),
        (Method::DELETE, "/manifests/"),
        (Method::GET, "/tags/"),
    ];
    for access in [Access::Token(account()), Access::Basic(account())] {
        for (status, asks) in [(302, Asks::Basic), (307, Asks::Basic), (307, Asks::Bearer), (308, Asks::Bearer)] {
            for (method, path) in requests.clone() {
                let place = Registry::behind(access.clone(), account(), Options::default());
                let thief = Thief::start(asks);
                let environment = place.environment().tune(|tuning| tuning.with_retry(RetryPolicy::never()));
                // The first run succeeds, so that the credential is known and a cache exists.
                let cache = graphs::cache(1);
                let exporter = RegistryExporter::new(place.config());
                export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.unwrap();
                if method != Method::GET && path != "/manifests/" {
                    cache
                        .manifest
                        .blobs()
                        .iter()
                        .for_each(|blob| place.server().stored(|stored| stored.lose(&blob.digest)));
                }
                let location = format!("http://{}/stolen", thief.host());
                place.server().plan(Plan::new(method.clone(), path, Fault::Redirect(status, location)).times(1_000));
                let errors = everything(&place, &environment).await;
                let told = thief.take();
                let is_followed = status >= 307 || matches!(method, Method::GET | Method::HEAD);
                assert_eq!(!told.is_empty(), is_followed, "{status} {method} {path}: {told:?} {errors:?}");
                let mut secrets = place.server().tokens();
                secrets.extend([PASSWORD.to_owned(), "authorization".to_owned(), "referer".to_owned()]);
                for told in told {
                    let leaked = secrets.iter().find(|secret| told.contains(*secret));
                    assert_eq!(leaked, None, "{status} {method} {path}: {told}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_of_a_token_server_to_another_host_is_not_followed() {
    for (status, method) in [(307, Method::POST), (308, Method::POST), (307, Method::GET), (302, Method::GET)] {
        let takes_forms = method == Method::POST;
        let account = Account { takes_forms, ..account() };
        let place = Registry::behind(Access::Token(account.clone()), account, Options::default());
        let thief = Thief::start(Asks::Bearer);
        let location = format!("http://{}/token", thief.host());
        place.server().plan(Plan::new(method, "/token", Fault::Redirect(status, location)).times(1_000));
        let error = RegistryImporter::new(place.config()).resolve().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
        assert!(error.to_string().contains("redirects to another one"), "{error}");
        assert_eq!(thief.take(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_server_may_redirect_to_another_path() {
    let place = Registry::new();
    let location = format!("http://{}/token?moved=1", place.server().host());
    place.server().plan(Plan::new(Method::POST, "/token", Fault::Redirect(307, location)));
    assert!(RegistryImporter::new(place.config()).resolve().await.unwrap().is_none());
}

/// After a redirect to another host and back, the credential is not sent again.
#[tokio::test(start_paused = true)]
async fn a_redirect_back_gets_no_credential() {
    let (place, other) = (Registry::new(), Registry::behind(Access::Open, account(), Options::default()));
    let cache = graphs::cache(1);
    let exporter = RegistryExporter::new(place.config());
    export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default()).await.unwrap();
    let back = format!("http://{}/v2/team/private/manifests/main", place.server().host());
    let away = format!("http://{}/v2/team/cache/manifests/main", other.server().host());
    place.server().plan(Plan::new(Method::GET, "team/cache/manifests", Fault::Redirect(307, away)).times(1_000));
    other.server().plan(Plan::new(Method::GET, "/manifests", Fault::Redirect(307, back)).times(1_000));
    let _ = place.server().take_log();
    let environment = place.environment().tune(|tuning| tuning.with_retry(RetryPolicy::never()));
    let importer = RegistryImporter::new(place.config_of("team/cache:main", environment));
    assert!(importer.resolve().await.is_err());
    let log = place.server().take_log();
    let back: Vec<_> = log.iter().filter(|logged| logged.path.contains("private")).collect();
    assert!(!back.is_empty() && back.iter().all(|logged| logged.authorization.is_none()), "{back:?}");
}

/// A wrong password and a missing login are different errors.
#[tokio::test(start_paused = true)]
async fn an_error_names_the_login_that_was_used() {
    let place = Registry::new();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("config.json");
    let shown = path.display().to_string();
    let said = |environment: Environment| async {
        let config =
            place.config_of("team/cache:main", environment.tune(|tuning| tuning.with_timeouts(Timeouts::none())));
        let error = RegistryImporter::new(config).resolve().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
        (error.to_string(), error.hint().unwrap_or_default().to_owned())
    };
    let host = place.server().host();
    let wrong = cache_tests::base64::base64(b"tester:hush-hush");
    std::fs::write(&path, format!(r#"{{"auths":{{"{host}":{{"auth":"{wrong}"}}}}}}"#)).unwrap();
    let (message, hint) = said(Environment::new().with_auth_file(&path)).await;
    assert!(message.contains(&shown) && hint.contains("not accepted"), "{message} {hint}");
    std::fs::write(&path, r#"{"credsStore":"buildcache-no-such-helper"}"#).unwrap();
    let (message, hint) = said(Environment::new().with_auth_file(&path)).await;
    assert!(message.contains(&shown) && hint.starts_with("install docker-credential-"), "{message} {hint}");
    std::fs::write(&path, "{}").unwrap();
    let (message, hint) = said(Environment::new().with_auth_file(&path)).await;
    assert!(message.contains(&format!("none in {shown}")) && hint.contains("docker login"), "{message} {hint}");
    let given = Environment::new().with_credential(Credential::password("tester", "hush-hush"));
    assert!(said(given).await.0.contains("the given one"));
}
