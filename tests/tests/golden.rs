//! Byte for byte like BuildKit: every cache of BuildKit v0.8 to v0.32 is read, and encodes to the same bytes.

use cache_core::graph::FindingCode;
use cache_core::manifest::ManifestForm;
use cache_core::{CacheChains, CacheImporter, CacheManifest, Mode};
use cache_memory::MemoryCache;
use cache_ops::{CopyOptions, Depth, ExportSettings, copy_manifest, verify};
use cache_tests::fixtures::{self, Fixture};

fn with_cache() -> Vec<Fixture> {
    fixtures::all().into_iter().filter(|fixture| !fixture.name.contains("inline")).collect()
}

/// Whether two of its records are equal in everything by which BuildKit sorts.
fn has_ties(fixture: &Fixture) -> bool {
    fixture.name.contains("generations") || fixture.name.contains("two-platforms")
}

#[tokio::test]
async fn every_cache_is_read_and_its_graph_is_sound() {
    let mut read = 0;
    for fixture in with_cache() {
        for document in fixture.manifests().into_values() {
            let manifest = fixture.load(document).await;
            CacheChains::from_manifest(&manifest).unwrap_or_else(|error| panic!("{}: {error:?}", fixture.name));
            read += 1;
        }
    }
    assert!(read > 28, "only {read} caches were read");
}

#[tokio::test]
async fn every_config_decodes_and_encodes_to_the_same_bytes() {
    for fixture in with_cache() {
        for document in fixture.manifests().into_values() {
            let manifest = fixture.load(document).await;
            let raw = &manifest.raw_config().unwrap().bytes;
            assert_eq!(
                String::from_utf8_lossy(&manifest.config().encode()),
                String::from_utf8_lossy(raw),
                "{}",
                fixture.name
            );
        }
    }
}

#[tokio::test]
async fn every_graph_encodes_to_the_bytes_that_buildkit_wrote() {
    for fixture in with_cache().into_iter().filter(|fixture| !has_ties(fixture)) {
        for document in fixture.manifests().into_values() {
            let manifest = fixture.load(document.clone()).await;
            let again = CacheChains::from_manifest(&manifest).unwrap().to_manifest();
            let raw = &manifest.raw_config().unwrap().bytes;
            assert_eq!(
                String::from_utf8_lossy(&again.config().encode()),
                String::from_utf8_lossy(raw),
                "{}",
                fixture.name
            );
            let encoded = again.encode(manifest.form());
            assert_eq!(
                String::from_utf8_lossy(&encoded.manifest.bytes),
                String::from_utf8_lossy(&document),
                "{}",
                fixture.name
            );
        }
    }
}

#[tokio::test]
async fn where_the_order_of_buildkit_is_random_ours_is_stable_and_the_graph_is_the_same() {
    for fixture in with_cache().into_iter().filter(has_ties) {
        for document in fixture.manifests().into_values() {
            let manifest = fixture.load(document).await;
            let chains = CacheChains::from_manifest(&manifest).unwrap();
            let once = chains.to_manifest();
            let twice = CacheChains::from_manifest(&once).unwrap().to_manifest();
            assert_eq!(once.config(), twice.config(), "{}", fixture.name);
            assert_eq!(shuffled(&manifest).config(), once.config(), "{}", fixture.name);
            if !fixture.name.contains("v0.12") {
                assert_eq!(once.config().records.len(), manifest.config().records.len(), "{}", fixture.name);
            }
            assert_eq!(once.config().layers.len(), manifest.config().layers.len(), "{}", fixture.name);
        }
    }
}

/// The same cache with its records and layers in reverse order.
fn shuffled(manifest: &CacheManifest) -> CacheManifest {
    let mut config = manifest.config().clone();
    let (layers, records) = (config.layers.len() as i64 - 1, config.records.len() as i64 - 1);
    config.layers.reverse();
    config.records.reverse();
    for layer in &mut config.layers {
        layer.parent = if layer.parent == -1 { -1 } else { layers - layer.parent };
    }
    for record in &mut config.records {
        record.results.iter_mut().for_each(|result| result.layer = layers - result.layer);
        record.inputs.iter_mut().flatten().for_each(|link| link.link = records - link.link);
    }
    let again = CacheManifest::new(config, manifest.blobs().iter().cloned());
    CacheChains::from_manifest(&again).unwrap().to_manifest()
}

#[tokio::test]
async fn every_cache_verifies_deeply() {
    for fixture in with_cache() {
        for document in fixture.manifests().into_values() {
            let manifest = fixture.load(document).await;
            let report = verify(&manifest, &fixture, Depth::Deep, 4).await.unwrap();
            let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
            let expected = fixture.name.contains("two-platforms").then_some(FindingCode::SeveralLeaves);
            assert_eq!(codes, Vec::from_iter(expected), "{}", fixture.name);
        }
    }
}

#[tokio::test]
async fn every_inline_cache_is_read_and_verifies() {
    let mut read = 0;
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.name.contains("inline")) {
        for (_, entry) in fixture.entries() {
            let manifest = fixture.load(fixture.document(&entry.digest)).await;
            let platforms = if fixture.name.contains("multi") { 2 } else { 1 };
            assert_eq!(manifest.inline_images().len(), platforms, "{}", fixture.name);
            let report = verify(&manifest, &fixture, Depth::Deep, 4).await.unwrap();
            assert_eq!(report.findings, [], "{}", fixture.name);
            let chains = CacheChains::from_manifest(&manifest).unwrap();
            let results = chains.records().filter(|&record| chains.hit(record).is_some()).count();
            assert!(results > 0, "{}", fixture.name);
            read += 1;
        }
    }
    assert_eq!(read, 8);
}

/// The two builds were separate, so digests and times differ: records and the positions of results are compared.
#[tokio::test]
async fn mode_min_turns_a_max_cache_into_the_min_cache() {
    for version in ["v0.12", "v0.20", "v0.32"] {
        let max = latest(&format!("{version}/max-manifest")).await;
        let min = latest(&format!("{version}/min-manifest")).await;
        let mut chains = CacheChains::from_manifest(&max).unwrap();
        chains.select(Mode::Min).await.unwrap();
        let selected = chains.to_manifest();
        let shape = |manifest: &CacheManifest| {
            let records = &manifest.config().records;
            records.iter().map(|r| (r.key.clone(), r.inputs.clone(), r.results.len())).collect::<Vec<_>>()
        };
        assert_eq!(shape(&selected), shape(&min), "{version}");
        assert_eq!(selected.config().layers.len(), min.config().layers.len(), "{version}");
    }
}

async fn latest(name: &str) -> CacheManifest {
    let fixture = fixtures::named(name);
    let (_, entry) = fixture.entries().pop().unwrap();
    fixture.load(fixture.document(&entry.digest)).await
}

#[tokio::test]
async fn a_kept_form_keeps_every_byte() {
    for fixture in with_cache() {
        for (digest, document) in fixture.manifests() {
            let manifest = fixture.load(document.clone()).await;
            let kept = manifest.encode(None);
            assert_eq!((kept.manifest.bytes, kept.manifest.descriptor.digest), (document, digest), "{}", fixture.name);
        }
    }
}

#[tokio::test]
async fn a_reduced_cache_keeps_the_form_of_its_source() {
    for (name, form) in [("v0.12/max-manifest", ManifestForm::Index), ("v0.32/max-docker", ManifestForm::DockerList)] {
        let (fixture, manifest) = (fixtures::named(name), latest(name).await);
        let store = MemoryCache::new();
        let options = CopyOptions::default().with_mode(Some(Mode::Min));
        copy_manifest(manifest, &fixture, &store, options, &ExportSettings::default()).await.unwrap();
        assert_eq!(store.resolve().await.unwrap().unwrap().manifest.form(), Some(form), "{name}");
    }
}

/// Every form of a cache has the same config and the same blobs.
#[tokio::test]
async fn a_form_can_be_changed_and_changed_back() {
    for version in ["v0.12", "v0.20", "v0.32"] {
        for name in ["max-manifest", "max-index", "max-docker"] {
            let fixture = fixtures::named(&format!("{version}/{name}"));
            let manifest = latest(&fixture.name).await;
            let original = manifest.encode(None);
            for form in [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList] {
                let changed = manifest.encode(Some(form));
                assert_eq!(changed.config, original.config, "{version}/{name}");
                let read = fixture.load(changed.manifest.bytes).await;
                assert_eq!(read.form(), Some(form));
                let back = read.encode(manifest.form());
                assert_eq!(back.manifest.bytes, original.manifest.bytes, "{version}/{name}");
            }
        }
    }
}

#[test]
fn the_index_of_the_object_stores_reads_and_encodes_to_the_same_bytes() {
    for name in ["gha-index.json", "s3-manifests-main.json"] {
        let bytes = std::fs::read(fixtures::root().join("objects/v0.32").join(name)).unwrap();
        let manifest = CacheManifest::decode_flat(bytes.clone()).unwrap();
        let again = CacheChains::from_manifest(&manifest).unwrap().to_manifest();
        assert_eq!(String::from_utf8_lossy(&again.encode_flat().unwrap()), String::from_utf8_lossy(&bytes), "{name}");
    }
}
