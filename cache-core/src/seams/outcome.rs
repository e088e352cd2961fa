//! What became of a push and of a commit.

use std::time::Duration;

use crate::model::Descriptor;
use crate::seams::Version;

/// How a push made a blob present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pushed {
    /// Its bytes were sent.
    Uploaded,
    /// It was there already.
    Present,
    /// It was there already, and its age was reset so that no prune deletes it.
    Refreshed,
    /// The store copied it from another repository.
    Mounted,
    /// The place does not take it: an image takes records about its own layers, and no layers.
    Unneeded,
}

impl Pushed {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Present => "present",
            Self::Refreshed => "refreshed",
            Self::Mounted => "mounted",
            Self::Unneeded => "unneeded",
        }
    }
}

/// The outcome of a commit; by default nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The manifest that was written; none where the store has no descriptor for it, or nothing was written.
    pub descriptor: Option<Descriptor>,
    /// The place's new state; none when nothing was written, because the cache has no layers and BuildKit writes none.
    pub version: Option<Version>,
    /// How much of the images the cache covers, where it was written into images.
    pub coverage: Option<Coverage>,
    /// In a store without conditions, how long a commit by a writer that has not seen this one may still replace it;
    /// none where a commit happens only as [`Expect`](crate::seams::Expect) says, and where anything was expected.
    ///
    /// Such a commit reads the place right before it writes, and ends within this time. So a publisher that
    /// waits as long, looks, and writes its cache again if it is gone, loses nothing.
    pub settles_in: Option<Duration>,
}

/// How many layers of an image its inline records cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The layers that some result needs.
    pub covered: usize,
    /// All layers.
    pub layers: usize,
}

impl Committed {
    /// A manifest was written.
    #[must_use]
    pub fn new(descriptor: Option<Descriptor>, version: Version) -> Self {
        Self { descriptor, version: Some(version), ..Self::default() }
    }
}
