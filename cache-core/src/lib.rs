#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
pub mod graph;
pub mod json;
pub mod kit;
pub mod layers;
pub mod manifest;
mod memory;
pub mod model;
pub mod seams;
pub mod spec;

pub use self::error::{Error, ErrorKind, Result, Side};
pub use self::graph::{CacheChains, CacheLink, CacheResult, Finding, check, load};
pub use self::kit::RetryPolicy;
pub use self::layers::{CodecPool, decode, encode, recompress};
pub use self::manifest::{CacheConfig, CacheKey, CacheManifest};
pub use self::memory::MemoryCache;
pub use self::model::{
    Compression, CompressionKind, Descriptor, DiffId, Digest, MediaType, Mode, Timestamp, annotation,
};
pub use self::seams::{
    Backends, BlobProvider, BlobStream, CacheBackend, CacheExporter, CacheImporter, CacheStore, Event, Expect,
    Progress, Pushed, Resolved, Version, read_all, read_verified,
};
pub use self::spec::CacheSpec;

// The names below are to be taken from their chapters.
#[doc(hidden)]
pub use self::graph::{Affected, CacheHit, FindingCode, LazyLayers, RecordId, ResultLayers, is_cache};
#[doc(hidden)]
pub use self::json::JsonObject;
#[doc(hidden)]
pub use self::kit::{
    BodyReader, Bounds, ContentRange, Flow, NextPage, Outgoing, Page, PageSource, Pager, PartLimits, PartUpload,
    ReadAhead, ResumeSource, Timeouts, Uploads, one_line, outcome, paged, parse_retry_after, resuming, skip_bytes,
    upload, within,
};
#[cfg(feature = "estargz")]
#[doc(hidden)]
pub use self::layers::estargz;
#[doc(hidden)]
pub use self::layers::{DecodeLimits, Encoded, Encoding, LayerStart, diff_id, restore_annotations};
#[cfg(feature = "layer")]
#[doc(hidden)]
pub use self::layers::{LayerDir, TreeOptions, tar_tree};
#[doc(hidden)]
pub use self::manifest::{
    CacheLayer, CacheRecord, ChainResult, Document, EncodedManifest, InlineImage, LayerAnnotations, LayerResult,
    ManifestForm, RecordLink, join_leaves,
};
#[doc(hidden)]
pub use self::model::{
    Annotations, Digester, InvalidDigest, InvalidTimestamp, LayerEncoding, Limits, Platform, random_number,
};
#[doc(hidden)]
pub use self::seams::{
    BackendFacts, BlobEntry, BlobInfo, CacheEntry, CacheListing, CacheProbe, Check, Committed, ContributionName,
    Contributions, Coverage, Deleted, Diagnosis, ExporterFacts, ImageBackend, ImageStore, Naming, Outcome, Publishing,
    Quota, Silent, UnreadableCache, delete_each, read_blob, stat_blob, stream_of, verified,
};
#[doc(hidden)]
pub use self::spec::{Attrs, ExportOptions, Secret, SecretSource, shown_place};
