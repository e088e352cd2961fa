//! Layers made from directories: reproducible, complete, and readable by other programs.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::seams::stream_of;
use cache_core::{BlobProvider, Compression, CompressionKind, Digest, ErrorKind, Result, annotation, read_all};
use cache_layers::{LayerDir, TreeOptions, tar_tree};
use futures_util::stream::{StreamExt, TryStreamExt};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};
use tempfile::TempDir;

/// A tree with files of every kind that needs no privileges.
fn tree() -> TempDir {
    let tree = TempDir::with_prefix("cache-layer-").unwrap();
    let at = |name: &str| tree.path().join(name);
    let deep = format!("{}/{}", ["d".repeat(60), "e".repeat(60), "f".repeat(60)].join("/"), "n".repeat(90));
    fs::create_dir_all(at(&deep)).unwrap();
    fs::create_dir(at("empty")).unwrap();
    for (name, content) in [
        ("b", b"second".to_vec()),
        ("a", b"first".to_vec()),
        ("nothing", Vec::new()),
        ("ümlaut", b"\xff\0".to_vec()),
        ("large", b"0123456789abcdef".repeat(70_000)),
        (&format!("{deep}/file"), vec![7; 513]),
    ] {
        fs::write(at(name), content).unwrap();
    }
    fs::set_permissions(at("a"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(at("empty"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::hard_link(at("b"), at("empty/b")).unwrap();
    fs::hard_link(at("nothing"), at("zero")).unwrap();
    symlink(format!("/{deep}/{}", "target".repeat(20)), at("link")).unwrap();
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    setxattr(at("a"), "user.note", b"\0=\n", XattrFlags::empty()).unwrap();
    tree
}

async fn tar_of(path: &Path, options: &TreeOptions) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = tar_tree(path, options).try_collect().await?;
    Ok(pieces.concat())
}

fn reproducible() -> TreeOptions {
    TreeOptions::default().with_source_date_epoch(1_700_000_000).with_owner(0, 0)
}

/// The type, the header and the content of each path, as read by another implementation.
fn entries(tar: &[u8]) -> BTreeMap<String, (tar::EntryType, tar::Header, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let read = |mut entry: tar::Entry<'_, &[u8]>| {
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        (path, (entry.header().entry_type(), entry.header().clone(), content))
    };
    archive.entries().unwrap().map(|entry| read(entry.unwrap())).collect()
}

#[tokio::test]
async fn equal_trees_give_equal_bytes() {
    let (first, second) = (tree(), tree());
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    fs::File::open(second.path().join("b")).unwrap().set_modified(old).unwrap();
    let tar = tar_of(first.path(), &reproducible()).await.unwrap();
    assert!(tar == tar_of(second.path(), &reproducible()).await.unwrap());
    assert!(tar == tar_of(first.path(), &reproducible()).await.unwrap());
}

#[tokio::test]
async fn entries_are_sorted_and_directories_come_first() {
    let tree = tree();
    let tar = tar_of(tree.path(), &reproducible()).await.unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let paths: Vec<Vec<u8>> = archive.entries().unwrap().map(|e| e.unwrap().path_bytes().into_owned()).collect();
    let mut sorted = paths.clone();
    // A slash sorts before all other bytes, since the entries of a directory follow it at once.
    sorted.sort_by_key(|path| path.iter().map(|&b| if b == b'/' { 0 } else { b }).collect::<Vec<u8>>());
    assert_eq!(paths, sorted);
    assert!(paths.iter().all(|path| !path.starts_with(b"/") && !path.starts_with(b".")));
}

#[tokio::test]
async fn unpacking_gives_the_tree_again() {
    let tree = tree();
    let tar = tar_of(tree.path(), &TreeOptions::default()).await.unwrap();
    let unpacked = TempDir::with_prefix("cache-layer-").unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    // The crate cannot create FIFOs.
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type() != tar::EntryType::Fifo {
            entry.unpack_in(unpacked.path()).unwrap();
        }
    }
    let mut seen = 0;
    for (path, (kind, _, content)) in entries(&tar) {
        let (before, after) = (tree.path().join(&path), unpacked.path().join(&path));
        if kind == tar::EntryType::Fifo {
            continue;
        }
        let (was, is) = (fs::symlink_metadata(&before).unwrap(), fs::symlink_metadata(&after).unwrap());
        assert_eq!((is.file_type(), is.nlink()), (was.file_type(), was.nlink()), "{path}");
        match () {
            () if was.is_symlink() => assert_eq!(fs::read_link(&after).unwrap(), fs::read_link(&before).unwrap()),
            () if was.is_dir() => assert_eq!(is.mode(), was.mode(), "{path}"),
            () => {
                assert_eq!((is.mode(), is.mtime(), is.size()), (was.mode(), was.mtime(), was.size()), "{path}");
                assert!(fs::read(&after).unwrap() == fs::read(&before).unwrap(), "{path}");
                assert!(kind == tar::EntryType::Link || content.len() as u64 == was.size(), "{path}");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[tokio::test]
async fn attributes_and_hard_links_are_kept() {
    let tree = tree();
    let tar = tar_of(tree.path(), &reproducible()).await.unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut first = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(first.path_bytes().as_ref(), b"a");
    assert_eq!(first.header().mode().unwrap(), 0o4755);
    // `tar` splits records at line feeds, so the raw record is compared.
    let record = b"30 SCHILY.xattr.user.note=\0=\n\n";
    assert!(tar[512..1024].starts_with(record), "{:?}", first.pax_extensions().is_ok());
    let entries = entries(&tar);
    assert_eq!(entries["empty/b"].0, tar::EntryType::Link);
    assert_eq!(entries["empty/b"].1.link_name().unwrap().unwrap().as_os_str(), "b");
    assert_eq!(entries["zero"].0, tar::EntryType::Link);
    assert_eq!(entries["fifo"].0, tar::EntryType::Fifo);
}

#[tokio::test]
async fn only_later_times_are_changed() {
    let tree = TempDir::with_prefix("cache-layer-").unwrap();
    for (name, seconds) in [("old", 5), ("new", 1_800_000_000)] {
        let file = fs::File::create(tree.path().join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 900)).unwrap();
    }
    let entries = entries(&tar_of(tree.path(), &reproducible()).await.unwrap());
    assert_eq!(entries["old"].1.mtime().unwrap(), 5);
    assert_eq!(entries["new"].1.mtime().unwrap(), 1_700_000_000);
}

#[tokio::test]
async fn what_overlayfs_deleted_becomes_whiteouts() {
    let tree = TempDir::with_prefix("cache-layer-").unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::create_dir(at("opaque")).unwrap();
    fs::write(at("opaque/.hidden"), "h").unwrap();
    setxattr(at("opaque"), "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    fs::create_dir(at("dir")).unwrap();
    // On Linux everyone may create the device 0:0, for this purpose.
    mknodat(CWD, at("dir/gone"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
    fs::write(at(".wh.by-hand"), "").unwrap();
    let entries = entries(&tar_of(tree.path(), &reproducible()).await.unwrap());
    let paths: Vec<&str> = entries.keys().map(String::as_str).collect();
    let expected = [".wh.by-hand", "dir/", "dir/.wh.gone", "opaque/", "opaque/.hidden", "opaque/.wh..wh..opq"];
    assert_eq!(paths, expected);
    for name in ["dir/.wh.gone", "opaque/.wh..wh..opq"] {
        assert_eq!((entries[name].0, entries[name].2.len()), (tar::EntryType::Regular, 0));
    }
}

#[tokio::test]
async fn deep_trees_need_no_stack() {
    let tree = TempDir::with_prefix("cache-layer-").unwrap();
    let deep = "d/".repeat(700);
    fs::create_dir_all(tree.path().join(&deep)).unwrap();
    let entries = entries(&tar_of(tree.path(), &reproducible()).await.unwrap());
    assert_eq!(entries.len(), 700);
    assert!(entries.contains_key(&deep));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error_with_its_path() {
    let error = tar_of(Path::new("/nowhere/at-all"), &TreeOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.context("path"), Some("/nowhere/at-all"));
}

#[tokio::test]
async fn a_stream_that_is_dropped_early_does_no_harm() {
    let tree = tree();
    let mut stream = tar_tree(tree.path(), &reproducible());
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
}

#[tokio::test]
async fn layers_are_blobs_that_can_be_exported() {
    let (tree, scratch) = (tree(), TempDir::with_prefix("cache-layer-").unwrap());
    let tar = tar_of(tree.path(), &reproducible()).await.unwrap();
    for kind in CompressionKind::ALL {
        let layers = LayerDir::new(scratch.path().join("new")).with_compression(Compression::new(kind));
        let layer = layers.add(tar_tree(tree.path(), &reproducible())).await.unwrap();
        assert_eq!(layer, layers.add(stream_of(tar.clone().into())).await.unwrap());
        assert_eq!(layers.stat(&layer).await.unwrap().unwrap().size, layer.size);
        let bytes = read_all(&layers, &layer, 1 << 30).await.unwrap();
        let middle: Vec<Bytes> = layers.read(&layer, Some(3..11)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(middle.concat(), bytes[3..11]);
        assert_eq!(layer.media_type.layer_encoding(), Some(kind.encoding()));
        if kind != CompressionKind::Estargz {
            assert_eq!(layer.diff_id().unwrap().0, Digest::sha256(&tar));
        }
        assert_eq!(layer.annotations.contains_key(annotation::ESTARGZ_TOC), kind == CompressionKind::Estargz);
    }
    assert_eq!(fs::read_dir(scratch.path().join("new")).unwrap().count(), CompressionKind::ALL.len());
}

#[tokio::test]
async fn a_layer_that_fails_leaves_nothing_behind() {
    let scratch = TempDir::with_prefix("cache-layer-").unwrap();
    let layers = LayerDir::new(scratch.path());
    let error = layers.add(tar_tree("/nowhere/at-all", &reproducible())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let stuck =
        Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"x"))]).chain(futures_util::stream::pending()));
    assert!(tokio::time::timeout(Duration::from_millis(50), layers.add(stuck)).await.is_err());
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    let missing = layers.add(stream_of("x".into())).await.unwrap();
    fs::remove_file(fs::read_dir(scratch.path()).unwrap().next().unwrap().unwrap().path()).unwrap();
    assert!(layers.stat(&missing).await.unwrap().is_none());
    assert_eq!(layers.read(&missing, None).await.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
}
