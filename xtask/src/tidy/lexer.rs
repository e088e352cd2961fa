//! Separates code, comments and literals of Rust source, so that one can be searched without the others.

/// The kind of text that a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Code,
    Comment,
    Literal,
}

/// The class of every byte.
pub(super) fn classify(text: &str) -> Vec<Class> {
    let mut classes = Vec::with_capacity(text.len());
    while let Some(rest) = text.as_bytes().get(classes.len()..).filter(|rest| !rest.is_empty()) {
        let (class, length) = token(rest);
        classes.extend(std::iter::repeat_n(class, length.clamp(1, rest.len())));
    }
    classes
}

/// The class and the length of the first token. Code is read byte by byte.
fn token(rest: &[u8]) -> (Class, usize) {
    match rest {
        [b'/', b'/', ..] => (Class::Comment, find(rest, b"\n").unwrap_or(rest.len())),
        [b'/', b'*', ..] => (Class::Comment, block_comment(rest)),
        [b'"', ..] => (Class::Literal, quoted(rest, b'"')),
        [b'r', b'"' | b'#', ..] => raw_string(rest).map_or((Class::Code, 1), |length| (Class::Literal, length)),
        [b'\'', b'\\', ..] => (Class::Literal, quoted(rest, b'\'')),
        [b'\'', ..] => character(rest).map_or((Class::Code, 1), |length| (Class::Literal, length)),
        _ => (Class::Code, 1),
    }
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// A string or character up to its closing quote.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// `r"…"` or `r#"…"#`; `None` for a raw identifier.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    let start = 1 + hashes + 1;
    if rest.get(start - 1) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    Some(find(&rest[start..], &close).map_or(rest.len(), |at| start + at + close.len()))
}

/// A character without escape; `None` for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    let continued = rest.get(2..)?.iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
    (rest.get(2 + continued) == Some(&b'\'')).then_some(continued + 3)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::{Class, classify};

    /// The source with comments as `/` and literals as `s`.
    fn marked(text: &str) -> String {
        let mark = |(class, character)| match class {
            Class::Code => character,
            Class::Comment => '/',
            Class::Literal => 's',
        };
        let classes = classify(text);
        text.char_indices().map(|(at, character)| mark((classes[at], character))).collect()
    }

    #[test]
    fn comments_end_where_rust_ends_them() {
        assert_eq!(marked("a // b\nc"), "a ////\nc");
        assert_eq!(marked("a /* b /* c */ d */ e"), "a ///////////////// e");
        assert_eq!(marked("/* open"), "///////");
    }

    #[test]
    fn strings_hide_comments_and_escaped_quotes() {
        assert_eq!(marked(r#"f("a // \" b")"#), "f(sssssssssss)");
        assert_eq!(marked(r##"r#"a " b"# + r#type"##), "ssssssssss + r#type");
        assert_eq!(marked("\"open"), "sssss");
    }

    #[test]
    fn characters_are_no_lifetimes() {
        assert_eq!(marked("'\"' + &'a str + '\\'' + 'é'"), "sss + &'a str + ssss + sss");
    }
}
