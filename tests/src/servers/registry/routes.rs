//! The distribution API: answers requests.

use bytes::Bytes;
use cache_core::Digest;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use hyper::{Method, Request};

use super::Shared;
use super::access::{self, CHALLENGE, Need};
use super::http::{Answer, collect, empty, fields, full, json, sliced};
use super::listing::{self, Asked};
use super::uploads::{self, SIGNATURE};

pub(super) async fn route(shared: &Shared, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = fields(parts.uri.query().unwrap_or_default());
    let method = parts.method;
    if path == "/token" {
        let posted = collect(body).await;
        let fields = if method == Method::POST { fields(&String::from_utf8_lossy(&posted)) } else { query };
        return access::token(shared, &method, &parts.headers, &fields);
    }
    if path == "/v2/" {
        let need = Need { repository: None, action: "", source: None };
        return access::refuse(shared, &parts.headers, &need).unwrap_or_else(|| json(200, "{}"));
    }
    let Some((repository, kind, name)) = split(&path) else { return json(404, "{}") };
    let field = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let action = match (&method, kind) {
        (&Method::GET | &Method::HEAD, _) => "pull",
        (&Method::DELETE, "manifests" | "blobs") => "delete",
        _ => "push",
    };
    let need = Need { repository: Some(repository), action, source: field("from") };
    let is_signed = field("signature") == Some(SIGNATURE);
    if let Some(answer) = access::refuse(shared, &parts.headers, &need).filter(|_| !is_signed) {
        return answer;
    }
    let range = parts.headers.get(RANGE).and_then(|value| value.to_str().ok());
    match (&method, kind) {
        (&Method::HEAD, "blobs") => head_blob(shared, repository, name),
        (&Method::GET, "blobs") => get_blob(shared, repository, name, range),
        (&Method::POST, "uploads") if shared.options.takes_posts && field("digest").is_some() => {
            uploads::take(shared, repository, field("digest"), &collect(body).await)
        }
        (&Method::POST, "uploads") => {
            // As other servers do before they answer: the connection would be closed otherwise.
            let _ = collect(body).await;
            uploads::start(shared, repository, field("mount").zip(field("from")))
        }
        (&Method::GET, "uploads") => uploads::look(shared, repository, name),
        (&Method::PATCH, "uploads") => {
            let range = parts.headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            uploads::extend(shared, repository, name, range, body).await
        }
        (&Method::PUT, "uploads") => uploads::finish(shared, repository, name, field("digest"), body).await,
        (&Method::DELETE, "uploads") => uploads::cancel(shared, name),
        (&Method::GET | &Method::HEAD, "manifests") => get_manifest(shared, repository, name),
        (&Method::PUT, "manifests") => {
            let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            put_manifest(shared, repository, name, media_type, collect(body).await)
        }
        (&Method::DELETE, "manifests") => delete_manifest(shared, repository, name),
        (&Method::DELETE, "blobs") => delete_blob(shared, repository, name),
        (&Method::GET, "referrers") => {
            let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
            full(200, "application/vnd.oci.image.index.v1+json", Bytes::from_static(index.as_bytes()))
        }
        (&Method::GET, "tags") => listing::tags(shared, repository, &Asked { count: field("n"), last: field("last") }),
        _ => error(405, "UNSUPPORTED", "the operation is unsupported"),
    }
}

/// Splits `/v2/<repository>/<kind>/<name>`.
fn split(path: &str) -> Option<(&str, &'static str, &str)> {
    let path = path.strip_prefix("/v2/")?;
    for (mark, kind) in [
        ("/blobs/uploads/", "uploads"),
        ("/blobs/", "blobs"),
        ("/manifests/", "manifests"),
        ("/tags/", "tags"),
        ("/referrers/", "referrers"),
    ] {
        if let Some((repository, name)) = path.split_once(mark) {
            return Some((repository, kind, name));
        }
    }
    None
}

fn get_blob(shared: &Shared, repository: &str, name: &str, range: Option<&str>) -> Answer {
    let found = name.parse().ok().and_then(|digest| shared.state().stored.blob(repository, &digest));
    let Some(bytes) = found else { return error(404, "BLOB_UNKNOWN", "blob unknown to registry") };
    labelled(shared, name, sliced("application/octet-stream", bytes, range.filter(|_| shared.options.ranges)))
}

/// Answers from the cache of descriptors too, since no bytes are needed.
fn head_blob(shared: &Shared, repository: &str, name: &str) -> Answer {
    let digest = name.parse().ok();
    match digest.and_then(|digest| shared.state().stored.blob_length(repository, &digest, shared.options.remembers)) {
        Some(length) => {
            let mut answer = full(200, "application/octet-stream", Bytes::new());
            answer.headers_mut().insert(CONTENT_LENGTH, length.into());
            labelled(shared, name, answer)
        }
        None => error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
    }
}

fn delete_blob(shared: &Shared, repository: &str, name: &str) -> Answer {
    if !shared.options.deletes {
        return error(405, "UNSUPPORTED", "the operation is unsupported");
    }
    let digest = name.parse().ok();
    let removed = digest.and_then(|digest: Digest| shared.state().stored.repository(repository).blobs.remove(&digest));
    if removed.is_some() { empty(202) } else { error(404, "BLOB_UNKNOWN", "blob unknown to registry") }
}

fn get_manifest(shared: &Shared, repository: &str, name: &str) -> Answer {
    match shared.state().stored.manifest(repository, name) {
        Some((digest, media_type, bytes)) => labelled(shared, &digest.to_string(), full(200, &media_type, bytes)),
        None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
    }
}

fn put_manifest(shared: &Shared, repository: &str, name: &str, media_type: &str, bytes: Bytes) -> Answer {
    let digest = Digest::sha256(&bytes);
    let mut state = shared.state();
    let is_index = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|json| json["manifests"].is_array());
    let takes_blobs = !(is_index && shared.options.indexes_manifests);
    for named in digests(&bytes).filter(|named| *named != digest) {
        let is_blob = state.stored.blob_length(repository, &named, shared.options.remembers).is_some();
        let is_manifest = state.stored.repository(repository).manifests.contains_key(&named);
        let is_known = is_manifest || (is_blob && takes_blobs);
        if !is_known {
            return error(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
        }
    }
    let own = state.stored.repository(repository);
    match name.parse::<Digest>() {
        Ok(named) if named != digest => return error(400, "DIGEST_INVALID", "provided digest did not match"),
        Ok(_) => {}
        Err(_) => drop(own.tags.insert(name.to_owned(), digest)),
    }
    own.put_manifest(digest, media_type.to_owned(), bytes, shared.options.remembers);
    drop(state);
    labelled(shared, &digest.to_string(), empty(201))
}

/// The digests in a manifest.
fn digests(bytes: &[u8]) -> impl Iterator<Item = Digest> {
    let document: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    let entries = ["layers", "manifests"].into_iter().flat_map({
        let document = document.clone();
        move |key| document[key].as_array().cloned().unwrap_or_default()
    });
    let config = document["config"].clone();
    let named = entries.chain([config]).filter_map(|entry| entry["digest"].as_str().and_then(|text| text.parse().ok()));
    named.collect::<Vec<Digest>>().into_iter()
}

fn delete_manifest(shared: &Shared, repository: &str, name: &str) -> Answer {
    let digest = name.parse::<Digest>();
    if !shared.options.deletes || (digest.is_err() && !shared.options.deletes_tags) {
        return error(405, "UNSUPPORTED", "the operation is unsupported");
    }
    let mut state = shared.state();
    let own = state.stored.repository(repository);
    let is_removed = match digest {
        Ok(digest) => {
            own.tags.retain(|_, tagged| *tagged != digest);
            own.manifests.remove(&digest).is_some()
        }
        Err(_) => own.tags.remove(name).is_some(),
    };
    if is_removed { empty(202) } else { error(404, "MANIFEST_UNKNOWN", "manifest unknown") }
}

/// Adds the digest to an answer.
pub(super) fn labelled(shared: &Shared, digest: &str, mut answer: Answer) -> Answer {
    if shared.options.says_digests {
        answer.headers_mut().insert("docker-content-digest", digest.parse().expect("a header"));
    }
    answer
}

pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    json(status, &serde_json::json!({ "errors": [{ "code": code, "message": message }] }).to_string())
}

pub(super) fn denied(challenge: &str) -> Answer {
    let mut answer = error(401, "UNAUTHORIZED", "authentication required");
    answer.headers_mut().insert(CHALLENGE, challenge.parse().expect("a header"));
    answer
}
