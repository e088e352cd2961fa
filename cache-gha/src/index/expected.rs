//! The expected version of the place.

use cache_core::{Error, ErrorKind, Expect, Result, Version};

use super::SEPARATOR;
use crate::error;
use crate::keys::{IndexName, is_same, parse_index};

/// An error when the newest index is not the expected one.
pub(super) fn check(name: &IndexName, newest: Option<&str>, expect: &Expect) -> Result<()> {
    let expected = match expect {
        Expect::Any => return Ok(()),
        Expect::Absent => None,
        Expect::Version(version) => match expected_key(name, version) {
            Ok(expected) => expected,
            Err(other) => return Err(conflict(Some(other), newest)),
        },
    };
    let is_met = match (expected, newest) {
        (Some(expected), Some(newest)) => is_same(expected, newest),
        (expected, newest) => expected == newest,
    };
    if is_met { Ok(()) } else { Err(conflict(expected, newest)) }
}

/// The key of this index when the version was read, which may have keys of several scopes; an error if it is no
/// version of an index.
fn expected_key<'a>(name: &IndexName, version: &'a Version) -> Result<Option<&'a str>, &'a str> {
    let keys = || version.as_str().split(SEPARATOR);
    if keys().any(|key| parse_index(key).is_none()) {
        return Err(version.as_str());
    }
    Ok(keys().find(|key| name.number(key).is_some()))
}

pub(super) fn conflict(expected: Option<&str>, found: Option<&str>) -> Error {
    let error = error::new(ErrorKind::Conflict, "somebody else wrote first");
    error.with("expected", expected.unwrap_or("nothing")).with("found", found.unwrap_or("nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::version;

    fn name() -> IndexName {
        IndexName::new("buildkit", "refs/heads/main")
    }

    #[test]
    fn a_version_of_several_scopes_counts_for_the_one_that_is_written() {
        let (main, other) = (name().key(3), IndexName::new("buildkit", "refs/heads/other").key(7));
        let both = version([other.as_str(), main.as_str()]);
        check(&name(), Some(&main), &Expect::Version(both.clone())).unwrap();
        assert_eq!(
            check(&name(), Some(&name().key(4)), &Expect::Version(both)).unwrap_err().kind(),
            ErrorKind::Conflict
        );
        let others = Expect::Version(version([other.as_str()]));
        check(&name(), None, &others).unwrap();
        assert_eq!(check(&name(), Some(&main), &others).unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_version_of_another_store_is_a_conflict() {
        let foreign = Expect::Version(Version::new("sha256:12"));
        assert_eq!(check(&name(), None, &foreign).unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_service_may_keep_keys_in_small_letters() {
        let name = IndexName::new("Linux", "refs/heads/main");
        let stored = name.key(3).to_lowercase();
        for version in [version([stored.as_str()]), version([name.key(3).as_str()])] {
            check(&name, Some(&stored), &Expect::Version(version)).unwrap();
        }
    }

    #[test]
    fn without_a_condition_anything_is_replaced() {
        check(&name(), None, &Expect::Any).unwrap();
        check(&name(), Some("x#1"), &Expect::Any).unwrap();
        assert!(check(&name(), Some(&name().key(1)), &Expect::Absent).is_err());
    }
}
