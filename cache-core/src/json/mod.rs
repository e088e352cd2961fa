//! JSON as Go's `encoding/json` reads and writes it.
//!
//! Writing: no white space, `<`, `>`, `&`, U+2028 and U+2029 escaped. Reading: keys match without regard to case,
//! `null` leaves a value at its zero, unknown keys are skipped (<https://pkg.go.dev/encoding/json#Unmarshal>).

mod object;
mod scan;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::marker::PhantomData;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};

pub use self::object::JsonObject;
pub(crate) use self::scan::from_slice;
use self::scan::outside_strings;
use crate::error::{Error, ErrorKind};

/// Encodes `value` byte for byte as Go does.
///
/// # Errors
/// When the value cannot be JSON, which holds for no plain data.
pub fn to_vec<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

/// As [`to_vec`], piece by piece.
pub(crate) fn write<T: Serialize>(value: &T, out: impl io::Write) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, GoFormatter))
}

/// The error of a document that does not decode.
pub(crate) fn unreadable(what: &str, error: serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidManifest, format!("{what} is unreadable")).with("at", &error).with_source(error)
}

/// Whether `key`, as found in a document, names the Go struct field `name` (ASCII letters and dots).
///
/// Go folds case the Unicode way: U+017F is an `s` and U+212A is a `k`.
pub(crate) fn key_is(key: &str, name: &str) -> bool {
    // Folded characters have more bytes than their ASCII letters.
    if key.len() <= name.len() || key.is_ascii() {
        return key.eq_ignore_ascii_case(name);
    }
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(|c| c.to_ascii_lowercase()))
}

/// A Go struct: what its decoder does with each key of a JSON object.
pub(crate) trait GoObject: Default {
    /// Takes the value of `key` from `map`; returns whether the key is known.
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Decodes a struct like Go: `"key" => take(field)` passes the value of a key to `take`, with the field.
macro_rules! go_struct {
    ($type:ty { $($key:literal => $take:ident($($field:ident),+)),+ $(,)? }) => {
        impl $crate::json::GoObject for $type {
            fn field<'de, A: serde::de::MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
                match () {
                    $(() if $crate::json::key_is(key, $key) => $take($(&mut self.$field,)+ map).map(|()| true),)+
                    () => Ok(false),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::json::object(deserializer)
            }
        }
    };
}
pub(crate) use go_struct;

/// Encodes a struct like Go: `"key" => field` in this order, `unless` a field is empty (`omitempty`).
macro_rules! go_fields {
    ($type:ty { $($key:literal => $field:ident $(unless $is_empty:path)?),+ $(,)? }) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $(if true $(&& !$is_empty(&self.$field))? {
                    serde::ser::SerializeMap::serialize_entry(&mut map, $key, &self.$field)?;
                })+
                serde::ser::SerializeMap::end(map)
            }
        }
    };
}
pub(crate) use go_fields;

/// Both of a struct: `"key" => take(field) unless is_empty`.
macro_rules! go_json {
    ($type:ty { $($key:literal => $take:ident($field:ident) $(unless $is_empty:path)?),+ $(,)? }) => {
        $crate::json::go_struct!($type { $($key => $take($field)),+ });
        $crate::json::go_fields!($type { $($key => $field $(unless $is_empty)?),+ });
    };
}
pub(crate) use go_json;

/// Decodes an object, or `null` as the zero value.
pub(crate) fn object<'de, T: GoObject, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

/// Takes the next value into `slot`; `null` leaves it as it is.
pub(crate) fn take<'de, T: Deserialize<'de>, A: MapAccess<'de>>(slot: &mut T, map: &mut A) -> Result<(), A::Error> {
    if let Some(value) = map.next_value::<Option<T>>()? {
        *slot = value;
    }
    Ok(())
}

/// Takes the next value into a list; a member that is `null` is its zero value.
pub(crate) fn take_list<'de, T, A>(slot: &mut Vec<T>, map: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de> + Default,
    A: MapAccess<'de>,
{
    if let Some(Tight(values)) = map.next_value::<Option<Tight<Option<T>>>>()? {
        *slot = values.into_iter().map(Option::unwrap_or_default).collect();
    }
    Ok(())
}

/// As [`take_list`], of members that are never `null`.
pub(crate) fn take_tight<'de, T, A>(slot: &mut Vec<T>, map: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    if let Some(Tight(values)) = map.next_value::<Option<Tight<T>>>()? {
        *slot = values;
    }
    Ok(())
}

/// A list without room for more. Most lists of a config have one member, and serde makes room for four.
pub(crate) struct Tight<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tight<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TightVisitor(PhantomData))
    }
}

struct TightVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TightVisitor<T> {
    type Value = Tight<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tight<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            if values.is_empty() {
                values.reserve_exact(1);
            }
            values.push(value);
        }
        if values.len() > 1 {
            values.shrink_to_fit();
        }
        Ok(Tight(values))
    }
}

/// Takes the next value into a size, which Go holds as an `int64`.
pub(crate) fn take_size<'de, A: MapAccess<'de>>(slot: &mut u64, map: &mut A) -> Result<(), A::Error> {
    if let Some(size) = map.next_value::<Option<i64>>()? {
        *slot = u64::try_from(size).map_err(|_| serde::de::Error::custom("negative size"))?;
    }
    Ok(())
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: GoObject> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut value = T::default();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            if !value.field(&key, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(value)
    }
}

/// A text, borrowed from the document when it holds no escape.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// serde_json escapes the rest as Go does.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Looking at every byte, without a branch for any, is many times as fast as a search for five characters.
        let has_escapes = fragment.bytes().fold(false, |found, byte| found | matches!(byte, b'<' | b'>' | b'&' | 0xe2));
        if !has_escapes {
            return writer.write_all(fragment.as_bytes());
        }
        let mut written = 0;
        for (at, escaped) in fragment.match_indices(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            writer.write_all(&fragment.as_bytes()[written..at])?;
            escaped.chars().try_for_each(|c| write!(writer, "\\u{:04x}", u32::from(c)))?;
            written = at + escaped.len();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let blanks = outside_strings(fragment.as_bytes()).filter(|(_, byte)| byte.is_ascii_whitespace());
        let mut blanks = blanks.map(|(at, _)| at).peekable();
        let kept = fragment.char_indices().filter(|(at, _)| blanks.next_if_eq(at).is_none());
        self.write_string_fragment(writer, &kept.map(|(_, c)| c).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_characters_and_line_separators_are_escaped_as_go_does() {
        let bytes = to_vec(&"a<b>&\u{2028}\u{2029}\"\\/\n\u{1}é").unwrap();
        let expected = "\"a\\u003cb\\u003e\\u0026\\u2028\\u2029\\\"\\\\/\\n\\u0001é\"";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn keys_fold_as_go_folds_them() {
        assert!(key_is("CreatedAt", "createdat"));
        assert!(key_is("lin\u{212a}", "link"));
        assert!(key_is("layer\u{17f}", "layers"));
        assert!(!key_is("layerz", "layers"));
        assert!(!key_is("layer", "layers"));
    }
}
