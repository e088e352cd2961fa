//! The REST API of one repository: its caches, listed and deleted.

use cache_core::Timestamp;
use hyper::Method;
use serde_json::{Value, json};

use super::Shared;
use super::entries::{Entries, Entry};
use super::http::{Answer, empty, json as answer_json};
use super::routes::Asked;

/// Answers a request; `None` if it is not for the REST API.
pub(super) fn route(shared: &Shared, asked: &Asked) -> Option<Answer> {
    let path = asked.path.strip_prefix("/api/v3").unwrap_or(&asked.path);
    let mut parts = path.strip_prefix("/repos/")?.splitn(3, '/');
    let (owner, name, rest) = (parts.next()?, parts.next()?, parts.next()?);
    if !rest.starts_with("actions/cache") || rest == "actions/cache/storage-limit" {
        return None;
    }
    if let Some(token) = &shared.options.rest_token {
        let is_allowed = [format!("Bearer {token}"), format!("token {token}")]
            .iter()
            .any(|good| asked.authorization() == Some(good));
        if !is_allowed {
            let body = json!({ "message": "Bad credentials", "documentation_url": "https://docs.github.com/rest" });
            return Some(answer_json(401, &body.to_string()));
        }
    }
    let mut entries = shared.entries();
    Some(match (rest.strip_prefix("actions/")?, asked.method.clone()) {
        ("cache/usage", _) => usage(&entries, &format!("{owner}/{name}")),
        ("caches", Method::DELETE) => delete_key(&mut entries, asked),
        ("caches", _) => list(&entries, asked),
        (other, method) => {
            let id: u64 = other.strip_prefix("caches/")?.parse().ok()?;
            let deleted = if method == Method::DELETE { entries.delete(id) } else { None };
            if deleted.is_some() { empty(204) } else { not_found() }
        }
    })
}

fn usage(entries: &Entries, name: &str) -> Answer {
    let sizes: Vec<u64> = entries.iter().filter(|entry| entry.is_ready).map(Entry::size).collect();
    let body = json!({
        "full_name": name,
        "active_caches_count": sizes.len(),
        "active_caches_size_in_bytes": sizes.iter().sum::<u64>(),
    });
    answer_json(200, &body.to_string())
}

fn delete_key(entries: &mut Entries, asked: &Asked) -> Answer {
    let is_hit = |entry: &&Entry| entry.is_ready && asked.param("key") == Some(&entry.key) && is_in(entry, asked);
    let hits: Vec<Entry> = entries.iter().filter(is_hit).cloned().collect();
    if hits.is_empty() {
        return not_found();
    }
    hits.iter().for_each(|entry| drop(entries.delete(entry.id)));
    page(hits.len(), &hits.iter().collect::<Vec<_>>())
}

fn list(entries: &Entries, asked: &Asked) -> Answer {
    let prefix = asked.param("key").unwrap_or_default();
    let is_hit = |entry: &&Entry| entry.is_ready && entry.key.starts_with(prefix) && is_in(entry, asked);
    let mut hits: Vec<&Entry> = entries.iter().filter(is_hit).collect();
    match asked.param("sort") {
        Some("created_at") => hits.sort_by_key(|entry| (entry.created, entry.id)),
        Some("size_in_bytes") => hits.sort_by_key(|entry| (entry.size(), entry.id)),
        _ => hits.sort_by_key(|entry| (entry.accessed, entry.id)),
    }
    if asked.param("direction") != Some("asc") {
        hits.reverse();
    }
    let number = |name: &str, default: usize| asked.param(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (size, at) = (number("per_page", 30).min(100), number("page", 1).max(1));
    let shown: Vec<&Entry> = hits.iter().skip((at - 1) * size).take(size).copied().collect();
    page(hits.len(), &shown)
}

fn is_in(entry: &Entry, asked: &Asked) -> bool {
    asked.param("ref").is_none_or(|scope| scope.is_empty() || scope == entry.scope)
}

fn page(total: usize, entries: &[&Entry]) -> Answer {
    let items: Vec<Value> = entries.iter().map(|entry| item(entry)).collect();
    answer_json(200, &json!({ "total_count": total, "actions_caches": items }).to_string())
}

fn item(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "ref": entry.scope,
        "key": entry.key,
        "version": entry.version,
        "last_accessed_at": Timestamp::from(entry.accessed).to_string(),
        "created_at": Timestamp::from(entry.created).to_string(),
        "size_in_bytes": entry.size(),
    })
}

fn not_found() -> Answer {
    answer_json(404, &json!({ "message": "Not Found" }).to_string())
}
