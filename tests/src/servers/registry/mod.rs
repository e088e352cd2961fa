//! A registry: the distribution API as far as a cache needs it, with logins.

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

/// What a request can be about.
pub const KINDS: [&str; 5] = ["blobs/uploads", "blobs", "manifests", "tags", "token"];

/// What kind of registry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many tags a page has.
    pub page: usize,
    /// Whether manifests can be deleted.
    pub deletes: bool,
    /// Whether a tag can be deleted on its own.
    pub deletes_tags: bool,
    /// Whether a part of a blob can be asked for.
    pub ranges: bool,
    /// Whether answers say the digest of what they hold.
    pub says_digests: bool,
    /// Whether uploads go to another host by a signed URL, as with some clouds.
    pub uploads_elsewhere: bool,
    /// Whether an upload that broke can go on.
    pub resumes: bool,
    /// How tags are listed.
    pub listing: Listing,
    /// Whether answers to HEAD say a length of 0.
    pub hides_lengths: bool,
    /// Whether every answer with a body is compressed, whatever was asked for.
    pub gzips: bool,
    /// Whether writes are redirected once, to the same place.
    pub redirects_writes: bool,
    /// Whether a blob that is gone is still there for everything but its bytes, as with distribution's cache of blobs.
    pub remembers: bool,
    /// Whether an index may name manifests only, as in distribution 3.
    pub indexes_manifests: bool,
}

impl Default for Options {
    /// All that the specification has.
    fn default() -> Self {
        Self {
            page: 100,
            deletes: true,
            deletes_tags: true,
            ranges: true,
            says_digests: true,
            uploads_elsewhere: false,
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

/// What the connections and the test see.
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
    /// Starts an empty registry on a port of its own.
    ///
    /// # Panics
    /// When there is no port to be had.
    #[must_use]
    pub fn start(access: Access, options: Options) -> Self {
        Self(http::Server::start(move |address| Shared { options, access, address, state: Mutex::default() }))
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

    /// Answers every request so much later.
    pub fn delay(&self, delay: Duration) {
        self.0.delay(delay);
    }

    /// The requests since the last call, in order of their arrival.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        self.0.take_log()
    }

    /// Forgets every token that was granted: what their expiry does.
    pub fn expire_tokens(&self) {
        self.0.service().state().granted.expire();
    }

    /// Every token that was ever granted.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.0.service().state().granted.ever()
    }

    /// Looks at what is stored, or changes it behind everybody's back.
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
