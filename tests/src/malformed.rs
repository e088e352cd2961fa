//! Documents with one mistake each: one for each error of BuildKit's importer, with the message.
//!
//! The messages are BuildKit's if it has one (cache-format §2.1 and §4.1), with the position in brackets.

use bytes::Bytes;
use cache_core::{ErrorKind, MediaType};

/// A document that cannot be read as a cache.
#[derive(Debug, Clone)]
pub struct Malformed {
    /// The document.
    pub bytes: Bytes,
    /// The kind of the error.
    pub kind: ErrorKind,
    /// The message, or its beginning.
    pub error: &'static str,
}

/// The digest of no bytes.
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A document in which each `@` is replaced by [`EMPTY`].
fn malformed(document: &str, error: &'static str) -> Malformed {
    Malformed { bytes: document.replace('@', EMPTY).into(), kind: ErrorKind::InvalidManifest, error }
}

/// Configs that decode, but are not a graph.
#[must_use]
pub fn graphs() -> Vec<Malformed> {
    vec![
        malformed(
            r#"{"records":[{"digest":"@","inputs":[[{"link":1}]]},{"digest":"@","inputs":[[{"link":0}]]}]}"#,
            "invalid looping record (record=0)",
        ),
        malformed(
            r#"{"records":[{"digest":"@"},{"digest":"@","inputs":[[{"link":0},{"link":1}]]}]}"#,
            "invalid looping record (record=1)",
        ),
        malformed(r#"{"records":[{"digest":"@","inputs":[[{}]]}]}"#, "invalid looping record (record=0)"),
        malformed(r#"{"records":[{"digest":"@","inputs":[[{"link":1}]]}]}"#, "invalid record ID: 1 (record=0)"),
        malformed(r#"{"records":[{"digest":"@","inputs":[[{"link":-1}]]}]}"#, "invalid record ID: -1 (record=0)"),
        malformed(
            r#"{"records":[{"digest":"@"},{"digest":"@","inputs":[[{"link":0}],[{"link":9223372036854775807}]]}]}"#,
            "invalid record ID: 9223372036854775807 (record=1)",
        ),
        malformed(r#"{"records":[{"digest":"@","inputs":[[]]}]}"#, "invalid empty input for record 0"),
        malformed(r#"{"records":[{"digest":"@","inputs":[null]}]}"#, "invalid empty input for record 0"),
        malformed(
            r#"{"records":[{"digest":"@"},{"digest":"@","inputs":[[{"link":0}],[]]}]}"#,
            "invalid empty input for record 1",
        ),
        malformed(
            r#"{"records":[{"digest":"random:@"},{"digest":"@","inputs":[[{"link":0}]]}]}"#,
            "record 1 links to a random key",
        ),
        malformed(
            r#"{"layers":[{"blob":"@"}],"records":[{"digest":"@","layers":[{"layer":0}]}]}"#,
            "invalid looping layer (layer=0, record=0)",
        ),
        malformed(
            r#"{"layers":[{"blob":"@","parent":1},{"blob":"@","parent":0}],"records":[{"layers":[{"layer":1}]}]}"#,
            "invalid looping layer (layer=1, record=0)",
        ),
    ]
}

/// Configs with an index of a missing layer.
#[must_use]
pub fn layer_indices() -> Vec<Malformed> {
    vec![
        malformed(r#"{"records":[{"digest":"@","layers":[{"layer":0}]}]}"#, "invalid layer index 0"),
        malformed(
            r#"{"layers":[{"blob":"@","parent":-1}],"records":[{"layers":[{"layer":1}]}]}"#,
            "invalid layer index 1",
        ),
        malformed(
            r#"{"layers":[{"blob":"@","parent":-1}],"records":[{"layers":[{"layer":-1}]}]}"#,
            "invalid layer index -1",
        ),
        malformed(
            r#"{"layers":[{"blob":"@","parent":-2}],"records":[{"layers":[{"layer":0}]}]}"#,
            "invalid layer index -2",
        ),
        malformed(
            r#"{"layers":[{"blob":"@","parent":7}],"records":[{"layers":[{"layer":0}]}]}"#,
            "invalid layer index 7",
        ),
        malformed(
            r#"{"layers":[{"blob":"@","parent":-1}],"records":[{"chains":[{"layers":[0,1]}]}]}"#,
            "invalid layer index 1",
        ),
        malformed(
            r#"{"layers":[{"blob":"@","parent":-1}],"records":[{"chains":[{"layers":[-1]}]}]}"#,
            "invalid layer index -1",
        ),
    ]
}

/// Configs that do not decode.
#[must_use]
pub fn configs() -> Vec<Malformed> {
    let documents = [
        "",
        " ",
        "{",
        "{}x",
        "{}{}",
        "[]",
        "1",
        r#"{"layers":{}}"#,
        r#"{"layers":[[]]}"#,
        r#"{"layers":[{"blob":1}]}"#,
        r#"{"layers":[{"blob":"@","parent":-0.0}]}"#,
        r#"{"layers":[{"blob":"@","parent":"0"}]}"#,
        r#"{"layers":[{"blob":"@","parent":1.5}]}"#,
        r#"{"layers":[{"blob":"@","parent":9223372036854775808}]}"#,
        r#"{"layers":[{"blob":"@","annotations":[]}]}"#,
        r#"{"records":"none"}"#,
        r#"{"records":[{"digest":7}]}"#,
        r#"{"records":[{"inputs":{}}]}"#,
        r#"{"records":[{"inputs":[[{"link":"0"}]]}]}"#,
        r#"{"records":[{"layers":[{"layer":0,"createdAt":"yesterday"}]}]}"#,
        r#"{"records":[{"layers":[{"layer":0,"createdAt":1}]}]}"#,
        r#"{"records":[{"layers":[{"layer":0,"createdAt":"2026-11-23T07:40:36\u005a"}]}]}"#,
        r#"{"records":[{"chains":[{"layers":0}]}]}"#,
    ];
    documents.iter().map(|document| malformed(document, "cache config is unreadable (at=")).collect()
}

/// Documents that are not a manifest.
#[must_use]
pub fn manifests() -> Vec<Malformed> {
    let ambiguous = [
        r#"{"config":{"digest":"@"},"manifests":[]}"#,
        r#"{"layers":[],"manifests":[]}"#,
        r#"{"config":null,"manifests":null}"#,
        r#"{"mediaType":"application/vnd.oci.image.index.v1+json","layers":[],"manifests":[]}"#,
    ];
    let unreadable = [
        "",
        "{",
        "{}x",
        "[]",
        "\"manifest\"",
        r#"{"manifests":{}}"#,
        r#"{"manifests":[{}]}"#,
        r#"{"manifests":[{"digest":"sha256:short"}]}"#,
        r#"{"manifests":[{"digest":"@","size":-1}]}"#,
        r#"{"manifests":[{"digest":"@","size":"1"}]}"#,
        r#"{"manifests":[{"digest":"@","annotations":{"a":1}}]}"#,
        r#"{"mediaType":1}"#,
        r#"{"config":[]}"#,
        r#"{"config":{"digest":"@"},"layers":[{"mediaType":"x"}]}"#,
    ];
    let mut documents: Vec<Malformed> =
        ambiguous.iter().map(|text| malformed(text, "invalid ambiguous manifest and manifest list")).collect();
    documents.extend(unreadable.iter().map(|text| malformed(text, "manifest is unreadable (at=")));
    documents.extend(mismatched());
    documents
}

/// Every type of manifest with the contents of another type.
fn mismatched() -> impl Iterator<Item = Malformed> {
    let manifest = [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST].map(|kind| (kind, r#""manifests":[]"#));
    let index = [MediaType::OCI_INDEX, MediaType::DOCKER_LIST].map(|kind| (kind, r#""layers":[]"#));
    let mismatched = |(kind, contents): (MediaType, &str)| {
        let document = format!(r#"{{"mediaType":"{kind}",{contents}}}"#);
        malformed(&document, "mediaType in manifest does not match manifest contents (mediaType=application/vnd.")
    };
    manifest.into_iter().chain(index).map(mismatched)
}

/// Image configs with unreadable records; each is for an image with one layer.
#[must_use]
pub fn image_configs() -> Vec<Malformed> {
    let records = |value: &str| format!(r#"{{"rootfs":{{"diff_ids":["@"]}},"moby.buildkit.cache.v0":{value}}}"#);
    vec![
        malformed(&records(r#""""#), "inline cache records is unreadable (at="),
        malformed(&records(r#""e30=""#), "inline cache records is unreadable (at="),
        malformed(&records(r#""W10""#), "image config is unreadable (at="),
        malformed(&records(r#""not base64""#), "image config is unreadable (at="),
        malformed(&records("[]"), "image config is unreadable (at="),
        malformed(r#"{"rootfs":{"diff_ids":["none"]}}"#, "image config is unreadable (at="),
        malformed(r#"{"history":[{"created":"yesterday"}]}"#, "image config is unreadable (at="),
        malformed("layer", "image config is unreadable (at="),
    ]
}

/// An image manifest with this config and `layers` layers, which are empty blobs.
#[must_use]
pub fn image(config: &[u8], layers: usize) -> Bytes {
    let layer = format!(r#"{{"mediaType":"{}","digest":"{EMPTY}","size":0}}"#, MediaType::OCI_LAYER);
    let digest = cache_core::Digest::sha256(config);
    let media_type = MediaType::OCI_CONFIG;
    let config = format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, config.len());
    let layers = vec![layer; layers].join(",");
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#).into()
}
