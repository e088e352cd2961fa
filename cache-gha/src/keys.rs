//! The keys of entries, byte for byte as BuildKit writes them.

use cache_core::Digest;

/// The version in every request: the SHA-256 of `|go-actionscache-1.0`; other clients hash paths and compression.
pub(crate) const VERSION: &str = "693bb7016429d80366022f036f84856888c9f13e00145f5f6f4dce303a38d6f2";
/// The prefixes of the keys of blobs and of indices.
pub(crate) const BLOBS: &str = "buildkit-blob-1-";
pub(crate) const INDICES: &str = "index-";
/// The suffix of the name of a signed index, and of the key of a signature.
const SIGNED: &str = "-sig";
/// Between the name of an index and the digits that stand for the scope of the token.
const VERSION_MARK: &str = "-1-";
const SCOPE_DIGITS: usize = 8;

/// The key of a blob.
pub(crate) fn blob(digest: &Digest) -> String {
    format!("{BLOBS}{digest}")
}

/// The blob of a key; `None` for a signature, whose key looks similar.
pub(crate) fn parse_blob(key: &str) -> Option<Digest> {
    key.strip_prefix(BLOBS)?.parse().ok()
}

/// Whether two keys are equal. Services store them as given, or in lower case (act, Gitea).
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// Whether `key` begins with `prefix`, ignoring case.
pub(crate) fn has_prefix(key: &str, prefix: &str) -> bool {
    key.starts_with(prefix) || key.to_lowercase().starts_with(&prefix.to_lowercase())
}

/// The numbered entries that hold one index after the other: all of them have one name and end in `#1`, `#2`, ….
#[derive(Debug, Clone)]
pub(crate) struct IndexName(String);

impl IndexName {
    /// The index of the caches that are called `name` (the attribute `scope`), in a scope of the token.
    pub(crate) fn new(name: &str, scope: &str) -> Self {
        let hex = Digest::sha256(scope.as_bytes()).hex();
        let digits = hex.get(..SCOPE_DIGITS).unwrap_or_default();
        Self(format!("{INDICES}{name}{VERSION_MARK}{digits}"))
    }

    /// The index of the same name that BuildKit signs.
    pub(crate) fn signed(&self) -> Self {
        Self(format!("{}{SIGNED}", self.0))
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.0.ends_with(SIGNED)
    }

    /// What every entry of this index begins with, and no entry of another one, be it the signed one.
    pub(crate) fn prefix(&self) -> String {
        format!("{}#", self.0)
    }

    pub(crate) fn key(&self, number: u64) -> String {
        format!("{}#{number}", self.0)
    }

    /// The number of an entry of this index.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        parse_index(key).filter(|(name, _)| is_same(&name.0, &self.0)).map(|(_, number)| number)
    }

    /// The name of the cache.
    pub(crate) fn cache_name(&self) -> &str {
        let unsigned = self.0.strip_suffix(SIGNED).unwrap_or(&self.0);
        let end = unsigned.len().saturating_sub(VERSION_MARK.len() + SCOPE_DIGITS);
        unsigned.get(INDICES.len()..end).unwrap_or_default()
    }
}

/// The index and the number that a key is for.
pub(crate) fn parse_index(key: &str) -> Option<(IndexName, u64)> {
    let (name, number) = key.rsplit_once('#')?;
    let unsigned = name.strip_suffix(SIGNED).unwrap_or(name);
    let (named, digits) = unsigned.rsplit_once(VERSION_MARK)?;
    let is_scope =
        digits.len() == SCOPE_DIGITS && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_number = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    if !is_scope || !is_number || !named.starts_with(INDICES) {
        return None;
    }
    Some((IndexName(name.to_owned()), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_buildkit() {
        assert_eq!(Digest::sha256(b"|go-actionscache-1.0").hex(), VERSION);
    }

    #[test]
    fn keys_are_those_that_buildkit_was_seen_to_write() {
        let main = IndexName::new("buildkit", "refs/heads/main");
        assert_eq!(main.key(1), "index-buildkit-1-f921bd05#1");
        assert_eq!(main.signed().prefix(), "index-buildkit-1-f921bd05-sig#");
        assert_eq!(IndexName::new("", "").key(12), "index--1-e3b0c442#12");
        let digest: Digest = "sha256:1092614010ac2f205b2d1271ae29ce8eda32b021aba201147523cc0572b8d5cc".parse().unwrap();
        assert_eq!(blob(&digest), format!("buildkit-blob-1-{digest}"));
        assert_eq!(parse_blob(&blob(&digest)), Some(digest));
    }

    #[test]
    fn a_key_of_an_index_is_parsed() {
        let (name, number) = parse_index("index-my-1-cache-1-f921bd05-sig#10").unwrap();
        assert_eq!((name.cache_name(), number, name.is_signed()), ("my-1-cache", 10, true));
        assert_eq!(IndexName::new("", "x").cache_name(), "");
    }

    #[test]
    fn other_keys_are_no_indices() {
        for key in [
            "index-buildkit-1-f921bd05",
            "index-buildkit-1-f921bd05#",
            "index-buildkit-1-f921bd05#x",
            "index-buildkit-1-f921bd05#01",
            "index-buildkit-1-f921bd0#1",
            "deps-1-f921bd05#1",
            "#1",
        ] {
            assert!(parse_index(key).is_none(), "{key}");
        }
        assert_eq!(parse_blob(&format!("{}-sig", blob(&Digest::sha256(b"")))), None);
    }

    #[test]
    fn a_number_is_that_of_its_own_index_alone() {
        let main = IndexName::new("buildkit", "refs/heads/main");
        assert_eq!(main.number("index-buildkit-1-f921bd05#7"), Some(7));
        assert_eq!(main.number("index-buildkit-1-f921bd05-sig#7"), None);
    }

    #[test]
    fn keys_are_compared_without_case() {
        let name = IndexName::new("Linux-Ä", "refs/heads/main");
        assert_eq!(name.number("index-linux-ä-1-f921bd05#7"), Some(7));
        assert!(is_same("index-Linux-X64", "index-linux-x64") && !is_same("a", "b"));
        assert!(has_prefix("index-linux-x64#1", "index-Linux") && !has_prefix("b", "a"));
    }
}
