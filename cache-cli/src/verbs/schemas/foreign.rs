//! The types of `cache-ops` that documents hold, once more: that crate knows no schemas. What it really writes is compared with
//! the files by every test that runs the program.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Digest, Timestamp};

/// What an entry of a store is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is made")]
pub(crate) enum EntryContent {
    /// A cache, sound or not.
    Cache,
    /// An image, or an index of images, whose configs hold records too.
    ImageWithCache,
    /// An image or an index of images.
    Image,
    /// Something else: a chart, a signature, a list of parts.
    Other,
    /// Nothing: the manifest is not in the store.
    Missing,
    /// Something that cannot be read.
    Unreadable,
}

/// Which caches and blobs go.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is made")]
pub(crate) struct PrunePlan {
    /// When the store was looked at.
    made_at: Timestamp,
    /// How young a blob is that stays, in seconds.
    grace_seconds: u64,
    /// The caches that go, the oldest first.
    caches: Vec<PlannedCache>,
    /// The blobs that go; `null` where the store cannot list them.
    blobs: Option<Vec<PlannedBlob>>,
    /// Why there are no blobs in the plan, and who deletes them.
    #[schemars(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// What has a name and cannot be read, in a store that deletes no blobs; it stays.
    #[schemars(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableName>,
    /// How many caches stay, and whatever else has a name.
    kept_caches: usize,
    /// What they reach, each blob counted once.
    kept_bytes: u64,
    /// By how much that is more than the policy's space; nothing else may go.
    bytes_over: u64,
    /// Blobs that nothing reaches and that are too young to go.
    young_blobs: usize,
    /// The bytes of those.
    young_bytes: u64,
}

/// A cache that goes.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is made")]
pub(crate) struct PlannedCache {
    /// Its tag, name or scope.
    name: Option<String>,
    /// The state of the name when it was listed.
    version: String,
    /// Its manifest, where the store says it.
    digest: Option<Digest>,
    /// When it was last written, as far as is known.
    modified: Option<Timestamp>,
    /// What it reaches, in bytes.
    bytes: u64,
    /// Why it goes.
    reason: PruneReason,
}

/// Why a cache goes.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is made")]
enum PruneReason {
    /// It was written too long ago.
    OlderThan,
    /// It is none of the newest.
    NotLatest,
    /// The caches reach too many bytes, and it was the oldest left.
    MaxUsedSpace,
    /// It is no cache, but what a publisher has left for one, and too old to be added to it.
    Contribution,
}

/// A name that stays because its cache cannot be read.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is made")]
pub(crate) struct UnreadableName {
    /// The tag, name or scope.
    name: String,
    /// Why it cannot be read.
    why: String,
}

/// A blob that goes.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is made")]
struct PlannedBlob {
    /// The blob.
    digest: Digest,
    /// Its stored size in bytes.
    size: u64,
    /// When it was last written or refreshed.
    modified: Option<Timestamp>,
    /// The state of the blob when it was listed.
    version: String,
}
