//! The annotation keys that mean something in a build cache.

/// The digest of the uncompressed tar stream; BuildKit cannot load a layer without it.
pub const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// When the layer was made.
pub const CREATED_AT: &str = "buildkit/createdat";
/// The step that made the layer; only found on layers read from an inline cache.
pub const DESCRIPTION: &str = "buildkit/description";
/// The digest of an eStargz layer's table of contents.
pub const ESTARGZ_TOC: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The size of an eStargz layer's uncompressed stream.
pub const ESTARGZ_SIZE: &str = "io.containers.estargz.uncompressed-size";
/// The tag of an entry of an OCI layout's `index.json`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
