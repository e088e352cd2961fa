//! Tries out whether a store honours conditions: other stores answer 200 and overwrite.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::SystemTime;

use bytes::Bytes;
use cache_core::{Digest, Error, ErrorKind, Result};

use crate::client::{Client, Condition};
use crate::endpoint::Endpoint;

/// Whether the client's store honours conditions. The first call for a bucket finds out, by three small writes to a key
/// of its own and a deletion.
pub(crate) async fn are_honoured(client: &Client) -> Result<bool> {
    let config = client.config();
    let bucket = format!("{} {}", config.endpoint().map_or("", Endpoint::as_str), config.bucket());
    let known = config.environment().conditions().of(bucket);
    known.get_or_try_init(|| try_out(client)).await.copied()
}

/// The first write must succeed, the second and the third must not.
pub(crate) async fn try_out(client: &Client) -> Result<bool> {
    let key = throw_away_key(client, "conditions");
    let is_honoured = try_at(client, &key).await;
    // If it cannot be deleted, a few unused bytes stay.
    let _ = client.retrying(|| client.delete(&key, None)).await;
    is_honoured
}

async fn try_at(client: &Client, key: &str) -> Result<bool> {
    let bytes = Bytes::from_static(b"buildcache");
    let digest = Digest::sha256(&bytes);
    match client.retrying(|| client.put(key, bytes.clone(), &digest, Condition::Absent)).await {
        Ok(_) => {}
        Err(error) if is_about_conditions(&error) => return Ok(false),
        Err(error) => return Err(error),
    }
    for on in [Condition::Absent, Condition::Matches("00000000000000000000000000000000")] {
        match client.retrying(|| client.put(key, bytes.clone(), &digest, on)).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) if !is_about_conditions(&error) => return Err(error),
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether the store refused the condition, rather than the credentials or everything.
fn is_about_conditions(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Conflict)
}

/// A unique key that lists recognise neither as a cache nor as a blob.
pub(crate) fn throw_away_key(client: &Client, purpose: &str) -> String {
    let random = RandomState::new().hash_one(SystemTime::now());
    format!("{}buildcache-{purpose}-{random:016x}", client.config().keys().blobs())
}
