//! Stores of any size that store nothing: lists and documents are generated when they are requested.

mod azblob;
mod content;
mod registry;
mod s3;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;

pub use self::content::Content;
use self::content::{List, Page};
use super::http::{self, Answer, Service};

/// The bucket, the container, or the repository.
pub const PLACE: &str = "team";
/// The account that the container is in.
pub const ACCOUNT: &str = "account";
/// Blobs that each cache reaches.
pub const LAYERS: usize = 40;

/// The kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bucket.
    S3,
    /// A container.
    Azblob,
    /// A repository, which lists its tags and no blobs.
    Registry,
}

/// The size of the store.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The number of blobs; those that no cache reaches are the last.
    pub blobs: usize,
    /// The number of caches, each with its own [`LAYERS`] blobs.
    pub caches: usize,
    /// Entries in a page of a list.
    pub page: usize,
    /// The delay of each answer.
    pub delay: Duration,
}

/// The requests to the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Pages of lists.
    pub lists: usize,
    /// Indexes, manifests and configs.
    pub indexes: usize,
    /// Deletions, of one blob or of many.
    pub deletions: usize,
    /// Other requests.
    pub others: usize,
    /// The most requests at the same time.
    pub most: usize,
}

/// A running store; it stops when it is dropped.
#[derive(Debug)]
pub struct Server(http::Server<MadeUp>);

impl Server {
    /// Starts it on a free port.
    #[must_use]
    pub fn start(kind: Kind, size: Size) -> Self {
        Self(http::Server::start(move |_| MadeUp::new(kind, size)))
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.0.host()
    }

    /// The URL of the service, or of the account.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let account = if self.0.service().kind == Kind::Azblob { format!("/{ACCOUNT}") } else { String::new() };
        format!("http://{}{account}", self.host())
    }

    /// The requests since the last call.
    #[must_use]
    pub fn take_asked(&self) -> Asked {
        let _ = self.0.take_log();
        let store = self.0.service();
        let most = store.most.swap(0, Ordering::Relaxed);
        Asked { most, ..std::mem::take(&mut *lock(&store.asked)) }
    }

    /// How many blobs were deleted so far.
    #[must_use]
    pub fn deleted(&self) -> usize {
        lock(&self.0.service().deleted).len()
    }
}

#[derive(Debug)]
struct MadeUp {
    kind: Kind,
    content: Content,
    documents: registry::Documents,
    asked: Mutex<Asked>,
    now: AtomicUsize,
    most: AtomicUsize,
    deleted: Mutex<BTreeSet<usize>>,
}

impl MadeUp {
    fn new(kind: Kind, size: Size) -> Self {
        let documents = if kind == Kind::Registry { registry::Documents::new(size) } else { Default::default() };
        let (asked, deleted, now, most) = Default::default();
        Self { kind, content: Content::new(size), documents, asked, now, most, deleted }
    }

    fn count(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut lock(&self.asked));
    }

    fn list(&self, list: &List<'_>) -> Page {
        self.content.list(list, &lock(&self.deleted))
    }

    fn delete<'a>(&self, keys: impl IntoIterator<Item = &'a str>) {
        lock(&self.deleted).extend(keys.into_iter().filter_map(|key| self.content.at(key)));
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service for MadeUp {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        if !self.content.size.delay.is_zero() {
            tokio::time::sleep(self.content.size.delay).await;
        }
        let answer = match self.kind {
            Kind::S3 => s3::answer(self, request).await,
            Kind::Azblob => azblob::answer(self, &request),
            Kind::Registry => registry::answer(self, &request),
        };
        self.now.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}
