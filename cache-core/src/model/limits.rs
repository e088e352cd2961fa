//! Limits on documents that are read whole into memory.

use crate::error::{Error, ErrorKind, Result};

/// The largest documents that are read whole; blobs never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a cache config, an index of gha, s3 or azblob, or an image config.
    pub config: u64,
    /// Bytes of a manifest.
    pub manifest: u64,
    /// Images below one image index.
    pub images: usize,
}

impl Limits {
    /// The size in bytes above which no BuildKit imports a config or manifest from a registry or a directory.
    pub const BUILDKIT_IMPORT: u64 = 1 << 20;

    /// Checks before a config is written that it can be read back.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] when `size` bytes are too many.
    pub fn check_config(&self, size: u64) -> Result<()> {
        check_size("config", size, self.config)
    }
}

/// Checks before a document is written that it can be read back.
pub(crate) fn check_size(document: &str, size: u64, limit: u64) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let error = Error::new(ErrorKind::LimitExceeded, "the cache is too large to be read back, and is not written");
    let error = error.with("document", document).with("size", size).with("limit", limit);
    Err(error.with_hint("optimize makes a cache smaller, with --max-config-size as small as it has to be"))
}

impl Default for Limits {
    /// 256 MiB for a config, 4 MiB for a manifest, 1,000 images.
    fn default() -> Self {
        Self { config: 256 << 20, manifest: 4 << 20, images: 1_000 }
    }
}
