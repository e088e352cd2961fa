//! Inline caches, compared byte for byte with images of BuildKit v0.8 to v0.32.

#![cfg(all(feature = "inline", feature = "local"))]

use std::fs;
use std::path::Path;

use cache_core::graph::FindingCode;
use cache_core::json::JsonObject;
use cache_core::model::Limits;
use cache_core::seams::{Committed, Coverage};
use cache_core::{
    CacheBackend, CacheChains, CacheManifest, Descriptor, DiffId, Digest, ErrorKind, Expect, Result, load,
};
use cache_inline::{ImageLayer, Inline, InlineRecords, embed, strip};
use cache_local::Local;
use cache_ops::{CopyOptions, Depth, ExportSettings, copy, verify};
use cache_tests::fixtures::{self, Fixture};
use tempfile::TempDir;

/// The image of one platform in a fixture.
struct Image {
    name: String,
    config: Vec<u8>,
    layers: Vec<ImageLayer>,
    /// The cache of the whole fixture, all platforms together.
    cache: CacheManifest,
}

async fn images() -> Vec<Image> {
    let mut images = Vec::new();
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.name.contains("inline")) {
        let (_, root) = fixture.entries().pop().unwrap();
        let cache = fixture.load(fixture.document(&root.digest)).await;
        for inline in cache.inline_images() {
            let (config, layers) = config_and_layers(&fixture, &inline.manifest);
            images.push(Image { name: fixture.name.clone(), config, layers, cache: cache.clone() });
        }
    }
    images
}

fn config_and_layers(fixture: &Fixture, manifest: &Digest) -> (Vec<u8>, Vec<ImageLayer>) {
    let manifest = JsonObject::decode(&fixture.document(manifest)).unwrap();
    let config: Descriptor = manifest.field("config").unwrap().unwrap();
    let config = fixture.document(&config.digest).to_vec();
    let layers: Vec<Descriptor> = manifest.field("layers").unwrap().unwrap();
    let root_fs: JsonObject = JsonObject::decode(&config).unwrap().field("rootfs").unwrap().unwrap();
    let diff_ids: Vec<DiffId> = root_fs.field("diff_ids").unwrap().unwrap();
    let layer = |(layer, id): (&Descriptor, DiffId)| ImageLayer::new(layer.digest).with_diff_id(id);
    (config, layers.iter().zip(diff_ids).map(layer).collect())
}

#[tokio::test]
async fn the_records_that_buildkit_embedded_are_found_again_byte_for_byte() {
    let images = images().await;
    assert_eq!(images.len(), 12);
    for Image { name, config, layers, cache } in images {
        let records = InlineRecords::of(&cache, &layers).unwrap().unwrap();
        assert_eq!(records.coverage().covered, layers.len(), "{name}");
        let embedded = embed(&strip(&config).unwrap().unwrap(), &records).unwrap();
        assert_eq!(String::from_utf8_lossy(&embedded), String::from_utf8_lossy(&config), "{name}");
    }
}

#[tokio::test]
async fn diff_ids_find_the_records_that_blobs_find() {
    for Image { name, layers, cache, .. } in images().await {
        let by_blob = InlineRecords::of(&cache, &layers).unwrap().unwrap();
        // dockerd knows only the diff IDs of layers.
        let unpacked: Vec<_> = layers.iter().map(|layer| ImageLayer::new(layer.diff_id().unwrap().0)).collect();
        let by_diff_id = InlineRecords::of(&cache, &unpacked).unwrap().unwrap();
        assert_eq!(by_diff_id.records(), by_blob.records(), "{name}");
    }
}

#[tokio::test]
async fn copying_into_an_image_that_has_the_cache_changes_nothing() {
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.name.contains("inline")) {
        let image = copied(&fixture.path);
        let before = fs::read_to_string(image.path().join("index.json")).unwrap();
        embed_in(image.path(), &fixture.path, Expect::Any).await.unwrap();
        assert_eq!(fs::read_to_string(image.path().join("index.json")).unwrap(), before, "{}", fixture.name);
    }
}

/// A build that was exported as a cache, as an image, and as an image with an inline cache.
#[tokio::test]
async fn a_cache_and_a_plain_image_make_the_image_that_buildkit_makes() {
    let build = fixtures::root().join("embedded/single");
    let image = copied(&build.join("plain"));
    let committed = embed_in(image.path(), &build.join("cache"), Expect::Any).await.unwrap();
    assert_eq!(committed.coverage, Some(Coverage { covered: 4, layers: 4 }));
    assert_eq!(root(image.path()), root(&build.join("inline")));
    assert_eq!(committed.descriptor.unwrap().digest, root(image.path()));
}

#[tokio::test]
async fn each_platform_gets_the_records_that_buildkit_gives_it_and_attestations_stay() {
    let build = fixtures::root().join("embedded/multi");
    let image = copied(&build.join("plain"));
    let committed = embed_in(image.path(), &build.join("cache"), Expect::Any).await.unwrap();
    assert_eq!(committed.coverage, Some(Coverage { covered: 6, layers: 6 }));
    let [ours, plain, buildkit] = [image.path(), &build.join("plain"), &build.join("inline")].map(entries);
    assert_eq!(ours[..2], buildkit[..2]);
    assert_ne!(ours[..2], plain[..2]);
    assert_eq!(ours[2..], plain[2..]);
}

#[tokio::test]
async fn an_image_that_got_a_cache_verifies() {
    let build = fixtures::root().join("local/v0.32/inline-image");
    let image = copied(&build);
    let bare = edit_config(image.path(), |config| {
        config.remove("moby.buildkit.cache.v0");
        config.remove("history");
    });
    embed_in(image.path(), &build, Expect::Any).await.unwrap();
    assert_ne!(root(image.path()), bare);
    let importer = Local.importer(&spec("local", "src", image.path())).await.unwrap();
    let cache = importer.resolve().await.unwrap().unwrap().manifest;
    assert_eq!(verify(&cache, &*importer, Depth::Deep, 4).await.unwrap().findings, []);
    assert_eq!((cache.inline_images()[0].layers, cache.inline_images()[0].history), (4, 4));
}

#[tokio::test]
async fn a_history_that_crashes_buildkit_is_found() {
    let image = copied(&fixtures::root().join("local/v0.32/inline-image"));
    edit_config(image.path(), |config| {
        config.remove("history");
    });
    let importer = Local.importer(&spec("local", "src", image.path())).await.unwrap();
    let cache = importer.resolve().await.unwrap().unwrap().manifest;
    let report = verify(&cache, &*importer, Depth::Fast, 4).await.unwrap();
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [FindingCode::HistoryTooShort]);
}

#[tokio::test]
async fn a_cache_of_another_build_is_refused_in_the_words_of_buildkit_and_nothing_is_written() {
    let (image, cache) = ("local/v0.32/inline-image", "local/v0.20/inline-image");
    let image = copied(&fixtures::root().join(image));
    let before = files(image.path());
    let error = embed_in(image.path(), &fixtures::root().join(cache), Expect::Any).await.unwrap_err();
    assert!(error.to_string().contains("failed to match any cache with layers"), "{error}");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(files(image.path()), before);
}

#[tokio::test]
async fn an_image_that_is_not_the_expected_one_is_a_conflict() {
    let build = fixtures::root().join("embedded/single");
    let image = copied(&build.join("plain"));
    let before = files(image.path());
    let other = cache_core::Version::new(Digest::sha256(b"other").to_string());
    for expect in [Expect::Absent, Expect::Version(other)] {
        let error = embed_in(image.path(), &build.join("cache"), expect).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    assert_eq!(files(image.path()), before);
}

#[tokio::test]
async fn other_documents_than_images_are_refused() {
    let cache = fixtures::root().join("embedded/single/cache");
    let target = copied(&cache);
    let error = embed_in(target.path(), &cache, Expect::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    let error = embed_in(&target.path().join("none"), &cache, Expect::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_embedded_cache_has_the_results_of_its_source() {
    let build = fixtures::root().join("embedded/single");
    let image = copied(&build.join("plain"));
    embed_in(image.path(), &build.join("cache"), Expect::Any).await.unwrap();
    let read = Fixture { name: "image".to_owned(), path: image.path().to_owned() };
    let document = read.document(&root(image.path()));
    let embedded = load(document, &read, &Limits::default()).await.unwrap().unwrap();
    let source = Fixture { name: "cache".to_owned(), path: build.join("cache") };
    let source = source.load(source.document(&root(&source.path))).await;
    let (embedded, source) =
        (CacheChains::from_manifest(&embedded).unwrap(), CacheChains::from_manifest(&source).unwrap());
    let results = |chains: &CacheChains, key| {
        let found = chains.records().filter(|&record| chains.key(record) == key);
        found.filter_map(|record| chains.hit(record)).map(|hit| hit.layers).collect::<Vec<_>>()
    };
    let mut hits = 0;
    for record in embedded.records() {
        let digests = |layers: Vec<Vec<Descriptor>>| {
            layers.iter().map(|chain| chain.iter().map(|layer| layer.digest).collect()).collect::<Vec<Vec<_>>>()
        };
        let key = embedded.key(record);
        let (ours, theirs) = (digests(results(&embedded, key)), digests(results(&source, key)));
        assert!(ours.is_empty() || ours == theirs, "{key}");
        hits += ours.len();
    }
    assert_eq!(hits, 5);
}

/// Copies the cache of one layout into the image of another.
async fn embed_in(image: &Path, cache: &Path, expect: Expect) -> Result<Committed> {
    let from = Local.importer(&spec("local", "src", cache)).await?;
    let to = Inline::new().with(Local).exporter(&spec("inline", "image", image)).await?;
    let settings = ExportSettings::default().with_expect(expect);
    let report = copy(&*from, &*to, CopyOptions::default(), &settings).await?;
    Ok(report.expect("the source has a cache").export.committed)
}

fn spec(kind: &str, attribute: &str, path: &Path) -> cache_core::CacheSpec {
    cache_core::CacheSpec::new(kind).with(attribute, path.to_str().expect("a path of ours is text"))
}

/// A copy of a layout that a test may change.
fn copied(layout: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for path in files(layout) {
        let target = copy.path().join(&path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(layout.join(&path), target).unwrap();
    }
    copy
}

/// Every file below a folder, in order.
fn files(folder: &Path) -> Vec<String> {
    let (mut found, mut todo) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(dir) = todo.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The digest of a layout's only entry.
fn root(layout: &Path) -> Digest {
    let fixture = Fixture { name: String::new(), path: layout.to_owned() };
    fixture.entries().pop().unwrap().1.digest
}

/// The entries of the index that is a layout's only entry.
fn entries(layout: &Path) -> Vec<Descriptor> {
    let fixture = Fixture { name: String::new(), path: layout.to_owned() };
    JsonObject::decode(&fixture.document(&root(layout))).unwrap().field("manifests").unwrap().unwrap()
}

/// Changes the config of a layout's only image, and returns the digest of the new image.
fn edit_config(layout: &Path, edit: impl FnOnce(&mut JsonObject)) -> Digest {
    let fixture = Fixture { name: String::new(), path: layout.to_owned() };
    let mut index = JsonObject::decode(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let mut entry: Vec<JsonObject> = index.field("manifests").unwrap().unwrap();
    let mut manifest = JsonObject::decode(&fixture.document(&root(layout))).unwrap();
    let mut descriptor: JsonObject = manifest.field("config").unwrap().unwrap();
    let mut config = JsonObject::decode(&fixture.document(&descriptor.field("digest").unwrap().unwrap())).unwrap();
    edit(&mut config);
    put(layout, &config, &mut descriptor);
    manifest.set("config", &descriptor);
    put(layout, &manifest, &mut entry[0]);
    index.set("manifests", &entry);
    fs::write(layout.join("index.json"), index.encode()).unwrap();
    root(layout)
}

/// Writes a document and updates its descriptor.
fn put(layout: &Path, document: &JsonObject, descriptor: &mut JsonObject) {
    let bytes = document.encode();
    let digest = Digest::sha256(&bytes);
    descriptor.set("digest", &digest);
    descriptor.set("size", &bytes.len());
    fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
}

#[cfg(feature = "registry")]
#[tokio::test]
async fn the_attributes_of_an_image_are_those_of_its_backends() {
    let registry = cache_registry::Registry::new(cache_registry::Environment::new());
    let inline = Inline::new().with(Local).with(registry);
    let unknown = "an-attribute-that-no-backend-of-buildcache-has-or-ever-will";
    let mut known = std::collections::BTreeSet::new();
    for image in ["./layout", "host.example/app:v1"] {
        let spec = cache_core::CacheSpec::new("inline").with("image", image).with(unknown, "x");
        let error = inline.exporter(&spec).await.err().expect("an unknown attribute is refused");
        let hint = error.hint().and_then(|hint| hint.strip_prefix("known attributes: ")).expect("it lists them");
        known.extend(hint.split(", ").map(str::to_owned));
    }
    let told: std::collections::BTreeSet<String> =
        inline.facts().attributes.iter().map(|attribute| attribute.name.to_owned()).collect();
    assert_eq!(known, told);
}
