//! Text of a tar as Go writes it into JSON.

use cache_core::json;

/// Appends a string as Go does; each byte that is not UTF-8 becomes an escaped U+FFFD.
pub(super) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
    out.push(b'"');
    if text.iter().all(is_plain) {
        out.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            let quoted = json::to_vec(&chunk.valid()).unwrap_or_default();
            out.extend_from_slice(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
            for _ in chunk.invalid() {
                out.extend_from_slice(b"\\ufffd");
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_escaped_one_by_one() {
        let mut out = Vec::new();
        push_string(&mut out, b"a\xf0\x9f\xff<\xc3\xa9");
        assert_eq!(out, b"\"a\\ufffd\\ufffd\\ufffd\\u003c\xc3\xa9\"");
    }
}
