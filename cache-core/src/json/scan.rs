//! What Go's decoder accepts or refuses before it decodes any value.

use memchr::memchr_iter;
use serde::de::{DeserializeOwned, Error as _};

/// How deep Go reads nested values, skipped ones included.
const MAX_DEPTH: usize = 10_000;

/// Decodes a document: nothing is nested more than 10,000 deep, and `-0` is a whole number.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    if is_too_deep(bytes) {
        return Err(serde_json::Error::custom("exceeded max depth"));
    }
    serde_json::from_slice(bytes).or_else(|error| match without_negative_zeros(bytes) {
        Some(plain) => serde_json::from_slice(&plain),
        None => Err(error),
    })
}

fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut rest) = (0_usize, bytes.iter());
    while let Some(byte) = rest.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => rest = after_string(rest.as_slice()).iter(),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// The bytes behind the string that they begin in.
fn after_string(bytes: &[u8]) -> &[u8] {
    // A quote behind a backslash is a part of the string, unless that has one too.
    let closes = |quote: &usize| bytes[..*quote].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
    let end = memchr_iter(b'"', bytes).find(closes).map_or(bytes.len(), |quote| quote + 1);
    &bytes[end..]
}

/// The document with each `-0` as a zero, and every other byte unchanged; `None` if there is no such number.
fn without_negative_zeros(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_number = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E'));
    let signs = outside_strings(bytes).filter(|&(at, byte)| {
        let rest = bytes.get(at..).unwrap_or_default();
        byte == b'-' && rest.get(1) == Some(&b'0') && !is_number(rest.get(2)) && !is_exponent(bytes, at)
    });
    let signs: Vec<usize> = signs.map(|(at, _)| at).collect();
    if signs.is_empty() {
        return None;
    }
    let mut plain = bytes.to_vec();
    signs.into_iter().for_each(|at| plain[at] = b' ');
    Some(plain)
}

/// Whether the sign at `at` is that of an exponent.
fn is_exponent(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| matches!(bytes[before], b'e' | b'E'))
}

/// The bytes that are in no string, with their places.
pub(super) fn outside_strings(bytes: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let (mut is_string, mut is_escaped) = (false, false);
    bytes.iter().copied().enumerate().filter(move |&(_, byte)| {
        let was_string = is_string;
        if byte == b'"' && !is_escaped {
            is_string = !is_string;
        }
        is_escaped = was_string && byte == b'\\' && !is_escaped;
        !was_string && byte != b'"'
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_zero_is_a_whole_number_and_nothing_else_changes() {
        assert_eq!(from_slice::<Vec<i64>>(b"[-0, -0,-10,-1]").unwrap(), [0, 0, -10, -1]);
        assert_eq!(from_slice::<(String, i64)>(br#"["\"-0,",-0]"#).unwrap(), ("\"-0,".to_owned(), 0));
        for bad in ["[-0.0]", "[-0e0]", "[1e-0]", "[-]", "[--0]"] {
            assert!(from_slice::<Vec<i64>>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_nested_more_than_ten_thousand_deep() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"a":{open}{close}}}"#)
        };
        let decode = |text: String| from_slice::<crate::manifest::CacheConfig>(text.as_bytes());
        assert!(decode(nested(10_000)).is_ok());
        assert_eq!(decode(nested(10_001)).unwrap_err().to_string(), "exceeded max depth");
        assert!(decode(format!(r#"{{"a":["{}"]}}"#, "[".repeat(20_000))).is_ok());
        assert!(decode(format!(r#"{{"a":["\"{}","\\"]}}"#, "[".repeat(20_000))).is_ok());
        let behind_a_string = format!(r#"{{"a":"\\","b":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(decode(behind_a_string).unwrap_err().to_string(), "exceeded max depth");
    }
}
