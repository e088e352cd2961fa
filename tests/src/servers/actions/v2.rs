//! Version 2: Twirp in JSON.

use hyper::Method;
use serde_json::{Value, json};

use super::entries::check_key;
use super::http::{Answer, json as answer_json};
use super::routes::{Asked, Refusal};
use super::{Shared, blobs, token};

pub(super) const SERVICE: &str = "/twirp/github.actions.results.api.v1.CacheService/";

pub(super) fn call(shared: &Shared, asked: &Asked, method: &str) -> Result<Answer, Refusal> {
    if asked.method != Method::POST {
        return Err(Refusal::new(404, "bad_route", "unsupported method"));
    }
    if !asked.header("content-type").is_some_and(|value| value.starts_with("application/json")) {
        return Err(Refusal::new(404, "bad_route", "unexpected Content-Type"));
    }
    let scopes = token::scopes(asked.authorization())?;
    let body: Value = serde_json::from_slice(&asked.body)
        .map_err(|_| Refusal::new(400, "malformed", "the json request could not be decoded"))?;
    let (key, version) = (text(&body, "key"), text(&body, "version"));
    let answer = match method {
        "CreateCacheEntry" => create(shared, &scopes, &key, &version)?,
        "FinalizeCacheEntryUpload" => {
            let size = field(&body, "size_bytes", "sizeBytes");
            let size = size.as_u64().or_else(|| size.as_str()?.parse().ok()).unwrap_or(0);
            let mut entries = shared.entries();
            let id = entries.reserved(&scopes, &key, &version);
            let missing = || Refusal::new(404, "not_found", "cache entry reservation not found");
            let id = id.ok_or_else(missing)?;
            entries.finalize(&shared.options, id, size)?;
            json!({ "ok": true, "entry_id": id.to_string() })
        }
        "GetCacheEntryDownloadURL" => {
            check_key(&key, &version)?;
            let others = field(&body, "restore_keys", "restoreKeys");
            let others: Vec<String> = serde_json::from_value(others.clone()).unwrap_or_default();
            let mut entries = shared.entries();
            match entries.lookup(shared.options.dialect, &scopes, &key, &others, &version)? {
                None => json!({ "ok": false, "signed_download_url": "", "matched_key": "" }),
                Some(entry) => {
                    let url = blobs::url(shared, &mut entries, entry.id, "r");
                    json!({ "ok": true, "signed_download_url": url, "matched_key": entry.key })
                }
            }
        }
        _ => return Err(Refusal::new(404, "bad_route", "no such method")),
    };
    Ok(answer_json(200, &answer.to_string()))
}

/// Reserves an entry. A token that cannot write is refused by a message in an answer of status 200.
fn create(shared: &Shared, scopes: &[token::Scope], key: &str, version: &str) -> Result<Value, Refusal> {
    let mut entries = shared.entries();
    match entries.reserve(&shared.options, scopes, key, version) {
        Ok(id) => Ok(json!({ "ok": true, "signed_upload_url": blobs::url(shared, &mut entries, id, "w") })),
        Err(refusal) if refusal.code == "write_denied" => {
            Ok(json!({ "ok": false, "signed_upload_url": "", "message": refusal.message }))
        }
        Err(refusal) if refusal.code == "refused" => Ok(json!({ "ok": false })),
        Err(refusal) => Err(refusal),
    }
}

/// A field by either of its names.
fn field<'a>(body: &'a Value, snake: &str, camel: &str) -> &'a Value {
    body.get(snake).or_else(|| body.get(camel)).unwrap_or(&Value::Null)
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_default().to_owned()
}
