//! The values that a cache is made of, valid by construction.

pub mod annotation;
mod annotations;
mod compression;
mod descriptor;
mod digest;
mod limits;
mod mode;
mod random;
#[cfg(feature = "schemars")]
mod schema;
mod timestamp;

pub use self::annotations::Annotations;
pub use self::compression::{Compression, CompressionKind};
pub(crate) use self::descriptor::WireDescriptor;
pub use self::descriptor::{Descriptor, LayerEncoding, MediaType, Platform};
pub use self::digest::{DiffId, Digest, Digester, InvalidDigest};
pub use self::limits::Limits;
pub use self::mode::Mode;
pub use self::random::random_number;
pub use self::timestamp::{InvalidTimestamp, Timestamp};
