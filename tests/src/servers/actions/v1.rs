//! Version 1: REST.

use bytes::{Bytes, BytesMut};
use cache_core::Timestamp;
use hyper::Method;
use serde_json::{Value, json};

use super::http::{Answer, empty, json as answer_json};
use super::routes::{Asked, Refusal};
use super::token::Scope;
use super::{Dialect, Shared, blobs, token};

pub(super) fn route(shared: &Shared, asked: &Asked, rest: &str) -> Result<Answer, Refusal> {
    if let Some(id) = rest.strip_prefix("artifact/") {
        return download(shared, asked, id);
    }
    let scopes = token::scopes(asked.authorization())?;
    match (asked.method.clone(), rest.split_once('/')) {
        (Method::GET, None) if rest == "cache" => lookup(shared, asked, &scopes),
        (Method::POST, None) if rest == "caches" => {
            let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let mut entries = shared.entries();
            let id = entries.reserve(&shared.options, &scopes, &text("key"), &text("version"))?;
            if let Some(entry) = entries.get(id) {
                entry.bytes = Some(Bytes::new());
            }
            Ok(answer_json(201, &json!({ "cacheId": id }).to_string()))
        }
        (Method::PATCH | Method::POST, Some(("caches", id))) => write(shared, asked, &scopes, id),
        _ => Err(Refusal::new(404, "not_found", "no such route")),
    }
}

fn lookup(shared: &Shared, asked: &Asked, scopes: &[Scope]) -> Result<Answer, Refusal> {
    let keys: Vec<String> = asked.param("keys").unwrap_or_default().split(',').map(str::to_owned).collect();
    let mut entries = shared.entries();
    let version = asked.param("version").unwrap_or_default();
    let Some(entry) = entries.lookup(shared.options.dialect, scopes, &keys[0], &keys, version)? else {
        return Ok(empty(204));
    };
    let signed = entries.sign(entry.id, "r", shared.options.url_ttl);
    let location = format!("http://{}/_apis/artifactcache/artifact/{}?{signed}", shared.address, entry.id);
    let body = json!({
        "cacheKey": entry.key,
        "scope": entry.scope,
        "cacheVersion": entry.version,
        "creationTime": Timestamp::from(entry.created).to_string(),
        "archiveLocation": location,
    });
    Ok(answer_json(200, &body.to_string()))
}

fn download(shared: &Shared, asked: &Asked, id: &str) -> Result<Answer, Refusal> {
    let param = |name: &str| asked.param(name).unwrap_or_default();
    let mut entries = shared.entries();
    let (id, until) = (id.parse().unwrap_or(0), param("se").parse().unwrap_or(0));
    if !entries.is_signed(id, "r", until, param("sig")) {
        return Err(Refusal::new(403, "permission_denied", "bad signature"));
    }
    let bytes = entries.get(id).and_then(|entry| entry.bytes.clone());
    let bytes = bytes.ok_or_else(|| Refusal::new(404, "not_found", "gone"))?;
    blobs::part(&bytes, asked.header("range").filter(|_| shared.options.ranges))
}

fn write(shared: &Shared, asked: &Asked, scopes: &[Scope], id: &str) -> Result<Answer, Refusal> {
    let missing = || Refusal::new(404, "not_found", &format!("Cache {id} does not exist"));
    let may_write = |scope: &str| scopes.iter().any(|(name, mask)| name == scope && mask & 2 != 0);
    let mut entries = shared.entries();
    let number = id.parse().map_err(|_| missing())?;
    let entry = entries.get(number).filter(|entry| may_write(&entry.scope)).ok_or_else(missing)?;
    if entry.is_ready {
        return Err(Refusal::new(400, "invalid", "cache is already committed"));
    }
    if asked.method == Method::PATCH {
        let bad_range = || Refusal::new(400, "invalid", "bad Content-Range");
        let (start, end) = asked.header("content-range").and_then(range).ok_or_else(bad_range)?;
        if end + 1 - start != asked.body.len() {
            return Err(bad_range());
        }
        let mut bytes = BytesMut::from(entry.bytes.as_deref().unwrap_or_default());
        bytes.resize(bytes.len().max(end + 1), 0);
        bytes[start..=end].copy_from_slice(&asked.body);
        entry.bytes = Some(bytes.freeze());
        return Ok(empty(204));
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    entries.finalize(&shared.options, number, body["size"].as_u64().unwrap_or(0))?;
    Ok(empty(204))
}

/// Parses `bytes 0-31/*`.
fn range(text: &str) -> Option<(usize, usize)> {
    let (start, end) = text.strip_prefix("bytes ")?.strip_suffix("/*")?.split_once('-')?;
    let (start, end): (usize, usize) = (start.parse().ok()?, end.parse().ok()?);
    (start <= end).then_some((start, end))
}

/// An error of version 1, which has a .NET type.
pub(super) fn refused(dialect: Dialect, refusal: &Refusal) -> Answer {
    let (kind, message) = match refusal.code {
        "already_exists" => ("ArtifactCacheItemAlreadyExistsException", "Cache already exists."),
        "not_found" => ("ArtifactCacheItemNotFoundException", refusal.message.as_str()),
        "permission_denied" | "write_denied" => ("AccessDeniedException", refusal.message.as_str()),
        _ => ("InvalidOperationException", refusal.message.as_str()),
    };
    if dialect == Dialect::Act && refusal.size.is_none() {
        return refusal.finish(answer_json(400, &json!({ "error": message }).to_string()));
    }
    let body = json!({
        "$id": "1",
        "innerException": null,
        "message": message,
        "typeName": format!("Emulator.{kind}, Emulator"),
        "typeKey": kind,
        "errorCode": 0,
        "eventId": 3000,
    });
    refusal.finish(answer_json(refusal.status, &body.to_string()))
}
