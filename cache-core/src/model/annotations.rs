//! [`Annotations`]: the annotations of a descriptor, in a fraction of a map's memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::annotation;

type Key = Cow<'static, str>;

/// The annotations of a blob, ordered by key: equal ones encode to equal bytes.
///
/// A cache has a descriptor for each of its blobs, and hardly any has more than two annotations.
///
/// ```
/// use cache_core::annotation;
/// use cache_core::model::Annotations;
///
/// let mut annotations = Annotations::default();
/// annotations.insert(annotation::DESCRIPTION, "RUN make".to_owned());
/// assert_eq!(annotations.get(annotation::DESCRIPTION).map(String::as_str), Some("RUN make"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Annotations(Vec<(Key, String)>);

impl Annotations {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&String> {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.place(key).is_ok()
    }

    /// Sets the value of a key; returns the old one.
    pub fn insert(&mut self, key: impl Into<Cow<'static, str>>, mut value: String) -> Option<String> {
        value.shrink_to_fit();
        let key = key.into();
        match self.place(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (known(key), value));
                None
            }
        }
    }

    /// Removes a key and its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.place(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps the pairs that `keep` accepts.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&str, &str) -> bool) {
        self.0.retain(|(key, value)| is_kept(key, value));
    }

    /// Every key with its value, in order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_str()))
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_ref().cmp(key))
    }

    /// Sorts added pairs; of two with one key the later counts. Inserting one by one would take time in the square of
    /// their number.
    fn tidy(&mut self) {
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(&mut later.1, &mut earlier.1);
            }
            is_same
        });
        self.0.shrink_to_fit();
    }
}

/// The keys that most descriptors have need no memory of their own.
fn known(key: Key) -> Key {
    let known = [annotation::UNCOMPRESSED, annotation::CREATED_AT, annotation::DESCRIPTION];
    known.into_iter().find(|known| *known == key).map_or(key, Cow::Borrowed)
}

impl<K: Into<Cow<'static, str>>> Extend<(K, String)> for Annotations {
    fn extend<I: IntoIterator<Item = (K, String)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(key, value)| (known(key.into()), value)));
        self.tidy();
    }
}

impl<K: Into<Cow<'static, str>>> FromIterator<(K, String)> for Annotations {
    fn from_iter<I: IntoIterator<Item = (K, String)>>(pairs: I) -> Self {
        let mut annotations = Self::default();
        annotations.extend(pairs);
        annotations
    }
}

impl IntoIterator for Annotations {
    type Item = (Cow<'static, str>, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Annotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Annotations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(Self::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(annotations: &Annotations) -> Vec<(&str, &str)> {
        annotations.iter().collect()
    }

    #[test]
    fn they_are_ordered_and_the_last_of_a_key_counts() {
        let decoded: Annotations = serde_json::from_str(r#"{"b":"1","a":"2","b":"3","c":"4","b":"5"}"#).unwrap();
        assert_eq!(pairs(&decoded), [("a", "2"), ("b", "5"), ("c", "4")]);
        let mut inserted = Annotations::default();
        for (key, value) in [("b", "1"), ("c", "4"), ("a", "2"), ("b", "5")] {
            inserted.insert(key, value.to_owned());
        }
        assert_eq!(inserted, decoded);
        assert_eq!(serde_json::to_string(&inserted).unwrap(), r#"{"a":"2","b":"5","c":"4"}"#);
    }

    #[test]
    fn a_key_is_found_replaced_and_removed() {
        let mut annotations: Annotations = [("b", "1".to_owned()), ("a", "2".to_owned())].into_iter().collect();
        assert_eq!(annotations.insert("a", "3".to_owned()).as_deref(), Some("2"));
        assert_eq!(annotations.get("a").map(String::as_str), Some("3"));
        assert_eq!(annotations.remove("b").as_deref(), Some("1"));
        assert!(!annotations.contains_key("b") && annotations.iter().len() == 1);
        annotations.retain(|key, _| key != "a");
        assert!(annotations.is_empty());
    }
}
