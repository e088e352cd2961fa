//! The traits that backends implement, and what goes through them.

mod backend;
mod contributions;
mod event;
mod exporter;
mod facts;
mod image;
mod importer;
mod outcome;
mod probe;
mod provider;
mod store;

pub use self::backend::{CacheBackend, Publisher};
pub use self::contributions::{ContributionName, Contributions};
pub use self::event::{Event, Progress, Silent};
pub use self::exporter::{CacheExporter, Expect};
pub use self::facts::{BackendFacts, ExporterFacts, Naming};
pub use self::image::{ImageBackend, ImageStore};
pub use self::importer::{CacheImporter, Resolved, Version};
pub use self::outcome::{Committed, Coverage, Pushed};
pub use self::probe::{CacheProbe, Check, Diagnosis, Outcome, Publishing};
pub use self::provider::{
    BlobInfo, BlobProvider, BlobStream, check_end, check_length, read_all, read_blob, read_verified, stat_blob,
    stream_of, verified,
};
pub use self::store::{BlobEntry, CacheEntry, CacheListing, CacheStore, Deleted, Quota, UnreadableCache, delete_each};
