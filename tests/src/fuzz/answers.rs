//! What servers answer: the tokens of a registry, and the documents and lists of every store.
//!
//! A server of this process answers each request with the input, and nothing is tried twice.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use cache_core::{CacheBackend, CacheSpec, RetryPolicy};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use tokio::runtime::Runtime;

use crate::places;
use crate::servers::http::{Answer, Server, Service, full, json};

/// Answers with what it was given.
#[derive(Debug)]
struct Parrot {
    host: String,
    said: Mutex<Said>,
}

#[derive(Debug, Clone, Default)]
struct Said {
    token: Option<Bytes>,
    other: Bytes,
}

impl Service for Parrot {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let path = request.uri().path();
        if path == "/token" {
            return said
                .token
                .map_or_else(|| json(200, r#"{"token":"t"}"#), |token| full(200, "application/json", token));
        }
        if path.starts_with("/v2/") && !request.headers().contains_key(AUTHORIZATION) {
            let mut challenge = json(401, "{}");
            let realm = format!("Bearer realm=\"http://{}/token\",service=\"parrot\"", self.host);
            challenge.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_str(&realm).expect("it is ASCII"));
            return challenge;
        }
        full(200, "application/vnd.oci.image.manifest.v1+json", said.other)
    }
}

thread_local! {
    static PLACE: (Server<Parrot>, Runtime) = place();
}

fn place() -> (Server<Parrot>, Runtime) {
    let server = Server::start(|address| Parrot { host: address.to_string(), said: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    (server, runtime.expect("a runtime needs nothing"))
}

/// Whatever a token server answers, the registry's reader ends, with an error or without.
///
/// # Panics
/// When it panics.
pub fn token(data: &[u8]) {
    let said = Said { token: Some(Bytes::copy_from_slice(data)), other: Bytes::from_static(b"{}") };
    ask(said, |host| vec![(registry(), CacheSpec::new("registry").with("ref", format!("{host}/a/b:t")))]);
}

/// Whatever a store answers, its reader and its lister end, with an error or without.
///
/// # Panics
/// When one of them panics.
pub fn target(data: &[u8]) {
    ask(Said { token: None, other: Bytes::copy_from_slice(data) }, stores);
}

fn ask(said: Said, stores: impl Fn(&str) -> Vec<(Box<dyn CacheBackend>, CacheSpec)>) {
    PLACE.with(|(server, runtime)| {
        *server.service().said.lock().unwrap_or_else(PoisonError::into_inner) = said;
        runtime.block_on(async {
            for (backend, spec) in stores(&server.host()) {
                if let Ok(importer) = backend.importer(&spec).await {
                    let _ = importer.resolve().await;
                }
                if let Ok(Some(store)) = backend.store(&spec).await {
                    let _ = store.caches().await;
                }
            }
        });
        drop(server.take_log());
    });
}

fn registry() -> Box<dyn CacheBackend> {
    let environment = cache_registry::Environment::new().with_timeouts(None, None).with_retry(RetryPolicy::never());
    Box::new(cache_registry::Registry::new(environment))
}

fn stores(host: &str) -> Vec<(Box<dyn CacheBackend>, CacheSpec)> {
    let url = format!("http://{host}");
    let s3 = CacheSpec::new("s3").with("bucket", "b").with("region", "r").with("use_path_style", "true");
    let s3 = s3.with("endpoint_url", &*url).with("access_key_id", "id").with("secret_access_key", "key");
    let azblob = CacheSpec::new("azblob").with("account_url", format!("{url}/account")).with("account_name", "account");
    let azblob = azblob.with("secret_access_key", "a2V5").with("container", "c");
    let gha = CacheSpec::new("gha").with("token", places::gha::token(&[(places::gha::MAIN, 3)])).with("url_v2", url);
    vec![
        (registry(), CacheSpec::new("registry").with("ref", format!("{host}/a/b:t"))),
        (
            Box::new(cache_s3::S3::new(
                cache_s3::Environment::new().with_timeouts(None, None).with_retry(RetryPolicy::never()),
            )),
            s3,
        ),
        (
            Box::new(cache_azblob::Azblob::new(
                cache_azblob::Environment::new().with_timeouts(None, None).with_retry(RetryPolicy::never()),
            )),
            azblob,
        ),
        (
            Box::new(cache_gha::Gha::new(
                cache_gha::Environment::new().with_timeouts(None, None).with_retry(RetryPolicy::never()),
            )),
            gha,
        ),
    ]
}
