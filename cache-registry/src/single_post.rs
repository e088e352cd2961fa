//! [`SinglePost`]: whether a registry takes a blob in the one request that otherwise starts its upload.
//!
//! The [distribution specification](https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#single-post)
//! leaves it to the registry, which answers 202 instead and then wants the blob in a second request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::Result;
use reqwest::header::CONNECTION;
use reqwest::{Response, StatusCode};

use crate::client::{Client, Request};

/// The largest blob sent this way, in bytes: one that is not taken is sent twice.
const LARGEST: u64 = 256 << 10;

/// What the uploads of one exporter have found.
#[derive(Debug, Default)]
pub(crate) struct SinglePost(Mutex<State>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    /// One blob is on its way, to find out.
    Trying,
    Works,
    Fails,
}

impl SinglePost {
    /// Whether to send a blob of this size in one request. As long as it is unknown whether that works, one blob is
    /// sent so, and the others are not.
    pub(crate) fn begin(&self, size: u64) -> bool {
        let mut state = self.state();
        // Without bytes it would be the request that starts an upload.
        let is_possible = (1..=LARGEST).contains(&size) && matches!(*state, State::Unknown | State::Works);
        if is_possible && *state == State::Unknown {
            *state = State::Trying;
        }
        is_possible
    }

    /// Whether a blob that was sent this way is known to have been stored.
    pub(crate) fn works(&self) -> bool {
        *self.state() == State::Works
    }

    pub(crate) fn learn(&self, works: bool) {
        *self.state() = if works { State::Works } else { State::Fails };
    }

    /// Sends the request; `None` if the registry refuses it for its form.
    ///
    /// A server that does not read the body may close the connection behind its answer, so it gets no other request.
    pub(crate) async fn send(&self, client: &Client, request: Request<'_>, message: &str) -> Result<Option<Response>> {
        let request = if self.works() { request } else { request.header(CONNECTION, "close") };
        let sent = client.send(request).await;
        let status = sent.as_ref().ok().map(Response::status);
        if status.is_some_and(|status| status.is_success()) {
            return sent.map(Some);
        }
        // A first try that gets no answer may be about its form as well.
        let is_about_form = status.map_or(!self.works(), is_about_form);
        if is_about_form || !self.works() {
            self.learn(false);
        }
        match sent {
            _ if is_about_form => Ok(None),
            Ok(response) => Err(client.refused(response, message).await),
            Err(error) => Err(error),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the same blob may be taken when it is sent in two requests.
fn is_about_form(status: StatusCode) -> bool {
    let is_about_client = matches!(status.as_u16(), 401 | 403 | 408 | 429);
    status.is_client_error() && !is_about_client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_blob_finds_out_for_all() {
        for works in [true, false] {
            let post = SinglePost::default();
            assert!(!post.begin(0) && !post.begin(LARGEST + 1) && post.begin(LARGEST));
            assert!(!post.begin(1), "one is on its way");
            post.learn(works);
            assert_eq!((post.begin(1), post.works()), (works, works));
        }
    }
}
