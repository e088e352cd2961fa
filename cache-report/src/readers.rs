//! Which versions of BuildKit can read a cache.

use cache_core::graph::FindingCode;
use cache_core::manifest::ManifestForm;
use cache_core::model::LayerEncoding;

use crate::report::ReportedCache;

/// Said once below the table for caches whose manifest is an image's.
pub(crate) const IMAGE_MANIFEST: &str = "An image manifest is not a cache for BuildKit v0.8 to v0.11.";

/// The versions that read a cache.
pub(crate) fn readers(cache: &ReportedCache<'_>) -> String {
    match cache.findings.iter().find(|finding| breaks_all(finding.code)) {
        Some(finding) => format!("none: {}", finding.code),
        None => format!("{} and newer", since(cache)),
    }
}

/// Whether the manifest of a cache is an image's.
pub(crate) fn is_image_manifest(cache: &ReportedCache<'_>) -> bool {
    cache.manifest.form() == Some(ManifestForm::ImageManifest)
}

/// The first version that reads it: by the form of its manifest and by the compression of its layers.
fn since(cache: &ReportedCache<'_>) -> &'static str {
    let kinds = cache.manifest.blobs().iter().filter_map(|blob| blob.media_type.layer_encoding());
    let has_zstd = kinds.into_iter().any(|kind| kind == LayerEncoding::Zstd);
    let is_flat = cache.manifest.form().is_none() && cache.manifest.inline_images().is_empty();
    match () {
        () if is_image_manifest(cache) => "v0.12",
        () if has_zstd => "v0.10",
        () if is_flat => "v0.9",
        () => "v0.8",
    }
}

fn breaks_all(code: FindingCode) -> bool {
    matches!(
        code,
        FindingCode::ConfigUnreadable
            | FindingCode::ConfigTooLarge
            | FindingCode::LinkOutOfRange
            | FindingCode::RecordLoop
            | FindingCode::InputEmpty
            | FindingCode::LinkToRandom
            | FindingCode::LayerOutOfRange
            | FindingCode::LayerLoop
            | FindingCode::HistoryTooShort
    )
}
