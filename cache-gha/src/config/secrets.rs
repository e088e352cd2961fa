//! Where secret attributes come from when the spec does not hold them itself.

use std::{env, fs};

use cache_core::{Attrs, Error, Result, Secret, SecretSource};

use super::invalid;

/// Reads a secret attribute: its value, its file, or its variable.
pub(super) fn read(attrs: &mut Attrs<'_>, name: &'static str) -> Result<Option<Secret>> {
    let secret = match attrs.secret(name) {
        None => return Ok(None),
        Some(SecretSource::Value(secret)) => secret,
        Some(SecretSource::File(path)) => {
            let text = fs::read_to_string(&path).map_err(|error| {
                let error = Error::from_io(error, "cannot read the file of a secret");
                error.with("backend", crate::KIND).with("attribute", name).with("path", path.display())
            })?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Secret::new(line.strip_suffix('\r').unwrap_or(line))
        }
        Some(SecretSource::Variable(variable)) => match env::var(&variable) {
            Ok(value) => Secret::new(value),
            Err(_) => return Err(invalid(name, "the variable of a secret is not set").with("variable", variable)),
        },
        Some(_) => return Err(invalid(name, "this kind of secret is unknown")),
    };
    Ok(Some(secret))
}
