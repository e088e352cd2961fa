//! Every finding from the graph alone, and none for a sound cache.

use super::*;
use crate::manifest::{CacheLayer, ChainResult, LayerResult, RecordLink};
use crate::model::MediaType;

fn layer(name: &str) -> Descriptor {
    let layer = Descriptor::of(MediaType::OCI_LAYER, name.as_bytes());
    let diff_id = layer.digest;
    layer.with_annotation(annotation::UNCOMPRESSED, diff_id)
}

fn config(layers: &[(&str, i64)], records: Vec<CacheRecord>) -> CacheConfig {
    let layer =
        |&(name, parent): &(&str, i64)| CacheLayer { blob: Digest::sha256(name.as_bytes()), parent, annotations: None };
    CacheConfig { layers: layers.iter().map(layer).collect(), records }
}

fn record(key: &str, links: &[i64], layers: &[i64]) -> CacheRecord {
    let link = |&link: &i64| vec![RecordLink { selector: String::new(), link }];
    CacheRecord {
        key: CacheKey::from(key),
        inputs: links.iter().map(link).collect(),
        results: layers.iter().map(|&layer| LayerResult { layer, created_at: Timestamp::ZERO }).collect(),
        chains: Vec::new(),
    }
}

/// Code, object, and the keys of the results that are affected.
fn found(config: CacheConfig, blobs: impl IntoIterator<Item = Descriptor>) -> Vec<(FindingCode, String, Vec<String>)> {
    let findings = check(&CacheManifest::new(config, blobs));
    let keys = |finding: &Finding| finding.affected.keys.iter().map(ToString::to_string).collect();
    findings.iter().map(|finding| (finding.code, finding.object.clone(), keys(finding))).collect()
}

fn one(code: FindingCode, object: impl Into<String>, affected: &[&str]) -> Vec<(FindingCode, String, Vec<String>)> {
    vec![(code, object.into(), affected.iter().map(|&key| key.to_owned()).collect())]
}

fn blob(name: &str) -> String {
    format!("blob {}", Digest::sha256(name.as_bytes()))
}

#[test]
fn a_sound_cache_has_no_findings() {
    let records = vec![record("a", &[], &[]), record("b", &[0], &[1]), record("random:x", &[], &[])];
    assert_eq!(found(config(&[("x", -1), ("y", 0)], records), [layer("x"), layer("y")]), []);
}

#[test]
fn links_to_no_record_are_findings() {
    for link in [1, -1, i64::MAX] {
        let records = vec![record("a", &[link], &[])];
        assert_eq!(found(config(&[], records), []), one(FindingCode::LinkOutOfRange, "record 0 a", &[]));
    }
    let mut empty = record("a", &[], &[]);
    empty.inputs.push(Vec::new());
    assert_eq!(found(config(&[], vec![empty]), []), one(FindingCode::InputEmpty, "record 0 a", &[]));
    let records = vec![record("random:x", &[], &[]), record("a", &[0], &[])];
    assert_eq!(found(config(&[], records), []), one(FindingCode::LinkToRandom, "record 1 a", &[]));
}

#[test]
fn each_loop_is_found_once() {
    let records = vec![record("a", &[2], &[]), record("b", &[0], &[]), record("c", &[1], &[]), record("d", &[3], &[])];
    let loops = found(config(&[], records), []);
    assert_eq!(loops.iter().map(|(code, ..)| *code).collect::<Vec<_>>(), [FindingCode::RecordLoop; 2]);
    let layers = config(&[("x", 1), ("y", 0)], vec![record("a", &[], &[1])]);
    let loops = found(layers, [layer("x"), layer("y")]);
    assert_eq!(loops.iter().map(|(code, ..)| *code).collect::<Vec<_>>(), [FindingCode::LayerLoop]);
}

#[test]
fn layers_that_do_not_exist_are_found() {
    let records = vec![record("a", &[], &[1])];
    let findings = found(config(&[("x", -1)], records), [layer("x")]);
    assert_eq!(findings[0], (FindingCode::LayerOutOfRange, "record 0 a".to_owned(), vec![]));
    let findings = found(config(&[("x", 7)], vec![record("a", &[], &[0])]), [layer("x")]);
    assert_eq!(findings, one(FindingCode::LayerOutOfRange, "layer 0", &[]));
}

#[test]
fn a_broken_layer_that_no_result_needs_is_only_unused() {
    let findings = found(config(&[("x", 0)], vec![record("a", &[], &[])]), [layer("x")]);
    assert_eq!(findings, one(FindingCode::UnusedLayer, format!("layer 0 {}", Digest::sha256(b"x")), &[]));
    assert!(!FindingCode::UnusedLayer.is_error());
}

#[test]
fn a_duplicate_record_is_a_finding() {
    let records = vec![record("a", &[], &[]), record("b", &[0], &[]), record("b", &[0], &[])];
    assert_eq!(found(config(&[], records), []), one(FindingCode::DuplicateRecord, "record 2 b", &[]));
}

#[test]
fn an_incomplete_descriptor_is_a_finding_with_the_results_above_it() {
    let cache = || {
        let mut listed = record("listed", &[], &[]);
        listed.chains.push(ChainResult { layers: vec![0], created_at: Timestamp::ZERO });
        config(&[("x", -1), ("y", 0), ("z", -1)], vec![record("top", &[], &[1]), record("other", &[], &[2]), listed])
    };
    let affected = ["top", "listed"];
    let blobs = |x: Option<Descriptor>| x.into_iter().chain([layer("y"), layer("z")]).collect::<Vec<_>>();
    let x = blob("x");
    assert_eq!(found(cache(), blobs(None)), one(FindingCode::BlobUndescribed, x.clone(), &affected));
    let bare = Descriptor::of(MediaType::OCI_LAYER, b"x");
    assert_eq!(found(cache(), blobs(Some(bare))), one(FindingCode::DiffIdMissing, x.clone(), &affected));
    let bad = layer("x").with_annotation(annotation::UNCOMPRESSED, "sha256:x");
    assert_eq!(found(cache(), blobs(Some(bad))), one(FindingCode::DiffIdMissing, x.clone(), &affected));
    let late = layer("x").with_annotation(annotation::CREATED_AT, "yesterday");
    assert_eq!(found(cache(), blobs(Some(late))), one(FindingCode::CreatedAtInvalid, x.clone(), &affected));
    let odd = Descriptor { media_type: "application/x-own".into(), ..layer("x") };
    assert_eq!(found(cache(), blobs(Some(odd))), one(FindingCode::MediaTypeUnknown, x, &affected));
}

/// A chain of which nothing is described: each finding would follow all the layers above its own.
#[test]
fn a_long_chain_that_is_lost_is_not_followed_for_every_finding() {
    let names: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    let layers: Vec<(&str, i64)> = names.iter().map(String::as_str).zip(-1..).collect();
    let none: [Descriptor; 0] = [];
    let findings = check(&CacheManifest::new(config(&layers, vec![record("a", &[], &[1_999])]), none));
    let of_blobs = findings.iter().filter(|finding| finding.code == FindingCode::BlobUndescribed);
    let (told, untold): (Vec<_>, Vec<_>) = of_blobs.partition(|finding| !finding.affected.keys.is_empty());
    assert_eq!(told.len() + untold.len(), 2_000);
    assert!(!told.is_empty() && !untold.is_empty() && untold.iter().all(|finding| finding.affected.has_more));
}
