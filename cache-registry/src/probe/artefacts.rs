//! The cache that a probe sends: one layer of random bytes.

use cache_core::manifest::{Document, EncodedManifest, ManifestForm};
use cache_core::model::random_number;
use cache_core::{
    CacheChains, CacheKey, CacheLink, CacheManifest, CacheResult, Descriptor, Digest, MediaType, Result, Timestamp,
    annotation,
};

/// An empty tar: two blocks of zeros.
const EMPTY_TAR: [u8; 1024] = [0; 1024];
/// Its CRC-32.
const CRC: u32 = 0xefb5_af2e;

/// A tag, and a cache to put there in every form.
pub(super) struct Artefacts {
    pub(super) tag: String,
    pub(super) layer: Document,
    /// A blob for each other way to send one.
    pub(super) chunked: Document,
    pub(super) posted: Document,
    cache: CacheManifest,
}

impl Artefacts {
    pub(super) fn new() -> Result<Self> {
        let tag = format!("buildcache-doctor-{:016x}", random_number());
        let layer = Document::new(layer_type(), empty_layer(&tag));
        let other = |way: &str| Document::new(layer_type(), empty_layer(&format!("{tag}-{way}")));
        let (chunked, posted) = (other("chunked"), other("posted"));
        let cache = cache(&tag, &layer.descriptor)?;
        Ok(Self { tag, layer, chunked, posted, cache })
    }

    /// The config and the manifest in this form.
    pub(super) fn encode(&self, form: ManifestForm) -> EncodedManifest {
        self.cache.encode(Some(form))
    }
}

/// A cache that BuildKit would take: a source, and a step with the layer as its result.
fn cache(tag: &str, layer: &Descriptor) -> Result<CacheManifest> {
    let mut chains = CacheChains::new();
    let source = chains.add_root(CacheKey::content(Digest::sha256(tag.as_bytes())))?;
    let layer = layer.clone().with_annotation(annotation::UNCOMPRESSED, Digest::sha256(&EMPTY_TAR));
    let inputs: Vec<Vec<CacheLink>> = source.map(|source| vec![CacheLink::new(source)]).into_iter().collect();
    let key = CacheKey::output(Digest::sha256(b"buildcache doctor"), 0);
    chains.add(key, &inputs, vec![CacheResult::new(Timestamp::now(), vec![layer])])?;
    Ok(chains.to_manifest())
}

fn layer_type() -> MediaType {
    MediaType::from("application/vnd.oci.image.layer.v1.tar+gzip".to_owned())
}

/// An empty tar in a stored block of [gzip](https://www.rfc-editor.org/rfc/rfc1952). The file name in the header makes
/// the digest of each different.
fn empty_layer(name: &str) -> Vec<u8> {
    const HAS_NAME: u8 = 8;
    const LAST_STORED: u8 = 1;
    let length = 1024_u16;
    let mut gzip = vec![0x1f, 0x8b, 8, HAS_NAME, 0, 0, 0, 0, 0, 0xff];
    gzip.extend_from_slice(name.as_bytes());
    gzip.extend_from_slice(&[0, LAST_STORED]);
    gzip.extend_from_slice(&length.to_le_bytes());
    gzip.extend_from_slice(&(!length).to_le_bytes());
    gzip.extend_from_slice(&EMPTY_TAR);
    gzip.extend_from_slice(&CRC.to_le_bytes());
    gzip.extend_from_slice(&u32::from(length).to_le_bytes());
    gzip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_probes_send_different_artefacts() {
        let [one, other] = [Artefacts::new().unwrap(), Artefacts::new().unwrap()];
        let digests = |artefacts: &Artefacts| {
            let encoded = artefacts.encode(ManifestForm::Index);
            let blobs = [&artefacts.layer, &artefacts.chunked, &artefacts.posted, &encoded.config, &encoded.manifest];
            blobs.map(|document| document.descriptor.digest)
        };
        assert!(digests(&one).iter().all(|digest| !digests(&other).contains(digest)));
        assert!(one.tag.starts_with("buildcache-doctor-") && one.tag != other.tag);
    }
}
