//! Findings about blobs, and the results that depend on them.

use bytes::Bytes;
use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult};
use cache_core::model::LayerEncoding;
use cache_core::{CacheConfig, CacheKey, Digest, MediaType, Timestamp, annotation};
use cache_memory::MemoryCache;

use super::*;

/// A cache of two layers, one on the other, and a result for each.
struct Case {
    store: MemoryCache,
    manifest: CacheManifest,
    low: Descriptor,
}

impl Case {
    fn new(low: Descriptor, bytes: &'static [u8]) -> Self {
        let store = MemoryCache::new();
        store.overwrite(low.digest, Bytes::from_static(bytes));
        let high = layer(MediaType::OCI_LAYER, b"high", b"high");
        let _ = store.insert(b"high".as_slice());
        let layers = [(low.digest, -1), (high.digest, 0)];
        let record = |(key, layer): (&str, i64)| CacheRecord {
            key: CacheKey::from(key),
            results: vec![LayerResult { layer, created_at: Timestamp::ZERO }],
            ..CacheRecord::default()
        };
        let config = CacheConfig {
            layers: layers.map(|(blob, parent)| CacheLayer { blob, parent, annotations: None }).to_vec(),
            records: [("low", 0), ("high", 1)].map(record).to_vec(),
        };
        let manifest = CacheManifest::new(config, [low.clone(), high]);
        Self { store, manifest, low }
    }

    async fn codes(&self, depth: Depth) -> Vec<FindingCode> {
        let report = verify(&self.manifest, &self.store, depth, 2).await.unwrap();
        for finding in &report.findings {
            assert_eq!(finding.object, format!("blob {}", self.low.digest));
            assert_eq!(finding.affected.keys, [CacheKey::from("low"), CacheKey::from("high")]);
        }
        assert_eq!(report.is_sound(), !report.findings.iter().any(|finding| finding.code.is_error()));
        report.findings.iter().map(|finding| finding.code).collect()
    }
}

fn layer(media_type: MediaType, bytes: &[u8], tar: &[u8]) -> Descriptor {
    Descriptor::of(media_type, bytes).with_annotation(annotation::UNCOMPRESSED, Digest::sha256(tar))
}

/// `printf low | gzip -n`
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0xc9, 0x2f, 0x07, 0x00, 0xa1, 0x78, 0x88, 0x92,
    0x03, 0x00, 0x00, 0x00,
];

#[tokio::test]
async fn a_sound_cache_has_no_findings() {
    let case = Case::new(layer(MediaType::OCI_LAYER, b"low", b"low"), b"low");
    assert_eq!(case.codes(Depth::Deep).await, []);
    assert_eq!(case.codes(Depth::Fast).await, []);
}

#[tokio::test]
async fn a_missing_blob_is_a_finding_at_any_depth() {
    let case = Case::new(layer(MediaType::OCI_LAYER, b"low", b"low"), b"low");
    case.store.lose(&case.low.digest);
    assert_eq!(case.codes(Depth::Fast).await, [FindingCode::BlobMissing]);
    assert_eq!(case.codes(Depth::Deep).await, [FindingCode::BlobMissing]);
}

#[tokio::test]
async fn a_blob_of_another_size_is_a_finding_at_any_depth() {
    let case = Case::new(layer(MediaType::OCI_LAYER, b"low", b"low"), b"lower");
    assert_eq!(case.codes(Depth::Fast).await, [FindingCode::BlobSizeWrong]);
    assert_eq!(case.codes(Depth::Deep).await, [FindingCode::BlobSizeWrong]);
}

#[tokio::test]
async fn a_blob_of_other_bytes_is_found_when_it_is_read() {
    let case = Case::new(layer(MediaType::OCI_LAYER, b"low", b"low"), b"lox");
    assert_eq!(case.codes(Depth::Fast).await, []);
    assert_eq!(case.codes(Depth::Deep).await, [FindingCode::BlobCorrupt]);
}

#[tokio::test]
async fn a_diff_id_of_another_tar_is_found() {
    let case = Case::new(layer(MediaType::OCI_LAYER, b"low", b"other"), b"low");
    assert_eq!(case.codes(Depth::Deep).await, [FindingCode::DiffIdWrong]);
}

#[tokio::test]
async fn gzip_is_decompressed_member_by_member() {
    let case = Case::new(layer(MediaType::OCI_LAYER_GZIP, GZIP, b"low"), GZIP);
    assert_eq!(case.codes(Depth::Deep).await, []);
    let twice: &'static [u8] = [GZIP, GZIP].concat().leak();
    let case = Case::new(layer(MediaType::OCI_LAYER_GZIP, twice, b"lowlow"), twice);
    assert_eq!(case.codes(Depth::Deep).await, []);
}

#[tokio::test]
async fn a_layer_that_is_right_but_does_not_decompress_is_found() {
    for bad in [b"low", &GZIP[..20], &[GZIP, b"x"].concat()] {
        let bad: &'static [u8] = bad.to_vec().leak();
        let case = Case::new(layer(MediaType::OCI_LAYER_GZIP, bad, b"low"), bad);
        assert_eq!(case.codes(Depth::Deep).await, [FindingCode::LayerUnreadable], "{bad:?}");
    }
    // A layer of no bytes is an archive whatever its type, but not the one of that diff ID.
    let case = Case::new(layer(MediaType::OCI_LAYER_GZIP, b"", b"low"), b"");
    assert_eq!(case.codes(Depth::Deep).await, [FindingCode::DiffIdWrong]);
}

/// The first block of a tar, as far as readers look to know one.
fn tar() -> &'static [u8] {
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    tar.leak()
}

#[tokio::test]
async fn bytes_of_another_compression_than_the_type_names_are_a_warning_where_readers_go_by_the_bytes() {
    let docker_plain = MediaType::OCI_LAYER.to_docker();
    for (media_type, bytes, unpacked) in [
        (MediaType::OCI_LAYER_ZSTD, GZIP, b"low".as_slice()),
        (docker_plain, GZIP, b"low"),
        (MediaType::OCI_LAYER_GZIP, tar(), tar()),
        (MediaType::OCI_LAYER_ZSTD.to_docker(), tar(), tar()),
    ] {
        let case = Case::new(layer(media_type.clone(), bytes, unpacked), bytes);
        assert_eq!(case.codes(Depth::Deep).await, [FindingCode::MediaTypeMismatch], "{media_type}");
        let case = Case::new(layer(media_type.clone(), bytes, b"other"), bytes);
        assert_eq!(case.codes(Depth::Deep).await, [FindingCode::DiffIdWrong], "{media_type}");
    }
}

#[tokio::test]
async fn compressed_bytes_that_are_called_a_plain_tar_are_unreadable_whatever_their_diff_id() {
    for unpacked in [b"low".as_slice(), GZIP] {
        let case = Case::new(layer(MediaType::OCI_LAYER, GZIP, unpacked), GZIP);
        assert_eq!(case.codes(Depth::Deep).await, [FindingCode::LayerUnreadable]);
    }
}

#[tokio::test]
async fn a_tar_is_plain_whatever_its_first_name_begins_with() {
    let mut named = tar().to_vec();
    named[..3].copy_from_slice(&GZIP[..3]);
    let named: &'static [u8] = named.leak();
    let case = Case::new(layer(MediaType::OCI_LAYER, named, named), named);
    assert_eq!(case.codes(Depth::Deep).await, []);
}

#[tokio::test]
async fn corrupt_bytes_that_do_not_decompress_are_corrupt() {
    let flipped: &'static [u8] = {
        let mut bytes = GZIP.to_vec();
        bytes[11] ^= 0xff;
        bytes.leak()
    };
    let case = Case::new(layer(MediaType::OCI_LAYER_GZIP, GZIP, b"low"), flipped);
    assert_eq!(case.codes(Depth::Deep).await, [FindingCode::BlobCorrupt]);
}

/// The tests of the whole workspace have every codec; those of this crate alone have no zstd.
#[tokio::test]
async fn a_layer_that_this_build_cannot_decompress_is_a_warning() {
    if can_decode(LayerEncoding::Zstd) {
        return;
    }
    let zstd: &[u8] = b"\x28\xb5\x2f\xfd";
    let case = Case::new(layer(MediaType::OCI_LAYER_ZSTD, zstd, b"low"), zstd);
    assert_eq!(case.codes(Depth::Deep).await, [FindingCode::DiffIdUnchecked]);
}
