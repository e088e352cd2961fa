//! [`Loss`]: how a blob that a cache needs is deleted from a store.

use super::Place;

/// How a blob is deleted without buildcache.
#[derive(Clone, Copy)]
pub(crate) enum Loss {
    /// The store has separate prefixes for indexes and blobs, so that an index can be read with other blobs.
    Prefixes,
    /// Deletes the blob with this digest, and returns whether it existed.
    Request(fn(&Place, &str) -> bool),
}

/// Deletes a blob of a repository in a registry.
pub(super) fn of_a_registry(place: &Place, digest: &str) -> bool {
    place.ask("DELETE", &format!("/v2/team/torn/blobs/{digest}")).is_some_and(|(status, _)| status == 202)
}

/// Deletes an entry as GitHub does when it is too old.
pub(super) fn of_the_emulator(place: &Place, digest: &str) -> bool {
    let path = format!("/repos/o/r/actions/caches?key={}", key(digest));
    place.ask("DELETE", &path).is_some_and(|(status, _)| status == 200)
}

/// Deletes the file of an entry, which is named after the entry's number: act has no request for that.
pub(super) fn of_act(place: &Place, digest: &str) -> bool {
    let find = || {
        let url = place.said("url")?;
        let below = url.split_once("://")?.1.split_once('/')?.1;
        let version = VERSION;
        let path = format!("/{below}_apis/artifactcache/cache?keys={}&version={version}", key(digest));
        let (_, answer) = place.ask("GET", &path)?;
        let number: u64 = answer.split_once("/artifacts/")?.1.split('"').next()?.parse().ok()?;
        let file = place.folder.join("cache/cache").join(format!("{:02x}/{number}", number % 0xff));
        std::fs::remove_file(file).ok()
    };
    find().is_some()
}

/// The version of all entries of BuildKit: the SHA-256 of `|go-actionscache-1.0`.
const VERSION: &str = "693bb7016429d80366022f036f84856888c9f13e00145f5f6f4dce303a38d6f2";

/// The key of a blob, encoded for a URL.
fn key(digest: &str) -> String {
    format!("buildkit-blob-1-{}", digest.replace(':', "%3A"))
}
