//! [`JsonObject`]: a document that is rewritten without losing unknown keys.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{key_is, unreadable};
use crate::error::{Error, ErrorKind, Result};

/// A JSON object whose fields keep their order and the text of their values, so that numbers of any length are not
/// changed.
///
/// By default it has no fields. Names match as in Go, without regard to case, and of two fields of one name the last counts.
///
/// ```
/// use cache_core::json::JsonObject;
///
/// let mut config = JsonObject::decode(br#"{"os":"linux","big":1.00000000000000000001}"#)?;
/// config.set("os", &"windows");
/// assert_eq!(config.encode(), br#"{"os":"windows","big":1.00000000000000000001}"#);
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct JsonObject(Vec<(String, Box<RawValue>)>);

impl JsonObject {
    /// Decodes a document; `null` is not an object.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] if it is not a JSON object.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let decoded: Option<Self> = serde_json::from_slice(bytes).map_err(|error| unreadable("JSON", error))?;
        decoded.ok_or_else(|| Error::new(ErrorKind::InvalidManifest, "document is null where an object is expected"))
    }

    /// A field's value; `None` when it is absent or `null`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] when the value is of another type.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let decoded = self.values(name).last().map(|value| serde_json::from_str::<Option<T>>(value.get())).transpose();
        Ok(decoded.map_err(|error| unreadable("JSON", error).with("field", name))?.flatten())
    }

    /// The values of all fields of that name, as they were written.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &RawValue> {
        self.0.iter().filter(move |(known, _)| key_is(known, name)).map(|(_, value)| value.as_ref())
    }

    /// All fields in their order, with their values as they were written.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// Sets a field, in place or at the end.
    ///
    /// # Panics
    /// When the value cannot be JSON, which holds for no plain data.
    pub fn set<T: Serialize>(&mut self, name: &str, value: &T) {
        let value = to_raw_value(value).expect("plain data always encodes");
        match self.0.iter_mut().rev().find(|(known, _)| key_is(known, name)) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Removes every field of that name; returns whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| !key_is(known, name));
        self.0.len() < before
    }

    /// Orders the fields by their names, as Go writes a map; of two equal names the last stays.
    pub fn sort(&mut self) {
        self.0.reverse();
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.dedup_by(|(a, _), (b, _)| a == b);
    }

    /// Encodes the object as Go does: no white space, and five characters escaped inside strings.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        super::to_vec(self).expect("fields are JSON already")
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = JsonObject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(JsonObject(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> JsonObject {
        JsonObject::decode(json.as_bytes()).unwrap()
    }

    fn text(object: &JsonObject) -> String {
        String::from_utf8(object.encode()).unwrap()
    }

    #[test]
    fn unchanged_fields_keep_their_order_and_numbers() {
        let mut object = object("{ \"b\": [1e400, 0.10],\n \"a\" : {\"y\":1,\"x\":\" \\\" <\"} }");
        object.set("c", &1);
        assert_eq!(text(&object), r#"{"b":[1e400,0.10],"a":{"y":1,"x":" \" \u003c"},"c":1}"#);
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        let mut object = object(r#"{"a":1,"b":0,"A":2,"a":3}"#);
        assert_eq!(object.field::<u8>("a").unwrap(), Some(3));
        object.sort();
        assert_eq!(text(&object), r#"{"A":2,"a":3,"b":0}"#);
        assert!(object.remove("a"));
        assert!(!object.remove("a"));
        assert_eq!(text(&object), r#"{"b":0}"#);
    }

    #[test]
    fn a_missing_or_null_field_is_none_and_a_wrong_type_an_error() {
        let object = object(r#"{"a":null,"b":"x"}"#);
        assert_eq!(object.field::<u8>("a").unwrap(), None);
        assert_eq!(object.field::<u8>("c").unwrap(), None);
        assert_eq!(object.field::<u8>("b").unwrap_err().kind(), ErrorKind::InvalidManifest);
    }

    #[test]
    fn only_an_object_is_an_object() {
        for bad in ["", "null", "[]", "1", "{} x"] {
            assert_eq!(JsonObject::decode(bad.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidManifest, "{bad}");
        }
    }
}
