#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
pub mod graph;
pub mod json;
pub mod manifest;
pub mod model;
pub mod seams;
pub mod spec;

pub use self::error::{Error, ErrorKind, Result, Side};
pub use self::graph::{CacheChains, CacheLink, CacheResult, Finding, Mode, check, load};
pub use self::manifest::{CacheConfig, CacheKey, CacheManifest};
pub use self::model::{Compression, CompressionKind, Descriptor, DiffId, Digest, MediaType, Timestamp, annotation};
pub use self::seams::{
    BlobProvider, BlobStream, CacheBackend, CacheExporter, CacheImporter, CacheStore, Event, Expect, Progress, Pushed,
    Resolved, Version, read_all, read_verified,
};
pub use self::spec::CacheSpec;
