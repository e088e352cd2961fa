//! A storage account in a thread of this process, with one key and a log of all requests.

mod routes;
mod signature;
mod stored;
mod time;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;

pub use self::signature::hmac;
pub use self::stored::{Blob, Container, Stored};
use super::http;
use super::http::{Answer, Service};
pub use super::http::{Fault, Logged, Plan};

/// The name of the account, which is part of every path, as in Azurite.
pub const ACCOUNT: &str = "devstoreaccount1";
/// The account's key.
pub const KEY: &[u8] = b"hush-0b4c-the-key-of-the-account";
/// The shared access signature, which allows everything.
pub const SIGNATURE: &str = "hush/signature+71de=";

/// How this account differs from one that can do everything.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most blobs in a page of a list.
    pub page: usize,
    /// Whether the signature is only for blobs, and not for containers.
    pub is_signature_for_blobs: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { page: 5_000, is_signature_for_blobs: false }
    }
}

/// A running account; it stops when it is dropped.
#[derive(Debug)]
pub struct Server(http::Server<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    stored: Mutex<Stored>,
}

impl Server {
    /// Starts an account without containers on a free port.
    #[must_use]
    pub fn start(options: Options) -> Self {
        Self(http::Server::start(move |_| Shared { options, stored: Mutex::default() }))
    }

    /// The URL of the account.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.0.host())
    }

    /// Plans a fault.
    pub fn plan(&self, plan: Plan) {
        self.0.plan(plan);
    }

    /// The HTTP server, to change its behaviour.
    #[must_use]
    pub fn http(&self) -> &http::Server<impl Service + use<>> {
        &self.0
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

    /// Reads or changes the content directly.
    pub fn stored<T>(&self, look: impl FnOnce(&mut Stored) -> T) -> T {
        look(&mut self.0.service().stored())
    }
}

impl Shared {
    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        routes::route(self, request).await
    }
}
