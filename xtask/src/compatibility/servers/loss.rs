//! [`Loss`]: how a store comes to lose a blob that a cache needs.

use super::Place;

/// How a blob is lost behind the back of whoever wrote it.
#[derive(Clone, Copy)]
pub(crate) enum Loss {
    /// Indexes and blobs are put below prefixes of their own, so that one can be had without the others.
    Prefixes,
    /// The blob of this digest is taken away; whether it was there.
    Request(fn(&Place, &str) -> bool),
}

/// A registry lets everybody delete a blob of a repository.
pub(super) fn of_a_registry(place: &Place, digest: &str) -> bool {
    place.ask("DELETE", &format!("/v2/team/torn/blobs/{digest}")).is_some_and(|(status, _)| status == 202)
}

/// As GitHub does with what is too old.
pub(super) fn of_the_emulator(place: &Place, digest: &str) -> bool {
    let path = format!("/repos/o/r/actions/caches?key={}", key(digest));
    place.ask("DELETE", &path).is_some_and(|(status, _)| status == 200)
}

/// act has no request for it, but keeps each entry in a file that its number names.
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

/// What BuildKit calls the version of all of its entries: the SHA-256 of `|go-actionscache-1.0`.
const VERSION: &str = "693bb7016429d80366022f036f84856888c9f13e00145f5f6f4dce303a38d6f2";

/// The key of a blob as a part of a URL.
fn key(digest: &str) -> String {
    format!("buildkit-blob-1-{}", digest.replace(':', "%3A"))
}
