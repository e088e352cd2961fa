//! Annotations that some stores do not keep.

use cache_core::Result;
use cache_core::model::Descriptor;
use cache_core::seams::BlobProvider;

/// The descriptor of a layer with the annotations that object stores lose: those that say that a gzip layer is an eStargz,
/// which the layer's own footer says too. Without the feature `estargz`, the descriptor as it is.
///
/// # Errors
/// Whatever `blobs` answers.
#[cfg_attr(not(feature = "estargz"), expect(unused_variables, reason = "nothing is read"))]
pub async fn restore_annotations(layer: &Descriptor, blobs: &dyn BlobProvider) -> Result<Descriptor> {
    #[cfg_attr(not(feature = "estargz"), expect(unused_mut, reason = "nothing is restored"))]
    let mut known = layer.clone();
    #[cfg(feature = "estargz")]
    if !layer.annotations.contains_key(cache_core::model::annotation::ESTARGZ_TOC) {
        known.annotations.extend(crate::estargz::annotations(blobs, layer).await?);
    }
    Ok(known)
}
