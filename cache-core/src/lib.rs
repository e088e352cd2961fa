#![doc = include_str!("../README.md")]

mod error;
mod graph;
mod json;
mod kit;
mod layers;
mod manifest;
mod memory;
mod model;
mod seams;
mod spec;

pub use self::error::{Error, ErrorKind, Result, Side};
pub use self::graph::{
    Affected, CacheChains, CacheHit, CacheLink, CacheResult, Finding, FindingCode, LazyLayers, RecordId, ResultLayers,
    check, load,
};
pub use self::json::JsonObject;
pub use self::kit::{
    BodyReader, Bounds, ContentRange, Flow, NextPage, Outgoing, Page, PageSource, Pager, PartLimits, PartUpload,
    ReadAhead, ResumeSource, RetryPolicy, one_line, outcome, paged, parse_retry_after, random_number, resuming,
    skip_bytes, upload, within,
};
#[cfg(feature = "estargz")]
pub use self::layers::estargz;
pub use self::layers::{
    CodecPool, DecodeLimits, Encoded, Encoding, LayerStart, decode, diff_id, encode, recompress, restore_annotations,
};
#[cfg(feature = "layer")]
pub use self::layers::{LayerDir, TreeOptions, tar_tree};
pub use self::manifest::{
    CacheConfig, CacheKey, CacheLayer, CacheManifest, CacheRecord, ChainResult, Document, EncodedManifest, InlineImage,
    LayerAnnotations, LayerResult, ManifestForm, RecordLink, join_leaves,
};
pub use self::memory::MemoryCache;
pub use self::model::{
    Annotations, Compression, CompressionKind, Descriptor, DiffId, Digest, Digester, InvalidDigest, InvalidTimestamp,
    LayerEncoding, Limits, MediaType, Mode, Platform, Timestamp, annotation,
};
pub use self::seams::{
    BackendFacts, Backends, BlobEntry, BlobInfo, BlobProvider, BlobStream, CacheBackend, CacheEntry, CacheExporter,
    CacheImporter, CacheProbe, CacheStore, Check, Committed, Coverage, Deleted, Diagnosis, Event, Expect,
    ExporterFacts, ImageBackend, ImageStore, Naming, Outcome, Progress, Pushed, Quota, Resolved, Silent, Version,
    delete_each, read_all, read_verified, stream_of, verified,
};
pub use self::spec::{Attrs, CacheSpec, ExportOptions, Secret, SecretSource, shown_place};
