//! Spans of `tracing`, which tell the purpose of a request; the events of backends do not know it. Without a subscriber
//! they cost nothing.

use cache_core::Descriptor;
use tracing::{Span, debug_span};

/// A blob that is pushed, with its checks and retries.
pub(crate) fn push(blob: &Descriptor) -> Span {
    debug_span!(target: "buildcache::blob", "push", digest = %blob.digest, size = blob.size)
}

/// A blob that is checked, and perhaps read.
pub(crate) fn verify(blob: &Descriptor) -> Span {
    debug_span!(target: "buildcache::blob", "verify", digest = %blob.digest, size = blob.size)
}

/// The commit of a cache.
pub(crate) fn commit() -> Span {
    debug_span!(target: "buildcache::cache", "commit")
}
