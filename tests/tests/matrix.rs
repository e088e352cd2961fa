//! Copies of BuildKit's caches from every importer to every exporter: the cache is the same, and so are its bytes if
//! the form is kept.

use bytes::Bytes;
use cache_core::{CacheExporter, CacheManifest};
use cache_ops::{CopyOptions, Depth, ExportSettings, copy, copy_manifest, verify};
use cache_tests::fixtures::{self, Fixture};
use cache_tests::harness::Harness;

/// Copies each fixture to `from`, from there to `to`, and back.
async fn round_trip<A: Harness, B: Harness>(from: fn() -> A, to: fn() -> B) {
    for fixture in fixtures::all() {
        for (_, entry) in fixture.entries() {
            let original = fixture.load(fixture.document(&entry.digest)).await;
            let (first, second, third) = (from(), to(), from());
            let start = put(&fixture, &original, &*(&first as &dyn Harness).exporter().await).await;
            copy_between(&first, &second).await;
            copy_between(&second, &third).await;
            let end = found(&third).await;
            if first.keeps_form() && second.keeps_form() && original.form().is_some() {
                assert_eq!(documents(&end), documents(&original), "{}", fixture.name);
            }
            assert_eq!(end.config().records, start.config().records, "{}", fixture.name);
            let report = verify(&end, &*(&third as &dyn Harness).importer().await, Depth::Deep, 4).await.unwrap();
            assert!(report.is_sound(), "{}: {:?}", fixture.name, report.findings);
        }
    }
}

/// Writes a fixture's cache, and returns the manifest as written.
async fn put(fixture: &Fixture, cache: &CacheManifest, to: &dyn CacheExporter) -> CacheManifest {
    let (options, settings) = (CopyOptions::default(), ExportSettings::default());
    copy_manifest(cache.clone(), fixture, to, options, &settings).await.unwrap().manifest
}

async fn copy_between(from: &dyn Harness, to: &dyn Harness) {
    let (importer, exporter) = (from.importer().await, to.exporter().await);
    let copied = copy(&*importer, &*exporter, CopyOptions::default(), &ExportSettings::default()).await.unwrap();
    assert!(copied.is_some(), "there is a cache to copy");
}

async fn found(place: &dyn Harness) -> CacheManifest {
    place.importer().await.resolve().await.unwrap().expect("it was copied").manifest
}

/// The bytes of the manifest and of the config.
fn documents(cache: &CacheManifest) -> [Option<Bytes>; 2] {
    [cache.raw_manifest(), cache.raw_config()].map(|document| Some(document?.bytes.clone()))
}

/// One test for each pair of backends: `from::memory::to::local`.
macro_rules! matrix {
    ($($from:ident = $place:ident),+) => {
        matrix! { @from [$($from = $place),+] [$($from = $place),+] }
    };
    (@from [$($from:ident = $place:ident),+] $all:tt) => {
        mod from {$(
            pub mod $from {
                pub mod to {
                    matrix! { @to $place $all }
                }
            }
        )+}
    };
    (@to $from:ident [$($to:ident = $place:ident),+]) => {$(
        #[tokio::test(start_paused = true)]
        async fn $to() {
            use cache_tests::places;
            crate::round_trip(places::$from::new, places::$place::new).await;
        }
    )+};
}

#[cfg(all(feature = "azblob", feature = "local", feature = "s3"))]
matrix!(memory = Memory, local = Local, s3 = S3, azblob = Azblob);
#[cfg(all(feature = "local", not(all(feature = "azblob", feature = "s3"))))]
matrix!(memory = Memory, local = Local);
#[cfg(not(feature = "local"))]
matrix!(memory = Memory);

/// Both versions of the API of GitHub Actions.
#[cfg(all(feature = "gha", feature = "local"))]
mod gha {
    use cache_tests::places::{Gha, Local, Memory};

    #[tokio::test(start_paused = true)]
    async fn local_to_version_2_and_back() {
        crate::round_trip(Local::new, Gha::v2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn local_to_version_1_and_back() {
        crate::round_trip(Local::new, Gha::v1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn version_2_to_local_and_back() {
        crate::round_trip(Gha::v2, Local::new).await;
    }

    #[tokio::test(start_paused = true)]
    async fn version_1_to_version_2_and_back() {
        crate::round_trip(Gha::v1, Gha::v2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn memory_to_version_2_and_back() {
        crate::round_trip(Memory::new, Gha::v2).await;
    }
}
