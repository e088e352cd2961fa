//! [`NameGlob`]: patterns of cache names.

use std::fmt::{self, Write as _};

/// A pattern of names: `*` stands for any characters, none included, and `?` for one.
///
/// ```
/// use cache_ops::NameGlob;
///
/// assert!(NameGlob::new("release-*").matches("release-1.2"));
/// assert!(!NameGlob::new("v?").matches("v10"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGlob(Vec<char>);

impl NameGlob {
    /// Every text is a pattern; one without `*` and `?` is a name.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether the whole name matches the pattern.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (&self.0, name.chars().collect::<Vec<char>>());
        let (mut at, mut of) = (0, 0);
        // The last star, and the end of the part of the name that it matches so far.
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            match pattern.get(of) {
                Some('*') => {
                    star = Some((of, at));
                    of += 1;
                }
                Some(&c) if c == '?' || c == name[at] => (at, of) = (at + 1, of + 1),
                _ => match &mut star {
                    Some((starred, end)) => {
                        *end += 1;
                        (at, of) = (*end, *starred + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[of..].iter().all(|c| *c == '*')
    }
}

impl fmt::Display for NameGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|c| f.write_char(*c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_characters() {
        for (pattern, name) in [
            ("", ""),
            ("*", ""),
            ("*", "a/b:c"),
            ("main", "main"),
            ("pr-*", "pr-"),
            ("*-cache", "pr-cache-cache"),
            ("a*b*c", "a-b-b-c"),
            ("v?.?", "v1.2"),
            ("?", "é"),
            ("[", "["),
        ] {
            assert!(NameGlob::new(pattern).matches(name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("", "a"), ("main", "main2"), ("main", "Main"), ("?", ""), ("a*b", "acbd"), ("pr-*", "apr-1")]
        {
            assert!(!NameGlob::new(pattern).matches(name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!NameGlob::new(&"*a".repeat(200)).matches(&"a".repeat(199)));
    }
}
