//! Checking a cache against its blobs: that they exist, or that every byte is right.

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::check::Affected;
use crate::compression::{Decoded, decode};
use crate::{
    BlobProvider, CacheManifest, Descriptor, DiffId, Digest, Error, ErrorKind, Finding, FindingCode, Result, check,
    read_verified,
};

/// How closely [`verify`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Depth {
    /// Every blob is there and has its size; nothing is read.
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
    /// How many blobs were looked at.
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
/// Only when a blob could not be looked at: the store does not answer, or refuses.
pub async fn verify(
    manifest: &CacheManifest,
    blobs: &dyn BlobProvider,
    depth: Depth,
    concurrency: usize,
) -> Result<VerifyReport> {
    let looks: Vec<BoxFuture<'_, _>> = manifest.blobs().iter().map(|blob| look(blob, blobs, depth).boxed()).collect();
    let looked: Vec<Option<Finding>> = stream::iter(looks).buffered(concurrency.max(1)).try_collect().await?;
    let affected = Affected::new(manifest.config());
    let of_blobs = manifest.blobs().iter().zip(looked);
    let mut findings = check(manifest);
    findings.extend(of_blobs.filter_map(|(blob, finding)| Some(finding?.with_affected(affected.by(&blob.digest)))));
    let bytes = if depth == Depth::Deep { manifest.unique_bytes() } else { 0 };
    Ok(VerifyReport { findings, blobs: manifest.blobs().len(), bytes })
}

async fn look(blob: &Descriptor, blobs: &dyn BlobProvider, depth: Depth) -> Result<Option<Finding>> {
    let found = |code, message: String| Ok(Some(Finding::new(code, format!("blob {}", blob.digest), message)));
    match blobs.stat(blob).await? {
        None => return found(FindingCode::BlobMissing, "the store does not have it".to_owned()),
        Some(info) if info.size != blob.size => {
            let message = format!("{} bytes are stored, the manifest says {}", info.size, blob.size);
            return found(FindingCode::BlobSizeWrong, message);
        }
        Some(_) if depth == Depth::Fast => return Ok(None),
        Some(_) => {}
    }
    match read_through(blob, blobs).await {
        Ok(finding) => Ok(finding.map(|(code, message)| Finding::new(code, format!("blob {}", blob.digest), message))),
        Err(error) if error.kind() == ErrorKind::DigestMismatch => found(FindingCode::BlobCorrupt, error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            found(FindingCode::BlobMissing, "the store does not have it".to_owned())
        }
        Err(error) => Err(error),
    }
}

/// Reads a blob once: its bytes are hashed, and what they decompress to.
async fn read_through(blob: &Descriptor, blobs: &dyn BlobProvider) -> Result<Option<(FindingCode, String)>> {
    let expected = blob.diff_id();
    let encoding = blob.media_type.layer_encoding().filter(|_| expected.is_some());
    let stream = read_verified(blobs, blob).await?;
    let decoded = match encoding {
        Some(encoding) => decode(encoding, stream),
        None => Decoded::Unsupported(stream),
    };
    match decoded {
        Decoded::Stream(stream) => match diff_id(stream).await {
            Ok(found) if Some(found) == expected => Ok(None),
            Ok(found) => {
                let message = format!("decompresses to {found}, the manifest says {}", text(expected));
                Ok(Some((FindingCode::DiffIdWrong, message)))
            }
            Err(error) if error.kind() == ErrorKind::InvalidManifest => unreadable(blob, blobs, &error).await.map(Some),
            Err(error) => Err(error),
        },
        Decoded::Unsupported(stream) => {
            drain(stream).await?;
            let message = "this program cannot decompress it".to_owned();
            Ok(encoding.map(|_| (FindingCode::DiffIdUnchecked, message)))
        }
    }
}

/// A layer that does not decompress either has wrong bytes, or is right and no layer.
async fn unreadable(blob: &Descriptor, blobs: &dyn BlobProvider, error: &Error) -> Result<(FindingCode, String)> {
    drain(read_verified(blobs, blob).await?).await?;
    Ok((FindingCode::LayerUnreadable, error.to_string()))
}

async fn drain(mut stream: crate::BlobStream) -> Result<()> {
    while stream.try_next().await?.is_some() {}
    Ok(())
}

async fn diff_id(mut stream: crate::BlobStream) -> Result<DiffId> {
    let mut digester = crate::Digester::sha256();
    while let Some(piece) = stream.next().await {
        digester.update(&piece?);
    }
    Ok(DiffId(digester.finish()))
}

fn text(diff_id: Option<DiffId>) -> String {
    diff_id.map_or_else(String::new, |DiffId(digest): DiffId| Digest::to_string(&digest))
}

#[cfg(test)]
mod tests;
