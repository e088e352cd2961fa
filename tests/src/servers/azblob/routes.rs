//! The Blob service: answers requests.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};

use super::http::{Answer, collect, empty, fields, full, sliced};
use super::stored::{Blob, Stored};
use super::time::http_date;
use super::{ACCOUNT, SIGNATURE, Shared, signature};

type Query = BTreeMap<String, String>;

pub(super) async fn route(shared: &Shared, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = collect(body).await;
    let query: Query = fields(parts.uri.query().unwrap_or_default()).into_iter().collect();
    let Some((container, blob)) = split(parts.uri.path()) else { return error(400, "InvalidUri") };
    if let Some(refused) = refuse(shared, &parts, &query, blob.is_none()) {
        return refused;
    }
    let promised = header(&parts.headers, "content-length").and_then(|length| length.parse().ok());
    if promised.is_some_and(|promised: usize| promised != body.len()) {
        return error(400, "IncompleteBody");
    }
    let mut stored = shared.stored();
    let Some(blob) = blob else { return container_route(shared, &mut stored, &parts.method, &container, &query) };
    if !stored.containers.contains_key(&container) {
        return error(404, "ContainerNotFound");
    }
    let at = At { container: &container, blob: &blob };
    match (&parts.method, query.get("comp").map(String::as_str)) {
        (&Method::PUT, Some("block")) => put_block(&mut stored, &at, query.get("blockid"), body),
        (&Method::PUT, Some("blocklist")) => put_block_list(&mut stored, &at, &parts.headers, &body),
        (&Method::PUT, Some("metadata")) => set_metadata(&mut stored, &at, &parts.headers),
        (&Method::PUT, None) => put_blob(&mut stored, &at, &parts.headers, body),
        (&Method::GET | &Method::HEAD, None) => get(&stored, &at, &parts.headers),
        (&Method::DELETE, None) => delete(&mut stored, &at, &parts.headers),
        _ => error(400, "UnsupportedHttpVerb"),
    }
}

/// A blob's place.
struct At<'a> {
    container: &'a str,
    blob: &'a str,
}

impl At<'_> {
    fn get<'s>(&self, stored: &'s Stored) -> Option<&'s Blob> {
        stored.containers.get(self.container)?.blobs.get(self.blob)
    }
}

/// Splits and decodes `/<account>/<container>/<blob>`. Plus and ampersand have no special meaning.
fn split(path: &str) -> Option<(String, Option<String>)> {
    let path = path.strip_prefix(&format!("/{ACCOUNT}/"))?;
    let (container, blob) = path.split_once('/').map_or((path, None), |(container, blob)| (container, Some(blob)));
    let decode = |text: &str| {
        let plain = text.replace('+', "%2B").replace('&', "%26");
        fields(&format!("x={plain}")).pop().map(|(_, value)| value)
    };
    Some((decode(container)?, blob.and_then(decode)))
}

fn refuse(shared: &Shared, parts: &Parts, query: &Query, is_container: bool) -> Option<Answer> {
    let is_write = !matches!(parts.method, Method::GET | Method::HEAD);
    match query.get("sig") {
        Some(given) if given != SIGNATURE => Some(error(403, "AuthenticationFailed")),
        Some(_)
            if shared.options.is_signature_for_blobs && is_container && !is_write && !query.contains_key("comp") =>
        {
            Some(error(403, "AuthorizationPermissionMismatch"))
        }
        Some(_) => None,
        None => match signature::fault(parts)? {
            code @ "NoAuthenticationInformation" => Some(error(401, code)),
            code => Some(error(403, code)),
        },
    }
}

fn container_route(shared: &Shared, stored: &mut Stored, method: &Method, name: &str, query: &Query) -> Answer {
    let is_there = stored.containers.contains_key(name);
    match (method, query.get("comp").map(String::as_str)) {
        (&Method::PUT, None) if is_there => error(409, "ContainerAlreadyExists"),
        (&Method::PUT, None) => {
            stored.containers.entry(name.to_owned()).or_default();
            empty(201)
        }
        _ if !is_there => error(404, "ContainerNotFound"),
        (&Method::GET, None) => empty(200),
        (&Method::GET, Some("list")) => list(shared, stored, name, query),
        _ => error(400, "UnsupportedHttpVerb"),
    }
}

fn list(shared: &Shared, stored: &Stored, container: &str, query: &Query) -> Answer {
    let text = |name: &str| query.get(name).map_or("", String::as_str);
    let asked = text("maxresults").parse().unwrap_or(5_000).min(shared.options.page);
    let blobs = &stored.containers[container].blobs;
    let after = |name: &&String| name.starts_with(text("prefix")) && name.as_str() >= text("marker");
    let mut rest = blobs.keys().filter(after);
    let page: Vec<&String> = rest.by_ref().take(asked).collect();
    let mut xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>".to_owned();
    for name in page {
        let Blob { bytes, etag, modified, .. } = &blobs[name];
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;");
        xml += &format!(
            "<Blob><Name>{escaped}</Name><Properties><Last-Modified>{}</Last-Modified><Etag>{etag}</Etag><Content-Length>{}\
             </Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>",
            http_date(*modified),
            bytes.len()
        );
    }
    xml += &format!("</Blobs><NextMarker>{}</NextMarker></EnumerationResults>", rest.next().map_or("", String::as_str));
    full(200, "application/xml", xml.into())
}

fn put_blob(stored: &mut Stored, at: &At<'_>, headers: &HeaderMap, body: Bytes) -> Answer {
    if header(headers, "x-ms-blob-type") != Some("BlockBlob") {
        return error(400, "InvalidHeaderValue");
    }
    if let Some(refused) = unmet(at.get(stored), headers) {
        return refused;
    }
    let etag = stored.put(at.container, at.blob, body);
    tagged(empty(201), &etag, SystemTime::now())
}

fn put_block(stored: &mut Stored, at: &At<'_>, id: Option<&String>, body: Bytes) -> Answer {
    let (Some(id), Some(container)) = (id, stored.containers.get_mut(at.container)) else {
        return error(400, "InvalidQueryParameterValue");
    };
    let blocks = container.blocks.entry(at.blob.to_owned()).or_default();
    if blocks.keys().any(|other| other.len() != id.len()) {
        return error(400, "InvalidBlobOrBlock");
    }
    blocks.insert(id.clone(), body);
    empty(201)
}

fn put_block_list(stored: &mut Stored, at: &At<'_>, headers: &HeaderMap, body: &Bytes) -> Answer {
    if let Some(refused) = unmet(at.get(stored), headers) {
        return refused;
    }
    let text = String::from_utf8_lossy(body).into_owned();
    let ids = text.split("<Latest>").skip(1).filter_map(|rest| rest.split("</Latest>").next());
    let blocks = stored.containers.get(at.container).and_then(|container| container.blocks.get(at.blob));
    let found: Option<Vec<Bytes>> = ids.map(|id| blocks?.get(id.trim()).cloned()).collect();
    let Some(found) = found else { return error(400, "InvalidBlockList") };
    let etag = stored.put(at.container, at.blob, found.concat().into());
    tagged(empty(201), &etag, SystemTime::now())
}

fn set_metadata(stored: &mut Stored, at: &At<'_>, headers: &HeaderMap) -> Answer {
    if let Some(refused) = unmet(at.get(stored), headers) {
        return refused;
    }
    let etag = stored.next_etag();
    let Some(blob) = stored.containers.get_mut(at.container).and_then(|container| container.blobs.get_mut(at.blob))
    else {
        return error(404, "BlobNotFound");
    };
    let given = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix("x-ms-meta-")?.to_owned(), value.to_str().ok()?.to_owned()))
    });
    (blob.etag, blob.modified, blob.metadata) = (etag.clone(), SystemTime::now(), given.collect());
    tagged(empty(200), &etag, blob.modified)
}

fn get(stored: &Stored, at: &At<'_>, headers: &HeaderMap) -> Answer {
    let Some(blob) = at.get(stored) else { return error(404, "BlobNotFound") };
    let range = header(headers, "x-ms-range").or(header(headers, "range"));
    let mut answer = sliced("application/octet-stream", blob.bytes.clone(), range);
    if answer.status() == 416 {
        return error(416, "InvalidRange");
    }
    for (name, value) in &blob.metadata {
        let name: hyper::header::HeaderName = format!("x-ms-meta-{name}").parse().expect("a header");
        answer.headers_mut().insert(name, value.parse().expect("a header"));
    }
    tagged(answer, &blob.etag, blob.modified)
}

fn delete(stored: &mut Stored, at: &At<'_>, headers: &HeaderMap) -> Answer {
    // In the order of Azurite.
    if let Some(refused) = unmet(at.get(stored), headers) {
        return refused;
    }
    if at.get(stored).is_none() {
        return error(404, "BlobNotFound");
    }
    stored.containers.get_mut(at.container).and_then(|container| container.blobs.remove(at.blob));
    empty(202)
}

/// The answer to a request whose conditions are not met.
fn unmet(blob: Option<&Blob>, headers: &HeaderMap) -> Option<Answer> {
    let state = blob.map(|blob| format!("\"{}\"", blob.etag));
    if header(headers, "if-none-match") == Some("*") && state.is_some() {
        return Some(error(409, "BlobAlreadyExists"));
    }
    let wanted = header(headers, "if-match")?;
    (state.as_deref() != Some(wanted)).then(|| error(412, "ConditionNotMet"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn tagged(mut answer: Answer, etag: &str, modified: SystemTime) -> Answer {
    answer.headers_mut().insert("etag", format!("\"{etag}\"").parse().expect("a header"));
    answer.headers_mut().insert("last-modified", http_date(modified).parse().expect("a header"));
    answer
}

fn error(status: u16, code: &'static str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>It is {code}.\nRequestId:1</Message></Error>"
    );
    let mut answer = full(status, "application/xml", xml.into());
    answer.headers_mut().insert("x-ms-error-code", code.parse().expect("a header"));
    answer
}
