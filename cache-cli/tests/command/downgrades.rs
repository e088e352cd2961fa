//! Stores with HTTPS that redirect their clients to plain HTTP, in every request and to every host: no credential is
//! sent there.

use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cache_local::{LocalConfig, LocalExporter};
use cache_ops::{ExportSettings, export};
use cache_tests::base64::base64;
use cache_tests::graphs::{Shape, cache_of};
use cache_tests::servers::certificates::Certificates;
use cache_tests::servers::http::{Fault, Method, Plan};
use cache_tests::servers::registry::{Access, Account};
use cache_tests::servers::relay::Relay;
use cache_tests::servers::thief::{Asks, Thief};
use cache_tests::servers::tls::TlsFront;
use cache_tests::servers::{actions, azblob, registry, s3};

use crate::sandbox::Sandbox;

/// A name that never resolves (RFC 6761). It is reached through proxies: by HTTPS the store, by plain HTTP the thief.
const NAME: &str = "store.test";
const HOST: &str = "store.test:5000";
const PASSWORD: &str = "swordfish-3f9a";
const SHAPE: Shape = Shape { records: 3, depth: 3, results: 1, layer_bytes: 100 };

/// A store behind TLS.
struct Store {
    /// Its spec with secrets, which are never shown.
    spec: String,
    secrets: Vec<String>,
    plan: Box<dyn Fn(Plan) + Send + Sync>,
    calm: Box<dyn Fn() + Send + Sync>,
    /// The requests that it gets.
    requests: &'static [(Method, &'static str)],
    sandbox: Sandbox,
    certificates: Certificates,
    relay: Relay,
    _front: TlsFront,
}

/// Starts a store in front of a server, whose faults are planned at `$http`.
macro_rules! store {
    ($server:expr, $host:expr, $spec:expr, $secrets:expr, $requests:expr) => {{
        let (server, certificates) = (Arc::new($server), Certificates::make(&[NAME]));
        let front = TlsFront::start($host(&*server), &certificates, NAME);
        let (planned, calmed) = (Arc::clone(&server), server);
        Store {
            spec: $spec,
            secrets: $secrets,
            plan: Box::new(move |plan| planned.http().plan(plan)),
            calm: Box::new(move || {
                calmed.http().calm();
            }),
            requests: $requests,
            sandbox: Sandbox::empty(),
            relay: Relay::start(front.host()),
            certificates,
            _front: front,
        }
    }};
}

fn of_url(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}

fn registry_of(access: Access) -> Store {
    const REQUESTS: &[(Method, &str)] = &[
        (Method::HEAD, "/blobs/"),
        (Method::GET, "/blobs/"),
        (Method::POST, "/uploads"),
        (Method::PUT, "/uploads"),
        (Method::GET, "/manifests/"),
        (Method::PUT, "/manifests/"),
        (Method::POST, "/token"),
        (Method::GET, "/token"),
    ];
    let secrets = vec![PASSWORD.to_owned(), base64(format!("tester:{PASSWORD}").as_bytes()), "token-".to_owned()];
    let server = registry::Server::start(access, registry::Options::default());
    let spec = format!("type=registry,ref={HOST}/team/cache:main");
    let store = store!(server, registry::Server::host, spec, secrets, REQUESTS);
    let login = base64(format!("tester:{PASSWORD}").as_bytes());
    let config = format!(r#"{{"auths":{{"{HOST}":{{"auth":"{login}"}}}}}}"#);
    std::fs::write(store.sandbox.path("config.json"), config).unwrap();
    store
}

fn bucket() -> Store {
    const REQUESTS: &[(Method, &str)] = &[
        (Method::GET, "list-type"),
        (Method::HEAD, "/blobs/"),
        (Method::PUT, "/blobs/"),
        (Method::GET, "/blobs/"),
        (Method::PUT, "/manifests/"),
        (Method::GET, "/manifests/"),
    ];
    let (bucket, id, key) = (s3::BUCKET, s3::ACCESS_KEY, s3::SECRET_KEY);
    let spec = format!(
        "type=s3,bucket={bucket},region=eu-test-1,name=main,endpoint_url=https://{HOST},use_path_style=true,\
         access_key_id={id},secret_access_key={key}"
    );
    let host = |server: &s3::Server| of_url(&server.endpoint());
    store!(s3::Server::start(s3::Options::default()), host, spec, vec![key.to_owned()], REQUESTS)
}

fn account() -> Store {
    const REQUESTS: &[(Method, &str)] = &[
        (Method::GET, "comp=list"),
        (Method::HEAD, "blobs"),
        (Method::PUT, "blobs"),
        (Method::GET, "blobs"),
        (Method::PUT, "manifests"),
        (Method::GET, "manifests"),
        (Method::HEAD, "manifests"),
    ];
    let (name, key) = (azblob::ACCOUNT, base64(azblob::KEY));
    let spec =
        format!("type=azblob,account_url=https://{HOST}/{name},account_name={name},secret_access_key={key},name=main");
    let host = |server: &azblob::Server| of_url(&server.url());
    store!(azblob::Server::start(azblob::Options::default()), host, spec, vec![key], REQUESTS)
}

fn service(scheme: &str, version: &str) -> Store {
    const REQUESTS: &[(Method, &str)] = &[
        (Method::POST, "GetCacheEntryDownloadURL"),
        (Method::POST, "CreateCacheEntry"),
        (Method::POST, "FinalizeCacheEntryUpload"),
        (Method::PUT, "actions-cache/"),
        (Method::GET, "actions-cache/"),
        (Method::GET, "artifactcache/cache"),
        (Method::POST, "artifactcache/caches"),
        (Method::PATCH, "artifactcache/caches"),
        (Method::GET, "artifactcache/artifact/"),
    ];
    let options = actions::Options { origin: Some(format!("{scheme}://{HOST}")), ..actions::Options::default() };
    let token = actions::mint(&[("refs/heads/main", 3)], Duration::from_secs(36_000));
    let spec =
        format!("type=gha,url=https://{HOST}/,url_v2=https://{HOST}/,token={token},version={version},scope=SCOPE");
    let host = |server: &actions::Server| of_url(&server.url());
    store!(actions::Server::start(options), host, spec, vec![token, "sig=".to_owned()], REQUESTS)
}

impl Store {
    /// Writes a new cache and reads it, whatever the result.
    fn visit(&self, thief: &Thief, seed: u64) {
        let folder = format!("cache-{seed}");
        let cache = cache_of(seed, SHAPE);
        let exporter = LocalExporter::new(LocalConfig::new(self.sandbox.path(&folder)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default())).unwrap();
        let spec = self.spec.replace("SCOPE", &folder);
        for words in [&["copy", &format!("type=local,src={folder}"), &spec][..], &["verify", &spec]] {
            let mut command: Command = self.sandbox.command(words);
            let home = self.sandbox.path("");
            command.arg("--timeout=10s").env_clear().env("HOME", &home).env("DOCKER_CONFIG", &home);
            command.env("SSL_CERT_FILE", self.certificates.path("ca.crt"));
            command.env("HTTPS_PROXY", format!("http://{}", self.relay.host()));
            command.env("HTTP_PROXY", format!("http://{}", thief.host())).env("NO_PROXY", "127.0.0.1");
            command.output().unwrap();
        }
    }

    fn check(&self, told: Vec<String>, what: &str) {
        let kind = self.spec.split(',').next().unwrap();
        for told in told {
            let leaked = self.secrets.iter().position(|secret| told.contains(secret.as_str()));
            let head = told.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
            let header = ["authorization:", "referer:", "cookie:"].into_iter().find(|header| head.contains(header));
            assert_eq!((leaked, header), (None, None), "{kind} {what}");
        }
    }
}

/// Redirects every request, after some that succeed, to the thief and to the host itself.
fn lead_down(store: &Store) {
    let thief = Thief::start(Asks::Bearer);
    let targets = [format!("http://{}/stolen", thief.host()), format!("http://{HOST}/stolen")];
    let mut seed = 0;
    store.visit(&thief, seed);
    assert_eq!(thief.take(), [""; 0], "nothing led there");
    for (method, path) in store.requests {
        for (after, target) in [0, 1].into_iter().flat_map(|after| targets.iter().map(move |target| (after, target))) {
            seed += 1;
            let fault = Fault::Redirect(307, target.clone());
            (store.plan)(Plan::always(method.clone(), *path, fault).after(after));
            store.visit(&thief, seed);
            store.check(thief.take(), &format!("{method} {path} {target}"));
            (store.calm)();
        }
    }
}

#[test]
fn a_redirect_to_plain_http_gets_no_credential() {
    let tester = || Account::new("tester", PASSWORD);
    let realm = Some("https://store.test:5000/token");
    let stores: [fn() -> Store; 2] = [bucket, account];
    thread::scope(|scope| {
        for store in stores {
            scope.spawn(move || lead_down(&store()));
        }
        scope.spawn(|| lead_down(&registry_of(Access::Basic(tester()))));
        for takes_forms in [true, false] {
            scope.spawn(move || lead_down(&registry_of(Access::Token(Account { realm, takes_forms, ..tester() }))));
        }
        for version in ["1", "2"] {
            scope.spawn(move || lead_down(&service("https", version)));
        }
    });
}

/// A registry with HTTPS names a token server with plain HTTP: its own, or another one.
#[test]
fn a_realm_with_plain_http_gets_no_password() {
    let thief = Thief::start(Asks::Bearer);
    let realm: &'static str = format!("http://{}/token", thief.host()).leak();
    for realm in [realm, "http://store.test:5000/token"] {
        let account = Account { realm: Some(realm), ..Account::new("tester", PASSWORD) };
        let store = registry_of(Access::Token(account));
        store.visit(&thief, 1);
        assert_eq!(thief.take(), [""; 0], "{realm}");
    }
}

/// The same for the signed URLs of a cache service.
#[test]
fn a_signed_url_with_plain_http_is_not_requested() {
    for version in ["1", "2"] {
        let (thief, store) = (Thief::start(Asks::Bearer), service("http", version));
        store.visit(&thief, 1);
        assert_eq!(thief.take(), [""; 0], "version {version}");
    }
}
