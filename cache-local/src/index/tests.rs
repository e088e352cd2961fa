//! The rules of BuildKit's `client/ociindex`, held against the files it wrote.

use cache_core::Digest;

use super::*;
use crate::tests::fixture_index;

const FIXTURES: [&str; 6] = [
    "v0.12/generations",
    "v0.20/generations",
    "v0.20/inline-image",
    "v0.32/generations",
    "v0.32/inline-multi",
    "v0.32/max-manifest",
];

fn decode(json: &str) -> Index {
    Index::decode(json.as_bytes()).unwrap()
}

fn encode(index: &Index) -> String {
    String::from_utf8(index.encode()).unwrap()
}

/// The descriptor of the `n`th entry as BuildKit's daemon reported it: without annotations.
fn reported(index: &Index, n: usize) -> Descriptor {
    let entry = index.entries()[n].descriptor().unwrap();
    Descriptor::new(entry.media_type.clone(), entry.digest, entry.size)
}

fn manifest(name: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_MANIFEST, name.as_bytes())
}

/// An index with entries of these annotations; the `n`th is for `manifest("n")`.
fn index_of(annotations: &[&[(&str, &str)]]) -> Index {
    let mut index = Index::default();
    for (n, annotations) in annotations.iter().enumerate() {
        let mut descriptor = manifest(&n.to_string());
        descriptor.annotations = annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        index.entries.push(Entry::decode(to_raw_value(&descriptor).unwrap()).unwrap());
    }
    index
}

fn digests(index: &Index) -> Vec<Digest> {
    index.entries().iter().map(|entry| entry.descriptor().unwrap().digest).collect()
}

#[test]
fn exports_in_buildkits_order_give_buildkits_bytes() {
    for name in ["v0.20/generations", "v0.32/generations"] {
        let expected = fixture_index(name);
        let written = decode(&expected);
        let mut index = Index::default();
        index.put("latest", &manifest("the older generation")).unwrap();
        index.put("latest", &reported(&written, 0)).unwrap();
        index.put("release", &reported(&written, 1)).unwrap();
        assert_eq!(encode(&index), expected, "{name}");
    }
}

#[test]
fn indexes_of_buildkit_survive_a_round_trip() {
    for name in FIXTURES.into_iter().filter(|name| !name.starts_with("v0.12")) {
        let json = fixture_index(name);
        assert_eq!(encode(&decode(&json)), json, "{name}");
    }
}

#[test]
fn a_media_type_that_older_versions_left_out_is_filled_in() {
    let old = fixture_index("v0.12/generations");
    let new = encode(&decode(&old));
    assert_eq!(new, old.replacen("2,", "2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",", 1));
}

#[test]
fn the_new_entry_is_last_and_the_others_keep_every_byte() {
    let mut index = decode(
        "{\"manifests\":[{\"x\":[1e2],\"digest\":\"blake3:0\"},\n {\"a\":\"b c\\u0041\", \"annotations\":{\"org.opencontainers.\
         image.ref.name\":\"t\"}},{\"z\":1,\"annotations\":{\"org.opencontainers.image.ref.name\":\"u\"}}],\"own\":[1, 2]}",
    );
    index.put("t", &manifest("new")).unwrap();
    let expected = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{{\"x\":[1e2],\"digest\"\
         :\"blake3:0\"}},{{\"z\":1,\"annotations\":{{\"org.opencontainers.image.ref.name\":\"u\"}}}},{{\"mediaType\":\"applicati\
         on/vnd.oci.image.manifest.v1+json\",\"digest\":\"{}\",\"size\":3,\"annotations\":{{\"org.opencontainers.image.ref.name\"\
         :\"t\"}}}}],\"own\":[1,2]}}",
        manifest("new").digest
    );
    assert_eq!(encode(&index), expected);
}

#[test]
fn a_tag_that_leads_to_an_image_is_not_given_to_a_cache() {
    let (tag, image) = ((annotation::REF_NAME, "t"), (IMAGE_NAME, "r/i:t"));
    for (taken, annotations) in [
        ("t", &[&[tag, image][..], &[tag]][..]),
        ("t", &[&[tag], &[tag, image]]),
        ("r/i:t", &[&[image]]),
        ("r/i:t", &[&[(annotation::REF_NAME, "r/i:t")], &[image]]),
    ] {
        let mut index = index_of(annotations);
        let error = index.put(taken, &manifest("new")).unwrap_err();
        assert_eq!((error.kind(), error.context("image")), (ErrorKind::Unsupported, Some("r/i:t")));
        assert!(!index.is_changed(), "{annotations:?}");
    }
}

#[test]
fn entries_are_removed_by_any_of_their_names_or_without_one() {
    let tag = (annotation::REF_NAME, "t");
    let all = index_of(&[&[tag, (IMAGE_NAME, "a:t")], &[tag, (IMAGE_NAME, "b:t")], &[tag], &[]]);
    let state = |n: usize| all.entries()[n].state();
    for (name, version, left) in [
        (Some("t"), 0, [1, 2, 3].as_slice()),
        (Some("b:t"), 1, &[0, 2, 3]),
        (Some("t"), 2, &[0, 1, 3]),
        (Some("u"), 0, &[0, 1, 2, 3]),
        (None, 0, &[0, 1, 2, 3]),
        (None, 1, &[0, 1, 2, 3]),
        (None, 2, &[0, 1, 3]),
        (None, 3, &[0, 1, 2]),
    ] {
        let mut index = all.clone();
        assert_eq!(index.remove(name, &state(version)), left.len() < 4, "{name:?} {version}");
        assert_eq!(digests(&index), left.iter().map(|n| manifest(&n.to_string()).digest).collect::<Vec<_>>());
    }
}

#[test]
fn an_entry_has_a_name_if_the_name_leads_to_it() {
    let index = index_of(&[
        &[(annotation::REF_NAME, "t"), (IMAGE_NAME, "r/i:t")],
        &[(annotation::REF_NAME, "t")],
        &[(IMAGE_NAME, "r/i:t")],
        &[(annotation::REF_NAME, "u")],
        &[(annotation::REF_NAME, "v")],
        &[(annotation::REF_NAME, "w"), (IMAGE_NAME, "v")],
        &[(annotation::REF_NAME, "w"), (IMAGE_NAME, "x")],
        &[],
    ]);
    let names: Vec<_> = index.named().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [Some("t"), None, None, Some("u"), None, Some("w"), Some("x"), None]);
}

#[test]
fn an_entry_that_is_there_twice_is_listed_once() {
    let mut index = index_of(&[&[(annotation::REF_NAME, "t")], &[(annotation::REF_NAME, "t")], &[]]);
    assert_eq!(index.listed().len(), 3);
    index.entries[1] = index.entries[0].clone();
    let names: Vec<_> = index.listed().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [Some("t"), None]);
    assert!(index.remove(Some("t"), &index.entries()[0].state()));
    assert_eq!(index.listed().len(), 1);
}

#[test]
fn the_empty_tag_replaces_every_untagged_entry() {
    let mut index = index_of(&[
        &[],
        &[(annotation::REF_NAME, "t")],
        &[(annotation::REF_NAME, "")],
        &[(IMAGE_NAME, "r/i:t")],
        &[("org.opencontainers.image.created", "2026-11-23T07:41:26Z")],
    ]);
    assert_eq!(index.find("").unwrap().state().as_str(), manifest("0").digest.to_string());
    index.put("", &manifest("new")).unwrap();
    assert_eq!(digests(&index), [manifest("1").digest, manifest("3").digest, manifest("new").digest]);
    assert!(encode(&index).ends_with("\"annotations\":{\"org.opencontainers.image.ref.name\":\"\"}}]}"));
    assert_eq!(index.find("").unwrap().state().as_str(), manifest("new").digest.to_string());
}

#[test]
fn a_tag_is_escaped_as_go_escapes_it() {
    let mut index = Index::default();
    index.put("a<b>&\u{2028}\"\\<", &manifest("m")).unwrap();
    assert!(encode(&index).ends_with(":\"a\\u003cb\\u003e\\u0026\\u2028\\\"\\\\\\u003c\"}}]}"), "{}", encode(&index));
    assert_eq!(decode(&encode(&index)).named()[0].0, index.named()[0].0);
}

#[test]
fn containerds_image_name_counts_before_the_tag() {
    let index = index_of(&[
        &[(annotation::REF_NAME, "r/i:t")],
        &[(IMAGE_NAME, "r/i:t"), (annotation::REF_NAME, "t")],
        &[(annotation::REF_NAME, "t")],
    ]);
    assert_eq!(index.find("r/i:t").unwrap().descriptor().unwrap().digest, manifest("1").digest);
    assert_eq!(index.find("t").unwrap().descriptor().unwrap().digest, manifest("1").digest);
    assert!(index.find("u").is_none());
}

#[test]
fn the_default_is_latest_or_the_only_untagged_entry() {
    let default = |annotations: &[&[(&str, &str)]]| index_of(annotations).find_default().map(Entry::state);
    let state = |name: &str| Some(Version::new(manifest(name).digest.to_string()));
    assert_eq!(default(&[&[], &[(annotation::REF_NAME, "latest")]]), state("1"));
    assert_eq!(default(&[&[("created", "now")]]), state("0"));
    assert_eq!(default(&[&[], &[]]), None);
    assert_eq!(default(&[&[(annotation::REF_NAME, "main")]]), None);
    assert_eq!(default(&[&[(IMAGE_NAME, "r/i:t")]]), None);
    assert_eq!(default(&[]), None);
}

#[test]
fn an_empty_file_and_null_have_no_entries() {
    for json in ["", "null", "{}", "{\"manifests\":null}"] {
        assert!(decode(json).entries().is_empty(), "{json}");
    }
}

#[test]
fn names_of_fields_match_as_in_go() {
    let index = decode("{\"SchemaVersion\":2,\"MANIFESTS\":[{\"Digest\":\"x\",\"annotations\":null},null]}");
    assert_eq!(index.entries().len(), 2);
    assert!(index.entries().iter().all(|entry| entry.descriptor().is_none() && !entry.is_named()));
}

#[test]
fn an_invalid_index_is_an_error() {
    for json in
        ["{", "[]", "1", "{\"manifests\":{}}", "{\"manifests\":[1]}", "{\"schemaVersion\":\"2\"}", "{}}", "\u{feff}{}"]
    {
        let error = Index::decode(json.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{json}");
    }
    assert!(Index::decode(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn no_mutation_of_an_index_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let originals = FIXTURES.map(fixture_index);
    let tokens = b"{}[]\",:\\0-9e.ntu \xff";
    for n in 0..20_000 {
        let mut bytes = originals[n % originals.len()].clone().into_bytes();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes.truncate(at + 1),
                1 => bytes[at] = tokens[random(tokens.len())],
                _ => bytes.insert(at, tokens[random(tokens.len())]),
            }
        }
        if let Ok(mut index) = Index::decode(&bytes) {
            index.put("latest", &manifest("new")).unwrap();
            assert!(Index::decode(&index.encode()).unwrap().find_default().is_some());
        }
    }
}
