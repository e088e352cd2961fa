//! The state that importer, exporter and store of a cache share: the service, the REST API, retries and progress.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Error, ErrorKind, Progress, Result, Side};
use cache_kit::Uploads;
use reqwest::header::ACCEPT;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::client::{Client, http};
use crate::config::{ApiVersion, GhaConfig};
use crate::error;
use crate::keys::is_same;
use crate::rest::Rest;
use crate::service::{CacheService, Found, Reservation, V1, V2};
use crate::signed::Http;

/// A cache's service, opened for one reader or writer.
pub(crate) struct Session {
    config: GhaConfig,
    service: Box<dyn CacheService>,
    rest: Option<Rest>,
    http: Http,
    progress: Mutex<Arc<dyn Progress>>,
    /// Uploads that are still to come, as far as is known.
    left: AtomicUsize,
    /// Keys that this writer has reserved and not finalised, so that a retried push continues with them.
    held: Mutex<HashMap<String, Hold>>,
    /// Whether a key can be reserved twice.
    doubles: OnceCell<bool>,
}

/// A key that this writer has reserved.
#[derive(Clone)]
pub(crate) struct Hold {
    pub(crate) reservation: Arc<dyn Reservation>,
    /// When it was requested.
    pub(crate) since: Instant,
}

impl Session {
    /// Prepares the connections; nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] without a service, and [`ErrorKind::Unauthenticated`] for a token that does not count
    /// now.
    pub(crate) fn open(config: GhaConfig) -> Result<Self> {
        let endpoint = config.endpoint()?;
        endpoint.token.check_time()?;
        let environment = config.environment();
        let client = http(environment, &endpoint.url)?;
        let signed = Http::new(client.clone(), environment.tuning().clone());
        let token = endpoint.token.secret().clone();
        let calls = Client::new(client, endpoint.url.clone(), token, environment);
        let service: Box<dyn CacheService> = match endpoint.api {
            ApiVersion::V1 => {
                let calls = calls.with_header(ACCEPT, "application/json;api-version=6.0-preview.1");
                Box::new(V1::new(calls, environment.tuning().parts().part_size()))
            }
            ApiVersion::V2 => Box::new(V2::new(calls, signed.clone())),
        };
        let rest = config.repository().map(|repository| Rest::new(repository, environment)).transpose()?;
        Ok(Self {
            service,
            rest,
            http: signed,
            progress: Mutex::new(Arc::new(environment.listener().clone())),
            left: AtomicUsize::new(0),
            held: Mutex::default(),
            doubles: OnceCell::new(),
            config,
        })
    }

    pub(crate) fn config(&self) -> &GhaConfig {
        &self.config
    }

    pub(crate) fn service(&self) -> &dyn CacheService {
        &*self.service
    }

    pub(crate) fn rest(&self) -> Option<&Rest> {
        self.rest.as_ref()
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// The scope that is written, for a token that can write.
    pub(crate) fn written_scope(&self) -> Result<&str> {
        self.config.endpoint()?.token.written().ok_or_else(|| {
            let error = error::new(ErrorKind::PermissionDenied, "the cache token can only read");
            error.with_hint(error::READ_ONLY)
        })
    }

    /// From now on reports waits to `progress`; `uploads` is the number of uploads to come.
    pub(crate) fn watch(&self, progress: &Arc<dyn Progress>, uploads: usize) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(progress);
        self.left.store(uploads, Ordering::Relaxed);
    }

    pub(crate) fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts down the uploads to come.
    pub(crate) fn count_down(&self) {
        // Zero stays zero.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    }

    /// The uploads of the program.
    pub(crate) fn uploads(&self) -> &Uploads {
        self.config.environment().uploads()
    }

    /// Retries what may succeed later. Its last error is not retryable, so callers do not retry.
    pub(crate) async fn retrying<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.config.retry().run_final(&*self.progress(), call).await
    }

    pub(crate) async fn lookup(&self, key: &str) -> Result<Option<Found>> {
        self.retrying(|| self.service.lookup(key)).await
    }

    /// Waits until the budget of uploads lets a key be reserved that is not ours yet.
    pub(crate) async fn allow(&self, key: &str) {
        if self.held(key).is_none() {
            let left = self.left.load(Ordering::Relaxed);
            self.config.environment().budget().take((left > 0).then_some(left), &*self.progress()).await;
        }
    }

    /// Reserves a key, without a retry; `None` if another writer holds it.
    pub(crate) async fn reserve(&self, key: &str) -> Result<Option<Hold>> {
        if let Some(held) = self.held(key) {
            return Ok(Some(held));
        }
        let since = Instant::now();
        match self.service.reserve(key).await {
            Ok(reservation) => {
                let hold = Hold { reservation, since };
                self.holds().insert(key.to_owned(), hold.clone());
                Ok(Some(hold))
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the service lets a key be reserved again that this writer has just reserved; tested once.
    pub(crate) async fn doubles(&self, key: &str) -> Result<bool> {
        let ask = || async {
            match self.retrying(|| self.service.reserve(key)).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.doubles.get_or_try_init(ask).await.copied()
    }

    /// How long another writer's index may still hide one that was just written, if the service was found to reserve
    /// keys twice.
    pub(crate) fn settles_in(&self) -> Option<Duration> {
        let doubles = self.doubles.get().copied().unwrap_or(false);
        doubles.then(|| self.config.environment().settle_time())
    }

    /// Makes an entry visible whose bytes were sent.
    pub(crate) async fn finalize(&self, key: &str, hold: &Hold, size: u64) -> Result<()> {
        let finalized = self.retrying(|| hold.reservation.finalize(size)).await;
        if let Err(error) = finalized {
            // The answer to an earlier try may have been lost.
            let found = self.lookup(key).await?;
            if found.is_none_or(|found| !is_same(&found.key, key)) {
                return Err(self.refused(key, error));
            }
        }
        self.holds().remove(key);
        Ok(())
    }

    /// A reservation that the service has forgotten is of no more use: the push can be made again with another one.
    fn refused(&self, key: &str, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        self.holds().remove(key);
        let error = error.with("cause", "the service has forgotten the reservation");
        error.with_retryable(true)
    }

    /// The key, if this writer holds it.
    pub(crate) fn held(&self, key: &str) -> Option<Hold> {
        self.holds().get(key).cloned()
    }

    fn holds(&self) -> std::sync::MutexGuard<'_, HashMap<String, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the name of the cache, unless the error is another store's.
    pub(crate) fn with_context(&self, error: Error) -> Error {
        if error.side() == Some(Side::Source) {
            return error;
        }
        error.with("backend", crate::KIND).with("scope", self.config.scope())
    }
}
