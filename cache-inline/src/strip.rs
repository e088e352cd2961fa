//! Takes records out of an image config.

use cache_core::Result;
use cache_core::json::JsonObject;

use crate::embed::FIELD;

/// Takes the records out of an image config; `None` when it has none, and is to stay as it is.
///
/// All other fields keep their order and their values.
///
/// # Errors
/// [`ErrorKind::InvalidManifest`](cache_core::ErrorKind::InvalidManifest) when the config is not a JSON object.
pub fn strip(config: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut config = JsonObject::decode(config)?;
    Ok(config.remove(FIELD).then(|| config.encode()))
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn only_the_records_go() {
        let config = br#"{"os":"linux","moby.buildkit.cache.v0":"W10=","arch" : 1.0, "Moby.Buildkit.Cache.V0":null}"#;
        assert_eq!(strip(config).unwrap().unwrap(), br#"{"os":"linux","arch":1.0}"#);
    }

    #[test]
    fn a_config_without_records_is_to_stay() {
        assert_eq!(strip(br#"{"os":"linux"}"#).unwrap(), None);
        assert!(strip(b"null").is_err());
    }
}
