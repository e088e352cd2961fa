//! The values that a cache is made of, valid by construction.

/// Values that are debugged show their text.
macro_rules! debug_as_text {
    ($($type:ty),+) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        })+
    };
}

/// `Serialize` as the text that `Display` gives.
macro_rules! serialize_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

pub mod annotation;
mod annotations;
mod compression;
mod descriptor;
mod digest;
mod limits;
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
pub(crate) use self::limits::check_size;
pub use self::random::random_number;
pub use self::timestamp::{InvalidTimestamp, Timestamp};
pub(crate) use debug_as_text;
