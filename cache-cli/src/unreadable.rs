//! Findings for a cache whose documents cannot be read.

use cache_core::graph::FindingCode;
use cache_core::{BlobProvider, Descriptor, Digest, Error, ErrorKind, Finding, MediaType};

use crate::exit::with_causes;

/// The findings for an error of `resolve`; empty if the error says nothing about the cache.
pub(crate) async fn findings(error: &Error, blobs: &dyn BlobProvider) -> Vec<Finding> {
    let codes: &[FindingCode] = match error.kind() {
        ErrorKind::InvalidManifest => &[FindingCode::ConfigUnreadable],
        ErrorKind::Unavailable | ErrorKind::DigestMismatch if has_other_size(error, blobs).await => {
            &[FindingCode::BlobSizeWrong, FindingCode::ConfigUnreadable]
        }
        ErrorKind::DigestMismatch => &[FindingCode::BlobCorrupt],
        ErrorKind::NotFound => &[FindingCode::BlobMissing],
        ErrorKind::LimitExceeded if error.blob().is_some() => &[FindingCode::ConfigTooLarge],
        _ => &[],
    };
    let named = |name| error.context(name).map(|digest| format!("{name} {digest}"));
    let object = named("blob").or_else(|| named("manifest")).unwrap_or_else(|| "manifest".to_owned());
    codes.iter().map(|&code| Finding::new(code, object.clone(), with_causes(error))).collect()
}

/// Whether the document has another size in the store than its descriptor says, so that no retry can help.
async fn has_other_size(error: &Error, blobs: &dyn BlobProvider) -> bool {
    let Some((digest, size)) = error.blob() else { return false };
    let Ok(digest) = digest.parse::<Digest>() else { return false };
    let document = Descriptor::new(MediaType::CACHE_CONFIG, digest, size);
    matches!(blobs.stat(&document).await, Ok(Some(found)) if found.size != size)
}
