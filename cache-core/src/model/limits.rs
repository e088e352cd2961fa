//! The caps on what is read whole into memory.

/// How large a document may be that is read whole; a blob never is.
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
}

impl Default for Limits {
    /// 256 MiB for a config, 4 MiB for a manifest, 1,000 images.
    fn default() -> Self {
        Self { config: 256 << 20, manifest: 4 << 20, images: 1_000 }
    }
}
