#![doc = include_str!("../README.md")]

mod annotations;
mod backend;
mod blob;
mod buffers;
mod chains;
mod check;
mod compression;
mod content_range;
mod copy;
mod descriptor;
mod digest;
mod error;
mod event;
mod examine;
mod export;
mod image;
mod joined;
mod json;
#[cfg(feature = "layer")]
mod layer;
mod limits;
mod manifest;
mod memory;
mod mode;
mod multipart;
mod probe;
mod publish;
mod random;
mod read_ahead;
mod resume;
mod retry;
mod retry_after;
mod skip;
mod spec;
#[cfg(any(feature = "estargz", feature = "layer"))]
#[cfg_attr(
    not(any(test, feature = "estargz")),
    expect(dead_code, unused_imports, reason = "layers are made of written headers; only eStargz reads them")
)]
mod tar;
mod task;
mod timestamp;
mod verify;
mod walk;

pub use self::annotations::Annotations;
pub use self::backend::{
    Backends, BlobEntry, CacheBackend, CacheEntry, CacheExporter, CacheImporter, CacheStore, Committed, Coverage,
    Deleted, Expect, Pushed, Quota, Resolved, Version,
};
pub use self::blob::{BlobInfo, BlobProvider, BlobStream, read_all, read_verified, stream_of};
pub use self::chains::{CacheChains, CacheHit, CacheLink, CacheResult, LazyLayers, RecordId, ResultLayers};
pub use self::check::{Finding, FindingCode, check};
#[cfg(feature = "estargz")]
pub use self::compression::estargz;
pub use self::compression::{
    CodecPool, Compression, CompressionKind, DecodeLimits, Encoded, Encoding, decode, encode, recompress,
};
pub use self::content_range::ContentRange;
pub use self::copy::{CopyOptions, CopyReport, Destination, copy, copy_manifest, copy_many};
pub use self::descriptor::{Descriptor, LayerEncoding, MediaType, Platform, annotation};
pub use self::digest::{DiffId, Digest, Digester, InvalidDigest};
pub use self::error::{Error, ErrorKind, Result, Side};
pub use self::event::{Event, Progress, Silent};
pub use self::examine::{Examined, examine_layer};
pub use self::export::{Conversion, ExportReport, ExportSettings, Recheck, export};
pub use self::image::{ImageBackend, ImageStore};
pub use self::joined::JoinedBlobs;
pub use self::json::JsonObject;
#[cfg(feature = "layer")]
pub use self::layer::{LayerDir, TreeOptions, tar_tree};
pub use self::limits::Limits;
pub use self::manifest::{
    CacheConfig, CacheKey, CacheLayer, CacheManifest, CacheRecord, ChainResult, Document, EncodedManifest, InlineImage,
    LayerAnnotations, LayerResult, ManifestForm, RecordLink, load,
};
pub use self::memory::MemoryCache;
pub use self::mode::Mode;
pub use self::multipart::{PartLimits, PartUpload, upload};
pub use self::probe::{CacheProbe, Check, Diagnosis, Outcome};
pub use self::publish::publish;
pub use self::random::random_number;
pub use self::read_ahead::ReadAhead;
pub use self::resume::{ResumeSource, resuming};
pub use self::retry::RetryPolicy;
pub use self::retry_after::parse_retry_after;
pub use self::skip::skip_bytes;
pub use self::spec::{Attrs, CacheSpec, ExportOptions, Secret, SecretSource};
pub use self::timestamp::{InvalidTimestamp, Timestamp};
pub use self::verify::{Depth, VerifyReport, verify};
