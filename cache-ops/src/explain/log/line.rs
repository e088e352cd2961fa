//! One line of a log: the part of BuildKit's `client.SolveStatus` that tells of steps.

use std::borrow::Cow;

use cache_core::{Digest, Timestamp};
use serde::{Deserialize, Deserializer};

/// What one line tells. Everything else in it is passed by.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) vertexes: Vec<Event<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) statuses: Vec<Status<'a>>,
}

/// News of one vertex.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(default)]
    pub(super) digest: Option<Digest>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) inputs: Vec<Digest>,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(default)]
    pub(super) started: Option<Timestamp>,
    #[serde(default)]
    pub(super) completed: Option<Timestamp>,
    #[serde(default)]
    pub(super) cached: bool,
    #[serde(borrow, default)]
    pub(super) error: Cow<'a, str>,
}

/// A part of a vertex's work.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Status<'a> {
    #[serde(borrow, default)]
    pub(super) id: Cow<'a, str>,
    #[serde(default)]
    pub(super) vertex: Option<Digest>,
}

impl Status<'_> {
    /// Whether it fetches or unpacks a layer, which is done for hits.
    pub(super) fn is_of_a_layer(&self) -> bool {
        self.id.starts_with("sha256:") || self.id.starts_with("extracting ")
    }
}

/// `null` is the empty list, as in Go.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
