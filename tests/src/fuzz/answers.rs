//! The answers of servers: the tokens of a registry, and the documents and lists of every store.
//!
//! A server answers each request with the input, and nothing is retried. It runs in the client's thread: on a busy
//! machine, two threads that wait for each other switch only a few times per second.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cache_core::{CacheBackend, CacheImporter, CacheSpec, CacheStore};
use cache_kit::{RetryPolicy, Timeouts};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::places;
use crate::servers::http::{Answer, full, json};

/// Answers with the input.
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

impl Parrot {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
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

async fn serve(listener: TcpListener, parrot: Arc<Parrot>) {
    while let Ok((stream, _)) = listener.accept().await {
        let parrot = Arc::clone(&parrot);
        let service = service_fn(move |request| {
            let answer = parrot.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        // A connection that breaks is its client's to report.
        tokio::spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
    }
}

/// A server and its clients.
struct Place {
    parrot: Arc<Parrot>,
    runtime: Runtime,
    readers: Vec<Reader>,
}

/// The importer and the store of one place.
type Reader = (Option<Box<dyn CacheImporter>>, Option<Box<dyn CacheStore>>);

thread_local! {
    static PLACE: Place = Place::new();
}

impl Place {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime needs nothing");
        let (parrot, readers) = runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
            let host = listener.local_addr().expect("it is bound").to_string();
            let parrot = Arc::new(Parrot { host, said: Mutex::default() });
            tokio::spawn(serve(listener, Arc::clone(&parrot)));
            (Arc::clone(&parrot), open(stores(&parrot.host)).await)
        });
        Self { parrot, runtime, readers }
    }

    fn say(&self, said: Said) {
        *self.parrot.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// Whatever a token server answers, the registry's importer ends, with or without an error.
///
/// # Panics
/// If the importer panics.
pub fn token(data: &[u8]) {
    let said = Said { token: Some(Bytes::copy_from_slice(data)), other: Bytes::from_static(b"{}") };
    PLACE.with(|place| {
        place.say(said);
        let spec = CacheSpec::new("registry").with("ref", format!("{}/a/b:t", place.parrot.host));
        // An importer keeps its token, so each input has a new one. One that trusts every certificate does not load
        // those of the system, which takes a hundred times as long as the rest.
        let spec = spec.with("registry.insecure", "true");
        place.runtime.block_on(async { ask(&open(vec![(registry(), spec)]).await).await });
    });
}

/// Whatever a store answers, its importer and its store end, with or without an error.
///
/// # Panics
/// If one of them panics.
pub fn target(data: &[u8]) {
    PLACE.with(|place| {
        place.say(Said { token: None, other: Bytes::copy_from_slice(data) });
        place.runtime.block_on(ask(&place.readers));
    });
}

async fn open(stores: Vec<(Box<dyn CacheBackend>, CacheSpec)>) -> Vec<Reader> {
    let mut readers = Vec::new();
    for (backend, spec) in stores {
        readers.push((backend.importer(&spec).await.ok(), backend.store(&spec).await.ok().flatten()));
    }
    readers
}

async fn ask(readers: &[Reader]) {
    for (importer, store) in readers {
        if let Some(importer) = importer {
            let _ = importer.resolve().await;
        }
        if let Some(store) = store {
            let _ = store.caches().await;
        }
    }
}

fn registry() -> Box<dyn CacheBackend> {
    let environment = cache_registry::Environment::new()
        .tune(|tuning| tuning.with_timeouts(Timeouts::none()).with_retry(RetryPolicy::never()));
    Box::new(cache_registry::Registry::new(environment))
}

fn stores(host: &str) -> Vec<(Box<dyn CacheBackend>, CacheSpec)> {
    let url = format!("http://{host}");
    let s3 = CacheSpec::new("s3").with("bucket", "b").with("region", "r").with("use_path_style", "true");
    let s3 = s3.with("endpoint_url", &*url).with("access_key_id", "id").with("secret_access_key", "key");
    let azblob = CacheSpec::new("azblob").with("account_url", format!("{url}/account")).with("account_name", "account");
    let azblob = azblob.with("secret_access_key", "a2V5").with("container", "c");
    let gha = CacheSpec::new("gha").with("token", places::gha::token(&[(places::gha::MAIN, 3)])).with("url_v2", &*url);
    let gha = gha.with("repository", "o/r").with("ghtoken", "t");
    vec![
        (registry(), CacheSpec::new("registry").with("ref", format!("{host}/a/b:t"))),
        (
            Box::new(cache_s3::S3::new(
                cache_s3::Environment::new()
                    .tune(|tuning| tuning.with_timeouts(Timeouts::none()).with_retry(RetryPolicy::never())),
            )),
            s3,
        ),
        (
            Box::new(cache_azblob::Azblob::new(
                cache_azblob::Environment::new()
                    .tune(|tuning| tuning.with_timeouts(Timeouts::none()).with_retry(RetryPolicy::never())),
            )),
            azblob,
        ),
        (
            Box::new(cache_gha::Gha::new(
                cache_gha::Environment::of(|name| (name == "GITHUB_API_URL").then(|| url.clone()))
                    .tune(|tuning| tuning.with_timeouts(Timeouts::none()).with_retry(RetryPolicy::never())),
            )),
            gha,
        ),
    ]
}
