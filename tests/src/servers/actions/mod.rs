//! The cache service of GitHub Actions: both interfaces, the signed URLs behind them, and the REST API of one
//! repository.
//!
//! It has the rules that a client has to know: entries that cannot change, reservations that lock, scopes, prefixes,
//! quotas and limits. `tests/tests/gha_emulator.rs` checks that it behaves like the emulator in `tests/tools`, which
//! was tested with BuildKit and with `@actions/cache`.

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

/// The kinds of requests: calls of version 2, signed URLs, calls of version 1, the REST API.
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

/// Whose behaviour a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// That of GitHub.
    #[default]
    GitHub,
    /// That of act 0.2.89, Gitea and Forgejo. Keys are stored in lower case and can be reserved by several writers.
    /// Ages are in whole seconds, and the oldest entry of a second is found. Sizes are not compared, and every scope
    /// can be read.
    Act,
    /// That of falcondev's server. Blocks are placed by the number in their id, and their list is not read. A key that
    /// is being uploaded is refused without a message, and a finalised one can be reserved again.
    Numbered,
}

/// The options of a service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose behaviour it has.
    pub dialect: Dialect,
    /// How long a signed URL is valid.
    pub url_ttl: Duration,
    /// The origin of signed URLs, if there is a proxy in front of the server.
    pub origin: Option<String>,
    /// Bytes above which the entries that were unused for longest are evicted.
    pub quota: u64,
    /// How many entries may be reserved in a minute; 0 for no limit.
    pub uploads_per_minute: usize,
    /// The token for the REST API, if it requires one.
    pub rest_token: Option<String>,
    /// Whether ranges are supported.
    pub ranges: bool,
    /// Whether a reserved key can be reserved again, as in act.
    pub doubles: bool,
}

impl Default for Options {
    /// The options of GitHub, without a limit on uploads and with an open REST API.
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

/// The state shared by the connections and the test.
#[derive(Debug)]
struct Shared {
    options: Options,
    address: SocketAddr,
    entries: Mutex<Entries>,
}

impl Server {
    /// Starts an empty service on a free port.
    ///
    /// # Panics
    /// If no port is free.
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

    /// The HTTP server, to change its behaviour.
    #[must_use]
    pub fn http(&self) -> &http::Server<impl Service + use<>> {
        &self.0
    }

    /// Plans a fault.
    pub fn plan(&self, plan: Plan) {
        self.0.plan(plan);
    }

    /// Releases all requests that are held or would be.
    pub fn release(&self) {
        self.0.release();
    }

    /// Delays every answer.
    pub fn delay(&self, delay: Duration) {
        self.0.delay(delay);
    }

    /// The requests since the last call, in the order of their arrival.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        self.0.take_log()
    }

    /// The number of requests of this kind in the log.
    #[must_use]
    pub fn count(log: &[Logged], method: &str, kind: &str) -> usize {
        log.iter().filter(|logged| logged.method == *method && logged.path.contains(kind)).count()
    }

    /// Makes all signed URLs so far expire.
    pub fn expire_urls(&self) {
        self.0.service().entries().expire_urls();
    }

    /// All signatures so far.
    #[must_use]
    pub fn signatures(&self) -> Vec<String> {
        self.0.service().entries().signatures()
    }

    /// Reads or changes the entries directly.
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
