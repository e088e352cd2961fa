//! An S3 store of any size that stores nothing: lists and indexes are generated when they are requested.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request};

use super::http::{self, Answer, Service, collect, fields, full};

/// The bucket.
pub const BUCKET: &str = "team";
/// Blobs that each cache reaches.
pub const LAYERS: usize = 40;
/// A time that is older than every grace.
const MODIFIED: &str = "2020-01-01T00:00:00.000Z";

/// The size of the store.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The number of blobs; those that no cache reaches are the last.
    pub blobs: usize,
    /// The number of caches, each with its own [`LAYERS`] blobs.
    pub caches: usize,
    /// Objects in a page of a list.
    pub page: usize,
    /// The delay of each answer.
    pub delay: Duration,
}

/// The requests to the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Pages of lists.
    pub lists: usize,
    /// Indexes.
    pub indexes: usize,
    /// Deletions of many blobs.
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
    pub fn start(size: Size) -> Self {
        Self(http::Server::start(move |_| MadeUp::new(size)))
    }

    /// The URL of the store.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.0.host())
    }

    /// The requests since the last call.
    #[must_use]
    pub fn take_asked(&self) -> Asked {
        let _ = self.0.take_log();
        let store = self.0.service();
        let most = store.most.swap(0, Ordering::Relaxed);
        Asked { most, ..std::mem::take(&mut *store.lock(&store.asked)) }
    }

    /// How many blobs were deleted so far.
    #[must_use]
    pub fn deleted(&self) -> usize {
        let store = self.0.service();
        store.lock(&store.deleted).len()
    }
}

#[derive(Debug)]
struct MadeUp {
    size: Size,
    asked: Mutex<Asked>,
    now: AtomicUsize,
    most: AtomicUsize,
    deleted: Mutex<BTreeSet<usize>>,
}

/// A request for a list.
struct List<'a> {
    prefix: &'a str,
    /// The key after which it begins.
    after: &'a str,
}

impl MadeUp {
    fn new(size: Size) -> Self {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { size, asked: Mutex::default(), now, most, deleted: Mutex::default() }
    }

    fn lock<'a, T>(&self, of: &'a Mutex<T>) -> MutexGuard<'a, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of a blob. Blobs are spread evenly over all digests, in the order of their numbers.
    fn blob(&self, number: usize) -> String {
        let step = u64::MAX / (self.size.blobs as u64 + 1);
        format!("blobs/sha256:{:016x}{:048x}", step * (number as u64 + 1), 0)
    }

    /// The number of the first blob whose key is not before `key`.
    fn first_from(&self, key: &str) -> usize {
        let numbers = (0, self.size.blobs);
        let (mut low, mut high) = numbers;
        while low < high {
            let middle = low.midpoint(high);
            if self.blob(middle).as_str() < key { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn list(&self, query: &str) -> Answer {
        let fields = fields(query);
        let field = |name: &str| fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
        let after = field("start-after").max(field("continuation-token"));
        let list = List { prefix: field("prefix"), after };
        let keys = if list.prefix.starts_with("manifests/") { self.names(&list) } else { self.blobs(&list) };
        let (page, is_truncated) = match keys.get(..self.size.page) {
            Some(page) if keys.len() > self.size.page => (page, true),
            _ => (keys.as_slice(), false),
        };
        let mut xml = format!("<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>");
        if let Some((last, _)) = page.last().filter(|_| is_truncated) {
            let _ = write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>");
        }
        for (key, size) in page {
            let _ = write!(
                xml,
                "<Contents><Key>{key}</Key><LastModified>{MODIFIED}</LastModified><ETag>&quot;{size:032x}&quot;</ETag>\
                 <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            );
        }
        xml.push_str("</ListBucketResult>");
        full(200, "application/xml", xml.into())
    }

    /// Up to one entry more than a page.
    fn blobs(&self, list: &List<'_>) -> Vec<(String, usize)> {
        let deleted = self.lock(&self.deleted);
        let from = self.first_from(list.prefix.max(list.after));
        let numbers = (from..self.size.blobs).filter(|number| !deleted.contains(number));
        let keys = numbers.map(|number| (self.blob(number), 1_000 + number % 1_000));
        let keys = keys.filter(|(key, _)| key.as_str() > list.after);
        keys.take_while(|(key, _)| key.starts_with(list.prefix)).take(self.size.page + 1).collect()
    }

    fn names(&self, list: &List<'_>) -> Vec<(String, usize)> {
        let names = (0..self.size.caches).map(|number| (format!("manifests/cache-{number:06}"), 20_000));
        let names = names.filter(|(key, _)| key.as_str() > list.after && key.starts_with(list.prefix));
        names.take(self.size.page + 1).collect()
    }

    /// The index of a cache with one step and a chain of layers.
    fn index(&self, number: usize) -> Answer {
        let mut layers = String::new();
        for at in 0..LAYERS {
            let blob = number * LAYERS + at;
            let digest = self.blob(blob % self.size.blobs.max(1)).replace("blobs/", "");
            let parent = i64::try_from(at).unwrap_or(0) - 1;
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(
                layers,
                "{comma}{{\"blob\":\"{digest}\",\"parent\":{parent},\"annotations\":{{\"mediaType\":\
                 \"application/vnd.oci.image.layer.v1.tar+gzip\",\"diffID\":\"{digest}\",\"size\":{},\
                 \"createdAt\":\"{MODIFIED}\"}}}}",
                1_000 + blob % 1_000
            );
        }
        let (top, key) = (LAYERS - 1, self.blob(number).replace("blobs/", ""));
        let record = format!("{{\"layers\":[{{\"layer\":{top},\"createdAt\":\"{MODIFIED}\"}}],\"digest\":\"{key}\"}}");
        full(200, "application/octet-stream", format!("{{\"layers\":[{layers}],\"records\":[{record}]}}").into())
    }

    fn delete(&self, body: &Bytes) -> Answer {
        let text = String::from_utf8_lossy(body);
        let mut deleted = self.lock(&self.deleted);
        for key in text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
            let number = self.first_from(key);
            if self.blob(number) == key {
                deleted.insert(number);
            }
        }
        full(200, "application/xml", Bytes::from_static(b"<DeleteResult></DeleteResult>"))
    }

    async fn made_up(&self, request: Request<Incoming>) -> Answer {
        let uri = request.uri().clone();
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let count = |change: fn(&mut Asked)| change(&mut self.lock(&self.asked));
        let name = path.strip_prefix(&format!("/{BUCKET}/manifests/cache-")).and_then(|name| name.parse().ok());
        match (request.method(), name) {
            (&Method::GET, None) if query.contains("list-type=2") => {
                count(|asked| asked.lists += 1);
                self.list(query)
            }
            (&Method::GET, Some(number)) => {
                count(|asked| asked.indexes += 1);
                self.index(number)
            }
            (&Method::POST, None) if query.contains("delete") => {
                count(|asked| asked.deletions += 1);
                let body = collect(request.into_body()).await;
                self.delete(&body)
            }
            (&Method::GET, None) if query.contains("uploads") => {
                count(|asked| asked.others += 1);
                full(200, "application/xml", Bytes::from_static(b"<ListMultipartUploadsResult/>"))
            }
            _ => {
                count(|asked| asked.others += 1);
                full(404, "application/xml", Bytes::from_static(b"<Error><Code>NoSuchKey</Code></Error>"))
            }
        }
    }
}

impl Service for MadeUp {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        if !self.size.delay.is_zero() {
            tokio::time::sleep(self.size.delay).await;
        }
        let answer = self.made_up(request).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}
