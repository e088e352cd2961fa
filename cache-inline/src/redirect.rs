//! Replaces descriptors in a manifest or an index, and changes no other byte.

use std::collections::HashMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cache_core::manifest::Document;
use cache_core::{Digest, Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The descriptors of documents that can change: layers never do.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    config: Option<&'a RawValue>,
    #[serde(borrow)]
    manifests: Option<Vec<&'a RawValue>>,
}

/// The raw fields of a descriptor that describe its content.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    /// The bytes themselves, which the OCI spec allows for small ones.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The document with new descriptors for the blobs in `moved`; `None` if it names none of them.
///
/// Order and white space stay as they are, so that the manifest of a BuildKit image comes out as BuildKit writes it.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`] if the document is not a JSON object, or a descriptor in it is invalid.
pub(crate) fn redirect(document: &[u8], moved: &HashMap<Digest, Document>) -> Result<Option<Vec<u8>>> {
    let text = std::str::from_utf8(document).map_err(unreadable)?;
    let parts: Parts<'_> = serde_json::from_str(text).map_err(unreadable)?;
    let mut edits = Vec::new();
    for descriptor in parts.config.into_iter().chain(parts.manifests.into_iter().flatten()) {
        let fields: Fields<'_> = serde_json::from_str(descriptor.get()).map_err(unreadable)?;
        let digest = fields.digest.and_then(|digest| serde_json::from_str(digest.get()).ok());
        if let Some(target) = digest.and_then(|digest: Digest| moved.get(&digest)) {
            edits.extend(fields.edits(text, target));
        }
    }
    Ok((!edits.is_empty()).then(|| apply(text, edits).into_bytes()))
}

type Edit = (Range<usize>, String);

impl Fields<'_> {
    fn edits(&self, text: &str, target: &Document) -> impl Iterator<Item = Edit> {
        let digest = format!("\"{}\"", target.descriptor.digest);
        let data = || format!("\"{}\"", BASE64.encode(&target.bytes));
        let edits = [
            self.digest.map(|old| (span(text, old), digest)),
            self.size.map(|old| (span(text, old), target.descriptor.size.to_string())),
            self.data.map(|old| (span(text, old), data())),
        ];
        edits.into_iter().flatten()
    }
}

/// The range in `text` of a value that was borrowed from it.
fn span(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_unstable_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (range, value) in edits {
        out.push_str(&text[done..range.start]);
        out.push_str(&value);
        done = range.end;
    }
    out.push_str(&text[done..]);
    out
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidManifest, "image manifest is unreadable").with("at", &error).with_source(error)
}

#[cfg(test)]
mod tests {
    use cache_core::MediaType;

    use super::*;

    fn document(text: &str) -> Document {
        Document::new(MediaType::OCI_MANIFEST, text.to_owned())
    }

    fn redirected(text: &str, from: &Document, to: &Document) -> Option<String> {
        let moved = HashMap::from([(from.descriptor.digest, to.clone())]);
        redirect(text.as_bytes(), &moved).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn every_byte_but_digest_size_and_data_stays() {
        let (old, new, other) = (document("old"), document("renewed"), document("other"));
        let index = |target: &Document| {
            let Document { descriptor, bytes } = target;
            let (digest, size, data) = (descriptor.digest, descriptor.size, BASE64.encode(bytes));
            let other = other.descriptor.digest;
            format!(
                "{{ \"é\": 1.0e400,\n \"manifests\":[{{\"size\" : {size},\"x\":\"{digest}\", \"digest\":\"{digest}\"}},\n\
                 {{\"digest\":\"{other}\",\"size\":5}}, {{\"digest\":\"{digest}\",\"size\":{size},\"data\":\"{data}\"}}] }}"
            )
        };
        let field_x = |text: String| {
            text.replace(
                &format!("\"x\":\"{}\"", new.descriptor.digest),
                &format!("\"x\":\"{}\"", old.descriptor.digest),
            )
        };
        assert_eq!(redirected(&index(&old), &old, &new), Some(field_x(index(&new))));
    }

    #[test]
    fn a_document_that_names_nothing_that_moved_is_not_changed() {
        let (old, new) = (document("old"), document("new"));
        for text in ["{}", r#"{"config":null,"manifests":null}"#, r#"{"config":{}}"#, r#"{"manifests":[]}"#] {
            assert_eq!(redirected(text, &old, &new), None, "{text}");
        }
        let layer = format!(r#"{{"layers":[{{"digest":"{}","size":3}}]}}"#, old.descriptor.digest);
        assert_eq!(redirected(&layer, &old, &new), None);
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in ["", "[]", r#"{"manifests":1}"#, r#"{"manifests":[1]}"#, r#"{"config":{"digest":1,"digest":2}}"#] {
            let error = redirect(text.as_bytes(), &HashMap::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{text}");
        }
    }
}
