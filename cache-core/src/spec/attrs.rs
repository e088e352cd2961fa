//! Typed reading of a spec's attributes.

use std::str::FromStr;

use super::nearest::LONGEST;
use super::{CacheSpec, invalid, nearest, shown};
use crate::error::{Error, Result};

/// Reads a spec's attributes by name and type, and tracks which ones were never read.
#[derive(Debug)]
pub struct Attrs<'a> {
    spec: &'a CacheSpec,
    known: Vec<&'static str>,
}

impl<'a> Attrs<'a> {
    pub(super) fn new(spec: &'a CacheSpec) -> Self {
        Self { spec, known: Vec::new() }
    }

    /// An attribute's text, when it is given.
    pub fn optional(&mut self, name: &'static str) -> Option<&'a str> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.spec.get(name)
    }

    /// A required attribute, which may not be empty; `instead` is accepted in its place (`src` for `dest`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) naming the attribute.
    pub fn required(&mut self, name: &'static str, instead: &'static str) -> Result<&'a str> {
        let given = self.optional(name).or(self.optional(instead));
        given.filter(|value| !value.is_empty()).ok_or_else(|| {
            let error = invalid(format!("type={} requires {name}", self.spec.kind())).with("attribute", name);
            let slip = |given: &&str| {
                !self.known.contains(given)
                    && [name, instead].iter().any(|meant| strsim::osa_distance(given, meant) == 1)
            };
            match self.spec.names().filter(|given| given.len() <= LONGEST).find(slip) {
                Some(given) => error.with_hint(format!("did you mean {name} instead of {}?", shown::name(given))),
                None => error,
            }
        })
    }

    /// A boolean as Go's `strconv.ParseBool` reads it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) for any other text, the empty one included.
    pub fn bool(&mut self, name: &'static str) -> Result<Option<bool>> {
        let parse = |value: &str| {
            parse_bool(value)
                .ok_or_else(|| bad_value(name, value, "1, t, T, TRUE, true, True, 0, f, F, FALSE, false or False"))
        };
        self.optional(name).map(parse).transpose()
    }

    /// A value that has its own parser.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) with the attribute and `expected`.
    pub fn parse<T: FromStr>(&mut self, name: &'static str, expected: &str) -> Result<Option<T>> {
        let parse = |value: &str| value.parse().map_err(|_| bad_value(name, value, expected));
        self.optional(name).map(parse).transpose()
    }

    /// Ends the reading: an attribute that was never read is an error that names the nearest known one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`](crate::ErrorKind::InvalidSpec) with the attribute under `unknown` in its context.
    pub fn finish(self) -> Result<()> {
        let is_unknown = |name: &&str| !self.known.contains(name);
        let Some(unknown) = self.spec.names().find(is_unknown) else {
            return Ok(());
        };
        let error = invalid(format!("unknown attribute for type={}", self.spec.kind()));
        // The form that may be shown comes first, and stays.
        let error = error.with("unknown", shown::name(unknown)).with_unknown_attribute(unknown);
        Err(match nearest(unknown, &self.known) {
            Some(name) => error.with_hint(format!("did you mean {name}?")),
            None => error.with_hint(format!("known attributes: {}", self.known.join(", "))),
        })
    }
}

fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn bad_value(name: &'static str, value: &str, expected: &str) -> Error {
    let shown = shown::value(name, value);
    invalid(format!("invalid value {shown:?}; expected {expected}")).with("attribute", name)
}
