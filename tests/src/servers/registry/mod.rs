//! A registry: the distribution API as far as a cache needs it, with logins, plans for what goes wrong, and a log.
//!
//! It runs in a thread of its own, in real time, so that a test may pause the time of its own runtime.

mod access;
mod faults;
mod requests;
mod routes;
mod stored;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use self::access::{Access, Account};
pub use self::faults::{Fault, Plan};
pub use self::requests::Logged;
pub use self::routes::SIGNATURE;
pub use self::stored::Stored;

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
        }
    }
}

/// A running registry; it stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

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
    log: Vec<Logged>,
    plans: Vec<Plan>,
    granted: access::Granted,
}

impl Server {
    /// Starts an empty registry on a port of its own.
    ///
    /// # Panics
    /// When there is no port to be had.
    #[must_use]
    pub fn start(access: Access, options: Options) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                let shared = Arc::new(Shared { options, access, address, state: Mutex::default() });
                tell.send((address, Arc::clone(&shared))).expect("the test waits");
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        let (address, shared) = told.recv().expect("the server starts");
        Self { address, shared, _stop: stop }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Plans a fault.
    pub fn plan(&self, plan: Plan) {
        self.shared.state().plans.push(plan);
    }

    /// The requests since the last call, in order of their arrival.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        std::mem::take(&mut self.shared.state().log)
    }

    /// Forgets every token that was granted: what their expiry does.
    pub fn expire_tokens(&self) {
        self.shared.state().granted.expire();
    }

    /// Every token that was ever granted.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.shared.state().granted.ever()
    }

    /// Looks at what is stored, or changes it behind everybody's back.
    pub fn stored<T>(&self, look: impl FnOnce(&mut Stored) -> T) -> T {
        look(&mut self.shared.state().stored)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { routes::answer(&shared, request).await }
            });
            // A connection that breaks is what half of the tests are about.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// For bodies that cannot fail.
type Never = Infallible;
