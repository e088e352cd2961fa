//! The decoders and encoders of layers.

use bytes::Bytes;
use cache_core::model::LayerEncoding;
use cache_core::seams::stream_of;
use cache_core::{Compression, CompressionKind, ErrorKind, Result};
use cache_layers::{CodecPool, DecodeLimits, decode, encode};
use futures_util::{FutureExt, Stream, TryStreamExt};

/// The most bytes that a layer may decompress to.
const MAX_SIZE: u64 = 16 << 20;

/// A gzip layer decompresses, or is refused.
///
/// # Panics
/// When a promise is broken.
pub fn gzip(data: &[u8]) {
    check(LayerEncoding::Gzip, data);
}

/// A zstd layer decompresses, or is refused.
///
/// # Panics
/// When a promise is broken.
pub fn zstd(data: &[u8]) {
    check(LayerEncoding::Zstd, data);
}

/// All bytes are the same after compression and decompression.
///
/// # Panics
/// When a promise is broken.
pub fn encoders(data: &[u8]) {
    let pool = CodecPool::new(1);
    let (kind, level) = choose(data);
    let compression = Compression::new(kind).with_level(level).expect("the level is one of the kind's");
    let mut layer = encode(cut(data), &compression, &pool).expect("all kinds are built in");
    let bytes = collect(&mut layer).expect("memory does not fail");
    let encoded = layer.finish().expect("the stream has ended");
    assert_eq!(encoded.descriptor.size, bytes.len() as u64);
    let tar = collect(decode(kind.encoding(), cut(&bytes), &pool).expect("all kinds are built in"));
    assert_eq!(tar.expect("we made it"), data);
}

fn check(encoding: LayerEncoding, data: &[u8]) {
    let mut limits = DecodeLimits::default();
    limits.max_size = MAX_SIZE;
    let pool = CodecPool::new(1).with_limits(limits);
    let whole = collect(decode(encoding, stream_of(Bytes::copy_from_slice(data)), &pool).expect("it is built in"));
    let in_pieces = collect(decode(encoding, cut(data), &pool).expect("it is built in"));
    match (whole, in_pieces) {
        (Ok(whole), Ok(in_pieces)) => {
            assert_eq!(whole, in_pieces, "the pieces matter");
            assert!(whole.len() as u64 <= MAX_SIZE);
        }
        (Err(whole), Err(in_pieces)) => {
            for error in [whole, in_pieces] {
                assert!(matches!(error.kind(), ErrorKind::InvalidManifest | ErrorKind::LimitExceeded), "{error:?}");
            }
        }
        (whole, in_pieces) => panic!("the pieces matter: {:?}, {:?}", whole.err(), in_pieces.err()),
    }
}

/// The bytes in small pieces of several sizes.
fn cut(data: &[u8]) -> cache_core::BlobStream {
    let (mut rest, mut size) = (Bytes::copy_from_slice(data), 1);
    let pieces = std::iter::from_fn(move || {
        size = size * 5 % 1_021 + 1;
        (!rest.is_empty()).then(|| Ok(rest.split_to(size.min(rest.len()))))
    });
    Box::pin(futures_util::stream::iter(pieces))
}

/// Without a runtime, the pool works in the caller's thread, so that nothing is ever pending.
fn collect(stream: impl Stream<Item = Result<Bytes>> + Unpin) -> Result<Vec<u8>> {
    let add = |mut all: Vec<u8>, piece: Bytes| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    };
    stream.try_fold(Vec::new(), add).now_or_never().expect("memory is never pending")
}

/// A fast kind and level that depend on the input.
fn choose(data: &[u8]) -> (CompressionKind, i32) {
    let number = data.iter().fold(0_usize, |sum, &byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let kinds = [CompressionKind::Gzip, CompressionKind::Zstd, CompressionKind::Uncompressed];
    (kinds[number % kinds.len()], (number / kinds.len() % 5) as i32)
}
