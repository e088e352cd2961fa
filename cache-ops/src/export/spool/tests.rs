//! Layers in a file, side by side and one behind the other.

use cache_core::seams::stream_of;
use cache_core::{Compression, CompressionKind, Digest};
use cache_layers::{CodecPool, encode};
use futures_util::future::{join, try_join_all};

use super::*;

fn folder() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("buildcache-spool-{:016x}", cache_core::model::random_number()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The bytes as a layer, in pieces that end nowhere in particular.
fn layer(bytes: &Bytes) -> Encoding {
    let pieces: Vec<Result<Bytes>> = bytes.chunks(300_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let plain = Compression::new(CompressionKind::Uncompressed);
    encode(Box::pin(stream::iter(pieces)), &plain, &CodecPool::new(1)).unwrap()
}

async fn read(spooled: &Spooled, range: Option<Range<u64>>) -> Vec<u8> {
    let stream = spooled.read(&spooled.descriptor, range).await.unwrap();
    stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

#[tokio::test]
async fn layers_that_are_written_at_once_are_read_as_they_were_and_their_file_has_no_name() {
    let (dir, spool) = (folder(), Spool::default());
    let bytes: Vec<Bytes> = (0..4_u32).map(|n| (0..5 << 19).map(|at: u32| ((at >> 5) ^ n) as u8).collect()).collect();
    let spooled = try_join_all(bytes.iter().map(|bytes| spool.write(&dir, layer(bytes)))).await.unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    for (spooled, bytes) in spooled.iter().zip(&bytes) {
        assert_eq!(spooled.descriptor.digest, Digest::sha256(bytes));
        let (whole, part) = join(read(spooled, None), read(spooled, Some(7..2_000_000))).await;
        assert!(whole == *bytes && part == bytes[7..2_000_000]);
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn all_layers_of_a_folder_share_one_file_until_it_is_large() {
    let (dir, spool) = (folder(), Spool::default());
    let one = spool.write(&dir, layer(&Bytes::from_static(b"one"))).await.unwrap();
    let two = spool.write(&dir, layer(&Bytes::from_static(b"two"))).await.unwrap();
    assert!(Arc::ptr_eq(&one.file, &two.file));
    two.file.lock().end = FULL;
    let three = spool.write(&dir, layer(&Bytes::from_static(b"three"))).await.unwrap();
    assert!(!Arc::ptr_eq(&two.file, &three.file));
    assert_eq!((read(&one, None).await, read(&three, None).await), (b"one".to_vec(), b"three".to_vec()));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn bytes_are_found_in_the_stretch_that_has_them() {
    let extents = [Extent { layer: 0..10, at: 100 }, Extent { layer: 10..15, at: 300 }];
    let found = [0, 9, 10, 14, 15].map(|start| find(&extents, start));
    assert_eq!(found, [Some(100..110), Some(109..110), Some(300..305), Some(304..305), None]);
}

#[tokio::test]
async fn a_missing_directory_is_an_error_with_its_path() {
    let plain = Compression::new(CompressionKind::Uncompressed);
    let layer = encode(stream_of(Bytes::from_static(b"a")), &plain, &CodecPool::new(1)).unwrap();
    let error = Spool::default().write(Path::new("/nowhere/at/all"), layer).await.err().unwrap();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}
