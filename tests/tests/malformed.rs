//! Malformed input: the error says what is wrong and where, and nothing panics.

use bytes::Bytes;
use cache_core::graph::FindingCode;
use cache_core::manifest::{CacheLayer, ManifestForm};
use cache_core::model::Limits;
use cache_core::{
    CacheChains, CacheConfig, CacheKey, CacheLink, CacheManifest, CacheSpec, Descriptor, Digest, Error, ErrorKind,
    MediaType, annotation, check, load,
};
use cache_kit::GoDuration;
use cache_memory::MemoryCache;
use cache_tests::fixtures::{self, Fixture};
use cache_tests::fuzz::{TARGETS, mutations};
use cache_tests::malformed::{self, Malformed};

fn graph(config: &[u8]) -> Result<CacheChains, Error> {
    CacheChains::from_manifest(&described(CacheConfig::decode(config)?))
}

/// The config with a descriptor for each of its blobs.
fn described(config: CacheConfig) -> CacheManifest {
    let descriptor =
        |blob: Digest| Descriptor::new(MediaType::OCI_LAYER, blob, 0).with_annotation(annotation::UNCOMPRESSED, blob);
    let descriptors: Vec<_> = config.layers.iter().map(|layer| descriptor(layer.blob)).collect();
    CacheManifest::new(config, descriptors)
}

async fn read(manifest: Bytes, blobs: &[Bytes]) -> Result<Option<CacheManifest>, Error> {
    let store = MemoryCache::new();
    blobs.iter().for_each(|blob| assert_eq!(store.insert(blob.clone()), Digest::sha256(blob)));
    load(manifest, &store, &Limits::default()).await
}

#[track_caller]
fn assert_says<T>(case: &Malformed, outcome: Result<T, Error>) {
    let document = String::from_utf8_lossy(&case.bytes);
    let Err(error) = outcome else { panic!("no error for {document}") };
    let text = error.to_string();
    assert!(text.starts_with(case.error), "{document}\n  says {text}\n  and not {}", case.error);
    assert_eq!(error.kind(), case.kind, "{document}");
}

#[test]
fn a_config_that_is_no_graph_is_refused_in_the_words_of_buildkit() {
    for case in malformed::graphs().iter().chain(&malformed::layer_indices()) {
        assert_says(case, graph(&case.bytes));
    }
}

#[test]
fn the_error_for_an_invalid_layer_index_names_its_owner() {
    for case in malformed::layer_indices() {
        let error = graph(&case.bytes).unwrap_err();
        assert!(error.context("record").or(error.context("layer")).is_some(), "{error}");
    }
}

#[test]
fn a_creation_time_at_the_end_of_time_is_written() {
    for time in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
        let layer = Descriptor::of(MediaType::OCI_LAYER, b"layer")
            .with_annotation(annotation::UNCOMPRESSED, Digest::sha256(b"layer"))
            .with_annotation(annotation::CREATED_AT, time);
        let config = CacheConfig {
            layers: vec![CacheLayer { blob: layer.digest, parent: -1, annotations: None }],
            ..CacheConfig::default()
        };
        assert!(CacheManifest::new(config, [layer]).encode_flat().is_ok(), "{time}");
    }
}

#[test]
fn a_duration_that_go_cannot_hold_is_refused() {
    assert!("9223372036s9223372036s".parse::<GoDuration>().is_err());
}

#[test]
fn a_spec_is_shown_as_it_can_be_written() {
    for text in ["type=a,\"tag=c,d\",src=e", "type=a,\"tag=c\"\"d\"", "type=a,\"tag=c\n\"", "type=a,\"tag=c\r\n\""] {
        let spec: CacheSpec = text.parse().unwrap();
        assert_eq!(spec.to_string().parse::<CacheSpec>().unwrap(), spec, "{text:?} is shown as {spec}");
    }
}

#[test]
fn a_size_that_go_cannot_hold_is_refused() {
    let digest = Digest::sha256(b"");
    let size = i64::MAX as u64 + 1;
    let config = format!(r#"{{"layers":[{{"blob":"{digest}","annotations":{{"size":{size}}}}}]}}"#);
    assert_eq!(CacheConfig::decode(config.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidManifest);
}

#[test]
fn findings_do_not_grow_with_the_square_of_the_config() {
    let config = cache_tests::graphs::config_of(1_000, 1_000);
    let findings = check(&CacheManifest::new(config, Vec::<Descriptor>::new()));
    let affected: usize = findings.iter().map(|finding| finding.affected.keys.len()).sum();
    assert!(affected <= 100 * findings.len(), "{affected} keys in {} findings", findings.len());
}

#[test]
fn the_parents_of_a_listed_layer_do_not_matter() {
    for parent in [7, 0, -2] {
        let config = format!(
            r#"{{"layers":[{{"blob":"{}","parent":{parent}}}],"records":[{{"chains":[{{"layers":[0]}}]}}]}}"#,
            Digest::sha256(b"")
        );
        assert!(graph(config.as_bytes()).is_ok(), "{parent}");
        assert_eq!(check(&described(CacheConfig::decode(config.as_bytes()).unwrap())), [], "{parent}");
    }
}

#[test]
fn an_invalid_graph_is_a_finding() {
    for case in malformed::graphs().iter().chain(&malformed::layer_indices()) {
        let findings = check(&described(CacheConfig::decode(&case.bytes).unwrap()));
        assert!(findings.iter().any(|finding| finding.code.is_error()), "{}: {findings:?}", case.error);
    }
}

#[test]
fn a_config_that_does_not_decode_says_where() {
    for case in malformed::configs() {
        assert_says(&case, CacheConfig::decode(&case.bytes));
    }
}

#[test]
fn documents_that_go_accepts_are_accepted() {
    let empty = [
        "{}",
        " {} \n",
        "null",
        r#"{"layers":null,"records":null}"#,
        r#"{"layers":[],"records":[]}"#,
        r#"{"unknown":{"layers":[1]}}"#,
        r#"{"version":2,"LAYERS":[],"ReCoRdS":null}"#,
    ];
    for document in empty {
        assert_eq!(CacheConfig::decode(document.as_bytes()).unwrap(), CacheConfig::default(), "{document}");
    }
    let root = CacheConfig::decode(br#"{"records":[{"digest":"d","inputs":null,"layers":null,"chains":null}]}"#);
    assert_eq!(root.unwrap().records[0].key, CacheKey::from("d"));
    let zero = CacheConfig::decode(br#"{"records":[{"layers":[{"layer":null,"createdAt":null}]}]}"#).unwrap();
    assert!(zero.records[0].results[0].created_at.is_zero());
    assert_eq!(zero.records[0].results[0].layer, 0);
}

/// The layers of every result in a config; only the blobs `a` and `b` have descriptors.
fn results(config: &str) -> Vec<Vec<Digest>> {
    let manifest = tolerated(config);
    let chains = CacheChains::from_manifest(&manifest).unwrap_or_else(|error| panic!("{config}: {error}"));
    let hits = chains.records().flat_map(|record| chains.hits(record)).collect::<Vec<_>>();
    hits.into_iter().map(|hit| hit.layers.iter().map(|layer| layer.digest).collect()).collect()
}

fn tolerated(config: &str) -> CacheManifest {
    let [a, b, x] = ["a", "b", "x"].map(|name| Digest::sha256(name.as_bytes()));
    let config = config.replace("@a", &a.to_string()).replace("@b", &b.to_string()).replace("@x", &x.to_string());
    let config = CacheConfig::decode(config.as_bytes()).unwrap_or_else(|error| panic!("{config}: {error}"));
    let describe =
        |blob: Digest| Descriptor::new(MediaType::OCI_LAYER, blob, 1).with_annotation(annotation::UNCOMPRESSED, blob);
    CacheManifest::new(config, [a, b].map(describe))
}

#[test]
fn a_layer_without_a_descriptor_drops_only_its_own_results() {
    let sound = vec![vec![Digest::sha256(b"a")]];
    for (layers, results_of) in [
        (r#"{"blob":"@a","parent":-1},{"blob":"@x","parent":99}"#, r#""layers":[{"layer":1}]"#),
        (r#"{"blob":"@a","parent":-1},{"blob":"@x","parent":1}"#, r#""layers":[{"layer":1}]"#),
        (r#"{"blob":"@a","parent":-1},{"blob":"@b","parent":2},{"blob":"@x","parent":1}"#, r#""layers":[{"layer":1}]"#),
        (r#"{"blob":"@a","parent":-1},{"blob":"@x","parent":-1}"#, r#""chains":[{"layers":[1,99]}]"#),
    ] {
        let record = format!(r#"{{"digest":"k","layers":[{{"layer":0}}]}},{{"digest":"l",{results_of}}}"#);
        let config = format!(r#"{{"layers":[{layers}],"records":[{record}]}}"#);
        assert_eq!(results(&config), sound, "{config}");
        let codes: Vec<_> = check(&tolerated(&config)).iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [FindingCode::BlobUndescribed], "{config}");
    }
}

#[test]
fn parts_that_buildkit_cannot_use_are_dropped_and_the_rest_is_read() {
    let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
    for (config, expected) in [
        (r#"{"layers":[{"blob":"none"}],"records":[{"layers":[{"layer":0}]}]}"#, vec![]),
        (r#"{"layers":[{"parent":-1}],"records":[{"layers":[{"layer":0}]}]}"#, vec![]),
        (r#"{"layers":[null],"records":[{"layers":[{"layer":0}]}]}"#, vec![]),
        (
            r#"{"layers":[{"blob":"@a","parent":-1},{"blob":"@b","parent":-0}],"records":[{"layers":[{"layer":1}]}]}"#,
            vec![vec![a, b]],
        ),
        (r#"{"layers":[{"blob":"@a"}],"records":[{"chains":[{"layers":[null,-0]}]}]}"#, vec![vec![a, a]]),
        (
            r#"{"layers":[{"blob":"@a","parent":-1}],"records":[{"layers":[{"layer":0,"createdAt":"2026-11-23T7:40:36,5+24:00"}]}]}"#,
            vec![vec![a]],
        ),
    ] {
        assert_eq!(results(config), expected, "{config}");
    }
}

#[test]
fn an_index_with_a_bad_diff_id_and_a_negative_size_is_read() {
    let blob = Digest::sha256(b"a");
    let index =
        format!(r#"{{"layers":[{{"blob":"{blob}","parent":-1,"annotations":{{"diffID":"none","size":-5}}}}]}}"#);
    let manifest = CacheManifest::decode_flat(index).unwrap();
    let codes: Vec<_> = check(&manifest).iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [FindingCode::UnusedLayer, FindingCode::DiffIdMissing]);
    assert_eq!(manifest.descriptor(&blob).unwrap().size, 0);
    let without = format!(r#"{{"layers":[{{"blob":"{blob}","parent":-1,"annotations":{{"size":1}}}}]}}"#);
    assert!(CacheManifest::decode_flat(without).is_err());
}

#[test]
fn a_result_of_no_layers_is_a_result() {
    let config = r#"{"layers":[{"blob":"@a","parent":-1}],"records":[{"digest":"k","chains":[{"layers":[],"createdAt":"2026-11-23T07:40:36Z"}]},{"digest":"l","layers":[{"layer":0}]}]}"#;
    let expected = vec![vec![], vec![Digest::sha256(b"a")]];
    assert_eq!(results(config), expected);
    // It is read again after it was written.
    let written = CacheChains::from_manifest(&tolerated(config)).unwrap().to_manifest();
    assert_eq!(results(&String::from_utf8(written.config().encode()).unwrap()), expected);
    let optimized = cache_ops::optimize(&written, &cache_ops::OptimizeOptions::default()).unwrap().manifest;
    assert_eq!(results(&String::from_utf8(optimized.config().encode()).unwrap()), expected);
}

#[test]
fn equal_records_that_lead_to_each_other_are_found_and_repaired() {
    // The second record is equal to the first one by one alternative, and a child of it by the other.
    let config = r#"{"layers":[{"blob":"@a","parent":-1}],"records":[{"digest":"r"},{"digest":"k","inputs":[[{"link":0}]]},{"digest":"k","inputs":[[{"link":0},{"link":1}]],"layers":[{"layer":0}]}]}"#;
    let manifest = tolerated(config);
    let codes = |manifest: &CacheManifest| check(manifest).iter().map(|finding| finding.code).collect::<Vec<_>>();
    assert_eq!(codes(&manifest), [FindingCode::MergedLoop]);
    let optimized = cache_ops::optimize(&manifest, &cache_ops::OptimizeOptions::default()).unwrap().manifest;
    assert_eq!(codes(&optimized), []);
    // Ours finds the result in both ways.
    let chains = CacheChains::from_manifest(&manifest).unwrap();
    let root = chains.root(&CacheKey::from("r")).unwrap();
    let found = |record| chains.lookup(&CacheKey::from("k"), &[vec![CacheLink::new(record)]]);
    let first = found(root);
    assert!(first.iter().any(|&record| chains.hit(record).is_some()));
    assert!(first.iter().flat_map(|&record| found(record)).any(|record| chains.hit(record).is_some()));
}

#[test]
fn of_equal_layers_with_two_times_the_newest_counts() {
    let config = r#"{"layers":[{"blob":"@a","parent":-1}],"records":[{"digest":"k","layers":[{"layer":0,"createdAt":"2026-11-23T07:40:36Z"},{"layer":0,"createdAt":"2026-11-24T07:40:36Z"}]}]}"#;
    let chains = CacheChains::from_manifest(&tolerated(config)).unwrap();
    let record = chains.root(&CacheKey::from("k")).unwrap();
    assert_eq!(chains.hit(record).unwrap().created_at.to_string(), "2026-11-24T07:40:36Z");
}

#[tokio::test]
async fn a_document_that_is_no_manifest_is_refused_in_the_words_of_buildkit() {
    for case in malformed::manifests() {
        assert_says(&case, read(case.bytes.clone(), &[]).await);
    }
}

#[tokio::test]
async fn an_image_config_whose_records_cannot_be_read_is_refused() {
    for case in malformed::image_configs() {
        let manifest = malformed::image(&case.bytes, 1);
        assert_says(&case, read(manifest, std::slice::from_ref(&case.bytes)).await);
    }
}

#[tokio::test]
async fn an_image_without_records_is_no_cache_and_no_error() {
    let configs = [
        "{}",
        "null",
        r#"{"moby.buildkit.cache.v0":null,"rootfs":{"diff_ids":[]}}"#,
        // An attestation has layers, but none of them are in its config.
        r#"{"moby.buildkit.cache.v0":"W10=","rootfs":{"diff_ids":[]}}"#,
    ];
    for config in configs.map(Bytes::from) {
        let found = read(malformed::image(&config, 1), std::slice::from_ref(&config)).await.unwrap();
        assert!(found.is_none(), "{config:?}");
    }
    for document in ["{}", r#"{"manifests":[]}"#, r#"{"layers":[]}"#, r#"{"config":{}}"#] {
        assert!(read(document.into(), &[]).await.unwrap().is_none(), "{document}");
    }
}

#[tokio::test]
async fn the_type_of_a_manifest_is_told_from_its_body() {
    let config = Bytes::from("{}");
    let entry = |kind: &MediaType| {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, Digest::sha256(&config), config.len())
    };
    let cache = entry(&MediaType::CACHE_CONFIG);
    let given = |kind: &str, body: &str| format!(r#"{{"mediaType":"{kind}",{body}}}"#);
    let index = format!(r#""manifests":[{cache}]"#);
    let manifest = format!(r#""config":{cache}"#);
    let cases = [
        (given(MediaType::OCI_INDEX.as_str(), &index), ManifestForm::Index),
        (given(MediaType::DOCKER_LIST.as_str(), &index), ManifestForm::DockerList),
        (given("", &index), ManifestForm::DockerList),
        (given("application/json", &index), ManifestForm::DockerList),
        (format!("{{{index}}}"), ManifestForm::DockerList),
        (given(MediaType::OCI_MANIFEST.as_str(), &manifest), ManifestForm::ImageManifest),
        (given(MediaType::DOCKER_MANIFEST.as_str(), &manifest), ManifestForm::ImageManifest),
        (given("text/plain", &manifest), ManifestForm::ImageManifest),
        (format!("{{{manifest}}}"), ManifestForm::ImageManifest),
    ];
    for (document, form) in cases {
        let found = read(document.clone().into(), std::slice::from_ref(&config)).await.unwrap();
        assert_eq!(found.expect("it names a config").form(), Some(form), "{document}");
    }
}

#[tokio::test]
async fn of_several_configs_in_an_index_the_last_counts_wherever_it_stands() {
    let (first, last) =
        (Bytes::from(r#"{"records":[{"digest":"first"}]}"#), Bytes::from(r#"{"records":[{"digest":"last"}]}"#));
    let entry = |kind: MediaType, bytes: &[u8]| {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, Digest::sha256(bytes), bytes.len())
    };
    let entries = [
        entry(MediaType::CACHE_CONFIG, &first),
        entry(MediaType::CACHE_CONFIG, &last),
        entry(MediaType::OCI_LAYER, b"layer"),
    ];
    let document = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
    let found = read(document.into(), &[first, last]).await.unwrap().expect("it names a config");
    assert_eq!(found.config().records[0].key, CacheKey::from("last"));
    assert_eq!(found.blobs().len(), 1);
}

#[tokio::test]
async fn an_index_with_an_unknown_config_type_is_not_taken_for_a_cache() {
    let layer = Bytes::from("not JSON");
    let entry = |kind: &str, bytes: &[u8]| {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, Digest::sha256(bytes), bytes.len())
    };
    let entries =
        [entry("application/vnd.buildkit.cacheconfig.v1", b"{}"), entry(MediaType::OCI_LAYER.as_str(), &layer)];
    let document = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
    let error = read(document.into(), &[Bytes::from("{}"), layer]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{error:?}");
}

#[tokio::test]
async fn the_error_for_a_missing_or_wrongly_sized_config_names_it() {
    let config = Bytes::from("{}");
    let digest = Digest::sha256(&config);
    let document = |size: u64| {
        let kind = MediaType::CACHE_CONFIG;
        Bytes::from(format!(r#"{{"config":{{"mediaType":"{kind}","digest":"{digest}","size":{size}}},"layers":[]}}"#))
    };
    let expected = [
        (2, &[][..], ErrorKind::NotFound),
        (1, std::slice::from_ref(&config), ErrorKind::DigestMismatch),
        (3, std::slice::from_ref(&config), ErrorKind::Unavailable),
        (u64::MAX / 2, std::slice::from_ref(&config), ErrorKind::LimitExceeded),
    ];
    for (size, blobs, kind) in expected {
        let error = read(document(size), blobs).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(&digest.to_string()), "{error}");
    }
}

#[tokio::test]
async fn an_index_of_indexes_without_end_is_refused() {
    let store = MemoryCache::new();
    let mut document = Bytes::from(r#"{"manifests":[]}"#);
    for _ in 0..=Limits::default().images {
        let digest = store.insert(document.clone());
        let kind = MediaType::OCI_INDEX;
        document =
            format!(r#"{{"manifests":[{{"mediaType":"{kind}","digest":"{digest}","size":{}}}]}}"#, document.len())
                .into();
    }
    let error = load(document, &store, &Limits::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error:?}");
}

#[tokio::test]
async fn an_image_with_a_short_history_is_a_finding() {
    let config = Bytes::from(
        r#"{"rootfs":{"diff_ids":["@"]},"moby.buildkit.cache.v0":"W10=","history":[{"empty_layer":true}]}"#
            .replace('@', &Digest::sha256(b"").to_string()),
    );
    let found =
        read(malformed::image(&config, 1), std::slice::from_ref(&config)).await.unwrap().expect("it has records");
    assert!(check(&found).iter().any(|finding| finding.code == FindingCode::HistoryTooShort));
}

/// The documents with this text, one for each kind of fixture of the oldest and the newest BuildKit.
fn documents(text: &str) -> Vec<(Fixture, Bytes)> {
    let of_fixture = |fixture: Fixture| {
        let blobs = fixture.blobs().into_values().filter(|bytes| bytes.starts_with(b"{"));
        let mut blobs = blobs;
        let document = blobs.rfind(|bytes| String::from_utf8_lossy(bytes).contains(text));
        document.map(|document| (fixture, document))
    };
    let chosen = fixtures::all().into_iter().filter(|fixture| !fixture.name.contains("v0.12"));
    let documents: Vec<_> = chosen.filter_map(of_fixture).collect();
    assert!(documents.len() > 2, "no fixture holds {text}");
    documents
}

#[test]
fn a_config_cut_at_any_byte_is_an_error() {
    for (_, config) in documents("\"records\":[") {
        for end in 0..config.len() {
            let error = CacheConfig::decode(&config[..end]).expect_err("a cut document has no end");
            assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_manifest_cut_at_any_byte_is_an_error() {
    for (fixture, manifest) in documents("\"schemaVersion\":") {
        for end in 0..manifest.len() {
            let cut = load(manifest.slice(..end), &fixture, &Limits::default()).await;
            let error = cut.expect_err("a cut document has no end");
            assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{error:?}");
        }
    }
}

#[tokio::test]
async fn an_image_config_cut_at_any_byte_is_an_error() {
    for (_, config) in documents("moby.buildkit.cache.v0") {
        for end in 0..config.len() {
            let cut = config.slice(..end);
            let error = read(malformed::image(&cut, 1), &[cut]).await.expect_err("a cut document has no end");
            assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{error:?}");
        }
    }
}

/// A cut file may be torn and is read again for a while, so all cuts are read concurrently.
#[cfg(feature = "local")]
#[tokio::test]
async fn an_index_json_cut_at_any_byte_is_an_error() {
    use cache_core::CacheImporter;
    use cache_local::{LocalConfig, LocalImporter};

    let index = std::fs::read(fixtures::named("v0.32/max-manifest").path.join("index.json")).unwrap();
    let read = |end: usize| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("index.json"), &index[..end]).unwrap();
        async move { LocalImporter::new(LocalConfig::new(directory.path())).resolve().await.map(|_| ()) }
    };
    // An empty file is an index without entries, as in BuildKit.
    for outcome in futures_util::future::join_all((1..index.len()).map(read)).await {
        let error = outcome.expect_err("a cut document has no end");
        assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{error:?}");
        assert!(error.to_string().contains("index.json"), "{error}");
    }
}

#[test]
fn every_parser_survives_mutated_input() {
    for target in TARGETS {
        for input in mutations(target, 1).take(300) {
            (target.run)(&input);
        }
    }
}
