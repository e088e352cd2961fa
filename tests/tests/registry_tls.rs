//! Certificates and proxies, with Debian's `docker-registry` behind TLS. Its name does not resolve; it is reached
//! through a proxy.

#![cfg(feature = "registry")]

use std::fs;
use std::path::Path;

use cache_core::{CacheImporter, Error, ErrorKind};
use cache_kit::RetryPolicy;
use cache_ops::{ExportSettings, export};
use cache_registry::{Environment, Proxies, RegistryConfig, RegistryExporter, RegistryImporter};
use cache_tests::graphs;
use cache_tests::places::Registry;
use cache_tests::servers::certificates::Certificates;
use cache_tests::servers::docker_registry::{DockerRegistry, Setup, Tls};
use cache_tests::servers::registry::{Access, Account, Options};
use cache_tests::servers::relay::Relay;
use tempfile::TempDir;

/// A name that never resolves (RFC 6761).
const HOST: &str = "registry.test:5000";

/// A CA, a server's certificate and a client's.
fn certificates() -> Certificates {
    Certificates::make(&["registry.test", "client.test"])
}

/// A registry with the server's certificate.
fn start(certificates: &Certificates, wants_clients: bool) -> Option<DockerRegistry> {
    if !DockerRegistry::is_installed() {
        println!("skipped: docker-registry is not installed; `cargo xtask setup` does that");
        return None;
    }
    let client_ca = wants_clients.then(|| certificates.path("ca.crt"));
    let (certificate, key) = (certificates.path("registry.test.cert"), certificates.path("registry.test.key"));
    Some(DockerRegistry::start_tls(&Tls { certificate, key, client_ca }))
}

/// A directory like `/etc/docker/certs.d` with some of the files.
fn certs_dir(certificates: &Certificates, files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::with_prefix("cache-tests-").unwrap();
    fs::create_dir(dir.path().join(HOST)).unwrap();
    for (from, to) in files {
        fs::copy(certificates.path(from), dir.path().join(HOST).join(to)).unwrap();
    }
    dir
}

fn config(proxies: Proxies, certs: &Path) -> RegistryConfig {
    let environment = Environment::new()
        .with_proxies(proxies)
        .with_certs_dir(certs)
        .tune(|tuning| tuning.with_retry(RetryPolicy::never()));
    RegistryConfig::new(&format!("{HOST}/team/cache:main"), environment).unwrap()
}

fn through(relay: &Relay) -> Proxies {
    Proxies::none().with_https(format!("http://{}", relay.host()))
}

/// Writes a cache and reads it back.
async fn round_trip(config: RegistryConfig) -> Result<(), Error> {
    let cache = graphs::cache(1);
    let exporter = RegistryExporter::new(config.clone());
    let settings = ExportSettings::default().with_retry(RetryPolicy::never());
    export(&cache.manifest, &cache.blobs, &exporter, &settings).await?;
    let resolved = RegistryImporter::new(config).resolve().await?.expect("it was written");
    assert_eq!(resolved.manifest.config(), cache.manifest.config());
    Ok(())
}

#[tokio::test]
async fn a_private_ca_is_trusted_for_its_registry_only() {
    let certificates = certificates();
    let Some(registry) = start(&certificates, false) else { return };
    let relay = Relay::start(registry.host());
    round_trip(config(through(&relay), certs_dir(&certificates, &[("ca.crt", "ca.crt")]).path())).await.unwrap();
    let error = round_trip(config(through(&relay), certs_dir(&certificates, &[]).path())).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false));
    assert!(error.hint().unwrap().contains("/etc/docker/certs.d"), "{error:?}");
    let elsewhere = TempDir::new().unwrap();
    fs::create_dir(elsewhere.path().join("other.test:5000")).unwrap();
    fs::copy(certificates.path("ca.crt"), elsewhere.path().join("other.test:5000/ca.crt")).unwrap();
    round_trip(config(through(&relay), elsewhere.path())).await.unwrap_err();
    round_trip(config(through(&relay), elsewhere.path()).with_insecure(true)).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_used_if_there_is_one() {
    let certificates = certificates();
    let Some(registry) = start(&certificates, true) else { return };
    let relay = Relay::start(registry.host());
    let ours = [("ca.crt", "ca.crt"), ("client.test.cert", "client.cert"), ("client.test.key", "client.key")];
    round_trip(config(through(&relay), certs_dir(&certificates, &ours).path())).await.unwrap();
    let error = round_trip(config(through(&relay), certs_dir(&certificates, &ours[..1]).path())).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error:?}");
    assert!(error.hint().unwrap().contains("client.cert"), "{error:?}");
    let error = round_trip(config(through(&relay), certs_dir(&certificates, &ours[..2]).path())).await.unwrap_err();
    assert!(error.context("path").unwrap().ends_with("client.key"), "{error:?}");
}

#[tokio::test]
async fn a_registry_is_reached_through_the_proxy_of_its_scheme() {
    let certificates = certificates();
    let Some(registry) = start(&certificates, false) else { return };
    let (relay, certs) = (Relay::start(registry.host()), certs_dir(&certificates, &[("ca.crt", "ca.crt")]));
    let address = format!("http://me:hush-hush@{}", relay.host());
    let config_with = |proxies| config(proxies, certs.path());
    round_trip(config_with(Proxies::none().with_https(&address))).await.unwrap();
    let tunnels = relay.take_tunnels();
    assert!(!tunnels.is_empty());
    for head in tunnels {
        assert!(head.starts_with("CONNECT registry.test:5000 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\nproxy-authorization: basic "), "{head}");
    }
    // Without the proxy the name does not resolve.
    let excepted = Proxies::none().with_https(&address).with_exceptions("example.com, registry.test");
    for proxies in [Proxies::none(), Proxies::none().with_http(&address), excepted] {
        let error = round_trip(config_with(proxies)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!format!("{error:?}").contains("hush-hush"));
    }
    assert!(relay.take_tunnels().is_empty());
}

#[tokio::test]
async fn an_insecure_registry_without_tls_is_reached_through_the_proxy_for_http() {
    let account = Account::new("tester", "swordfish-3f9a");
    let place = Registry::behind(Access::Open, account, Options::default());
    let relay = Relay::start(place.server().host());
    let proxies = through(&relay).with_http(format!("http://{}", relay.host()));
    round_trip(config(proxies, Path::new("/nowhere")).with_insecure(true)).await.unwrap();
    let log = place.server().take_log();
    assert!(log.iter().all(|logged| logged.path.starts_with("http://registry.test:5000/v2/")), "{log:?}");
}

#[tokio::test]
async fn this_machine_is_never_reached_through_a_proxy() {
    let Some(registry) = DockerRegistry::is_installed().then(|| DockerRegistry::start(Setup::Plain)) else { return };
    let nowhere = Proxies::none().with_http("http://127.0.0.1:9").with_https("http://127.0.0.1:9");
    let environment = Environment::new().with_proxies(nowhere);
    let config = RegistryConfig::new(&format!("{}/team/cache:main", registry.host()), environment).unwrap();
    round_trip(config).await.unwrap();
}
