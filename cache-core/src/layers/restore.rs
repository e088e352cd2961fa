//! Annotations that some stores do not keep.

use crate::error::Result;
use crate::model::Descriptor;
use crate::seams::BlobProvider;

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
    if !layer.annotations.contains_key(crate::model::annotation::ESTARGZ_TOC) {
        known.annotations.extend(crate::layers::estargz::annotations(blobs, layer).await?);
    }
    Ok(known)
}
