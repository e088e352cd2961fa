//! Checks `SSL_CERT_FILE`, which the TLS of each backend reads into memory, more than once.

use std::env;
use std::path::PathBuf;

use cache_kit::check_file;

use crate::exit::Failure;

const VARIABLE: &str = "SSL_CERT_FILE";
/// The largest file of CAs that is accepted, in bytes.
const LARGEST: u64 = 64 << 20;

/// Refuses a file that is too large or endless, and one that can be read only once (a pipe). A missing file counts as
/// one without CAs.
pub(crate) fn check() -> Result<(), Failure> {
    let Some(path) = env::var_os(VARIABLE).map(PathBuf::from).filter(|path| path.exists()) else { return Ok(()) };
    check_file(&path, LARGEST).map_err(|error| {
        let failure = Failure::usage(format!("cannot use {} of {VARIABLE}: {error}", path.display()));
        failure.with_hint("it has to name a file of certificates in PEM")
    })
}
