//! Explains keys that S3 accepts and some stores do not: stores that keep objects as files, or merge slashes.

use cache_core::{Error, ErrorKind, Result};

use crate::client::Client;
use crate::error;
use crate::keys::{Keys, UNUSUAL, is_unusual};

/// Whether a prefix makes such keys.
pub(crate) fn has_unusual(keys: &Keys) -> bool {
    [keys.manifests(), keys.blobs()].iter().any(|key| is_unusual(key))
}

/// Checks whether an empty list is due to a prefix that the store changes.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if there is something below the changed prefix.
pub(crate) async fn check_list(client: &Client) -> Result<()> {
    let prefix = client.config().keys().manifests();
    if !has_unusual(client.config().keys()) {
        return Ok(());
    }
    let folded = fold(&prefix);
    let listed = client.retrying(|| client.list(&folded, None)).await?;
    let Some(below) = listed.items.iter().find_map(|(key, _)| key.strip_prefix(&folded)) else { return Ok(()) };
    // Elsewhere these are two prefixes, each with objects of its own.
    let key = format!("{prefix}{below}");
    if folded == prefix || client.retrying(|| client.head(&key)).await?.is_none() {
        return Ok(());
    }
    let error = error::new(ErrorKind::Unsupported, "the store lists nothing below this prefix, and has caches there");
    Err(client.with_context(error, &prefix).with_hint(UNUSUAL))
}

/// Adds a possible cause to the refusal of an index: in a store that keeps objects as files, `a` cannot exist beside
/// `a/b`.
pub(crate) async fn explain<T>(client: &Client, name: &str, written: Result<T>) -> Result<T> {
    let error = match written {
        Err(error) if may_be_about_names(&error) => error,
        written => return written,
    };
    if has_unusual(client.config().keys()) {
        return Err(error.with_hint(UNUSUAL));
    }
    match beside(client, name).await {
        Some(other) => {
            let error = error.with("other", &other).with_retryable(false);
            Err(error.with_hint(format!(
                "there is a cache {other:?}, and a store that keeps objects as files has no {name:?} beside it: take another name"
            )))
        }
        None => Err(error),
    }
}

/// Stores report it in different ways: 500, 501, 400 (MinIO, for a parent that is an object), 409 (MinIO, for an object
/// that is a directory). A conflict of two writers is something else.
fn may_be_about_names(error: &Error) -> bool {
    let is_about_writers = matches!(error.code(), Some("ConditionalRequestConflict" | "OperationAborted"));
    let is_refused = matches!(error.status(), Some(400 | 409)) && !is_about_writers;
    is_refused || matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unsupported)
}

/// Another cache whose name is a folder in this one's, or the other way round.
async fn beside(client: &Client, name: &str) -> Option<String> {
    let keys = client.config().keys();
    for (at, _) in name.match_indices('/').take(32) {
        let above = name.get(..at).unwrap_or_default();
        if let Ok(Some(found)) = client.head(&keys.manifest(above)).await
            && found.size > 0
        {
            return Some(above.to_owned());
        }
    }
    let below = client.list(&format!("{}/", keys.manifest(name)), None).await.ok()?;
    below.items.iter().find_map(|(key, _)| keys.name_at(key)).map(str::to_owned)
}

/// One slash for several, and none at the start.
fn fold(key: &str) -> String {
    let parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
    let end = if key.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    parts.join("/") + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_folded() {
        for (key, folded) in [("a//b/", "a/b/"), ("/a/b", "a/b"), ("a/b/", "a/b/"), ("//", ""), ("", "")] {
            assert_eq!(fold(key), folded);
        }
    }

    #[test]
    fn unusual_keys_are_recognised() {
        let keys = |prefix: &str| Keys { prefix: prefix.to_owned(), ..Keys::default() };
        assert!(has_unusual(&keys("a//")) && has_unusual(&keys("/a/")));
        assert!(!has_unusual(&keys("a/")) && !has_unusual(&keys("")) && !has_unusual(&keys("app")));
    }
}
