//! A repository. Its registry lists tags but no blobs.

use std::collections::HashMap;
use std::fmt::Write as _;

use cache_core::Digest;
use hyper::header::{HeaderValue, LINK};
use hyper::{Method, Request};

use super::content::Content;
use super::{MadeUp, PLACE, Size};
use crate::servers::http::{Answer, empty, fields, full, json};

/// The documents of all caches by digest; each is generated again when it is requested.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// The manifests of the caches, by number.
    manifests: Vec<Digest>,
    by_digest: HashMap<Digest, Document>,
}

#[derive(Debug, Clone, Copy)]
enum Document {
    Manifest(usize),
    Config(usize),
}

impl Documents {
    pub(super) fn new(size: Size) -> Self {
        let (content, mut documents) = (Content::new(size), Self::default());
        for number in 0..size.caches {
            let (manifest, config) = both(&content, number);
            let digest = Digest::sha256(manifest.as_bytes());
            documents.manifests.push(digest);
            documents.by_digest.insert(digest, Document::Manifest(number));
            documents.by_digest.insert(Digest::sha256(config.as_bytes()), Document::Config(number));
        }
        documents
    }
}

/// The manifest of a cache, and its config.
fn both(content: &Content, number: usize) -> (String, String) {
    let config = content.config(number);
    let digest = Digest::sha256(config.as_bytes()).to_string();
    (content.manifest(number, (&digest, config.len())), config)
}

pub(super) fn answer<T>(store: &MadeUp, request: &Request<T>) -> Answer {
    let path = request.uri().path().replace("%3A", ":");
    let is_read = request.method() == Method::GET;
    let Some(rest) = path.strip_prefix(&format!("/v2/{PLACE}/")) else {
        store.count(|asked| asked.others += 1);
        return json(200, "{}");
    };
    match rest.split_once('/') {
        Some(("tags", "list")) => {
            store.count(|asked| asked.lists += 1);
            tags(store, request.uri().query().unwrap_or_default())
        }
        Some(("manifests" | "blobs", name)) => {
            store.count(|asked| if is_read { asked.indexes += 1 } else { asked.others += 1 });
            document(store, name).unwrap_or_else(|| json(404, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"))
        }
        _ => {
            store.count(|asked| asked.others += 1);
            empty(404)
        }
    }
}

fn document(store: &MadeUp, name: &str) -> Option<Answer> {
    let documents = &store.documents;
    let digest = match Content::number(name) {
        Some(number) => *documents.manifests.get(number)?,
        None => name.parse().ok()?,
    };
    let (media_type, text) = match *documents.by_digest.get(&digest)? {
        Document::Manifest(number) => ("application/vnd.oci.image.manifest.v1+json", both(&store.content, number).0),
        Document::Config(number) => ("application/octet-stream", store.content.config(number)),
    };
    let mut answer = full(200, media_type, text.into());
    let digest = HeaderValue::from_str(&digest.to_string()).ok()?;
    answer.headers_mut().insert("docker-content-digest", digest);
    Some(answer)
}

fn tags(store: &MadeUp, query: &str) -> Answer {
    let fields = fields(query);
    let after = fields.iter().find(|(field, _)| field == "last").and_then(|(_, last)| Content::number(last));
    let first = after.map_or(0, |number| number + 1);
    let end = store.content.size.caches.min(first + store.content.size.page);
    let mut tags = String::new();
    for number in first..end {
        let _ = write!(tags, "{}\"{}\"", if number > first { "," } else { "" }, Content::name(number));
    }
    let mut answer = json(200, &format!("{{\"name\":\"{PLACE}\",\"tags\":[{tags}]}}"));
    if end < store.content.size.caches {
        let last = Content::name(end.saturating_sub(1));
        let link = format!("</v2/{PLACE}/tags/list?last={last}&n={}>; rel=\"next\"", store.content.size.page);
        answer.headers_mut().insert(LINK, link.parse().expect("a header"));
    }
    answer
}
