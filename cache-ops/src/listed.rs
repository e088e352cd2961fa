//! Reads the manifest that a store lists for a name.

use cache_core::manifest::Document;
use cache_core::model::Limits;
use cache_core::{BlobProvider, Descriptor, Error, ErrorKind, Result, read_all};

/// Reads a listed manifest. Most entries have its right size, which saves a request; where one has not, the stored size
/// counts, as in BuildKit.
pub(crate) async fn read_listed(blobs: &dyn BlobProvider, listed: &Descriptor) -> Result<Option<Document>> {
    let limit = Limits::default().manifest;
    match read_all(blobs, listed, limit).await {
        Ok(bytes) => return Ok(Some(Document { descriptor: listed.clone(), bytes })),
        Err(error) if is_of_content(&error) || has_ended_early(&error) => {}
        Err(error) => return Err(error),
    }
    let Some(found) = blobs.stat(listed).await? else { return Ok(None) };
    let descriptor = Descriptor { size: found.size, ..listed.clone() };
    let bytes = read_all(blobs, &descriptor, limit).await?;
    Ok(Some(Document { descriptor, bytes }))
}

/// Whether there were fewer bytes than listed, which no retry has changed.
fn has_ended_early(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.tries().is_none() && error.status().is_none()
}

/// Whether the content is invalid, so that a retry does not help.
pub(crate) fn is_of_content(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidManifest | ErrorKind::NotFound | ErrorKind::LimitExceeded | ErrorKind::DigestMismatch
    )
}
