//! A registry: the parts of the distribution API that a cache needs, with logins.

mod access;
mod dialect;
mod listing;
mod routes;
mod stored;
mod uploads;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request};

pub use self::access::{Access, Account};
pub use self::listing::Listing;
pub use self::stored::Stored;
pub use self::uploads::SIGNATURE;
use super::http::{self, Answer, Service};
pub use super::http::{Fault, Logged, Plan};

/// The kinds of requests.
pub const KINDS: [&str; 5] = ["blobs/uploads", "blobs", "manifests", "tags", "token"];

/// The options of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Tags in a page.
    pub page: usize,
    /// Whether manifests can be deleted.
    pub deletes: bool,
    /// Whether a tag can be deleted on its own.
    pub deletes_tags: bool,
    /// Whether ranges are supported.
    pub ranges: bool,
    /// Whether answers have the digest of their content.
    pub says_digests: bool,
    /// Whether uploads are redirected to a signed URL of another host, as in some clouds.
    pub uploads_elsewhere: bool,
    /// Whether a blob is taken in the request that starts an upload.
    pub takes_posts: bool,
    /// Whether an interrupted upload can continue.
    pub resumes: bool,
    /// How tags are listed.
    pub listing: Listing,
    /// Whether answers to HEAD have a length of 0.
    pub hides_lengths: bool,
    /// Whether every body is compressed, even if that was not requested.
    pub gzips: bool,
    /// Whether each write is redirected once, to the same URL.
    pub redirects_writes: bool,
    /// Whether a deleted blob still seems to exist until it is read, as with distribution's cache of descriptors.
    pub remembers: bool,
    /// Whether an index may name only manifests, as in distribution 3.
    pub indexes_manifests: bool,
}

impl Default for Options {
    /// Everything in the specification, but for blobs in the request that starts an upload.
    fn default() -> Self {
        Self {
            page: 100,
            deletes: true,
            deletes_tags: true,
            ranges: true,
            says_digests: true,
            uploads_elsewhere: false,
            takes_posts: false,
            resumes: true,
            listing: Listing::Linked,
            hides_lengths: false,
            gzips: false,
            redirects_writes: false,
            remembers: false,
            indexes_manifests: false,
        }
    }
}

/// A running registry; it stops when it is dropped.
#[derive(Debug)]
pub struct Server(http::Server<Shared>);

/// The state shared by the connections and the test.
#[derive(Debug)]
struct Shared {
    options: Options,
    access: Access,
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stored: Stored,
    granted: access::Granted,
}

impl Server {
    /// Starts an empty registry on a free port.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(access: Access, options: Options) -> Self {
        Self(http::Server::start(move |address| Shared { options, access, address, state: Mutex::default() }))
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

    /// Delays every answer.
    pub fn delay(&self, delay: Duration) {
        self.0.delay(delay);
    }

    /// The requests since the last call, in the order of their arrival.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        self.0.take_log()
    }

    /// Makes all tokens so far expire.
    pub fn expire_tokens(&self) {
        self.0.service().state().granted.expire();
    }

    /// All tokens so far.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.0.service().state().granted.ever()
    }

    /// Reads or changes the content directly.
    pub fn stored<T>(&self, look: impl FnOnce(&mut Stored) -> T) -> T {
        look(&mut self.0.service().state().stored)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let answer = match dialect::redirect(self, request.method(), request.uri()) {
            Some(answer) => {
                let _ = http::collect(request.into_body()).await;
                answer
            }
            None => routes::route(self, request).await,
        };
        dialect::proxied(self, is_head, answer).await
    }
}
