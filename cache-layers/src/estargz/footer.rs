//! The last bytes of an eStargz blob: an empty gzip member with the offset of the table of contents.

#![warn(clippy::arithmetic_side_effects)]

/// The size of the footer in bytes.
pub(super) const LENGTH: usize = 51;

/// Bytes of the footer of the older format "stargz", whose extra field has no subfield.
const LEGACY_LENGTH: usize = 47;

const MAGIC: &[u8] = b"STARGZ";

/// The contents of a footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the gzip member with the table of contents starts.
    pub(super) toc_offset: u64,
    /// The footer's own length.
    pub(super) length: u64,
}

/// The footer of a blob whose table of contents starts at `toc_offset`.
pub(super) fn encode(toc_offset: u64) -> [u8; LENGTH] {
    let mut footer = [0; LENGTH];
    let offset = format!("{toc_offset:016x}");
    let parts: [&[u8]; 5] = [
        // A gzip header with an extra field, without time, on an unknown system.
        b"\x1f\x8b\x08\x04\0\0\0\0\0\xff".as_slice(),
        b"\x1a\0SG\x16\0".as_slice(),
        offset.as_bytes(),
        MAGIC,
        // A stored block without bytes, the last one. Checksum and size are zeros.
        b"\x01\0\0\xff\xff".as_slice(),
    ];
    for (to, from) in footer.iter_mut().zip(parts.concat()) {
        *to = from;
    }
    footer
}

/// Reads the footer at the end of the last bytes of a blob; `None` if it has none.
pub(super) fn decode(tail: &[u8]) -> Option<Footer> {
    let current = || decode_as(tail, LENGTH, b"\x1a\0SG\x16\0");
    let legacy = || decode_as(tail, LEGACY_LENGTH, b"\x16\0");
    current().or_else(legacy)
}

fn decode_as(tail: &[u8], length: usize, extra: &[u8]) -> Option<Footer> {
    let footer = tail.get(tail.len().checked_sub(length)?..)?;
    // What stands between flags and extra field are the time and the system.
    let rest = footer.strip_prefix(b"\x1f\x8b\x08\x04")?.get(6..)?.strip_prefix(extra)?;
    let (digits, rest) = rest.split_at_checked(16)?;
    let is_number = digits.iter().all(u8::is_ascii_hexdigit) && rest.starts_with(MAGIC);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    let toc_offset = u64::from_str_radix(digits, 16).ok()?;
    Some(Footer { toc_offset, length: length as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a layer that BuildKit v0.32 wrote.
    const WRITTEN: &[u8] =
        b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x1a\x00SG\x16\x000000000000000394STARGZ\x01\x00\x00\
        \xff\xff\x00\x00\x00\x00\x00\x00\x00\x00";

    #[test]
    fn the_footer_is_the_one_of_buildkit() {
        assert_eq!(encode(0x394), WRITTEN);
        assert_eq!(decode(WRITTEN), Some(Footer { toc_offset: 0x394, length: 51 }));
    }

    #[test]
    fn the_older_footer_is_read() {
        let legacy = [&WRITTEN[..10], b"\x16\0", &WRITTEN[16..]].concat();
        assert_eq!(legacy.len(), LEGACY_LENGTH);
        assert_eq!(decode(&legacy), Some(Footer { toc_offset: 0x394, length: 47 }));
    }

    #[test]
    fn a_truncated_or_changed_footer_is_none() {
        for length in 0..WRITTEN.len() {
            assert_eq!(decode(&WRITTEN[..length]), None, "{length}");
        }
        for at in (0..4).chain(10..38) {
            let mut changed = WRITTEN.to_vec();
            changed[at] = b'+';
            assert_eq!(decode(&changed), None, "byte {at}");
        }
    }
}
