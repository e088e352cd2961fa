//! Tar streams that become eStargz layers and tars again.

use bytes::Bytes;
use cache_core::seams::stream_of;
use cache_core::{Compression, CompressionKind, ErrorKind, Result};
use cache_layers::{CodecPool, encode, recompress};
use futures_util::FutureExt;
use futures_util::stream::{Stream, TryStreamExt};

/// The errors that a tar stream may have.
const EXPECTED: [ErrorKind; 3] = [ErrorKind::InvalidManifest, ErrorKind::Unsupported, ErrorKind::LimitExceeded];

/// A stream is refused, or becomes a layer that converts back to the same stream.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    check(data);
    let mut repaired = data.to_vec();
    repair(&mut repaired);
    if repaired != data {
        check(&repaired);
    }
}

fn check(tar: &[u8]) {
    let tar = Bytes::copy_from_slice(tar);
    // Without a runtime, the pool works in the caller's thread, so that nothing is ever pending.
    let pool = CodecPool::new(1);
    let mut layer = encode(stream_of(tar.clone()), &Compression::new(CompressionKind::Estargz), &pool)
        .expect("this build has the codec");
    let bytes = match collect(&mut layer) {
        Ok(bytes) => bytes,
        Err(error) => return assert!(EXPECTED.contains(&error.kind()), "{error:?}"),
    };
    let layer = layer.finish().expect("it was read to its end").descriptor;
    let plain = Compression::new(CompressionKind::Uncompressed);
    let back = recompress(&layer, stream_of(bytes), &plain, &pool).expect("it is a layer");
    assert!(collect(back).expect("it was just written") == tar, "another tar comes back");
}

fn collect(stream: impl Stream<Item = Result<Bytes>>) -> Result<Bytes> {
    let pieces: Vec<Bytes> = stream.try_collect().now_or_never().expect("nothing has to be waited for")?;
    Ok(pieces.concat().into())
}

/// Corrects the checksums of all headers, so that mutations get past them.
fn repair(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}
