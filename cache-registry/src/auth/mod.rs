//! Authorization at a registry: its challenge, our credential, and the tokens that it issues for them.

mod challenge;
mod credential;
mod files;
mod helper;
mod keep;
mod login;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::{Error, ErrorKind, Result};
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use self::challenge::Challenge;
pub use self::credential::Credential;
pub(crate) use self::files::find;
pub(crate) use self::keep::Keeper;
pub(crate) use self::login::{AuthSource, Login};
use self::token::{Exchange, Token};
use crate::config::Environment;
use crate::error;
use crate::reference::Reference;

/// The scopes of a request: `repository:<name>:<actions>`, one for each repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scopes(BTreeSet<String>);

impl Scopes {
    /// To read; an import asks for no more.
    pub(crate) fn pull(repository: &str) -> Self {
        Self(BTreeSet::from([format!("repository:{repository}:pull")]))
    }

    /// To read and to write.
    pub(crate) fn push(repository: &str) -> Self {
        Self(BTreeSet::from([format!("repository:{repository}:pull,push")]))
    }

    /// To read and to delete.
    pub(crate) fn delete(repository: &str) -> Self {
        Self(BTreeSet::from([format!("repository:{repository}:delete,pull")]))
    }

    /// To be known, and no more.
    pub(crate) fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// These, and to read another repository too.
    pub(crate) fn and_pull(mut self, repository: &str) -> Self {
        self.0.insert(format!("repository:{repository}:pull"));
        self
    }

    fn with(&self, asked: &[String]) -> Self {
        Self(self.0.iter().chain(asked).cloned().collect())
    }
}

/// The authorization of one repository's requests.
pub(crate) struct Auth {
    reference: Reference,
    environment: Environment,
    login: OnceCell<Login>,
    state: Mutex<State>,
    /// One exchange at a time, so that a hundred requests with an expired token do not make a hundred exchanges.
    exchange: Semaphore,
}

/// A challenge of the registry at `base` to a request that needs `scopes`.
pub(crate) struct Asked<'a> {
    pub(crate) base: &'a Url,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) scopes: &'a Scopes,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    tokens: HashMap<Scopes, Token>,
}

impl Auth {
    pub(crate) fn new(reference: Reference, environment: Environment) -> Self {
        Self { reference, environment, login: OnceCell::new(), state: Mutex::default(), exchange: Semaphore::new(1) }
    }

    /// The header for a request to the registry at `base`; `None` until it has sent a challenge.
    pub(crate) async fn header(&self, http: &Client, base: &Url, scopes: &Scopes) -> Result<Option<HeaderValue>> {
        let challenge = self.state().challenge.clone();
        match challenge {
            Some(challenge) => self.answer(http, base, &challenge, scopes).await,
            None => Ok(None),
        }
    }

    /// The header for the retry of a request that was answered with 401; `None` if there is no better one.
    pub(crate) async fn challenged(
        &self,
        http: &Client,
        asked: Asked<'_>,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>> {
        let Some(challenge) = Challenge::from_headers(asked.headers) else { return Ok(None) };
        {
            let mut state = self.state();
            state.challenge = Some(challenge.clone());
            state.tokens.retain(|_, token| Some(token.header()) != used);
        }
        let fresh = self.answer(http, asked.base, &challenge, asked.scopes).await?;
        Ok(fresh.filter(|fresh| Some(fresh) != used))
    }

    /// Whether the registry has asked who we are.
    pub(crate) fn was_asked(&self) -> bool {
        self.login.initialized()
    }

    /// Adds to a refusal which login was refused, once one was looked up.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let is_refusal = matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied);
        match self.login.get() {
            Some(login) if is_refusal => login.explain(error, self.reference.registry()),
            None if error.kind() == ErrorKind::Unauthenticated => {
                error.with_hint("the registry does not say how to log in, so no login can be sent")
            }
            _ => error,
        }
    }

    async fn answer(
        &self,
        http: &Client,
        base: &Url,
        challenge: &Challenge,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>> {
        let credential = &self.login().await?.credential;
        let Challenge::Bearer(bearer) = challenge else { return Ok(credential.basic_header()) };
        if let Some(header) = credential.bearer_header() {
            return Ok(Some(header));
        }
        if let Some(header) = self.cached(scopes) {
            return Ok(Some(header));
        }
        let _one = self.exchange.acquire().await.map_err(|_| error::new(ErrorKind::Unavailable, "shutting down"))?;
        if let Some(header) = self.cached(scopes) {
            return Ok(Some(header));
        }
        let scopes_asked = scopes.with(&bearer.scopes);
        let exchange =
            Exchange { http, base, bearer, credential, scopes: &scopes_asked, tuning: self.environment.tuning() };
        let token = exchange.run().await.map_err(|error| self.explain(error))?;
        let header = token.header().clone();
        self.state().tokens.insert(scopes.clone(), token);
        Ok(Some(header))
    }

    fn cached(&self, scopes: &Scopes) -> Option<HeaderValue> {
        self.state().tokens.get(scopes).filter(|token| token.is_fresh()).map(|token| token.header().clone())
    }

    /// Looked up at the first challenge, so that a public registry never starts a credential helper.
    async fn login(&self) -> Result<&Login> {
        let find = || async {
            match self.environment.credential() {
                Some(given) => Ok(Login::given(given)),
                None => find(self.environment.auth_sources(), &self.reference).await,
            }
        };
        self.login.get_or_try_init(find).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one statement, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
