//! What happens during an export, for progress displays.

use std::time::Duration;

use crate::model::{Compression, Descriptor, Digest};
use crate::seams::{Committed, Pushed};

/// One thing that happened. Bytes are reported as they pass, so that a display can show a rate.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The export starts: this many blobs, this many bytes.
    Started {
        /// Blobs to make present.
        blobs: usize,
        /// Their bytes together.
        bytes: u64,
    },
    /// A blob is about to be pushed.
    BlobStarted {
        /// The blob.
        blob: &'a Descriptor,
    },
    /// Bytes of a blob were read from the source and passed on; bytes read again in a retry are not reported again.
    BlobBytes {
        /// The blob.
        blob: Digest,
        /// How many more bytes.
        bytes: u64,
    },
    /// A blob is present.
    BlobDone {
        /// The blob.
        blob: &'a Descriptor,
        /// How.
        pushed: Pushed,
    },
    /// A layer is about to be converted.
    Converting {
        /// The layer.
        blob: &'a Descriptor,
        /// What it is converted to.
        to: &'a Compression,
    },
    /// A layer was converted; the new one is pushed in its place.
    Converted {
        /// The layer.
        blob: &'a Descriptor,
        /// The new one.
        into: &'a Descriptor,
    },
    /// A layer cannot be converted to what was asked for, and is pushed as it is.
    Unconverted {
        /// The layer.
        blob: &'a Descriptor,
        /// Why not.
        reason: &'a str,
    },
    /// A call failed and is tried again.
    Retrying {
        /// What failed.
        error: &'a str,
        /// How long until the next try.
        wait: Duration,
    },
    /// The exporter slows down by itself, to stay below a rate limit of the service.
    Throttled {
        /// The limit it stays below.
        reason: &'a str,
        /// How long until it goes on.
        wait: Duration,
        /// How long until everything is sent at this rate, where it is known.
        left: Option<Duration>,
    },
    /// The place can neither take nor show some blobs; the results that need them are left out.
    LeftOut {
        /// The blobs.
        blobs: &'a [Digest],
        /// How many results are left out.
        results: usize,
        /// How many are left; without one, nothing is written.
        left: usize,
    },
    /// The manifest is about to be committed.
    Committing,
    /// The manifest is committed.
    Committed {
        /// What the store answered.
        committed: &'a Committed,
    },
}

/// Takes events; called from the task that exports, so it must not block.
///
/// ```
/// use cache_core::{Event, Progress};
///
/// // Every closure over events is one.
/// let progress = |event: &Event<'_>| {
///     if let Event::BlobDone { blob, .. } = event {
///         println!("{} is there", blob.digest);
///     }
/// };
/// progress.event(&Event::Committing);
/// ```
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event<'_>) {}
}

impl<F: Fn(&Event<'_>) + Send + Sync> Progress for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}
