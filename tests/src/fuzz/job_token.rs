//! The token of a job, which contains the job's permissions in the cache service of GitHub Actions.

use cache_core::{CacheBackend as _, CacheSpec, ErrorKind};
use futures_util::FutureExt as _;

use crate::base64::base64;

/// Any token is accepted or refused as an invalid spec, whether it is the input or contains it.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let payload = base64(data).replace('+', "-").replace('/', "_").replace('=', "");
    let whole = std::str::from_utf8(data).ok().map(str::to_owned);
    for token in whole.into_iter().chain([format!("x.{payload}.y")]) {
        let spec = CacheSpec::new("gha").with("token", token).with("url_v2", "http://127.0.0.1:1/");
        let backend = cache_gha::Gha::new(cache_gha::Environment::new());
        let opened = backend.importer(&spec).now_or_never().expect("nothing is sent");
        if let Err(error) = opened.map(drop) {
            assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{error:?}");
        }
    }
}
