//! The cache config: decoding, the graph, and encoding.

use std::collections::HashSet;

use cache_core::{CacheChains, CacheConfig, CacheManifest, Descriptor, Digest, MediaType, annotation, check};

/// A decoded config encodes to an equal one, and a graph stays one.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(config) = CacheConfig::decode(data) else { return };
    let again = CacheConfig::decode(&config.encode()).expect("what was encoded decodes");
    assert_eq!(again, config, "encoding changes the config");
    let manifest = described(config);
    let is_sound = !check(&manifest).iter().any(|finding| finding.code.is_error());
    match CacheChains::from_manifest(&manifest) {
        Err(_) => assert!(!is_sound, "what cannot be imported is not a finding"),
        Ok(chains) => {
            assert!(is_sound, "what can be imported is a finding");
            check_graph(chains);
        }
    }
}

/// The config with a descriptor for each of its blobs.
fn described(config: CacheConfig) -> CacheManifest {
    let descriptor =
        |blob: Digest| Descriptor::new(MediaType::OCI_LAYER, blob, 1).with_annotation(annotation::UNCOMPRESSED, blob);
    let descriptors: Vec<_> = config.layers.iter().map(|layer| descriptor(layer.blob)).collect();
    CacheManifest::new(config, descriptors)
}

/// A normal graph encodes to bytes that decode to the same graph.
fn check_graph(mut chains: CacheChains) {
    chains.normalize();
    let manifest = chains.to_manifest();
    assert!(!check(&manifest).iter().any(|finding| finding.code.is_error()), "what was encoded is unsound");
    let again = CacheChains::from_manifest(&manifest).expect("what was encoded is a graph");
    let records = &manifest.config().records;
    let keys: HashSet<_> = records.iter().map(|record| &record.key).collect();
    // Two records with one key, one below the other, are merged when they are read again.
    if keys.len() == records.len() {
        assert_eq!(again.to_manifest().config(), manifest.config(), "decoding changes the graph");
    }
}
