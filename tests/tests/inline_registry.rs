//! Inline caches in images in a registry.

#![cfg(all(feature = "inline", feature = "local", feature = "registry"))]

use cache_core::json::JsonObject;
use cache_core::manifest::Document;
use cache_core::seams::{Committed, Coverage, ImageBackend, ImageStore};
use cache_core::{
    CacheBackend, CacheImporter, CacheSpec, Descriptor, Digest, ErrorKind, Expect, MediaType, Result, Version,
};
use cache_inline::Inline;
use cache_local::Local;
use cache_ops::{CopyOptions, ExportSettings, copy};
use cache_registry::{Environment, RegistryImage, RegistryImporter};
use cache_tests::fixtures::{self, Fixture};
use cache_tests::places::Registry;
use cache_tests::servers::registry::{Fault, Options, Plan};

const REPOSITORY: &str = "team/app";

/// Pushes an image of the fixtures to a tag, like BuildKit, and returns its digest.
fn push(place: &Registry, layout: &str, tag: &str) -> Digest {
    let layout = fixture(layout);
    let root = root(&layout);
    place.server().stored(|stored| {
        let repository = stored.repositories.entry(REPOSITORY.to_owned()).or_default();
        for (digest, bytes) in layout.blobs() {
            let json = JsonObject::decode(&bytes).unwrap_or_default();
            let kind: Option<MediaType> = json.field("mediaType").ok().flatten();
            let layers: Option<Vec<Descriptor>> = json.field("layers").ok().flatten();
            for layer in layers.unwrap_or_default() {
                // The fixtures have no layers, which are not read, but the registry requires them.
                repository.blobs.entry(layer.digest).or_default();
            }
            if let Some(kind) = kind {
                repository.manifests.insert(digest, (kind.to_string(), bytes));
            } else {
                repository.blobs.insert(digest, bytes);
            }
        }
        repository.tags.insert(tag.to_owned(), root);
    });
    root
}

fn fixture(layout: &str) -> Fixture {
    Fixture { name: layout.to_owned(), path: fixtures::root().join(layout) }
}

/// The digest of a layout's only entry.
fn root(layout: &Fixture) -> Digest {
    layout.entries().pop().unwrap().1.digest
}

fn tag(place: &Registry, tag: &str) -> Option<Digest> {
    place.server().stored(|stored| stored.repositories[REPOSITORY].tags.get(tag).copied())
}

fn spec(place: &Registry, name: &str) -> CacheSpec {
    CacheSpec::new("inline").with("image", format!("{}/{REPOSITORY}{name}", place.server().host()))
}

fn image(place: &Registry, name: &str) -> RegistryImage {
    RegistryImage::new(place.config_of(&format!("{REPOSITORY}{name}"), place.environment()))
}

/// Copies the cache of a layout into an image.
async fn embed(place: &Registry, name: &str, cache: &str) -> Result<Committed> {
    let path = fixture(cache).path;
    let from = Local.importer(&CacheSpec::new("local").with("src", path.to_str().unwrap())).await?;
    let places = Inline::new().with(Local).with(cache_registry::Registry::new(place.environment()));
    let to = places.exporter(&spec(place, name)).await?;
    let report = copy(&*from, &*to, CopyOptions::default(), &ExportSettings::default()).await?;
    Ok(report.expect("the source has a cache").export.committed)
}

/// A build that was exported as a cache, as an image, and as an image with an inline cache.
#[tokio::test(start_paused = true)]
async fn a_cache_and_a_plain_image_make_the_image_that_buildkit_makes() {
    for (build, covered) in [("single", 4), ("multi", 6)] {
        let place = Registry::new();
        let plain = push(&place, &format!("embedded/{build}/plain"), "v1");
        let committed = embed(&place, ":v1", &format!("embedded/{build}/cache")).await.unwrap();
        assert_eq!(committed.coverage, Some(Coverage { covered, layers: covered }));
        let ours = committed.descriptor.unwrap().digest;
        assert_eq!(tag(&place, "v1"), Some(ours));
        assert_ne!(ours, plain);
        if build == "single" {
            // The one with several platforms has attestations, which contain the digest of their image.
            assert_eq!(ours, root(&fixture("embedded/single/inline")));
        }
        let importer = RegistryImporter::new(place.config_of(&format!("{REPOSITORY}:v1"), place.environment()));
        let cache = importer.resolve().await.unwrap().expect("the image has a cache now").manifest;
        let layers: usize = cache.inline_images().iter().map(|image| image.layers).sum();
        assert_eq!(layers, covered, "{build}");
        assert!(!cache.config().records.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_has_the_cache_stays_as_it_is() {
    for layout in ["local/v0.32/inline-image", "local/v0.32/inline-multi"] {
        let place = Registry::new();
        push(&place, layout, "v1");
        let before = place.server().stored(|stored| stored.contents());
        embed(&place, ":v1", layout).await.unwrap();
        assert_eq!(place.server().stored(|stored| stored.contents()), before, "{layout}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_somebody_moved_meanwhile_is_a_conflict_and_stays() {
    let place = Registry::new();
    push(&place, "embedded/single/plain", "v1");
    let image = image(&place, ":v1");
    let (document, version) = image.root().await.unwrap().unwrap();
    let other = push(&place, "embedded/multi/plain", "v1");
    let new = Document::new(document.descriptor.media_type, [&document.bytes[..], b"\n"].concat());
    let error = image.put_root(&new, Expect::Version(version)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(tag(&place, "v1"), Some(other));
    let current = Version::new(other.to_string());
    image.put_root(&new, Expect::Version(current)).await.unwrap();
    assert_eq!(tag(&place, "v1"), Some(new.descriptor.digest));
}

#[tokio::test(start_paused = true)]
async fn a_tag_beside_a_digest_moves_only_if_it_points_to_it() {
    let place = Registry::new();
    let plain = push(&place, "embedded/single/plain", "v1");
    let pinned = format!(":v1@{plain}");
    let ours = embed(&place, &pinned, "embedded/single/cache").await.unwrap().descriptor.unwrap().digest;
    assert_eq!(tag(&place, "v1"), Some(ours));
    let error = embed(&place, &pinned, "embedded/single/cache").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_image_by_digest_stays_and_the_new_one_has_its_own_digest() {
    let place = Registry::new();
    let plain = push(&place, "embedded/single/plain", "v1");
    let ours = embed(&place, &format!("@{plain}"), "embedded/single/cache").await.unwrap().descriptor.unwrap().digest;
    assert_eq!(tag(&place, "v1"), Some(plain));
    assert!(image(&place, &format!("@{ours}")).root().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_tag_stays_when_what_is_below_the_root_cannot_be_written() {
    let place = Registry::with(Options::default());
    let plain = push(&place, "embedded/multi/plain", "v1");
    let refusal = Fault::Answer(403, None, r#"{"errors":[{"code":"DENIED","message":"read only"}]}"#);
    place.server().plan(Plan::new(hyper::Method::PUT, "/manifests/sha256:", refusal));
    let error = embed(&place, ":v1", "embedded/multi/cache").await.unwrap_err();
    assert_eq!((error.kind(), error.context("server")), (ErrorKind::PermissionDenied, Some("DENIED: read only")));
    assert_eq!(tag(&place, "v1"), Some(plain));
}

#[tokio::test(start_paused = true)]
async fn a_missing_image_is_an_error() {
    let place = Registry::new();
    let error = embed(&place, ":none", "embedded/single/cache").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}

#[tokio::test]
async fn a_path_is_no_reference() {
    let registry = cache_registry::Registry::new(Environment::new());
    let open = async |image: &str| registry.image(&format!("type=inline,image={image}").parse().unwrap()).await;
    for path in ["/tmp/layout", "./layout", "../layout", "."] {
        assert!(open(path).await.unwrap().is_none(), "{path}");
    }
    assert!(open("localhost:5000/team/app:v1").await.unwrap().is_some());
    assert!(open("team/app,registry.insecure=true").await.unwrap().is_some());
    for bad in ["Team/App", "team/app,tag=v1"] {
        assert_eq!(open(bad).await.err().unwrap().kind(), ErrorKind::InvalidSpec, "{bad}");
    }
}
