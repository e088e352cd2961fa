//! The header of a gzip member (RFC 1952, section 2.3).

use flate2::Crc;

/// What the first bytes of a header tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// More bytes are needed.
    Incomplete,
    /// It has this many bytes.
    Complete(usize),
    /// It is no header.
    Invalid,
}

/// The longest header in bytes: it holds at most a file name and the offset of an eStargz table of contents.
const LONGEST: usize = 128 << 10;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;

/// Measures the header at the start of `bytes`.
pub(super) fn measure(bytes: &[u8]) -> Header {
    let magic = [0x1f, 0x8b, 0x08];
    let there = bytes.len().min(magic.len());
    if bytes[..there] != magic[..there] {
        return Header::Invalid;
    }
    match end(bytes) {
        Some(end) if end.len <= LONGEST && end.is_sound => Header::Complete(end.len),
        None if bytes.len() <= LONGEST => Header::Incomplete,
        _ => Header::Invalid,
    }
}

struct End {
    len: usize,
    is_sound: bool,
}

/// Where the header ends; `None` when the bytes end before it does.
fn end(bytes: &[u8]) -> Option<End> {
    let flags = *bytes.get(3)?;
    let mut at = 10;
    if flags & EXTRA != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            at += bytes.get(at..)?.iter().position(|&byte| byte == 0)? + 1;
        }
    }
    let mut is_sound = true;
    if flags & HEADER_CRC != 0 {
        let expected = u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
        let mut crc = Crc::new();
        crc.update(&bytes[..at]);
        is_sound = crc.sum() & 0xffff == u32::from(expected);
        at += 2;
    }
    (bytes.len() >= at).then_some(End { len: at, is_sound })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u8, rest: &[u8]) -> Vec<u8> {
        [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 0xff], rest].concat()
    }

    #[test]
    fn every_prefix_of_a_header_is_incomplete() {
        let fields = [b"\x03\x00abc".as_slice(), b"name\0", b"comment\0"].concat();
        let mut bytes = header(HEADER_CRC | EXTRA | NAME | COMMENT, &fields);
        let mut crc = Crc::new();
        crc.update(&bytes);
        bytes.extend_from_slice(&crc.sum().to_le_bytes()[..2]);
        for end in 0..bytes.len() {
            assert_eq!(measure(&bytes[..end]), Header::Incomplete, "{end}");
        }
        assert_eq!(measure(&[&bytes[..], b"body"].concat()), Header::Complete(bytes.len()));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(measure(&bytes), Header::Invalid);
    }

    #[test]
    fn a_header_without_end_is_none() {
        let bytes = header(NAME, &vec![b'a'; LONGEST]);
        assert_eq!(measure(&bytes), Header::Invalid);
        assert_eq!(measure(b"\x1f\x8b\x07"), Header::Invalid);
        assert_eq!(measure(b"P"), Header::Invalid);
    }
}
