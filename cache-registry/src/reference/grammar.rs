//! The [grammar of references](https://github.com/distribution/reference/blob/main/reference.go), part by part.
//!
//! The checked parts are put into paths of URLs: no valid part can lead out of its repository.

use std::net::Ipv6Addr;

/// How long a repository's name may be, as in Docker.
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

/// Whether the first part of a reference is a registry, and not the owner of a repository at Docker Hub.
pub(super) fn names_a_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// A host name, an IPv4 address, or an IPv6 address in brackets; with a port or without one.
pub(super) fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    is_port
        && address.map_or_else(|| host.split('.').all(is_domain_part), |address| address.parse::<Ipv6Addr>().is_ok())
}

fn is_domain_part(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Parts of small letters and digits, joined by slashes; within one, single separators (`.`, `_`, `__`, any dashes).
pub(crate) fn is_repository(text: &str) -> bool {
    text.len() <= LONGEST_NAME && text.split('/').all(is_path_part)
}

fn is_path_part(text: &str) -> bool {
    let is_separator = |c: char| matches!(c, '.' | '_' | '-');
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = text.split(is_word).filter(|separator| !separator.is_empty());
    let are_known =
        separators.all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'));
    are_known && text.starts_with(is_word) && !text.ends_with(is_separator)
}

/// A letter, a digit or `_`, and up to 127 of these and `.` and `-`.
pub(crate) fn is_tag(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=LONGEST_TAG).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_have_single_separators_between_words() {
        for text in ["a", "a/b/c", "a.b_c-d", "a__b", "a---b", "0/1", "library/alpine"] {
            assert!(is_repository(text), "{text}");
        }
        for text in
            ["", "/", "a/", "/a", "a//b", ".", "..", "a/..", "a..b", "a___b", "a._b", "-a", "a-", "A", "a b", "a%2f"]
        {
            assert!(!is_repository(text), "{text}");
        }
        assert!(is_repository(&"a".repeat(255)) && !is_repository(&"a".repeat(256)));
    }

    #[test]
    fn tags_are_one_word() {
        for text in ["latest", "v1.0", "_x", "A-b_c.d", &"t".repeat(128)] {
            assert!(is_tag(text), "{text}");
        }
        for text in ["", ".", "..", "-a", ".a", "a/b", "a:b", "a b", "\u{202e}a", "a\n", "%2e%2e", &"t".repeat(129)] {
            assert!(!is_tag(text), "{text}");
        }
    }
}
