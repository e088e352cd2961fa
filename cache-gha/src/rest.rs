//! GitHub's REST API: the entries of a repository, listed and deleted.
//!
//! It lists finalised entries, of all scopes; their content cannot be read through it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::{Deleted, Quota};
use cache_core::{Error, ErrorKind, Result, Timestamp};
use cache_kit::{Bounds, Listener, NextPage, Page, PageSource, RetryPolicy, paged};
use futures_util::stream::TryStreamExt;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

use crate::Environment;
use crate::client::{Call, Client, http};
use crate::config::Repository;
use crate::error;
use crate::keys::{VERSION, has_prefix};

const LIST: &str = "cannot list the caches of the repository";
/// Entries of a page, the most that GitHub allows.
const PAGE: u64 = 100;
/// GitHub's default limit for a repository, in bytes.
const DEFAULT_LIMIT: u64 = 10 << 30;

/// The caches of one repository.
pub(crate) struct Rest {
    client: Client,
    repository: String,
    listener: Listener,
    bounds: Bounds,
}

/// An entry, in any scope.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Item {
    pub(crate) id: u64,
    #[serde(default, rename = "ref")]
    pub(crate) scope: String,
    pub(crate) key: String,
    version: String,
    #[serde(default)]
    pub(crate) last_accessed_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) size_in_bytes: u64,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    total_count: u64,
    #[serde(default)]
    actions_caches: Vec<Item>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    active_caches_size_in_bytes: u64,
}

#[derive(Deserialize)]
struct StorageLimit {
    max_cache_size_gb: u64,
}

impl Rest {
    /// Prepares the connection; nothing is sent.
    pub(crate) fn new(repository: &Repository, environment: &Environment) -> Result<Self> {
        let connections = http(environment, &repository.api)?;
        let (url, token) = (repository.api.clone(), repository.token.clone());
        let client = Client::new(connections, url, token, environment);
        let client = client.with_header(ACCEPT, "application/vnd.github+json");
        let client = client.with_header(HeaderName::from_static("x-github-api-version"), "2022-11-28");
        let (listener, bounds) = (environment.listener().clone(), environment.tuning().bounds());
        Ok(Self { client, repository: repository.name.clone(), listener, bounds })
    }

    /// The entries whose keys begin with `prefix`, in a scope or in all, the oldest first.
    ///
    /// # Errors
    /// Whatever the service answers, and [`ErrorKind::Unavailable`] for an incomplete list.
    pub(crate) async fn list(&self, prefix: &str, scope: Option<&str>, retry: RetryPolicy) -> Result<Vec<Item>> {
        let listing = Listing { rest: self, prefix, scope, retry };
        let items: Vec<Item> = paged(listing, self.bounds).try_collect().await?;
        // The server filters by the prefix; entries of other versions are left out here.
        let is_ours = |item: &Item| item.version == VERSION && has_prefix(&item.key, prefix);
        Ok(items.into_iter().filter(is_ours).collect())
    }

    /// How many entries there are whose keys begin with `prefix`, in a scope.
    ///
    /// # Errors
    /// Whatever the service answers.
    pub(crate) async fn count(&self, prefix: &str, scope: &str, retry: RetryPolicy) -> Result<u64> {
        let listing = Listing { rest: self, prefix, scope: Some(scope), retry };
        listing.ask(1).await.map(|listed| listed.total_count)
    }

    /// Deletes an entry by its number.
    pub(crate) async fn delete(&self, id: u64) -> Result<Deleted> {
        let path = format!("/repos/{}/actions/caches/{id}", self.repository);
        self.deleted(path).await
    }

    /// Deletes the entry of exactly this key in a scope.
    pub(crate) async fn delete_key(&self, key: &str, scope: &str) -> Result<Deleted> {
        let query = query(&[("key", key), ("ref", scope)]);
        self.deleted(format!("/repos/{}/actions/caches?{query}", self.repository)).await
    }

    async fn deleted(&self, path: String) -> Result<Deleted> {
        match self.send(Method::DELETE, path, "cannot delete the entry").await {
            Ok(_) => Ok(Deleted::Removed),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Deleted::Absent),
            Err(error) => Err(error),
        }
    }

    /// The bytes of all caches of the repository, and the limit.
    pub(crate) async fn quota(&self) -> Result<Quota> {
        const MESSAGE: &str = "cannot ask for the usage of the repository";
        let path = |name: &str| format!("/repos/{}/actions/cache/{name}", self.repository);
        let usage: Usage = self.get(path("usage"), MESSAGE).await?;
        // Only some servers show it, and only to some tokens.
        let limit = match self.get::<StorageLimit>(path("storage-limit"), MESSAGE).await {
            Ok(limit) => limit.max_cache_size_gb.saturating_mul(1 << 30),
            Err(error) if error.is_retryable() => return Err(error),
            Err(_) => DEFAULT_LIMIT,
        };
        Ok(Quota { used: usage.active_caches_size_in_bytes, limit })
    }

    async fn get<T: DeserializeOwned>(&self, path: String, message: &'static str) -> Result<T> {
        let body = self.send(Method::GET, path, message).await?;
        serde_json::from_slice(&body).map_err(|cause| {
            let error = error::new(ErrorKind::Unavailable, message).with_source(cause);
            self.with_context(error.with("cause", "the answer is not the JSON that was expected"))
        })
    }

    async fn send(&self, method: Method, path: String, message: &'static str) -> Result<Bytes> {
        let sent = self.client.send(Call::new(method, path, message)).await;
        sent.map(|reply| reply.body).map_err(|error| self.with_context(error))
    }

    fn with_context(&self, error: Error) -> Error {
        let kind = error.kind();
        let error = error.with("repository", &self.repository);
        match kind {
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::NotFound => {
                error.with_hint("ghtoken needs the permission actions: read for lists, and actions: write to delete")
            }
            _ => error,
        }
    }
}

/// One list.
struct Listing<'a> {
    rest: &'a Rest,
    prefix: &'a str,
    scope: Option<&'a str>,
    retry: RetryPolicy,
}

/// Where a page begins: its number, and how many entries were on those before.
type Cursor = (u64, u64);

impl Listing<'_> {
    /// New entries come last, so that no page repeats an item.
    fn path(&self, number: u64) -> String {
        let (number, size) = (number.to_string(), PAGE.to_string());
        let mut pairs = vec![("key", self.prefix), ("sort", "created_at"), ("direction", "asc")];
        pairs.extend([("page", number.as_str()), ("per_page", size.as_str())]);
        pairs.extend(self.scope.map(|scope| ("ref", scope)));
        format!("/repos/{}/actions/caches?{}", self.rest.repository, query(&pairs))
    }

    async fn ask(&self, number: u64) -> Result<Listed> {
        let once = || self.rest.get::<Listed>(self.path(number), LIST);
        self.retry.run_final(&self.rest.listener, once).await
    }
}

#[async_trait]
impl PageSource for Listing<'_> {
    type Item = Item;
    type Cursor = Cursor;

    async fn page(&self, cursor: Option<&Cursor>) -> Result<Page<Item, Cursor>> {
        let (number, before) = cursor.copied().unwrap_or((1, 0));
        let found = self.ask(number).await?;
        let seen = before.saturating_add(found.actions_caches.len() as u64);
        let next = match () {
            () if seen >= found.total_count => NextPage::End,
            () if found.actions_caches.is_empty() => NextPage::Lost,
            () => NextPage::At((number.saturating_add(1), seen)),
        };
        let bytes = found.actions_caches.iter().map(|item| item.key.len() as u64).sum();
        Ok(Page { items: found.actions_caches, next, bytes })
    }

    fn id(item: &Item) -> String {
        item.id.to_string()
    }

    fn with_context(&self, error: Error) -> Error {
        self.rest.with_context(error.with("backend", crate::KIND))
    }
}

fn query(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("repository", &self.repository).finish_non_exhaustive()
    }
}
