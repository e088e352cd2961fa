//! `SSL_CERT_FILE`, which the TLS of every backend reads whole and more than once.

use std::env;
use std::path::PathBuf;

use cache_kit::check_file;

use crate::exit::Failure;

const VARIABLE: &str = "SSL_CERT_FILE";
/// No file of CAs is larger.
const LARGEST: u64 = 64 << 20;

/// Refuses what has no end, and what can be read once. A file that is not there holds no CA.
pub(crate) fn check() -> Result<(), Failure> {
    let Some(path) = env::var_os(VARIABLE).map(PathBuf::from).filter(|path| path.exists()) else { return Ok(()) };
    check_file(&path, LARGEST).map_err(|error| {
        let failure = Failure::usage(format!("cannot use {} of {VARIABLE}: {error}", path.display()));
        failure.with_hint("it has to name a file of certificates in PEM")
    })
}
