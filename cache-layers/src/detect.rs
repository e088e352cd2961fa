//! What tells how a layer is compressed: its first bytes, and for some types the type alone.

use cache_core::MediaType;
use cache_core::model::LayerEncoding;

/// The types of layers that are never decompressed.
const OCI_PLAIN: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"];

/// Detects a layer's encoding by its first bytes, like BuildKit: neither gzip nor zstd means a plain tar.
///
/// A zstd layer may begin with a [skippable frame](https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2).
#[must_use]
pub fn detect_encoding(first: &[u8]) -> LayerEncoding {
    match first {
        [0x1f, 0x8b, 0x08, ..] => LayerEncoding::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => LayerEncoding::Zstd,
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, _, _, _, _, ..] => LayerEncoding::Zstd,
        _ => LayerEncoding::Uncompressed,
    }
}

/// Whether readers of this type of layer detect the compression by its bytes, whatever the type names.
///
/// So does containerd, and BuildKit with it, for every layer type but OCI's plain tar, which it does not decompress
/// (<https://pkg.go.dev/github.com/containerd/containerd/v2/core/images#DiffCompression>).
#[must_use]
pub fn is_read_by_bytes(layer: &MediaType) -> bool {
    layer.layer_encoding().is_some() && !OCI_PLAIN.contains(&layer.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_type_but_the_plain_tar_of_oci_is_read_by_its_bytes() {
        for name in [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.diff.tar.zstd",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ] {
            let is_plain = name.starts_with("application/vnd.oci") && name.ends_with(".tar");
            assert_eq!(is_read_by_bytes(&MediaType::from(name)), !is_plain, "{name}");
        }
        assert!(!is_read_by_bytes(&MediaType::CACHE_CONFIG));
    }

    #[test]
    fn a_skippable_frame_begins_a_zstd_layer() {
        assert_eq!(detect_encoding(&[0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]), LayerEncoding::Zstd);
        assert_eq!(detect_encoding(&[0x50, 0x2a, 0x4d, 0x18]), LayerEncoding::Uncompressed);
    }
}
