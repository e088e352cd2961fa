//! eStargz: compared with the published format and with layers of BuildKit, and converted back.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::graph::FindingCode;
use cache_core::model::LayerEncoding;
use cache_core::seams::stream_of;
use cache_core::{BlobStream, Compression, CompressionKind, Descriptor, ErrorKind, MediaType, Result, annotation};
use cache_layers::{CodecPool, Encoded, decode, encode, estargz, recompress};
use cache_memory::MemoryCache;
use cache_ops::{Depth, verify};
use cache_tests::estargz::{Estargz, read};
use cache_tests::fixtures::{self, Fixture};
use cache_tests::random::Random;
use cache_tests::tars;
use futures_util::stream::{self, TryStreamExt};

const VERSIONS: [&str; 3] = ["v0.12", "v0.20", "v0.32"];

async fn collect(stream: impl futures_util::Stream<Item = Result<Bytes>>) -> Result<Bytes> {
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat().into())
}

/// The bytes in random pieces.
fn pieces(bytes: &Bytes, random: &mut Random) -> BlobStream {
    let (mut rest, mut pieces) = (bytes.clone(), Vec::new());
    while !rest.is_empty() {
        let most = 1 << (6 + random.below(16));
        let size = 1 + random.below(most);
        pieces.push(Ok(rest.split_to(size.min(rest.len()))));
    }
    Box::pin(stream::iter(pieces))
}

async fn write(tar: BlobStream, threads: usize) -> Result<(Encoded, Bytes)> {
    let mut layer = encode(tar, &Compression::new(CompressionKind::Estargz), &CodecPool::new(threads))?;
    let bytes = collect(&mut layer).await?;
    Ok((layer.finish()?, bytes))
}

/// The tar of an eStargz layer, without its table of contents.
async fn unwrap(layer: &Descriptor, bytes: Bytes) -> Result<Bytes> {
    let plain = Compression::new(CompressionKind::Uncompressed);
    collect(recompress(layer, stream_of(bytes), &plain, &CodecPool::new(2))?).await
}

/// The eStargz layers of a fixture of BuildKit, and their bytes.
async fn layers(version: &str) -> (Fixture, Vec<(Descriptor, Bytes)>) {
    let fixture = fixtures::named(&format!("{version}/max-estargz"));
    let mut found = Vec::new();
    for (_, document) in fixture.manifests() {
        let manifest = fixture.load(document).await;
        let blobs = manifest.blobs().iter().map(|blob| (Descriptor::clone(blob), fixture.document(&blob.digest)));
        found.extend(blobs.filter(|(blob, _)| blob.annotations.contains_key(annotation::ESTARGZ_TOC)));
    }
    assert!(found.len() >= 5, "{version} has {} layers", found.len());
    (fixture, found)
}

#[tokio::test]
async fn the_checks_accept_layers_of_buildkit() {
    for version in VERSIONS {
        for (layer, bytes) in layers(version).await.1 {
            read(&layer, &bytes).await.unwrap_or_else(|rule| panic!("{version} {}: {rule}", layer.digest));
        }
    }
}

#[tokio::test]
async fn a_layer_of_buildkit_is_written_again_with_the_same_table_of_contents() {
    for version in VERSIONS {
        for (layer, bytes) in layers(version).await.1 {
            let theirs = read(&layer, &bytes).await.unwrap();
            let tar = unwrap(&layer, bytes).await.unwrap();
            assert!(tar == theirs.payload, "{version}: the tar is another one");
            let (made, bytes) = write(stream_of(tar), 2).await.unwrap();
            let ours = read(&made.descriptor, &bytes).await.unwrap();
            assert_eq!(ours.without_offsets(), theirs.without_offsets());
            // If the offsets have the same number of digits, the tables have the same size.
            if ours.json.len() == theirs.json.len() {
                assert_eq!(
                    made.descriptor.annotations.get(annotation::ESTARGZ_SIZE),
                    layer.annotations.get(annotation::ESTARGZ_SIZE)
                );
            }
            assert_eq!(made.descriptor.media_type, MediaType::OCI_LAYER_GZIP);
        }
    }
}

#[tokio::test]
async fn every_tar_converts_back_and_follows_every_rule() {
    let mut random = Random::new(6);
    for round in 0..12 {
        let tar = Bytes::from(tars::random(&mut random));
        let (made, bytes) = write(pieces(&tar, &mut random), 1 + random.below(4)).await.unwrap();
        let Estargz { payload, .. } = read(&made.descriptor, &bytes).await.unwrap_or_else(|e| panic!("{round}: {e}"));
        assert!(tar == payload, "{round}: the payload is another one");
        assert!(unwrap(&made.descriptor, bytes.clone()).await.unwrap() == tar, "{round}: another tar comes back");
        let plain = decode(LayerEncoding::Gzip, stream_of(bytes), &CodecPool::new(1)).unwrap();
        assert!(collect(plain).await.unwrap().starts_with(&tar), "{round}: it is not a plain gzip of the tar");
    }
}

#[tokio::test]
async fn bytes_depend_on_neither_threads_nor_pieces() {
    let mut random = Random::new(7);
    // The headers alone need more than one member.
    let mut builder = tar::Builder::new(tars::random(&mut random));
    for n in 0..5_000 {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        builder.append_data(&mut header, format!("empty{n}"), [].as_slice()).unwrap();
    }
    let tar = Bytes::from(builder.into_inner().unwrap());
    let (expected, _) = write(stream_of(tar.clone()), 1).await.unwrap();
    for threads in 1..5 {
        let (made, _) = write(pieces(&tar, &mut random), threads).await.unwrap();
        assert_eq!(made, expected, "{threads} threads");
    }
}

#[tokio::test]
async fn a_tar_with_a_table_of_contents_is_refused() {
    for name in ["stargz.index.json", "./stargz.index.json", "/a/../stargz.index.json"] {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(0);
        header.set_cksum();
        let tar = Bytes::copy_from_slice(header.as_bytes());
        assert_eq!(write(stream_of(tar), 1).await.unwrap_err().kind(), ErrorKind::Unsupported, "{name}");
    }
}

#[tokio::test]
async fn invalid_tars_are_refused() {
    let error = write(stream_of(Bytes::from(vec![7; 5_000])), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    let error = write(stream_of(Bytes::from(vec![0; 600])), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
}

#[tokio::test]
async fn converting_there_and_back_gives_the_first_layer() {
    let pool = CodecPool::new(2);
    let tar = Bytes::from(tars::random(&mut Random::new(8)));
    for kind in [CompressionKind::Gzip, CompressionKind::Zstd, CompressionKind::Uncompressed] {
        let mut first = encode(stream_of(tar.clone()), &Compression::new(kind), &pool).unwrap();
        let bytes = collect(&mut first).await.unwrap();
        let first = first.finish().unwrap().descriptor.with_annotation(annotation::CREATED_AT, "2026-11-23T07:40:26Z");
        let to = Compression::new(CompressionKind::Estargz);
        let mut middle = recompress(&first, stream_of(bytes), &to, &pool).unwrap();
        let bytes = collect(&mut middle).await.unwrap();
        let middle = middle.finish().unwrap().descriptor;
        assert_eq!(middle.created_at(), first.created_at());
        let mut last = recompress(&middle, stream_of(bytes), &Compression::new(kind), &pool).unwrap();
        collect(&mut last).await.unwrap();
        assert_eq!(last.finish().unwrap().descriptor, first);
    }
}

#[tokio::test]
async fn a_wrong_diff_id_fails_the_conversion() {
    let (made, bytes) = write(stream_of(Bytes::from(tars::random(&mut Random::new(9)))), 1).await.unwrap();
    let wrong = made.descriptor.clone().with_annotation(annotation::UNCOMPRESSED, made.descriptor.digest);
    assert_eq!(unwrap(&wrong, bytes).await.unwrap_err().kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn a_layer_that_only_claims_to_be_estargz_cannot_be_converted() {
    let mut gzip = encode(
        stream_of(Bytes::from(tars::random(&mut Random::new(10)))),
        &Compression::new(CompressionKind::Gzip),
        &CodecPool::new(1),
    )
    .unwrap();
    let bytes = collect(&mut gzip).await.unwrap();
    let layer = gzip.finish().unwrap().descriptor;
    let layer = layer.clone().with_annotation(annotation::ESTARGZ_TOC, layer.digest);
    assert_eq!(unwrap(&layer, bytes).await.unwrap_err().kind(), ErrorKind::InvalidManifest);
}

#[tokio::test]
async fn a_lost_annotation_is_read_from_the_blob() {
    for version in VERSIONS {
        let (fixture, layers) = layers(version).await;
        for (layer, _) in layers {
            let bare = Descriptor::new(layer.media_type.clone(), layer.digest, layer.size);
            let found = estargz::annotations(&fixture, &bare).await.unwrap();
            assert_eq!(found.get(annotation::ESTARGZ_TOC), layer.annotations.get(annotation::ESTARGZ_TOC));
            assert_eq!(found.iter().len(), 1);
        }
    }
}

#[tokio::test]
async fn other_layers_get_no_annotation() {
    for name in ["v0.32/max-manifest", "v0.32/max-zstd", "v0.32/max-uncompressed"] {
        let fixture = fixtures::named(name);
        for (_, document) in fixture.manifests() {
            for blob in fixture.load(document).await.blobs() {
                assert!(estargz::annotations(&fixture, blob).await.unwrap().is_empty(), "{name}");
                assert_eq!(estargz::open(&fixture, blob).await.unwrap(), None, "{name}");
            }
        }
    }
}

/// Opens a blob with one changed byte.
async fn open_changed(bytes: &Bytes, at: usize) -> Result<Option<estargz::Toc>> {
    let mut changed = bytes.to_vec();
    changed[at] ^= 0x10;
    let (store, blob) = (MemoryCache::new(), Descriptor::of(MediaType::OCI_LAYER_GZIP, &changed));
    let _ = store.insert(changed);
    let annotations = estargz::annotations(&store, &blob).await.unwrap();
    let opened = estargz::open(&store, &blob).await;
    assert_eq!(annotations.is_empty(), !matches!(opened, Ok(Some(_))));
    opened
}

#[tokio::test]
async fn a_damaged_table_of_contents_or_footer_is_detected() {
    let (layer, bytes) = layers("v0.32").await.1.remove(0);
    let store = MemoryCache::new();
    let _ = store.insert(bytes.clone());
    let toc = estargz::open(&store, &layer).await.unwrap().unwrap();
    let end = bytes.len() - 51;
    // After the header of the gzip member every bit matters, except for padding in the last byte of its content.
    let mut unseen = 0;
    for at in (toc.offset as usize + 10)..end {
        match open_changed(&bytes, at).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidManifest, "byte {at}"),
            Ok(found) => {
                assert_eq!(found, Some(toc), "byte {at}");
                unseen += 1;
            }
        }
    }
    assert!(unseen <= 1, "{unseen} changes were not seen");
    for at in (end..end + 4).chain(end + 10..end + 38) {
        let opened = open_changed(&bytes, at).await;
        assert!(!matches!(opened, Ok(Some(found)) if found == toc), "byte {at}");
    }
    for length in 0..bytes.len() {
        let cut = bytes.slice(..length);
        let (store, blob) = (MemoryCache::new(), Descriptor::of(MediaType::OCI_LAYER_GZIP, &cut));
        let _ = store.insert(cut);
        assert!(matches!(estargz::open(&store, &blob).await, Ok(None)), "{length} bytes");
    }
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_found_by_the_checks_and_by_verify() {
    let fixture = fixtures::named("v0.32/max-estargz");
    let (_, document) = fixture.manifests().pop_first().unwrap();
    let manifest = fixture.load(document).await;
    let layer = manifest.blobs().iter().max_by_key(|blob| blob.size).unwrap();
    let bytes = fixture.document(&layer.digest);
    for at in (0..bytes.len()).step_by(97) {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        assert!(read(layer, &changed).await.is_err(), "byte {at}");
    }
    let store = Arc::new(MemoryCache::new());
    for blob in manifest.blobs() {
        let _ = store.insert(fixture.document(&blob.digest));
    }
    let mut changed = bytes.to_vec();
    changed[200] ^= 1;
    store.overwrite(layer.digest, changed);
    let report = verify(&manifest, store.as_ref(), Depth::Deep, 2).await.unwrap();
    assert_eq!(report.findings.iter().map(|f| f.code).collect::<Vec<_>>(), [FindingCode::BlobCorrupt]);
}
