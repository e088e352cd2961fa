//! [`Presence`]: checks that blobs which a registry reports as present can be read.
//!
//! Distribution caches the blobs that it has seen (`blobdescriptor`, the default of its images and of Debian's
//! package). Its garbage collection is another process: HEAD, mounts and the check of a manifest still report the blobs
//! that it has deleted. Only reading a byte of the blob is reliable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::{CacheManifest, Descriptor, Digest, Error, ErrorKind, Result};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::RANGE;
use reqwest::{Method, StatusCode};

use crate::auth::Scopes;
use crate::client::{Client, Request};
use crate::error;
use crate::reader;

const LOOK: &str = "cannot read the blob back";
/// How many blobs are read back at the same time.
const LOOKS: usize = 8;

/// The blobs that a writer has not sent because the registry reported them as present.
#[derive(Default)]
pub(crate) struct Presence(Mutex<State>);

#[derive(Default)]
struct State {
    /// Not read back yet.
    unread: BTreeMap<Digest, Descriptor>,
    /// Reported as present, but not readable.
    unreadable: BTreeSet<Digest>,
    /// Whether the registry has reported a blob that it does not have, of a manifest that is to be written.
    has_claims: bool,
}

impl Presence {
    /// Whether a lookup of a blob can be trusted: not once the registry has reported it and could not read it.
    pub(crate) fn may_ask(&self, blob: &Descriptor) -> bool {
        !self.state().unreadable.contains(&blob.digest)
    }

    /// The registry reports the blob as present.
    pub(crate) fn claimed(&self, blob: &Descriptor) {
        // An empty blob has no byte to read.
        if blob.size > 0 {
            self.state().unread.insert(blob.digest, blob.clone());
        }
    }

    /// Whether the registry has reported a blob that it does not have: then it may do so for the manifest too.
    pub(crate) fn has_claims(&self) -> bool {
        self.state().has_claims
    }

    /// The registry reports a blob as present that it does not have.
    pub(crate) fn refuted(&self, blob: &Descriptor) {
        self.state().unreadable.insert(blob.digest);
    }

    /// The blob was sent.
    pub(crate) fn sent(&self, blob: &Descriptor) {
        let mut state = self.state();
        state.unread.remove(&blob.digest);
        state.unreadable.remove(&blob.digest);
    }

    /// Reads a byte of each blob of the manifest that was only reported as present.
    ///
    /// # Errors
    /// A retryable one when the registry cannot: the blob will be sent by the next push.
    pub(crate) async fn check(
        &self,
        client: &Client,
        scopes: &Scopes,
        manifest: &CacheManifest,
        config: &Descriptor,
    ) -> Result<()> {
        let named = manifest.blobs().iter().map(|blob| blob.digest).chain([config.digest]);
        let unread: Vec<Descriptor> = {
            let mut state = self.state();
            let unread: Vec<_> = named.filter_map(|digest| state.unread.get(&digest).cloned()).collect();
            state.has_claims |= !unread.is_empty();
            unread
        };
        let looks: Vec<BoxFuture<'_, Result<_>>> = unread
            .into_iter()
            .map(|blob| {
                async move {
                    let is_there = client.retrying(|| is_there(client, scopes, &blob)).await?;
                    Ok((blob, is_there))
                }
                .boxed()
            })
            .collect();
        let looked: Vec<(Descriptor, bool)> = stream::iter(looks).buffer_unordered(LOOKS).try_collect().await?;
        self.note(&looked);
        let Some((blob, _)) = looked.iter().find(|(_, is_there)| !is_there) else { return Ok(()) };
        let error = error::new(ErrorKind::Unavailable, "the registry reports the blob as present, but cannot read it");
        Err(client.with_context(error.with("blob", blob.digest)))
    }

    fn note(&self, looked: &[(Descriptor, bool)]) {
        let mut state = self.state();
        for (blob, is_there) in looked {
            state.unread.remove(&blob.digest);
            if !is_there {
                state.unreadable.insert(blob.digest);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves both sets as they may be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the first byte of a blob can be read. Without the right to read, the registry's report counts.
async fn is_there(client: &Client, scopes: &Scopes, blob: &Descriptor) -> Result<bool> {
    let about = |error: Error| error.with("blob", blob.digest);
    let request = Request::new(Method::GET, reader::url(client, blob).await?, scopes, LOOK);
    let mut response = client.send(request.clone().header(RANGE, "bytes=0-0")).await.map_err(about)?;
    // Distribution answers this for a deleted blob, and others if they do not support ranges.
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        response = client.send(request).await.map_err(about)?;
    }
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => Ok(false),
        status if status.is_success() => {
            // A server may send the headers before it opens the blob.
            let mut body = client.stream(response, LOOK);
            Ok(matches!(body.next().await, Some(Ok(_))))
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(about(client.refused(response, LOOK).await))
        }
        _ => Ok(true),
    }
}
