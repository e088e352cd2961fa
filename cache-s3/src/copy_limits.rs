//! How large a copy within the store may be.

/// From which size on an object is copied in parts, and how large these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopyLimits {
    pub(crate) whole: u64,
    pub(crate) part: u64,
}

impl Default for CopyLimits {
    /// S3 copies less than 5 GiB in one request.
    fn default() -> Self {
        Self { whole: 5 << 30, part: 1 << 30 }
    }
}
