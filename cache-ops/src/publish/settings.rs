//! How a publish is run, and how large a union may become.

use cache_core::model::Limits;
use cache_core::{CacheManifest, Error, ErrorKind, Result};

use crate::{ExportSettings, OptimizeOptions, optimize};

/// How a publish is run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PublishSettings {
    /// How blobs are pushed, and the progress; the condition for the commit is ignored.
    pub(crate) export: ExportSettings,
    /// How large the union may become; if `None`, only as large as can be read back.
    pub(crate) limit: Option<SizeLimit>,
}

impl PublishSettings {
    /// Changes how blobs are pushed.
    #[must_use]
    pub fn with_export(self, export: ExportSettings) -> Self {
        Self { export, ..self }
    }

    /// Changes how large the union may become.
    #[must_use]
    pub fn with_limit(self, limit: Option<SizeLimit>) -> Self {
        Self { limit, ..self }
    }
}

/// The largest config and manifest, in bytes, and what happens if they are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeLimit {
    /// It is an error.
    Refuse(u64),
    /// Results are dropped, the oldest first, as by [`optimize`](crate::optimize()).
    Shrink(u64),
}

impl SizeLimit {
    /// The largest config that BuildKit imports from a registry or a directory, 1 MiB; more is an error.
    #[must_use]
    pub fn importable() -> Self {
        Self::Refuse(Limits::BUILDKIT_IMPORT)
    }

    /// Makes a cache fit.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] when it does not, or when a single result is too much.
    pub fn fit(self, manifest: CacheManifest) -> Result<CacheManifest> {
        match self {
            Self::Shrink(limit) => {
                let options = OptimizeOptions::default().with_max_config_size(Some(limit));
                Ok(optimize(&manifest, &options)?.manifest)
            }
            Self::Refuse(limit) => {
                let encoded = manifest.encode(None);
                let size = encoded.config.descriptor.size.max(encoded.manifest.descriptor.size);
                if size <= limit { Ok(manifest) } else { Err(too_large(size, limit)) }
            }
        }
    }
}

fn too_large(size: u64, limit: u64) -> Error {
    let error = Error::new(ErrorKind::LimitExceeded, "the merged cache is larger than BuildKit imports");
    error.with("size", size).with("limit", limit)
}
