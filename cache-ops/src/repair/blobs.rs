//! Examines every blob of a cache.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cache_core::graph::FindingCode;
use cache_core::model::LayerEncoding;
use cache_core::seams::stat_blob;
use cache_core::{BlobProvider, CacheManifest, Descriptor, Digest, Finding, MediaType, Result, Timestamp, annotation};
use cache_layers::is_read_by_bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{MendedBlob, RepairOptions, about};
use crate::{Depth, Examined, examine_layer};

const ARCHIVED: &str = "it is archived, and cannot be read";

/// The outcome of looking at one blob.
enum Verdict {
    Sound(Arc<Descriptor>),
    Mended(Arc<Descriptor>, Vec<FindingCode>),
    Lost(FindingCode, &'static str),
}

/// The outcomes for all blobs that the layers name or the manifest describes.
pub(super) struct Verdicts(HashMap<Digest, Verdict>);

impl Verdicts {
    /// Examines every blob.
    pub(super) async fn look(
        manifest: &CacheManifest,
        blobs: &dyn BlobProvider,
        options: RepairOptions,
    ) -> Result<Self> {
        let all = all_blobs(manifest);
        let looks: Vec<BoxFuture<'_, Result<(Digest, Verdict)>>> =
            all.into_iter().map(|(digest, described)| look(digest, described, blobs, options.depth).boxed()).collect();
        let looked = stream::iter(looks).buffer_unordered(options.concurrency.max(1));
        Ok(Self(looked.try_collect().await?))
    }

    /// Uses the findings of an earlier check. Nothing is read, so nothing is mended from bytes.
    pub(super) fn known(manifest: &CacheManifest, found: &BTreeMap<Digest, FindingCode>) -> Self {
        let verdict = |(digest, described): (Digest, Option<Arc<Descriptor>>)| {
            let asked = asked(&digest, described.as_ref());
            let verdict = match found.get(&digest) {
                Some(&code) if code.is_error() => Verdict::Lost(code, "that was found when it was verified"),
                _ => as_described(&asked, described),
            };
            (digest, verdict)
        };
        Self(all_blobs(manifest).into_iter().map(verdict).collect())
    }

    pub(super) fn is_sound(&self, blob: &Digest) -> bool {
        matches!(self.0.get(blob), Some(Verdict::Sound(_) | Verdict::Mended(..)))
    }

    /// What is wrong with blobs, in order of their digests.
    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        let mut findings: Vec<Finding> =
            self.0.iter().flat_map(|(digest, verdict)| findings(digest, verdict)).collect();
        findings.sort_by(|a, b| (&a.object, a.code).cmp(&(&b.object, b.code)));
        findings.into_iter()
    }

    pub(super) fn mended(&self) -> Vec<MendedBlob> {
        let mended = self.0.values().filter_map(|verdict| match verdict {
            Verdict::Mended(descriptor, codes) => {
                Some(MendedBlob { descriptor: descriptor.as_ref().clone(), codes: codes.clone() })
            }
            _ => None,
        });
        let mut mended: Vec<MendedBlob> = mended.collect();
        mended.sort_unstable_by_key(|mended| mended.descriptor.digest);
        mended
    }

    /// The descriptors of the blobs that are sound now.
    pub(super) fn into_sound(self) -> Vec<Arc<Descriptor>> {
        let sound = self.0.into_values().filter_map(|verdict| match verdict {
            Verdict::Sound(descriptor) | Verdict::Mended(descriptor, _) => Some(descriptor),
            Verdict::Lost(..) => None,
        });
        sound.collect()
    }
}

/// Every blob that is named or described.
fn all_blobs(manifest: &CacheManifest) -> BTreeMap<Digest, Option<Arc<Descriptor>>> {
    let named = manifest.config().layers.iter().map(|layer| (layer.blob, None));
    let described = manifest.blobs().iter().map(|blob| (blob.digest, Some(Arc::clone(blob))));
    named.chain(described).collect()
}

/// The descriptor of a blob, or a made-up one for a layer without.
fn asked(digest: &Digest, described: Option<&Arc<Descriptor>>) -> Descriptor {
    described.map_or_else(|| Descriptor::new(MediaType::OCI_LAYER, *digest, 0), |blob| blob.as_ref().clone())
}

fn findings(digest: &Digest, verdict: &Verdict) -> Vec<Finding> {
    match verdict {
        Verdict::Sound(_) => Vec::new(),
        Verdict::Lost(code, message) => vec![Finding::new(*code, about(digest), *message)],
        Verdict::Mended(_, codes) => {
            codes.iter().map(|&code| Finding::new(code, about(digest), "its descriptor is mended")).collect()
        }
    }
}

async fn look(
    digest: Digest,
    described: Option<Arc<Descriptor>>,
    blobs: &dyn BlobProvider,
    depth: Depth,
) -> Result<(Digest, Verdict)> {
    let asked = asked(&digest, described.as_ref());
    let verdict = match depth {
        Depth::Deep => deep(&asked, described, blobs).await?,
        Depth::Fast => fast(&asked, described, blobs).await?,
    };
    Ok((digest, verdict))
}

/// Examines the bytes, and corrects the descriptor by them.
async fn deep(asked: &Descriptor, described: Option<Arc<Descriptor>>, blobs: &dyn BlobProvider) -> Result<Verdict> {
    let (size, encoding, diff_id) = match examine_layer(asked, blobs).await? {
        Examined::Layer { size, encoding, diff_id } => (size, encoding, diff_id),
        Examined::Missing => return Ok(Verdict::Lost(FindingCode::BlobMissing, "the store does not have it")),
        Examined::Archived => return Ok(Verdict::Lost(FindingCode::BlobArchived, ARCHIVED)),
        Examined::Unreadable => {
            return Ok(Verdict::Lost(FindingCode::LayerUnreadable, "its bytes match the digest, but are not a layer"));
        }
        _ => return Ok(Verdict::Lost(FindingCode::BlobCorrupt, "its bytes do not match its digest")),
    };
    let mut codes = Vec::new();
    let mut mended = asked.clone();
    if described.is_none() {
        codes.push(FindingCode::BlobUndescribed);
    } else if asked.size != size {
        codes.push(FindingCode::BlobSizeWrong);
    }
    mended.size = size;
    if let Some((media_type, code)) = retyped(&asked.media_type, encoding) {
        mended.media_type = media_type;
        codes.extend(described.is_some().then_some(code));
    }
    match (asked.diff_id(), diff_id) {
        (Some(said), Some(found)) if said != found => codes.push(FindingCode::DiffIdWrong),
        (None, Some(_)) if described.is_some() => codes.push(FindingCode::DiffIdMissing),
        (None, None) => return Ok(Verdict::Lost(FindingCode::DiffIdMissing, "its diff ID is not known")),
        _ => {}
    }
    if let Some(found) = diff_id {
        mended = mended.with_annotation(annotation::UNCOMPRESSED, found);
    }
    Ok(settle(mended, codes, described))
}

/// The verdict from the descriptor and the store.
async fn fast(asked: &Descriptor, described: Option<Arc<Descriptor>>, blobs: &dyn BlobProvider) -> Result<Verdict> {
    let lost = |code, message| Ok(Verdict::Lost(code, message));
    if described.is_none() {
        return Ok(as_described(asked, described));
    }
    match stat_blob(blobs, asked).await? {
        None => lost(FindingCode::BlobMissing, "the store does not have it"),
        Some(info) if info.is_archived => lost(FindingCode::BlobArchived, ARCHIVED),
        Some(info) if info.size != asked.size => {
            lost(FindingCode::BlobSizeWrong, "the stored size differs from that in the manifest")
        }
        Some(_) => Ok(as_described(asked, described)),
    }
}

/// The verdict from the descriptor alone.
fn as_described(asked: &Descriptor, described: Option<Arc<Descriptor>>) -> Verdict {
    let lost = Verdict::Lost;
    match &described {
        None => lost(FindingCode::BlobUndescribed, "the manifest does not describe it"),
        Some(_) if asked.diff_id().is_none() => lost(FindingCode::DiffIdMissing, "its diff ID is not known"),
        Some(_) if asked.media_type.layer_encoding().is_none() => {
            lost(FindingCode::MediaTypeUnknown, "BuildKit cannot extract its media type")
        }
        Some(_) => settle(asked.clone(), Vec::new(), described),
    }
}

/// Removes a creation time that cannot be parsed: BuildKit loads the layer without one.
fn settle(mut mended: Descriptor, mut codes: Vec<FindingCode>, described: Option<Arc<Descriptor>>) -> Verdict {
    let created = mended.annotations.get(annotation::CREATED_AT);
    if created.is_some_and(|text| text.parse::<Timestamp>().is_err()) {
        mended.annotations.remove(annotation::CREATED_AT);
        codes.push(FindingCode::CreatedAtInvalid);
    }
    match described {
        Some(described) if codes.is_empty() => Verdict::Sound(described),
        _ => Verdict::Mended(Arc::new(mended), codes),
    }
}

/// The right media type of a layer whose own does not match its bytes, and the wrong one.
fn retyped(said: &MediaType, encoding: LayerEncoding) -> Option<(MediaType, FindingCode)> {
    match said.layer_encoding() {
        Some(known) if known == encoding => None,
        Some(_) if is_read_by_bytes(said) => Some((said.with_layer_encoding(encoding), FindingCode::MediaTypeMismatch)),
        Some(_) => Some((said.with_layer_encoding(encoding), FindingCode::LayerUnreadable)),
        None => Some((MediaType::OCI_LAYER.with_layer_encoding(encoding), FindingCode::MediaTypeUnknown)),
    }
}
