#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accepted;
mod body;
mod bounds;
mod buffers;
mod content_range;
mod duration;
#[cfg(feature = "http")]
mod encoding;
mod file;
mod known;
mod listener;
mod multipart;
mod outgoing;
mod paging;
mod parts;
mod presence_checks;
#[cfg(feature = "http")]
mod ranges;
mod read_ahead;
mod redirect;
mod request_log;
mod resume;
mod retry;
mod retry_after;
mod secret;
mod skip;
mod status;
mod task;
mod text;
mod timeouts;
mod trust;
mod tuning;
mod uploads;
mod within;

pub use self::accepted::Accepted;
pub use self::body::BodyReader;
pub use self::bounds::Bounds;
pub use self::buffers::{Buffers, User, piece};
pub use self::content_range::ContentRange;
pub use self::duration::{GoDuration, NotADuration};
#[cfg(feature = "http")]
pub use self::encoding::ContentEncoding;
pub use self::file::{check_file, create_file, open_file, read_file};
pub use self::known::{FEW, Knowledge, Known, Listed, Reach, common_prefix, list_keys};
pub use self::listener::Listener;
pub use self::multipart::{PartLimits, PartUpload, upload};
pub use self::outgoing::{Flow, Outgoing, held_back};
pub use self::paging::{NextPage, Page, PageSource, Pager, paged};
pub use self::parts::{LISTS, ListPart, list_parts};
pub use self::presence_checks::PresenceChecks;
#[cfg(feature = "http")]
pub use self::ranges::{RangeAnswer, RangeSource, read_ranges};
pub use self::read_ahead::ReadAhead;
pub use self::redirect::{MAX_REDIRECTS, is_downgrade};
pub use self::request_log::RequestLog;
pub use self::resume::{ResumeSource, resuming};
pub use self::retry::RetryPolicy;
pub use self::retry_after::parse_retry_after;
pub use self::secret::{Secret, SecretSource, read_secret};
pub use self::skip::skip_bytes;
pub use self::status::kind_of_status;
pub use self::task::{Task, outcome};
pub use self::text::one_line;
pub use self::timeouts::Timeouts;
pub use self::trust::{UNTRUSTED, is_untrusted};
pub use self::tuning::Tuning;
pub use self::uploads::Uploads;
pub use self::within::{answered, within};
