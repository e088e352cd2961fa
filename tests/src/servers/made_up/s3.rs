//! A bucket.

use std::fmt::Write as _;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request};

use super::content::{Content, List, MODIFIED, Page};
use super::{MadeUp, PLACE};
use crate::servers::http::{Answer, collect, fields, full};

const XML: &str = "application/xml";

pub(super) async fn answer(store: &MadeUp, request: Request<Incoming>) -> Answer {
    let uri = request.uri().clone();
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let cache = path.strip_prefix(&format!("/{PLACE}/manifests/")).and_then(Content::number);
    match (request.method(), cache) {
        (&Method::GET, None) if query.contains("list-type=2") => {
            store.count(|asked| asked.lists += 1);
            list(store, query)
        }
        (&Method::GET, Some(cache)) => {
            store.count(|asked| asked.indexes += 1);
            full(200, "application/octet-stream", store.content.index(cache).into())
        }
        (&Method::POST, None) if query.contains("delete") => {
            store.count(|asked| asked.deletions += 1);
            let body = collect(request.into_body()).await;
            let text = String::from_utf8_lossy(&body);
            store.delete(text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()));
            full(200, XML, Bytes::from_static(b"<DeleteResult></DeleteResult>"))
        }
        (&Method::GET, None) if query.contains("uploads") => {
            store.count(|asked| asked.others += 1);
            full(200, XML, Bytes::from_static(b"<ListMultipartUploadsResult/>"))
        }
        _ => {
            store.count(|asked| asked.others += 1);
            full(404, XML, Bytes::from_static(b"<Error><Code>NoSuchKey</Code></Error>"))
        }
    }
}

fn list(store: &MadeUp, query: &str) -> Answer {
    let fields = fields(query);
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
    let after = field("start-after").max(field("continuation-token"));
    let Page { keys, is_truncated } = store.list(&List { prefix: field("prefix"), after });
    let mut xml = format!("<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>");
    if let Some((last, _)) = keys.last().filter(|_| is_truncated) {
        let _ = write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    for (key, size) in keys {
        let _ = write!(
            xml,
            "<Contents><Key>{key}</Key><LastModified>{MODIFIED}</LastModified><ETag>&quot;{size:032x}&quot;</ETag>\
             <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    xml.push_str("</ListBucketResult>");
    full(200, XML, xml.into())
}
