//! Where secret attributes come from when the spec does not hold them itself.

use std::env;

use cache_core::Result;
use cache_core::spec::{Attrs, Secret};

/// Reads a secret attribute: its value, its file, or its variable.
pub(super) fn read(attrs: &mut Attrs<'_>, name: &'static str) -> Result<Option<Secret>> {
    let Some(source) = attrs.secret(name) else { return Ok(None) };
    let secret = source.read(name, |variable| env::var(variable).ok());
    secret.map(Some).map_err(|error| error.with("backend", crate::KIND))
}
