//! Numbers in headers: octal text, or base-256 where octal has no room.

/// Reads a field. Octal digits may be padded with spaces and NULs; a set top bit means big-endian two's complement.
pub(super) fn parse(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => parse_binary(field),
        _ => parse_octal(field),
    }
}

/// Reads octal text; a field without digits is 0.
pub(super) fn parse_octal(field: &[u8]) -> Option<i64> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(|byte| !is_padding(byte)) else { return Some(0) };
    let rest = field.get(start..)?;
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    let digits = rest.get(..end)?.trim_ascii_end();
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn parse_binary(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let is_negative = first & 0x40 != 0;
    // The top bit only marks a binary number; the sign begins at the bit below it.
    let start = if is_negative { i64::from(*first) - 0x100 } else { i64::from(first & 0x7f) };
    rest.iter().try_fold(start, |value, byte| value.checked_mul(256)?.checked_add(i64::from(*byte)))
}

/// Fills a field with octal digits and a NUL; false, with the field filled with zeros, when the number has no room.
pub(super) fn write_octal(field: &mut [u8], value: u64) -> bool {
    let Some((last, digits)) = field.split_last_mut() else { return false };
    *last = 0;
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    if rest != 0 {
        digits.fill(b'0');
    }
    rest == 0
}
