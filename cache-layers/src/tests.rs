//! Round trips with any number of threads, and errors for corrupt layers.

use bytes::Bytes;
use cache_core::model::{Compression, CompressionKind, Descriptor, DiffId, Digest, MediaType, annotation};
use cache_core::seams::{BlobStream, stream_of};
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::*;

/// Bytes that compress about as text does, the same on every run.
fn text(len: usize) -> Bytes {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 40) % 1_000;
        format!("{word} ").into_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(len / 3 + 1).flatten().collect();
    bytes.truncate(len);
    bytes.into()
}

/// The bytes in pieces of several sizes.
fn pieces(bytes: &Bytes) -> BlobStream {
    let (mut rest, mut size) = (bytes.clone(), 1);
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        pieces.push(Ok(rest.split_to(size.min(rest.len()))));
        size = size * 7 % 300_007 + 1;
    }
    Box::pin(iter(pieces))
}

async fn collect(stream: impl futures_util::Stream<Item = Result<Bytes>> + Unpin) -> Result<Bytes> {
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat().into())
}

async fn compressed(tar: BlobStream, compression: Compression, pool: &CodecPool) -> (Encoded, Bytes) {
    let mut encoding = encode(tar, &compression, pool).unwrap();
    let bytes = collect(&mut encoding).await.unwrap();
    (encoding.finish().unwrap(), bytes)
}

/// The kinds that this build has and that are not of another file.
fn kinds() -> impl Iterator<Item = CompressionKind> {
    let kinds = [CompressionKind::Uncompressed, CompressionKind::Gzip, CompressionKind::Zstd];
    kinds.into_iter().filter(|kind| can_encode(*kind))
}

#[tokio::test]
async fn a_layer_decompresses_to_its_tar_and_is_described_in_one_pass() {
    let pool = CodecPool::new(2);
    for kind in kinds() {
        for len in [0, 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 17] {
            let tar = text(len);
            let (encoded, bytes) = compressed(pieces(&tar), Compression::new(kind), &pool).await;
            let expected = Descriptor::of(encoded.descriptor.media_type.clone(), &bytes)
                .with_annotation(annotation::UNCOMPRESSED, Digest::sha256(&tar));
            assert_eq!(encoded.descriptor, expected);
            assert_eq!(encoded.descriptor.media_type.layer_encoding(), Some(kind.encoding()));
            assert_eq!((encoded.diff_id.0, encoded.uncompressed_size), (Digest::sha256(&tar), len as u64));
            let decoded = decode(kind.encoding(), pieces(&bytes), &pool).unwrap();
            assert!(collect(decoded).await.unwrap() == tar, "{kind} {len}");
            if kind != CompressionKind::Uncompressed {
                assert_eq!(detect_encoding(&bytes), kind.encoding());
            }
        }
    }
}

#[tokio::test]
async fn bytes_depend_on_neither_threads_nor_pieces() {
    // Two jobs of libzstd at level 3, whose jobs are 8 MiB long.
    let tar = text(9 << 20);
    for kind in kinds() {
        let (_, expected) = compressed(stream_of(tar.clone()), Compression::new(kind), &CodecPool::new(1)).await;
        for threads in [1, 2, 5] {
            let (_, bytes) = compressed(pieces(&tar), Compression::new(kind), &CodecPool::new(threads)).await;
            assert!(bytes == expected, "{kind} with {threads} threads");
        }
    }
}

#[tokio::test]
async fn every_level_encodes_a_layer() {
    let (tar, pool) = (text(200_000), CodecPool::new(2));
    for kind in kinds() {
        for level in kind.levels().into_iter().flatten() {
            let compression = Compression::new(kind).with_level(level).unwrap();
            let (_, bytes) = compressed(stream_of(tar.clone()), compression, &pool).await;
            let decoded = decode(kind.encoding(), stream_of(bytes), &pool).unwrap();
            assert!(collect(decoded).await.unwrap() == tar, "{kind} {level}");
        }
    }
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn a_gzip_header_has_no_time_and_no_system() {
    let (_, bytes) = compressed(pieces(&text(10)), Compression::default(), &CodecPool::new(1)).await;
    assert_eq!((&bytes[..8], bytes[9]), ([0x1f, 0x8b, 8, 0, 0, 0, 0, 0].as_slice(), 0xff));
}

#[tokio::test]
async fn a_layer_that_was_not_read_to_its_end_is_not_described() {
    let pool = CodecPool::new(1);
    for kind in kinds() {
        let mut encoding = encode(pieces(&text(3 << 20)), &Compression::new(kind), &pool).unwrap();
        assert!(encoding.finish().is_err());
        assert!(encoding.next().await.is_some());
        assert!(encoding.finish().is_err());
    }
}

#[tokio::test]
async fn an_error_of_the_source_comes_through_and_ends_the_layer() {
    let pool = CodecPool::new(2);
    for kind in kinds() {
        let reset = || Err(Error::new(ErrorKind::Unavailable, "connection reset"));
        let tar: BlobStream = Box::pin(iter([Ok(text(3 << 20)), reset()]));
        let mut encoding = encode(tar, &Compression::new(kind), &pool).unwrap();
        assert_eq!(collect(&mut encoding).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(encoding.next().await.is_none());
        assert!(encoding.finish().is_err());
        let decoded = decode(kind.encoding(), Box::pin(iter([reset()])), &pool).unwrap();
        assert_eq!(collect(decoded).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn too_few_and_too_many_bytes_do_not_decompress() {
    let (tar, pool) = (text(2 << 20), CodecPool::new(2));
    for kind in kinds().filter(|kind| *kind != CompressionKind::Uncompressed) {
        let (_, good) = compressed(pieces(&tar), Compression::new(kind), &pool).await;
        let bad = [
            Bytes::new(),
            good.slice(..3),
            good.slice(..good.len() / 2),
            good.slice(..good.len() - 1),
            [&good[..], b"x"].concat().into(),
            [&good[..], &[0; 512]].concat().into(),
            tar.clone(),
        ];
        for (n, bytes) in bad.into_iter().enumerate() {
            let error = collect(decode(kind.encoding(), pieces(&bytes), &pool).unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{kind} {n}");
        }
        let twice: Bytes = [&good[..], &good[..]].concat().into();
        let decoded = collect(decode(kind.encoding(), pieces(&twice), &pool).unwrap()).await.unwrap();
        assert_eq!(decoded.len(), 2 * tar.len(), "members and frames follow each other");
    }
}

#[tokio::test]
async fn output_larger_than_the_buffer_is_complete_in_pieces_of_any_size() {
    let pool = CodecPool::new(1);
    for kind in kinds() {
        // One byte decodes to more than the decoder's buffer, and some of them end where the buffer ends.
        for len in [65_536 - 1, 65_536, 1 << 20, (3 << 20) - 1, 3 << 20] {
            let zeros = Bytes::from(vec![0; len]);
            let (_, bytes) = compressed(stream_of(zeros.clone()), Compression::new(kind), &pool).await;
            for each in [1, 5, bytes.len()] {
                let some: Vec<_> =
                    bytes.chunks(each.max(bytes.len() / 5_000)).map(Bytes::copy_from_slice).map(Ok).collect();
                let decoded = decode(kind.encoding(), Box::pin(iter(some)), &pool).unwrap();
                assert!(collect(decoded).await.unwrap() == zeros, "{kind} {len} {each}");
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_does_not_decompress_to_something_else() {
    let (tar, pool) = (text(100_000), CodecPool::new(1));
    for kind in kinds().filter(|kind| *kind != CompressionKind::Uncompressed) {
        let (_, good) = compressed(pieces(&tar), Compression::new(kind), &pool).await;
        for at in (0..good.len()).step_by(good.len() / 97) {
            let mut bytes = good.to_vec();
            bytes[at] ^= 0x10;
            let decoded = collect(decode(kind.encoding(), stream_of(bytes.into()), &pool).unwrap()).await;
            assert!(decoded.is_err_and(|error| error.kind() == ErrorKind::InvalidManifest) || at < 10, "{kind} {at}");
        }
    }
}

#[tokio::test]
async fn a_bomb_is_stopped_by_size_and_by_ratio() {
    let zeros: Bytes = vec![0; 80 << 20].into();
    for kind in kinds().filter(|kind| *kind != CompressionKind::Uncompressed) {
        let (_, bomb) = compressed(stream_of(zeros.clone()), Compression::new(kind), &CodecPool::new(2)).await;
        let limits = DecodeLimits::default();
        for limits in [DecodeLimits { max_size: 1 << 20, ..limits }, DecodeLimits { max_ratio: 100, ..limits }] {
            let pool = CodecPool::new(2).with_limits(limits);
            let mut decoded = decode(kind.encoding(), stream_of(bomb.clone()), &pool).unwrap();
            let mut size = 0_u64;
            let error = loop {
                match decoded.next().await.unwrap() {
                    Ok(piece) => size += piece.len() as u64,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{kind}");
            assert!(size <= limits.max_size.min(DecodeLimits::UNCOUNTED), "{kind}: {size} bytes came out");
        }
        let decoded = decode(kind.encoding(), stream_of(bomb), &CodecPool::new(2)).unwrap();
        assert_eq!(collect(decoded).await.unwrap(), zeros);
    }
}

#[tokio::test]
async fn a_converted_layer_keeps_its_diff_id_its_time_and_its_family() {
    let (tar, pool) = (text(100_000), CodecPool::new(2));
    for (from, to) in kinds().flat_map(|from| kinds().map(move |to| (from, to))) {
        let (layer, bytes) = compressed(pieces(&tar), Compression::new(from), &pool).await;
        let mut old = layer.descriptor.with_annotation(annotation::CREATED_AT, "2026-11-23T07:40:36Z");
        old = old.with_annotation("other", "fact");
        old.media_type = old.media_type.to_docker();
        let mut encoding = recompress(&old, pieces(&bytes), &Compression::new(to), &pool).unwrap();
        let bytes = collect(&mut encoding).await.unwrap();
        let new = encoding.finish().unwrap().descriptor;
        let mut expected = Descriptor::of(new.media_type.clone(), &bytes);
        for key in [annotation::UNCOMPRESSED, annotation::CREATED_AT] {
            expected = expected.with_annotation(key, old.annotations.get(key).unwrap());
        }
        assert_eq!(new, expected);
        assert_eq!(new.media_type.to_docker(), new.media_type);
        assert_eq!(new.media_type.layer_encoding(), Some(to.encoding()));
    }
}

#[tokio::test]
async fn a_layer_of_another_tar_is_not_converted() {
    let (tar, pool) = (text(1_000), CodecPool::new(2));
    for kind in kinds() {
        let layer = Descriptor::of(MediaType::OCI_LAYER, &tar)
            .with_annotation(annotation::UNCOMPRESSED, Digest::sha256(b"another tar"));
        let mut encoding = recompress(&layer, stream_of(tar.clone()), &Compression::new(kind), &pool).unwrap();
        assert_eq!(collect(&mut encoding).await.unwrap_err().kind(), ErrorKind::DigestMismatch, "{kind}");
        assert!(encoding.finish().is_err());
    }
    let config = Descriptor::of(MediaType::OCI_CONFIG, b"{}");
    let error = recompress(&config, stream_of("{}".into()), &Compression::default(), &pool).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_plain_tar_that_was_verified_is_not_hashed_again() {
    let (tar, pool, verified) = (text(100_000), CodecPool::new(2), Digest::sha256(b"what the reader has found"));
    for kind in kinds() {
        let found = async |media_type: MediaType| {
            let layer = Descriptor::new(media_type, verified, tar.len() as u64);
            let mut encoding = recompress(&layer, pieces(&tar), &Compression::new(kind), &pool).unwrap();
            collect(&mut encoding).await.unwrap();
            encoding.finish().unwrap()
        };
        let encoded = found(MediaType::OCI_LAYER).await;
        assert_eq!(encoded.uncompressed_size, tar.len() as u64);
        assert_eq!(encoded.diff_id, DiffId(verified), "{kind}");
        // The bytes decide and not this type, so they may be compressed.
        assert_eq!(found(MediaType::OCI_LAYER.to_docker()).await.diff_id, DiffId(Digest::sha256(&tar)), "{kind}");
    }
}

#[test]
fn a_kind_that_is_not_built_in_is_an_error() {
    for kind in CompressionKind::ALL.into_iter().filter(|kind| !can_encode(*kind)) {
        let error = encode(stream_of(Bytes::new()), &Compression::new(kind), &CodecPool::new(1)).unwrap_err();
        assert_eq!(error.to_string(), format!("this program was built without {kind} compression"));
    }
}
