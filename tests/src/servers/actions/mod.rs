//! The cache service of GitHub Actions: both interfaces, the signed URLs behind them, and the REST API of one repository.
//!
//! It keeps the rules that a client has to know: entries that cannot change, reservations that lock, scopes, prefixes,
//! quotas and limits. `tests/tests/gha_emulator.rs` holds it equal to the emulator in `tests/tools`, which was proven
//! with BuildKit and with `@actions/cache`.

mod blobs;
mod entries;
mod rest;
mod routes;
mod token;
mod v1;
mod v2;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;

pub use self::entries::{Entries, Entry};
pub use self::token::mint;
use super::http::{self, Answer, Service};
pub use super::http::{Fault, Logged, Plan};

/// What a request can be about: calls of version 2, signed URLs, calls of version 1, the REST API.
pub const KINDS: [&str; 9] = [
    "GetCacheEntryDownloadURL",
    "CreateCacheEntry",
    "FinalizeCacheEntryUpload",
    "actions-cache/",
    "artifactcache/artifact/",
    "artifactcache/caches",
    "artifactcache/cache",
    "actions/caches",
    "actions/cache",
];

/// Whose ways a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Those of GitHub.
    #[default]
    GitHub,
    /// Those of act 0.2.89, which Gitea and Forgejo share: keys in small letters, given to whoever asks; ages in whole
    /// seconds, and the oldest entry of a second is found; nobody compares sizes, and every scope can be read.
    Act,
    /// Those of falcondev's server: blocks go where the number in their id says, and their list is not read; a key that
    /// somebody uploads is refused without a word, and one that is finalised is given again.
    Numbered,
}

/// What kind of service it is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose ways it has.
    pub dialect: Dialect,
    /// How long a signed URL can be used.
    pub url_ttl: Duration,
    /// What signed URLs begin with, where something stands in front of the server.
    pub origin: Option<String>,
    /// Bytes above which the entries go that were not used for longest.
    pub quota: u64,
    /// How many entries may be reserved in a minute; no limit when it is 0.
    pub uploads_per_minute: usize,
    /// What a token of the REST API has to be.
    pub rest_token: Option<String>,
    /// Whether a part of an entry can be asked for.
    pub ranges: bool,
    /// Whether a key can be reserved again that somebody has, as at act's service.
    pub doubles: bool,
}

impl Default for Options {
    /// What GitHub has, without a limit on uploads and with an open REST API.
    fn default() -> Self {
        Self {
            dialect: Dialect::GitHub,
            url_ttl: Duration::from_secs(600),
            origin: None,
            quota: 10 << 30,
            uploads_per_minute: 0,
            rest_token: None,
            ranges: true,
            doubles: false,
        }
    }
}

/// A running service; it stops when it is dropped.
#[derive(Debug)]
pub struct Server(http::Server<Shared>);

/// What the connections and the test see.
#[derive(Debug)]
struct Shared {
    options: Options,
    address: SocketAddr,
    entries: Mutex<Entries>,
}

impl Server {
    /// Starts an empty service on a port of its own.
    ///
    /// # Panics
    /// When there is no port to be had.
    #[must_use]
    pub fn start(options: Options) -> Self {
        Self(http::Server::start(move |address| Shared { options, address, entries: Mutex::default() }))
    }

    /// The URL of the service; that of the REST API is `api/v3` below it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.0.host())
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.0.host()
    }

    /// The server, to make it another one.
    #[must_use]
    pub fn http(&self) -> &http::Server<impl Service + use<>> {
        &self.0
    }

    /// Plans a fault.
    pub fn plan(&self, plan: Plan) {
        self.0.plan(plan);
    }

    /// Lets every request go on that was, or will be, held.
    pub fn release(&self) {
        self.0.release();
    }

    /// Answers every request so much later.
    pub fn delay(&self, delay: Duration) {
        self.0.delay(delay);
    }

    /// The requests since the last call, in order of their arrival.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        self.0.take_log()
    }

    /// How many requests of this kind are in the log since the last call.
    #[must_use]
    pub fn count(log: &[Logged], method: &str, kind: &str) -> usize {
        log.iter().filter(|logged| logged.method == *method && logged.path.contains(kind)).count()
    }

    /// Makes every signed URL that was given so far expire.
    pub fn expire_urls(&self) {
        self.0.service().entries().expire_urls();
    }

    /// Every signature that was ever given.
    #[must_use]
    pub fn signatures(&self) -> Vec<String> {
        self.0.service().entries().signatures()
    }

    /// Looks at what is stored, or changes it behind everybody's back.
    pub fn entries<T>(&self, look: impl FnOnce(&mut Entries) -> T) -> T {
        look(&mut self.0.service().entries())
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        routes::route(self, request).await
    }
}
