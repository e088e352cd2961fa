//! One line of a log: the part of BuildKit's `client.SolveStatus` about steps.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use cache_core::{Digest, Timestamp};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How long a list in a line may be: in memory an empty event takes many times its bytes.
const EVENTS: usize = 200_000;

/// The contents of one line. Other fields are ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow, default, deserialize_with = "bounded")]
    pub(super) vertexes: Vec<Event<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded")]
    pub(super) statuses: Vec<Status<'a>>,
}

/// An update of one vertex.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(default)]
    pub(super) digest: Option<Digest>,
    #[serde(default, deserialize_with = "bounded")]
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

/// A list of at most [`EVENTS`]; `null` is the empty one, as in Go.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(Bounded(PhantomData))
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == EVENTS {
                return Err(A::Error::custom("too many events in a line"));
            }
            items.push(item);
        }
        Ok(items)
    }
}
