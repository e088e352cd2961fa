//! Checking a cache against its blobs: that they exist, or that every byte is right.

use cache_core::graph::{Affected, FindingCode};
use cache_core::model::LayerEncoding;
use cache_core::seams::{read_blob, stat_blob};
use cache_core::{BlobProvider, BlobStream, CacheManifest, Descriptor, Error, ErrorKind, Finding, Result, check};
use cache_layers::{CodecPool, LayerStart, StartedLayer, can_decode, diff_id};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tracing::Instrument as _;

use crate::{Shard, spans};

/// How thorough [`verify`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Depth {
    /// Every blob exists with its size; nothing is read.
    Fast,
    /// Every blob is read and hashed, and decompressed to compare its diff ID.
    #[default]
    Deep,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Everything that is wrong, errors and warnings.
    pub findings: Vec<Finding>,
    /// How many blobs were checked.
    pub blobs: usize,
    /// How many bytes were read.
    pub bytes: u64,
}

impl VerifyReport {
    /// Whether nothing but warnings was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(|finding| finding.code.is_error())
    }
}

/// Checks a cache: its graph, and every blob, `concurrency` of them at once.
///
/// A blob that is missing or wrong is a finding, with the records whose results need it. When nothing but warnings is
/// found, no BuildKit can fail because of what the cache was at this moment.
///
/// # Errors
/// Only if a blob could not be checked, because the store does not answer or refuses.
///
/// ```
/// use cache_core::CacheChains;
/// use cache_memory::MemoryCache;
/// use cache_ops::{Depth, verify};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let report = verify(&CacheChains::new().to_manifest(), &MemoryCache::new(), Depth::Deep, 4).await?;
/// assert!(report.is_sound());
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub async fn verify(
    manifest: &CacheManifest,
    blobs: &dyn BlobProvider,
    depth: Depth,
    concurrency: usize,
) -> Result<VerifyReport> {
    verify_shard(manifest, blobs, Shard::WHOLE, depth, concurrency).await
}

/// Checks a part of the blobs like [`verify`], and the graph. All parts together check the whole cache.
///
/// # Errors
/// As [`verify`].
pub async fn verify_shard(
    manifest: &CacheManifest,
    blobs: &dyn BlobProvider,
    shard: Shard,
    depth: Depth,
    concurrency: usize,
) -> Result<VerifyReport> {
    let pool = CodecPool::default();
    let part: Vec<&Descriptor> = part_of(manifest, shard).collect();
    let looks: Vec<BoxFuture<'_, _>> =
        part.iter().map(|&blob| look(blob, blobs, depth, &pool).instrument(spans::verify(blob)).boxed()).collect();
    let looked: Vec<Option<Finding>> = stream::iter(looks).buffered(concurrency.max(1)).try_collect().await?;
    let mut findings = check(manifest);
    if looked.iter().any(Option::is_some) {
        let affected = Affected::new(manifest.config());
        let of_blobs = part.iter().zip(looked).filter_map(|(blob, finding)| Some((blob, finding?)));
        findings.extend(of_blobs.map(|(blob, finding)| Finding { affected: affected.by(&blob.digest), ..finding }));
    }
    let bytes = if depth == Depth::Deep { bytes_of(manifest, shard) } else { 0 };
    Ok(VerifyReport { findings, blobs: part.len(), bytes })
}

/// How many bytes the blobs of a part have together.
#[must_use]
pub fn bytes_of(manifest: &CacheManifest, shard: Shard) -> u64 {
    part_of(manifest, shard).fold(0, |sum, blob| sum.saturating_add(blob.size))
}

/// The blobs that are in a part.
pub fn part_of(manifest: &CacheManifest, shard: Shard) -> impl Iterator<Item = &Descriptor> {
    manifest.blobs().iter().map(AsRef::as_ref).filter(move |blob| shard.has(&blob.digest))
}

const ARCHIVED: &str = "it is archived, and has to be restored before it can be read; a copy sends it again";

async fn look(blob: &Descriptor, blobs: &dyn BlobProvider, depth: Depth, pool: &CodecPool) -> Result<Option<Finding>> {
    let found = |code, message: String| Ok(Some(Finding::new(code, format!("blob {}", blob.digest), message)));
    match stat_blob(blobs, blob).await? {
        None => return found(FindingCode::BlobMissing, "the store does not have it".to_owned()),
        Some(info) if info.is_archived => return found(FindingCode::BlobArchived, ARCHIVED.to_owned()),
        Some(info) if info.size != blob.size => {
            let message = format!("{} bytes are stored, the manifest says {}", info.size, blob.size);
            return found(FindingCode::BlobSizeWrong, message);
        }
        Some(_) if depth == Depth::Fast => return Ok(None),
        Some(_) => {}
    }
    match read_through(blob, blobs, pool).await {
        Ok(finding) => Ok(finding.map(|(code, message)| Finding::new(code, format!("blob {}", blob.digest), message))),
        Err(error) if error.kind() == ErrorKind::DigestMismatch => found(FindingCode::BlobCorrupt, error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            found(FindingCode::BlobMissing, "the store does not have it".to_owned())
        }
        Err(error) if error.kind() == ErrorKind::Archived => found(FindingCode::BlobArchived, ARCHIVED.to_owned()),
        Err(error) => Err(error),
    }
}

/// Reads a blob once, and hashes its bytes and the decompressed ones.
async fn read_through(
    blob: &Descriptor,
    blobs: &dyn BlobProvider,
    pool: &CodecPool,
) -> Result<Option<(FindingCode, String)>> {
    let stream = pool.verified(blob.clone(), read_blob(blobs, blob, None).await?);
    let (Some(said), Some(expected)) = (blob.media_type.layer_encoding(), blob.diff_id()) else {
        return drain(stream).await.map(|()| None);
    };
    let StartedLayer { start, stream, .. } = LayerStart::of(stream).await?;
    let encoding = match start.read_as(&blob.media_type) {
        Ok(encoding) => encoding,
        Err(error) => return drain(stream).await.map(|()| Some((FindingCode::LayerUnreadable, error.to_string()))),
    };
    if !can_decode(encoding) {
        drain(stream).await?;
        return Ok(Some((FindingCode::DiffIdUnchecked, "this program cannot decompress it".to_owned())));
    }
    match diff_id(blob, encoding, stream, pool).await {
        Ok(_) if encoding != said && encoding == LayerEncoding::Uncompressed && !start.is_tar() => {
            Ok(Some((FindingCode::LayerUnreadable, format!("it is neither {} nor a tar", said.name()))))
        }
        Ok(found) if found == expected => Ok((encoding != said).then(|| mistyped(encoding, said))),
        Ok(found) => {
            let message = format!("decompresses to {found}, the manifest says {expected}");
            Ok(Some((FindingCode::DiffIdWrong, message)))
        }
        Err(error) if error.kind() == ErrorKind::InvalidManifest => {
            unreadable(blob, blobs, pool, &error).await.map(Some)
        }
        Err(error) => Err(error),
    }
}

fn mistyped(found: LayerEncoding, said: LayerEncoding) -> (FindingCode, String) {
    let message = format!("it is {}, and its media type says {}; BuildKit uses the bytes", found.name(), said.name());
    (FindingCode::MediaTypeMismatch, message)
}

/// A layer that does not decompress either has wrong bytes, or is right and no layer.
async fn unreadable(
    blob: &Descriptor,
    blobs: &dyn BlobProvider,
    pool: &CodecPool,
    error: &Error,
) -> Result<(FindingCode, String)> {
    drain(pool.verified(blob.clone(), read_blob(blobs, blob, None).await?)).await?;
    Ok((FindingCode::LayerUnreadable, error.to_string()))
}

/// Reads a stream to its end, where a verifying one fails if the bytes were wrong.
pub(crate) async fn drain(mut stream: BlobStream) -> Result<()> {
    while stream.try_next().await?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests;
