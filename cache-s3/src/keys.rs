//! The keys of objects, the same as BuildKit's.

use std::fmt::Write as _;

use cache_core::Digest;

/// The prefixes of one store. Keys are plain concatenations: no slash is added, and no path is cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) prefix: String,
    pub(crate) manifests_prefix: String,
    pub(crate) blobs_prefix: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self { prefix: String::new(), manifests_prefix: "manifests/".to_owned(), blobs_prefix: "blobs/".to_owned() }
    }
}

impl Keys {
    /// The prefix of the keys of all indexes.
    pub(crate) fn manifests(&self) -> String {
        format!("{}{}", self.prefix, self.manifests_prefix)
    }

    /// The prefix of the keys of all blobs.
    pub(crate) fn blobs(&self) -> String {
        format!("{}{}", self.prefix, self.blobs_prefix)
    }

    pub(crate) fn manifest(&self, name: &str) -> String {
        self.manifests() + name
    }

    pub(crate) fn blob(&self, digest: &Digest) -> String {
        format!("{}{digest}", self.blobs())
    }

    /// The name of the cache whose index has this key; `None` for a blob's key.
    pub(crate) fn name_at<'a>(&self, key: &'a str) -> Option<&'a str> {
        let name = key.strip_prefix(self.prefix.as_str())?.strip_prefix(self.manifests_prefix.as_str())?;
        self.digest_at(key).is_none().then_some(name)
    }

    /// The digest of the blob at a key.
    pub(crate) fn digest_at(&self, key: &str) -> Option<Digest> {
        key.strip_prefix(self.prefix.as_str())?.strip_prefix(self.blobs_prefix.as_str())?.parse().ok()
    }
}

/// The hint about a prefix that some stores do not keep as it is.
pub(crate) const UNUSUAL: &str =
    "this store does not keep a slash at the start of a key, or two in a row: take a prefix without them";

/// Whether a key begins with a slash, or has two in a row: some stores refuse such keys, and some merge the slashes.
pub(crate) fn is_unusual(key: &str) -> bool {
    key.starts_with('/') || key.contains("//")
}

/// The source of a copy, for S3's header: escapes everything but unreserved characters and slashes.
pub(crate) fn copy_source(bucket: &str, key: &str) -> String {
    let mut source = String::with_capacity(bucket.len() + key.len() + 8);
    for byte in bucket.bytes().chain([b'/']).chain(key.bytes()) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => source.push(char::from(byte)),
            _ => write!(source, "%{byte:02X}").unwrap_or_default(),
        }
    }
    source
}

/// The names of a `name` attribute: nothing is trimmed, and empty ones are kept.
pub(crate) fn names(attribute: &str) -> Vec<String> {
    attribute.split(';').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_buildkit() {
        // Seen from buildkitd: `prefix=pp,manifests_prefix=mm,name=a/b c+d;;é#`.
        let keys = Keys { prefix: "pp".to_owned(), manifests_prefix: "mm".to_owned(), ..Keys::default() };
        let written: Vec<_> = names("a/b c+d;;é#").iter().map(|name| keys.manifest(name)).collect();
        assert_eq!(written, ["ppmma/b c+d", "ppmm", "ppmmé#"]);
        let digest = Digest::sha256(b"");
        assert_eq!(Keys::default().blob(&digest), format!("blobs/sha256:{}", digest.hex()));
        let keys = Keys { prefix: "/x/".to_owned(), ..Keys::default() };
        assert_eq!(keys.blob(&digest), format!("/x/blobs/{digest}"));
    }

    #[test]
    fn keys_are_parsed_to_names_and_digests() {
        let keys = Keys { prefix: "p/".to_owned(), ..Keys::default() };
        let digest = Digest::sha256(b"layer");
        assert_eq!(keys.name_at(&keys.manifest("a/b")), Some("a/b"));
        assert_eq!(keys.digest_at(&keys.blob(&digest)), Some(digest));
        assert_eq!((keys.name_at("manifests/a"), keys.digest_at("p/blobs/sha256:12")), (None, None));
        let flat = Keys { manifests_prefix: String::new(), blobs_prefix: String::new(), ..keys };
        assert_eq!((flat.name_at(&flat.blob(&digest)), flat.name_at("p/main")), (None, Some("main")));
    }

    #[test]
    fn the_source_of_a_copy_is_escaped() {
        assert_eq!(copy_source("b", "p/sha256:1 é+"), "b/p/sha256%3A1%20%C3%A9%2B");
    }
}
