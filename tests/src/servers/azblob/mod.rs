//! A storage account in a thread of this process, with one key, that logs every request.

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

/// What the account is called; it is a part of every path, as in Azurite.
pub const ACCOUNT: &str = "devstoreaccount1";
/// The account's key.
pub const KEY: &[u8] = b"hush-0b4c-the-key-of-the-account";
/// What stands for a shared access signature: whoever shows it may do everything.
pub const SIGNATURE: &str = "hush/signature+71de=";

/// How this account differs from one that can do everything.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many blobs a list has at most.
    pub page: usize,
    /// Whether the signature is for blobs alone, and not for containers.
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
    /// Starts an account without containers on a port of its own.
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

    /// The server, to make it another one.
    #[must_use]
    pub fn http(&self) -> &http::Server<impl Service + use<>> {
        &self.0
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

    /// Looks at what is stored, and changes it.
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
