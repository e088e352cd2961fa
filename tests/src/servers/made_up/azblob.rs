//! A container.

use std::fmt::Write as _;

use hyper::body::Incoming;
use hyper::header::{ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};
use hyper::{Method, Request};

use super::content::{Content, List, Page};
use super::{ACCOUNT, MadeUp, PLACE};
use crate::servers::http::{Answer, empty, fields, full, sliced};

const MODIFIED: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
const CODE: HeaderName = HeaderName::from_static("x-ms-error-code");

pub(super) fn answer(store: &MadeUp, request: &Request<Incoming>) -> Answer {
    let path = request.uri().path().replace("%3A", ":").replace("%2F", "/");
    let blob = path.strip_prefix(&format!("/{ACCOUNT}/{PLACE}")).map(|path| path.trim_start_matches('/'));
    let cache = blob.and_then(|blob| Content::number(blob.strip_prefix("manifests/")?));
    let query = request.uri().query().unwrap_or_default();
    match (request.method(), cache) {
        (&Method::GET, None) if query.contains("comp=list") => {
            store.count(|asked| asked.lists += 1);
            list(store, query)
        }
        (&Method::GET, Some(cache)) => {
            store.count(|asked| asked.indexes += 1);
            index(&store.content.index(cache), request.headers())
        }
        (&Method::DELETE, None) => {
            store.count(|asked| asked.deletions += 1);
            store.delete(blob);
            empty(202)
        }
        _ => {
            store.count(|asked| asked.others += 1);
            let mut answer = empty(404);
            answer.headers_mut().insert(CODE, HeaderValue::from_static("BlobNotFound"));
            answer
        }
    }
}

fn index(document: &str, headers: &HeaderMap) -> Answer {
    let range = headers.get("x-ms-range").and_then(|range| range.to_str().ok());
    let mut answer = sliced("application/octet-stream", document.to_owned().into(), range);
    answer.headers_mut().insert(ETAG, HeaderValue::from_static("\"0x1\""));
    answer.headers_mut().insert(LAST_MODIFIED, HeaderValue::from_static(MODIFIED));
    answer
}

fn list(store: &MadeUp, query: &str) -> Answer {
    let fields = fields(query);
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
    let Page { keys, is_truncated } = store.list(&List { prefix: field("prefix"), after: field("marker") });
    let mut xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>".to_owned();
    for (key, size) in &keys {
        let _ = write!(
            xml,
            "<Blob><Name>{key}</Name><Properties><Last-Modified>{MODIFIED}</Last-Modified><Etag>0x{size:x}</Etag>\
             <Content-Length>{size}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
        );
    }
    let next = keys.last().filter(|_| is_truncated).map_or("", |(last, _)| last.as_str());
    let _ = write!(xml, "</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>");
    full(200, "application/xml", xml.into())
}
