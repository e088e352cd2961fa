//! Spans of `tracing`: what a request is for, which the events of backends do not know. A program without a subscriber pays
//! nothing for them.

use cache_core::Descriptor;
use tracing::{Span, debug_span};

/// A blob that is sent to a place, with every look and every try.
pub(crate) fn push(blob: &Descriptor) -> Span {
    debug_span!(target: "buildcache::blob", "push", digest = %blob.digest, size = blob.size)
}

/// A blob that is looked at, and perhaps read.
pub(crate) fn verify(blob: &Descriptor) -> Span {
    debug_span!(target: "buildcache::blob", "verify", digest = %blob.digest, size = blob.size)
}

/// What makes a cache reachable.
pub(crate) fn commit() -> Span {
    debug_span!(target: "buildcache::cache", "commit")
}
