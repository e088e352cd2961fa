//! Restores annotations that some stores do not keep.

use cache_core::Result;
use cache_core::model::Descriptor;
use cache_core::seams::BlobProvider;

/// The descriptor of a layer, with the annotations of an eStargz, which object stores do not keep: they are read from
/// the footer of the layer. Without the feature `estargz` the descriptor is returned as it is.
///
/// # Errors
/// The error of `blobs`.
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
