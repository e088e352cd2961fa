//! The CSV of specs.

use cache_core::CacheSpec;
use cache_ops::ExportOptions;

/// A spec that parses is shown as text that parses to the same.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = CacheSpec::parse_buildctl(text);
    for spec in CacheSpec::parse_buildx(text).unwrap_or_default() {
        let shown = spec.to_string();
        if !shown.contains("REDACTED") {
            let again: CacheSpec = shown.parse().unwrap_or_else(|error| panic!("{shown:?} does not parse: {error}"));
            assert_eq!(again, spec, "shown as {shown:?}");
        }
        let _ = spec.attrs().finish();
        let _ = ExportOptions::take(&mut spec.clone());
        let _ = spec.attrs().bool("insecure");
    }
}
