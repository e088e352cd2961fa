//! Layers made at run time: small real tar archives, compressed in every way that BuildKit extracts.

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use cache_core::model::LayerEncoding;
use cache_core::{Descriptor, Digest, MediaType, annotation};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::random::Random;

/// Makes a layer of one file with about `len` random characters.
///
/// The descriptor has the diff ID and, in some cases, the creation time.
#[must_use]
pub fn layer(random: &mut Random, len: usize) -> (Descriptor, Bytes) {
    let text: Vec<u8> = random.bytes(len).into_iter().map(|byte| b'a' + byte % 26).collect();
    let tar = tar_of("file", &text);
    let encodings = [LayerEncoding::Uncompressed, LayerEncoding::Gzip, LayerEncoding::Zstd];
    let (media_type, bytes) = encode(*random.pick(&encodings), &tar);
    let mut descriptor =
        Descriptor::of(media_type, &bytes).with_annotation(annotation::UNCOMPRESSED, Digest::sha256(&tar));
    if !random.is_one_in(4) {
        descriptor = descriptor.with_annotation(annotation::CREATED_AT, super::time(random));
    }
    (descriptor, bytes)
}

fn encode(encoding: LayerEncoding, tar: &[u8]) -> (MediaType, Bytes) {
    match encoding {
        LayerEncoding::Gzip => (MediaType::OCI_LAYER_GZIP, read(GzipEncoder::new(tar))),
        LayerEncoding::Zstd => (MediaType::OCI_LAYER_ZSTD, read(ZstdEncoder::new(tar))),
        _ => (MediaType::OCI_LAYER, Bytes::copy_from_slice(tar)),
    }
}

fn read(mut encoder: impl AsyncRead + Unpin) -> Bytes {
    let mut out = Vec::new();
    let read = encoder.read_to_end(&mut out).now_or_never();
    read.expect("memory is never pending").expect("memory never fails");
    out.into()
}

/// A ustar archive of one file (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>).
#[must_use]
pub fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\x000000000\x000000000\x00");
    put(124, &format!("{:011o}\0{:011o}\0", content.len(), 0));
    put(148, "        0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}
