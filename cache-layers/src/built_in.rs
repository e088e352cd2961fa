//! Which codecs this build has.

use cache_core::CompressionKind;
use cache_core::model::LayerEncoding;

const ENCODERS: [(CompressionKind, bool); 4] = [
    (CompressionKind::Uncompressed, true),
    (CompressionKind::Gzip, cfg!(feature = "gzip")),
    (CompressionKind::Estargz, cfg!(feature = "estargz")),
    (CompressionKind::Zstd, cfg!(feature = "zstd")),
];

const DECODERS: [(LayerEncoding, bool); 3] = [
    (LayerEncoding::Uncompressed, true),
    (LayerEncoding::Gzip, cfg!(feature = "gzip")),
    (LayerEncoding::Zstd, cfg!(feature = "zstd")),
];

/// Whether this build can compress to `kind` (features `gzip`, `estargz`, `zstd`).
#[must_use]
pub fn can_encode(kind: CompressionKind) -> bool {
    ENCODERS.contains(&(kind, true))
}

/// Whether this build can decompress `encoding` (features `gzip`, `zstd`).
#[must_use]
pub fn can_decode(encoding: LayerEncoding) -> bool {
    DECODERS.contains(&(encoding, true))
}
