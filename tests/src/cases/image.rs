//! Images that a cache can be written into, for backends that hold images.

use cache_core::manifest::Document;
use cache_core::seams::ImageStore;
use cache_core::{Descriptor, ErrorKind, Expect, MediaType, Version, read_all};

use crate::harness::Harness;

/// A name without a document is not an image, and looking it up leaves no trace.
pub async fn root_of_nothing_is_none_and_creates_nothing(place: &dyn Harness) {
    let Some(store) = place.image().await else { return };
    let before = place.contents().await;
    assert_eq!(store.root().await.unwrap(), None);
    assert_eq!(store.stat(&config("a").descriptor).await.unwrap(), None);
    assert_eq!(place.contents().await, before);
}

/// The name points to the bytes that were written, with their media type.
pub async fn put_root_then_root_gives_the_same_document(place: &dyn Harness) {
    let Some(store) = place.image().await else { return };
    for (n, media_type) in [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST].into_iter().enumerate() {
        let (config, manifest) = image(&format!("image {n}"), media_type);
        store.put(&config).await.unwrap();
        let written = store.put_root(&manifest, Expect::Any).await.unwrap();
        let (found, version) = store.root().await.unwrap().expect("it was written");
        assert_eq!((found.bytes, version), (manifest.bytes, written));
        assert_eq!(found.descriptor.media_type, manifest.descriptor.media_type);
        assert_eq!(read(&*store, &config.descriptor).await, config.bytes);
    }
}

/// Manifests below an index are read by their descriptors, like blobs.
pub async fn an_index_leads_to_its_manifests(place: &dyn Harness) {
    let Some(store) = place.image().await else { return };
    let images = ["amd64", "arm64"].map(|name| image(name, MediaType::OCI_MANIFEST));
    let entries: Vec<&Descriptor> = images.iter().map(|(_, manifest)| &manifest.descriptor).collect();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(), "manifests": entries
    });
    let index = Document::new(MediaType::OCI_INDEX, index.to_string());
    for (config, manifest) in &images {
        store.put(config).await.unwrap();
        store.put(manifest).await.unwrap();
    }
    store.put_root(&index, Expect::Absent).await.unwrap();
    assert_eq!(store.root().await.unwrap().expect("it was written").0.bytes, index.bytes);
    for (config, manifest) in &images {
        assert_eq!(read(&*store, &manifest.descriptor).await, manifest.bytes);
        assert_eq!(read(&*store, &config.descriptor).await, config.bytes);
    }
}

/// A document that is put can be read, can be put twice, and is not reachable by the name until the root is written.
pub async fn put_is_idempotent_and_not_reachable_by_name(place: &dyn Harness) {
    let Some(store) = place.image().await else { return };
    let (config, manifest) = image("a", MediaType::OCI_MANIFEST);
    for _ in 0..2 {
        store.put(&config).await.unwrap();
        store.put(&manifest).await.unwrap();
        assert_eq!(store.root().await.unwrap(), None);
    }
    assert_eq!(read(&*store, &config.descriptor).await, config.bytes);
    assert_eq!(read(&*store, &manifest.descriptor).await, manifest.bytes);
}

/// A root replaces the previous one, of any kind.
pub async fn put_root_replaces(place: &dyn Harness) {
    let Some(store) = place.image().await else { return };
    let [first, second] = [write(&*store, "a", Expect::Any).await, write(&*store, "b", Expect::Any).await];
    assert_ne!(first, second);
    assert_eq!(version(&*store).await, second.unwrap());
}

/// A write that expects a free name does not replace an existing root.
pub async fn put_root_absent_conflicts_when_something_is_there(place: &dyn Harness) {
    let Some(store) = place.image().await else { return };
    let first = write(&*store, "a", Expect::Absent).await.unwrap();
    assert_eq!(write(&*store, "b", Expect::Absent).await, Err(ErrorKind::Conflict));
    assert_eq!(version(&*store).await, first);
}

/// A write that expects a replaced version writes nothing.
pub async fn put_root_version_conflicts_after_another(place: &dyn Harness) {
    let Some(store) = place.image().await else { return };
    let first = write(&*store, "a", Expect::Absent).await.unwrap();
    let second = write(&*store, "b", Expect::Version(first.clone())).await.unwrap();
    assert_eq!(write(&*store, "c", Expect::Version(first)).await, Err(ErrorKind::Conflict));
    assert_eq!(version(&*store).await, second);
}

async fn write(store: &dyn ImageStore, name: &str, expect: Expect) -> Result<Version, ErrorKind> {
    let (config, manifest) = image(name, MediaType::OCI_MANIFEST);
    store.put(&config).await.unwrap();
    store.put_root(&manifest, expect).await.map_err(|error| error.kind())
}

async fn version(store: &dyn ImageStore) -> Version {
    store.root().await.unwrap().expect("the name leads somewhere").1
}

async fn read(store: &dyn ImageStore, document: &Descriptor) -> bytes::Bytes {
    read_all(store, document, 1 << 20).await.expect("it was put")
}

/// An image config, another one for each name.
fn config(name: &str) -> Document {
    let config = serde_json::json!({ "author": name, "rootfs": { "type": "layers", "diff_ids": [] } });
    Document::new(MediaType::OCI_CONFIG, config.to_string())
}

/// An image without layers, which every registry takes.
fn image(name: &str, media_type: MediaType) -> (Document, Document) {
    let mut config = config(name);
    if media_type == MediaType::DOCKER_MANIFEST {
        config.descriptor.media_type = MediaType::from("application/vnd.docker.container.image.v1+json");
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type.as_str(), "config": config.descriptor, "layers": []
    });
    (config, Document::new(media_type, manifest.to_string()))
}
