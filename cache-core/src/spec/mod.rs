//! Cache specs as people write them: `type=s3,bucket=b,region=r`, by the rules of buildx and of buildctl.

mod attribute;
mod attrs;
mod csv;
mod nearest;
mod shown;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use self::attribute::{Attribute, Values};
pub use self::attrs::Attrs;
pub use self::nearest::nearest;
pub use self::shown::shown_place;
use crate::error::{Error, ErrorKind, Result};
use crate::model::debug_as_text;

/// Where a cache is: a type and its attributes.
///
/// `Display` and `Debug` show the values of attributes that are known to hold no secret, and of no others; a user, a
/// password or a query in a place is left out too.
///
/// ```
/// use cache_core::CacheSpec;
///
/// let spec: CacheSpec = "type=local,src=/tmp/cache".parse()?;
/// assert_eq!((spec.kind(), spec.get("src")), ("local", Some("/tmp/cache")));
///
/// let registry: CacheSpec = "ghcr.io/me/cache:main".parse()?;
/// assert_eq!(registry.to_string(), "type=registry,ref=ghcr.io/me/cache:main");
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CacheSpec {
    kind: String,
    attributes: BTreeMap<String, String>,
}

impl CacheSpec {
    /// Makes a spec of `kind` without attributes.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), attributes: BTreeMap::new() }
    }

    /// Sets an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_lowercase(), value.into());
        self
    }

    /// Parses one `--cache-from` or `--cache-to` argument like buildx: an empty one gives no specs, and one without `=`
    /// is a list of registry references.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] with buildx's message.
    pub fn parse_buildx(argument: &str) -> Result<Vec<Self>> {
        if argument.is_empty() {
            return Ok(Vec::new());
        }
        let fields = csv::fields(argument)?;
        if !argument.contains('=') {
            if fields.iter().any(String::is_empty) {
                let shown: Vec<_> = fields.iter().map(|field| shown_place(field)).collect();
                return Err(invalid(format!("empty reference in {:?}", shown.join(","))));
            }
            return Ok(fields.into_iter().map(|field| Self::new("registry").with("ref", field)).collect());
        }
        let spec = Self::from_fields(&fields)?;
        spec.map(|spec| vec![spec]).ok_or_else(|| invalid(format!("type required for {:?}", shown_fields(&fields))))
    }

    /// Parses one `--import-cache` or `--export-cache` argument as buildctl does: one without the text `type=` is a
    /// registry reference.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] with buildctl's message.
    pub fn parse_buildctl(argument: &str) -> Result<Self> {
        if !argument.contains("type=") {
            return Ok(Self::new("registry").with("ref", argument));
        }
        Self::from_fields(&csv::fields(argument)?)?.ok_or_else(|| invalid("type=<type> is required"))
    }

    /// Splits fields into attributes; `None` when the type is missing.
    fn from_fields(fields: &[String]) -> Result<Option<Self>> {
        let mut attributes = BTreeMap::new();
        for (at, field) in fields.iter().enumerate() {
            let (key, value) = field.split_once('=').ok_or_else(|| without_value(at, field))?;
            attributes.insert(key.to_lowercase(), value.to_owned());
        }
        let kind = attributes.remove("type").filter(|kind| !kind.is_empty());
        Ok(kind.map(|kind| Self { kind, attributes }))
    }

    /// The type: which backend it is for.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The type as it may be shown to anybody.
    #[must_use]
    pub fn shown_kind(&self) -> &str {
        shown::kind(&self.kind)
    }

    /// The value of an attribute as it may be shown to anybody; empty when it is not given.
    #[must_use]
    pub fn shown(&self, name: &str) -> Cow<'_, str> {
        shown::value(name, self.get(name).unwrap_or_default())
    }

    /// The value of an attribute, as it was written.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        self.attributes.remove(name)
    }

    /// The attributes that are given, in order of their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.keys().map(String::as_str)
    }

    /// Starts reading the attributes by name; [`Attrs::finish`] reports unknown ones.
    #[must_use]
    pub fn attrs(&self) -> Attrs<'_> {
        Attrs::new(self)
    }

    /// The spec to read what this one writes, for a backend with these attributes: those that only destinations have
    /// are left out.
    #[must_use]
    pub fn as_import(&self, attributes: &[Attribute]) -> Self {
        let mut spec = self.clone();
        for attribute in attributes.iter().filter(|attribute| attribute.on_export && !attribute.on_import) {
            drop(spec.remove(attribute.name));
        }
        spec
    }
}

impl FromStr for CacheSpec {
    type Err = Error;

    /// Parses exactly one spec by buildx's rules.
    fn from_str(argument: &str) -> Result<Self> {
        let mut specs = Self::parse_buildx(argument)?;
        match (specs.pop(), specs.is_empty()) {
            (Some(spec), true) => Ok(spec),
            (None, _) => Err(invalid("empty cache spec")),
            (Some(last), false) => {
                let several: Vec<String> =
                    specs.iter().chain([&last]).map(|spec| format!("{:?}", spec.shown("ref"))).collect();
                Err(invalid(format!("{} are several caches where one is expected", several.join(" and "))))
            }
        }
    }
}

impl fmt::Display for CacheSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&format!("type={}", shown::kind(&self.kind))))?;
        for (name, value) in &self.attributes {
            write!(f, ",{}", quoted(&format!("{}={}", shown::name(name), shown::value(name, value))))?;
        }
        Ok(())
    }
}

debug_as_text!(CacheSpec);

/// Fields of a spec as they may be shown.
fn shown_fields(fields: &[String]) -> String {
    let shown = |field: &String| match field.split_once('=') {
        Some((key, value)) => format!("{}={}", shown::name(key), shown::value(&key.to_lowercase(), value)),
        None => shown::lone_field(field).unwrap_or_default().to_owned(),
    };
    fields.iter().map(shown).collect::<Vec<_>>().join(",")
}

fn without_value(at: usize, field: &str) -> Error {
    match shown::lone_field(field) {
        Some(field) => invalid(format!("invalid value {field}")),
        None => invalid(format!("invalid value in field {}: it has no =", at + 1)),
    }
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSpec, message)
}

#[cfg(test)]
mod tests;
