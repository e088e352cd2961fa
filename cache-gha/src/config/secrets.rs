//! Reads secret attributes from the spec, a file or a variable.

use std::env;

use cache_core::Result;
use cache_core::spec::Attrs;
use cache_kit::{Secret, SecretSource, read_secret};

/// Reads a secret attribute: its value, its file, or its variable.
pub(super) fn read(attrs: &mut Attrs<'_>, name: &'static str) -> Result<Option<Secret>> {
    let Some(source) = attrs.optional(name).map(SecretSource::parse) else { return Ok(None) };
    let secret = read_secret(source, name, |variable| env::var(variable).ok());
    secret.map(Some).map_err(|error| error.with("backend", crate::KIND))
}
