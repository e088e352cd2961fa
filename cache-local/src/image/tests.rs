//! Images in directories: which fields an entry of `index.json` keeps, and which readers do not see it.

use std::fs;

use cache_core::seams::ImageBackend as _;
use cache_core::{ErrorKind, MediaType};

use super::*;
use crate::Local;
use crate::tests::{blob_path, copy_of, files, fixture_index};

const IMAGE: &str = "v0.32/inline-image";

fn image(root: &Path) -> LocalImage {
    LocalImage::new(LocalConfig::new(root))
}

fn document(text: &str) -> Document {
    Document::new(MediaType::OCI_MANIFEST, text.to_owned())
}

#[tokio::test]
async fn the_root_is_the_manifest_of_the_entry_with_its_version() {
    let layout = copy_of(IMAGE);
    let (root, version) = image(layout.path()).root().await.unwrap().unwrap();
    assert!(fixture_index(IMAGE).contains(&root.descriptor.digest.to_string()));
    assert_eq!(version.as_str(), root.descriptor.digest.to_string());
    let by_digest = LocalImage::new(LocalConfig::new(layout.path()).with_digest(root.descriptor.digest));
    assert_eq!(by_digest.root().await.unwrap().unwrap().0, root);
}

#[tokio::test]
async fn a_missing_image_is_none_and_nothing_is_created() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(image(&folder.path().join("none")).root().await.unwrap(), None);
    let layout = copy_of(IMAGE);
    let tagged = LocalImage::new(LocalConfig::new(layout.path()).with_tag("other"));
    assert_eq!(tagged.root().await.unwrap(), None);
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_root_changes_nothing_in_its_entry_but_digest_and_size() {
    let layout = copy_of(IMAGE);
    let store = image(layout.path());
    let (old, version) = store.root().await.unwrap().unwrap();
    let (below, root) = (document("below"), document("a new root"));
    store.put(&below).await.unwrap();
    store.put_root(&root, Expect::Version(version)).await.unwrap();

    let expected = fixture_index(IMAGE)
        .replace(&old.descriptor.digest.to_string(), &root.descriptor.digest.to_string())
        .replace(&format!("\"size\":{}", old.bytes.len()), &format!("\"size\":{}", root.bytes.len()));
    assert_eq!(fs::read_to_string(layout.path().join("index.json")).unwrap(), expected);
    assert_eq!(store.root().await.unwrap().unwrap().0.bytes, root.bytes);
    assert_eq!(fs::read(blob_path(layout.path(), &below.descriptor.digest)).unwrap(), *b"below");
}

#[tokio::test]
async fn a_root_replaced_by_another_writer_is_a_conflict() {
    let layout = copy_of(IMAGE);
    let (store, other) = (image(layout.path()), image(layout.path()));
    let (_, version) = store.root().await.unwrap().unwrap();
    other.put_root(&document("theirs"), Expect::Version(version.clone())).await.unwrap();
    let lost = store.put_root(&document("ours"), Expect::Version(version)).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Conflict);
    assert_eq!(store.root().await.unwrap().unwrap().0.bytes, "theirs");
}

#[tokio::test]
async fn the_root_is_not_written_if_a_document_was_deleted() {
    let layout = copy_of(IMAGE);
    let store = image(layout.path());
    let below = document("below");
    store.put(&below).await.unwrap();
    fs::remove_file(blob_path(layout.path(), &below.descriptor.digest)).unwrap();
    let error = store.put_root(&document("root"), Expect::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    assert_eq!(fs::read_to_string(layout.path().join("index.json")).unwrap(), fixture_index(IMAGE));
}

#[tokio::test]
async fn paths_and_layouts_are_ours_and_references_are_not() {
    let layout = copy_of(IMAGE);
    let open = async |image: &str| Local.image(&format!("type=inline,image={image}").parse().unwrap()).await;
    for ours in [layout.path().to_str().unwrap(), "/nonexistent", "./nonexistent", "../x"] {
        assert!(open(ours).await.unwrap().is_some(), "{ours}");
    }
    for other in ["alpine", "localhost:5000/app:latest", "registry.example/app@sha256:00"] {
        assert!(open(other).await.unwrap().is_none(), "{other}");
    }
    assert_eq!(open("/x,tga=y").await.err().unwrap().hint(), Some("did you mean tag?"));
    assert_eq!(open("/x,tag=").await.err().unwrap().kind(), ErrorKind::InvalidSpec);
}
