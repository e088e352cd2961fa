//! The findings of `check` in caches that were read from a place.

use cache_core::graph::FindingCode;
use cache_core::manifest::CacheRecord;
use cache_core::model::Limits;
use cache_core::{CacheConfig, CacheKey, CacheManifest, Descriptor, check, load};
use cache_memory::MemoryCache;

#[tokio::test]
async fn a_document_over_a_mebibyte_is_found_where_buildkit_reads_it_from_a_manifest() {
    let sized = |bytes: usize| {
        let filler = "x".repeat(bytes - "{\"records\":[{\"digest\":\"\"}]}".len());
        let record = CacheRecord { key: CacheKey::from(filler.as_str()), ..CacheRecord::default() };
        CacheConfig { records: vec![record], ..CacheConfig::default() }
    };
    for (bytes, expected) in [
        (1_048_577, vec![FindingCode::ConfigTooLarge]),
        (1_048_576, vec![FindingCode::ConfigNearLimit]),
        (900_000, vec![]),
    ] {
        let store = MemoryCache::new();
        let encoded = CacheManifest::new(sized(bytes), Vec::<Descriptor>::new()).encode(None);
        assert_eq!(encoded.config.bytes.len(), bytes);
        let _ = store.insert(encoded.config.bytes);
        let read = load(encoded.manifest.bytes, &store, &Limits::default()).await.unwrap().unwrap();
        let codes: Vec<FindingCode> = check(&read).iter().map(|finding| finding.code).collect();
        assert_eq!(codes, expected, "{bytes}");
        assert_eq!(check(&CacheManifest::new(sized(bytes), Vec::<Descriptor>::new())), []);
    }
}
