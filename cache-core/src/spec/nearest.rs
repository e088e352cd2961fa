//! The name that is likely meant by a wrong one.

/// Longer names, in bytes, are not compared.
pub(super) const LONGEST: usize = 100;

/// The one of the `known` names that is likely meant by a wrong one; `None` where none is like it.
///
/// ```
/// assert_eq!(cache_core::spec::nearest("buket", &["bucket", "region"]), Some("bucket"));
/// ```
#[must_use]
pub fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    if wrong.len() > LONGEST {
        return None;
    }
    let distance = |name: &&&str| strsim::osa_distance(wrong, name);
    known.iter().min_by_key(distance).filter(|name| distance(name) * 2 <= wrong.len().max(name.len())).copied()
}
