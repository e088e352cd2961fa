//! How much a layer may decompress to.

#[cfg(any(feature = "gzip", feature = "zstd"))]
use cache_core::{Error, ErrorKind, Result};

/// Limits on what a layer may decompress to, against decompression bombs.
///
/// Memory is bounded in any case. These bound the time, and the disk space of callers that store the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// Bytes that one layer may decompress to.
    pub max_size: u64,
    /// Bytes that may come out of one byte that went in; counted from [`Self::UNCOUNTED`] bytes on.
    pub max_ratio: u64,
}

impl DecodeLimits {
    /// Output up to this many bytes is allowed at any ratio: a small layer of zeros is not a bomb.
    pub const UNCOUNTED: u64 = 64 << 20;

    /// Fails when `written` bytes that came out of `read` are too many.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(crate) fn check(&self, read: u64, written: u64) -> Result<()> {
        let error = |name, limit| {
            Err(Error::new(ErrorKind::LimitExceeded, "layer decompresses to more than is allowed").with(name, limit))
        };
        if written > self.max_size {
            return error("max-size", self.max_size);
        }
        if written > Self::UNCOUNTED && written / self.max_ratio.max(1) > read {
            return error("max-ratio", self.max_ratio);
        }
        Ok(())
    }
}

impl Default for DecodeLimits {
    /// 1 TiB, at any ratio: an honest file of zeros reaches 1,000 in gzip and 30,000 in zstd.
    fn default() -> Self {
        Self { max_size: 1 << 40, max_ratio: u64::MAX }
    }
}
