//! Shared by the servers of the tests: a thread, a log of requests, and planned faults.
//!
//! A server runs in its own thread in real time, so that a test can pause the time of its runtime.

mod answer;
mod faults;
mod log;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use hyper::Method;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

pub use self::answer::{Answer, collect, empty, fields, full, json, sliced};
use self::answer::{Sent, planned, spoil};
pub use self::faults::{Fault, Plan};
pub use self::log::Logged;

/// For bodies that cannot fail.
type Never = Infallible;

/// A service, which answers requests without faults.
pub trait Service: Send + Sync + 'static {
    /// Answers a request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// A running server; it stops when it is dropped.
#[derive(Debug)]
pub struct Server<S> {
    address: SocketAddr,
    shared: Arc<Shared<S>>,
    _stop: oneshot::Sender<()>,
}

/// The state shared by the connections and the test.
#[derive(Debug)]
struct Shared<S> {
    service: S,
    watched: Mutex<Watched>,
    /// Whether requests with [`Fault::Hold`] wait.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct Watched {
    log: Vec<Logged>,
    plans: Vec<Plan>,
    script: Option<Script>,
    delay: Duration,
}

/// Answers some requests in place of the service.
type Script = Arc<dyn Fn(&Logged) -> Option<Answer> + Send + Sync>;

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("log", &self.log).field("plans", &self.plans).finish_non_exhaustive()
    }
}

impl<S: Service> Server<S> {
    /// Starts the service that `make` returns for its address, on a free port.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(make: impl FnOnce(SocketAddr) -> S + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                let shared = Arc::new(Shared {
                    service: make(address),
                    watched: Mutex::default(),
                    held: watch::Sender::new(true),
                });
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

    /// The service, for direct access.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.shared.service
    }

    /// Plans a fault.
    pub fn plan(&self, plan: Plan) {
        self.shared.watched().plans.push(plan);
    }

    /// Delays every answer.
    pub fn delay(&self, delay: Duration) {
        self.shared.watched().delay = delay;
    }

    /// Releases all requests that are held or would be.
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Answers some requests in place of the service.
    pub fn script(&self, script: impl Fn(&Logged) -> Option<Answer> + Send + Sync + 'static) {
        self.shared.watched().script = Some(Arc::new(script));
    }

    /// Removes faults and script; returns whether all planned faults have occurred.
    pub fn calm(&self) -> bool {
        let mut watched = self.shared.watched();
        watched.script = None;
        std::mem::take(&mut watched.plans).is_empty()
    }

    /// The requests since the last call, in the order of their arrival.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        std::mem::take(&mut self.shared.watched().log)
    }
}

impl<S> Shared<S> {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve<S: Service>(listener: TcpListener, shared: Arc<Shared<S>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { answer(&shared, request).await }
            });
            // Broken connections are expected in tests.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Answers a request, or breaks the connection as planned.
async fn answer<S: Service>(shared: &Shared<S>, request: Request<Incoming>) -> Result<Sent, std::io::Error> {
    let method = request.method().clone();
    let logged = Logged::new(&request);
    let path = logged.path.clone();
    let (at, script, delay) = {
        let mut watched = shared.watched();
        watched.log.push(logged.clone());
        (watched.log.len() - 1, watched.script.clone(), watched.delay)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let scripted = script.and_then(|script| script(&logged));
    let fault = faults::take(&mut shared.watched().plans, &method, &path, true);
    let answer = match &fault {
        Some(Fault::Drop) => return Err(std::io::Error::other("planned")),
        Some(Fault::Hold) => {
            // Cannot fail: the sender is in `shared`.
            let _ = shared.held.subscribe().wait_for(|held| !held).await;
            shared.service.answer(request).await
        }
        Some(Fault::NoRange) => {
            let mut request = request;
            for name in ["range", "x-ms-range"] {
                request.headers_mut().remove(name);
            }
            shared.service.answer(request).await
        }
        Some(fault) => planned(fault),
        None => match scripted {
            Some(answer) => answer,
            None => shared.service.answer(request).await,
        },
    };
    if let Some(entry) = shared.watched().log.get_mut(at) {
        entry.status = answer.status().as_u16();
    }
    let is_good = answer.status().is_success();
    let spoilt = || faults::take(&mut shared.watched().plans, &method, &path, false);
    let fault = if is_good { spoilt() } else { fault };
    if fault == Some(Fault::DropAnswer) {
        return Err(std::io::Error::other("planned"));
    }
    Ok(spoil(answer, fault.as_ref(), method == Method::HEAD).await)
}
