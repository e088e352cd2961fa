//! Uploads, in one request or in chunks.

use bytes::Bytes;
use cache_core::Digest;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{LOCATION, RANGE};

use super::Shared;
use super::http::{Answer, empty};
use super::routes::{error, labelled};

/// The secret part of an upload's URL.
pub const SIGNATURE: &str = "signed-7c1e";

pub(super) fn start(shared: &Shared, repository: &str, mount: Option<(&str, &str)>) -> Answer {
    let mut state = shared.state();
    let mountable = mount.and_then(|(digest, from)| {
        let digest = digest.parse().ok()?;
        Some((digest, state.stored.blob(from, &digest)?))
    });
    if let Some((digest, bytes)) = mountable {
        state.stored.repository(repository).put(digest, bytes);
        return empty(201);
    }
    let id = state.stored.open_upload();
    drop(state);
    let location = if shared.options.uploads_elsewhere {
        format!("http://localhost:{}/v2/{repository}/blobs/uploads/{id}?signature={SIGNATURE}", shared.address.port())
    } else {
        format!("/v2/{repository}/blobs/uploads/{id}?state=a%2Fb%3D")
    };
    located(202, &location, None)
}

/// Reports the length of an upload. If uploads cannot be resumed, it is removed, as in Docker's registry.
pub(super) fn look(shared: &Shared, repository: &str, id: &str) -> Answer {
    let mut state = shared.state();
    let number = id.parse().unwrap_or_default();
    let Some(upload) = state.stored.uploads.get_mut(&number) else { return unknown() };
    if !shared.options.resumes && !upload.bytes.is_empty() {
        state.stored.uploads.remove(&number);
        return error(404, "BLOB_UPLOAD_INVALID", "blob upload invalid");
    }
    upload.turn += 1;
    located(204, &format!("/v2/{repository}/blobs/uploads/{id}?state=b"), Some(upload.bytes.len()))
}

/// Receives a chunk of a blob; the next one has the same URL.
pub(super) async fn extend(shared: &Shared, repository: &str, id: &str, range: Option<&str>, body: Incoming) -> Answer {
    let number = id.parse().unwrap_or_default();
    let first = range.and_then(|range| range.split_once('-')?.0.parse::<usize>().ok());
    let length = shared.state().stored.uploads.get(&number).map(|upload| upload.bytes.len());
    if first.is_some() && length.is_some() && first != length {
        return empty(416);
    }
    match receive(shared, number, body).await {
        Some(length) => located(202, &format!("/v2/{repository}/blobs/uploads/{id}?state=c"), Some(length)),
        None => unknown(),
    }
}

pub(super) async fn finish(
    shared: &Shared,
    repository: &str,
    id: &str,
    digest: Option<&str>,
    body: Incoming,
) -> Answer {
    let id = id.parse().unwrap_or_default();
    if receive(shared, id, body).await.is_none() {
        return unknown();
    }
    let bytes = shared.state().stored.uploads.get(&id).map(|upload| Bytes::copy_from_slice(&upload.bytes));
    let Some(bytes) = bytes else { return unknown() };
    let answer = take(shared, repository, digest, &bytes);
    if answer.status().is_success() {
        shared.state().stored.uploads.remove(&id);
    }
    answer
}

/// Stores a blob.
pub(super) fn take(shared: &Shared, repository: &str, digest: Option<&str>, bytes: &Bytes) -> Answer {
    let promised = digest.and_then(|digest| digest.parse::<Digest>().ok());
    let Some(promised) = promised.filter(|promised| Digest::sha256(bytes) == *promised) else {
        return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    };
    shared.state().stored.repository(repository).put(promised, bytes.clone());
    labelled(shared, &promised.to_string(), empty(201))
}

pub(super) fn cancel(shared: &Shared, id: &str) -> Answer {
    let removed = shared.state().stored.uploads.remove(&id.parse().unwrap_or_default());
    empty(if removed.is_some() { 204 } else { 404 })
}

/// Appends bytes as they arrive, so that a broken connection leaves a part of them; returns the length so far.
async fn receive(shared: &Shared, id: u64, mut body: Incoming) -> Option<usize> {
    let turn = {
        let mut state = shared.state();
        let upload = state.stored.uploads.get_mut(&id)?;
        upload.turn += 1;
        upload.turn
    };
    while let Some(frame) = body.frame().await {
        let piece = frame.ok()?.into_data().ok()?;
        let mut state = shared.state();
        let upload = state.stored.uploads.get_mut(&id).filter(|upload| upload.turn == turn)?;
        upload.bytes.extend_from_slice(&piece);
    }
    Some(shared.state().stored.uploads.get(&id)?.bytes.len())
}

fn located(status: u16, location: &str, length: Option<usize>) -> Answer {
    let mut answer = empty(status);
    answer.headers_mut().insert(LOCATION, location.parse().expect("a header"));
    if let Some(length) = length {
        let range = format!("0-{}", length.saturating_sub(1));
        answer.headers_mut().insert(RANGE, range.parse().expect("a header"));
    }
    answer
}

fn unknown() -> Answer {
    error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}
