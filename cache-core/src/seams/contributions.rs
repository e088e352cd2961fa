//! Contributions: what publishers store next to a cache where commits cannot be conditional.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::manifest::CacheManifest;
use crate::model::{Digest, Timestamp, random_number};
use crate::seams::{Committed, Deleted};

/// Separates the name of a cache from the rest of a contribution's name.
const MARK: &str = ".publish-";
/// Hexadecimal digits of the random end, and of the digest that shortens a long name.
const DIGITS: usize = 12;
/// A tag has 128 characters at most.
const LONGEST: usize = 128;
/// The length of what a contribution adds to the name: the mark, ten digits of seconds, a hyphen, the random end.
const OWN: usize = MARK.len() + 10 + 1 + DIGITS;

/// The unique name of a contribution, `<cache>.publish-<seconds since 1970>-<12 hexadecimal digits>`.
///
/// In a name that would be too long for a tag, a digest of the cache's name replaces its end.
///
/// ```
/// use cache_core::seams::ContributionName;
///
/// let name: ContributionName = ContributionName::parse("main.publish-1764364800-0123456789ab").expect("it is one");
/// assert!(name.is_of("main") && !name.is_of("other"));
/// assert!(ContributionName::parse("main.publish-it").is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContributionName {
    name: String,
    /// The length of the cache's part in bytes.
    cache: usize,
    seconds: i64,
}

impl ContributionName {
    /// A new name for a contribution to `cache` at `now`.
    #[must_use]
    pub fn new(cache: &str, now: Timestamp) -> Self {
        let stem = stem(cache);
        let (seconds, random) = (now.unix_seconds().max(0), random_number() >> (64 - 4 * DIGITS));
        Self { name: format!("{stem}{MARK}{seconds:010}-{random:012x}"), cache: stem.len(), seconds }
    }

    /// Parses the name of a contribution.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, own) = name.rsplit_once(MARK)?;
        let (seconds, random) = own.split_once('-')?;
        let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        let is_ours = random.len() == DIGITS && random.bytes().all(is_hex);
        let is_time = seconds.len() >= 10 && seconds.bytes().all(|c| c.is_ascii_digit());
        if !is_ours || !is_time {
            return None;
        }
        Some(Self { name: name.to_owned(), cache: stem.len(), seconds: seconds.parse().ok()? })
    }

    /// The prefix of the names of all contributions to `cache`.
    #[must_use]
    pub fn prefix(cache: &str) -> String {
        stem(cache) + MARK
    }

    /// The tag or name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether it was contributed to this cache.
    #[must_use]
    pub fn is_of(&self, cache: &str) -> bool {
        self.name.get(..self.cache) == Some(&stem(cache))
    }

    /// How long ago it was contributed, by the writer's clock; for a time in the future, how long until then.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        Duration::from_secs(self.seconds.abs_diff(now.unix_seconds()))
    }
}

impl fmt::Display for ContributionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The cache's part in the names of its contributions.
fn stem(cache: &str) -> String {
    if cache.len() + OWN <= LONGEST {
        return cache.to_owned();
    }
    let hex = Digest::sha256(cache.as_bytes()).hex();
    let most = LONGEST - OWN - DIGITS - 1;
    let end = (0..=most).rev().find(|&end| cache.is_char_boundary(end)).unwrap_or(0);
    format!("{}-{}", cache.get(..end).unwrap_or_default(), hex.get(..DIGITS).unwrap_or_default())
}

/// Named manifests next to a cache, where publishers store what they add until the cache has it.
///
/// With it, publishers lose nothing in a store that can only put, list and get. A list may lag by one write.
///
/// ```
/// async fn count(place: &dyn cache_core::seams::Contributions) -> cache_core::Result<usize> {
///     Ok(place.list().await?.len())
/// }
/// ```
#[async_trait]
pub trait Contributions: Send + Sync {
    /// The name of the cache.
    fn cache(&self) -> &str;

    /// Every contribution to the cache, in order of name.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn list(&self) -> Result<Vec<ContributionName>>;

    /// Reads a contribution; `None` when it is gone.
    ///
    /// # Errors
    /// Whatever the store answers, and what is wrong with the manifest.
    async fn read(&self, name: &ContributionName) -> Result<Option<CacheManifest>>;

    /// Writes a contribution; its blobs are in the store.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn write(&self, name: &ContributionName, manifest: &CacheManifest) -> Result<Committed>;

    /// Removes a contribution. Its blobs stay.
    ///
    /// # Errors
    /// Whatever the store answers.
    async fn remove(&self, name: &ContributionName) -> Result<Deleted>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn a_name_says_whose_it_is_and_how_old() {
        let name = ContributionName::new("main", at(1_764_364_800));
        assert!(name.as_str().starts_with("main.publish-1764364800-"), "{name}");
        let parsed = ContributionName::parse(name.as_str()).unwrap();
        assert_eq!((&parsed, parsed.is_of("main"), parsed.is_of("mai")), (&name, true, false));
        assert_eq!(parsed.age(at(1_764_364_860)), Duration::from_secs(60));
        assert_eq!(parsed.age(at(1_764_364_740)), Duration::from_secs(60));
        assert_ne!(ContributionName::new("main", at(1)), ContributionName::new("main", at(1)));
        assert!(name.as_str().starts_with(&ContributionName::prefix("main")));
    }

    #[test]
    fn a_long_name_is_still_a_tag_and_no_other_ones() {
        let (one, other) = ("a".repeat(128), "a".repeat(127) + "b");
        let name = ContributionName::new(&one, at(1_764_364_800));
        assert_eq!(name.as_str().len(), LONGEST);
        assert!(name.is_of(&one) && !name.is_of(&other));
        assert!(ContributionName::new(&"é".repeat(64), at(0)).as_str().len() <= LONGEST);
    }

    #[test]
    fn what_somebody_else_has_named_is_no_contribution() {
        for name in [
            "main",
            "main.publish-",
            "main.publish-1764364800",
            "main.publish-1764364800-0123456789a",
            "main.publish-1764364800-0123456789aB",
            "main.publish-176436480-0123456789ab",
            "main.publish-99999999999999999999-0123456789ab",
        ] {
            assert_eq!(ContributionName::parse(name), None, "{name}");
        }
    }
}
