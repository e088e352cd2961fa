//! What a writer of backends takes: waits between tries, uploads in parts, reads that go on where they broke.

mod buffers;
mod content_range;
mod multipart;
mod random;
mod read_ahead;
mod resume;
mod retry;
mod retry_after;
mod skip;
mod task;

pub(crate) use self::buffers::Buffers;
#[cfg(feature = "estargz")]
pub(crate) use self::buffers::User;
pub use self::content_range::ContentRange;
pub use self::multipart::{PartLimits, PartUpload, upload};
pub use self::random::random_number;
pub use self::read_ahead::ReadAhead;
pub use self::resume::{ResumeSource, resuming};
pub use self::retry::RetryPolicy;
pub use self::retry_after::parse_retry_after;
pub use self::skip::skip_bytes;
pub use self::task::outcome;
