//! [`embed`]: writes records into an image config.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cache_core::json::JsonObject;
use cache_core::{Result, Timestamp};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::InlineRecords;
use crate::records::Origin;

/// The key of the records in an image config.
pub(crate) const FIELD: &str = "moby.buildkit.cache.v0";

/// Writes records into the config of their image, in place of those that it has.
///
/// Every other field keeps its value; the fields are sorted by name, as BuildKit writes them. BuildKit takes a layer's
/// time and step from the history, and crashes on import when that has fewer entries than the image has layers, so
/// missing entries are added at its end, like `{"created":"2026-11-23T07:40:36Z","created_by":"COPY .
/// /src","comment":"buildcache"}`: with the cache's time and description of the layer, or else the image's time.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) if the config is not a JSON object, or its
/// history no list of objects.
pub fn embed(config: &[u8], records: &InlineRecords) -> Result<Vec<u8>> {
    let mut config = JsonObject::decode(config)?;
    if let Some(history) = complete_history(&config, records.origins())? {
        config.set("history", &history);
    }
    config.remove(FIELD);
    config.set(FIELD, &BASE64.encode(records.encode()));
    config.sort();
    Ok(config.encode())
}

/// An entry of a history that was too short.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    created_by: &'a str,
    comment: &'static str,
}

/// The history with an entry for each layer; `None` when it has them already.
fn complete_history(config: &JsonObject, layers: &[Origin]) -> Result<Option<Vec<Box<RawValue>>>> {
    let mut history: Vec<Box<RawValue>> = config.field("history")?.unwrap_or_default();
    let entries: Vec<Option<JsonObject>> = config.field("history")?.unwrap_or_default();
    let mut known = 0;
    for entry in entries {
        let is_empty = entry.map_or(Ok(None), |entry| entry.field("empty_layer"))?;
        known += usize::from(is_empty != Some(true));
    }
    if known >= layers.len() {
        return Ok(None);
    }
    let created = config.field::<Timestamp>("created").ok().flatten();
    for layer in &layers[known..] {
        let created = layer.created_at.or(created);
        let entry = Entry { created, created_by: &layer.description, comment: "buildcache" };
        history.push(to_raw_value(&entry).expect("an entry is plain data, which always encodes"));
    }
    Ok(Some(history))
}

#[cfg(test)]
mod tests {
    use cache_core::{CacheChains, CacheKey, CacheResult, Descriptor, Digest, ErrorKind, MediaType, annotation};

    use super::*;
    use crate::ImageLayer;

    /// The records of a cache whose only result is two layers, for an image of these two.
    fn records() -> InlineRecords {
        let first = Descriptor::of(MediaType::OCI_LAYER, b"first").with_annotation(annotation::DESCRIPTION, "COPY <a>");
        let second = Descriptor::of(MediaType::OCI_LAYER, b"second")
            .with_annotation(annotation::CREATED_AT, "2026-11-23T07:40:36Z");
        let image = [&first, &second].map(|layer| ImageLayer::new(layer.digest));
        let mut chains = CacheChains::new();
        let result = CacheResult::new(Timestamp::ZERO, vec![first, second]);
        chains.add(CacheKey::content(Digest::sha256(b"a")), &[], vec![result]).unwrap();
        InlineRecords::of(&chains.to_manifest(), &image).unwrap().unwrap()
    }

    fn embedded(config: &str) -> String {
        let records = records();
        let text = String::from_utf8(embed(config.as_bytes(), &records).unwrap()).unwrap();
        text.replace(&BASE64.encode(records.encode()), "RECORDS")
    }

    #[test]
    fn fields_are_sorted_and_keep_their_values() {
        let config =
            r#"{"z":1.00000000000000000001, "os":"linux","history":[{},{"created_by" : "a>b"}],"a":{"y":1,"x":2}}"#;
        let expected = concat!(
            r#"{"a":{"y":1,"x":2},"history":[{},{"created_by":"a\u003eb"}],"moby.buildkit.cache.v0":"RECORDS","#,
            r#""os":"linux","z":1.00000000000000000001}"#
        );
        assert_eq!(embedded(config), expected);
        assert_eq!(embedded(expected), expected);
    }

    #[test]
    fn records_that_were_there_are_replaced_whatever_the_case_of_their_name() {
        let config = r#"{"Moby.buildkit.cache.V0":"x","history":[{},{}],"moby.buildkit.cache.v0":""}"#;
        assert_eq!(embedded(config), r#"{"history":[{},{}],"moby.buildkit.cache.v0":"RECORDS"}"#);
    }

    #[test]
    fn a_short_history_is_completed_with_what_the_cache_and_the_image_know() {
        let first = r#"{"created":"2020-01-01T00:00:00Z","created_by":"COPY \u003ca\u003e","comment":"buildcache"}"#;
        let second = r#"{"created":"2026-11-23T07:40:36Z","created_by":"","comment":"buildcache"}"#;
        let created = r#""created":"2020-01-01T00:00:00Z""#;
        let cache = r#""moby.buildkit.cache.v0":"RECORDS""#;
        for none in [format!("{{{created}}}"), format!("{{{created},\"history\":null}}")] {
            assert_eq!(embedded(&none), format!("{{{created},\"history\":[{first},{second}],{cache}}}"));
        }
        let one = format!(r#"{{{created},"history":[{{"empty_layer":true}},null]}}"#);
        assert_eq!(
            embedded(&one),
            format!("{{{created},\"history\":[{{\"empty_layer\":true}},null,{second}],{cache}}}")
        );
    }

    #[test]
    fn a_layer_without_a_known_time_gets_none() {
        assert!(embedded("{}").contains(r#""history":[{"created_by":"COPY \u003ca\u003e","comment":"buildcache"},"#));
    }

    #[test]
    fn what_is_no_config_is_refused() {
        for bad in ["", "null", "[]", r#"{"history":1}"#, r#"{"history":[1]}"#, r#"{"history":[{"empty_layer":1}]}"#] {
            assert_eq!(embed(bad.as_bytes(), &records()).unwrap_err().kind(), ErrorKind::InvalidManifest, "{bad}");
        }
    }
}
