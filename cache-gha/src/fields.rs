//! [`Fields`]: a JSON object, read as Go reads it into a struct.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The fields of an object. Names match in any case, with and without underscores (Protobuf has two spellings of each).
/// A value that is `null` or of another type counts as absent, and so does the object itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Option<Map<String, Value>>")]
pub(crate) struct Fields(Map<String, Value>);

impl From<Option<Map<String, Value>>> for Fields {
    fn from(fields: Option<Map<String, Value>>) -> Self {
        Self(fields.unwrap_or_default())
    }
}

impl Fields {
    /// A string; empty if it is missing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.value(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number, which may be written as a text: some encoders do so with large ones.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// A boolean; false if it is missing.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.as_bool().unwrap_or(value.as_str() == Some("true")))
    }

    /// An object in the object.
    pub(crate) fn object(&self, name: &str) -> Self {
        Self(self.value(name).and_then(Value::as_object).cloned().unwrap_or_default())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| self.0.iter().find(|(key, _)| is_same(key, name)).map(|(_, value)| value))
    }
}

fn is_same(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
    letters(a) == letters(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn names_are_found_in_every_spelling() {
        for text in [r#"{"signed_upload_url":"x"}"#, r#"{"signedUploadUrl":"x"}"#, r#"{"Signed_Upload_URL":"x"}"#] {
            assert_eq!(fields(text).text("signed_upload_url"), "x");
        }
        assert_eq!(fields(r#"{"cacheID":7}"#).number("cacheId"), Some(7));
        assert_eq!(fields(r#"{"cacheId":"7"}"#).number("cacheId"), Some(7));
    }

    #[test]
    fn what_is_null_or_absent_is_empty() {
        for text in ["null", "{}", r#"{"ok":null,"message":null}"#] {
            let fields = fields(text);
            assert_eq!((fields.is_true("ok"), fields.text("message"), fields.number("ok")), (false, "", None));
            assert_eq!(fields.object("ok").text("message"), "");
        }
        assert!(fields(r#"{"OK":true}"#).is_true("ok"));
    }
}
