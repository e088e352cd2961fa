//! The names of blobs and indexes, and the content of an index.

use bytes::Bytes;
use cache_azblob::AzblobStore;
use cache_core::{
    CacheChains, CacheConfig, CacheExporter, CacheImporter, CacheManifest, CacheStore, Descriptor, ErrorKind, Expect,
};
use cache_tests::fixtures;
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use futures_util::stream::TryStreamExt;

use crate::{blob, exporter, importer, names, write};

/// The names are those of a real BuildKit.
#[tokio::test(start_paused = true)]
async fn blobs_are_named_as_buildkit_names_them() {
    let (desc, source) = blob("layer");
    let layer = desc.digest;
    for (attributes, index, blob) in [
        (&[("prefix", "a/b"), ("name", "n1")][..], "a/b/manifests/n1", format!("a/b/blobs/{layer}")),
        (&[("prefix", "/lead/"), ("name", "n2")], "/lead/manifests/n2", format!("/lead/blobs/{layer}")),
        (
            &[("prefix", "p"), ("manifests_prefix", "../m"), ("blobs_prefix", "./b//x/"), ("name", "n3")],
            "m/n3",
            format!("p/b/x/{layer}"),
        ),
        (&[("manifests_prefix", ""), ("blobs_prefix", ""), ("name", "n4")], "n4", layer.to_string()),
        (&[("prefix", "f"), ("name", "")], "f/manifests", format!("f/blobs/{layer}")),
        (&[("name", " y é+%#?&<")], "manifests/ y é+%#?&<", format!("blobs/{layer}")),
    ] {
        let place = Azblob::new();
        let spec = attributes.iter().fold(place.spec(), |spec, (name, value)| spec.with(name, *value));
        let to = exporter(place.config_of(&spec));
        to.push(&desc, &source).await.unwrap();
        to.commit(&graphs::cache(1).manifest, Expect::Any).await.unwrap();
        let mut expected = vec![blob, index.to_owned()];
        expected.sort();
        assert_eq!(names(place.server()), expected);
        assert!(importer(place.config_of(&spec)).resolve().await.unwrap().is_some());
        let store = AzblobStore::new(place.config_of(&spec)).unwrap();
        let caches = store.caches().await.unwrap();
        assert_eq!(
            caches.iter().filter_map(|cache| cache.name.as_deref()).collect::<Vec<_>>(),
            [spec.get("name").unwrap()]
        );
        assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), 1);
        assert!(store.open(&caches[0]).await.unwrap().resolve().await.unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_encoded_as_one_path_segment() {
    let place = Azblob::new();
    importer(place.config_of(&place.spec().with("name", "a/b+c d%:"))).resolve().await.unwrap();
    let log = place.server().take_log();
    assert_eq!(log[0].path, "/devstoreaccount1/buildkit-cache/manifests%2Fa%2Fb+c%20d%25:");
}

/// An export writes all names, and an import merges their caches.
#[tokio::test(start_paused = true)]
async fn all_names_are_merged_on_import() {
    let place = Azblob::new();
    let (one, two) = (graphs::cache(1), graphs::cache(2));
    write(place.config_of(&place.spec().with("name", "one")), &one).await.unwrap();
    write(place.config_of(&place.spec().with("name", "two")), &two).await.unwrap();
    let all = importer(place.config_of(&place.spec().with("name", "none;one;two")));
    let resolved = all.resolve().await.unwrap().unwrap();
    let mut expected = CacheChains::from_manifest(&one.manifest).unwrap();
    expected.merge(&CacheChains::from_manifest(&two.manifest).unwrap()).unwrap();
    assert_eq!(resolved.manifest.config().records, expected.to_manifest().config().records);
    // The first name does not exist, which can be the condition of a commit.
    let to = exporter(place.config_of(&place.spec().with("name", "none;one")));
    let version = Expect::Version(resolved.version);
    to.commit(&one.manifest, version.clone()).await.unwrap();
    let other = exporter(place.config_of(&place.spec().with("name", "none")));
    assert_eq!(other.commit(&two.manifest, version).await.unwrap_err().kind(), ErrorKind::Conflict);
}

/// The index that BuildKit wrote for `type=s3`, which is the same document.
#[tokio::test(start_paused = true)]
async fn the_index_of_buildkit_is_read_and_written_byte_for_byte() {
    let index = Bytes::from(std::fs::read(fixtures::root().join("objects/v0.32/s3-manifests-main.json")).unwrap());
    let place = Azblob::new();
    place.server().stored(|stored| {
        stored.containers.entry("buildkit-cache".to_owned()).or_default();
        stored.put("buildkit-cache", "manifests/main", index.clone())
    });
    let manifest = importer(place.config()).resolve().await.unwrap().unwrap().manifest;
    let to = place.spec().with("name", "kept");
    exporter(place.config_of(&to)).commit(&manifest, Expect::Absent).await.unwrap();
    let again = CacheChains::from_manifest(&manifest).unwrap().to_manifest();
    let to = place.spec().with("name", "encoded");
    exporter(place.config_of(&to)).commit(&again, Expect::Absent).await.unwrap();
    for name in ["manifests/kept", "manifests/encoded"] {
        let stored = place.server().stored(|stored| stored.containers["buildkit-cache"].blobs[name].bytes.clone());
        assert_eq!(String::from_utf8_lossy(&stored), String::from_utf8_lossy(&index), "{name}");
    }
}

/// An empty index replaces the old one, as in BuildKit, unlike in a registry.
#[tokio::test(start_paused = true)]
async fn an_empty_cache_is_two_bytes() {
    let place = Azblob::new();
    write(place.config(), &graphs::cache(1)).await.unwrap();
    let empty = CacheManifest::new(CacheConfig::default(), Vec::<Descriptor>::new());
    assert!(exporter(place.config()).commit(&empty, Expect::Any).await.unwrap().version.is_some());
    let stored =
        place.server().stored(|stored| stored.containers["buildkit-cache"].blobs["manifests/main"].bytes.clone());
    assert_eq!(stored, "{}");
    assert!(importer(place.config()).resolve().await.unwrap().unwrap().manifest.is_empty());
}
