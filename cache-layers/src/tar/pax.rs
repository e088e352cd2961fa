//! Records of pax extended headers: `length key=value\n`.

use std::collections::BTreeMap;

use super::entry::Entry;

/// The prefix of records that hold extended attributes.
pub(super) const XATTR: &str = "SCHILY.xattr.";

/// The records of one extended header, by key; the last one of a key counts.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Reads the records; the error is the reason why they are invalid.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Records, &'static str> {
    let mut records = Records::new();
    while !bytes.is_empty() {
        let (key, value, rest) = record(bytes).ok_or("an extended header holds a bad record")?;
        records.insert(key.to_vec(), value.to_vec());
        bytes = rest;
    }
    Ok(records)
}

/// The key, the value and what follows.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
    let body = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    let is_text = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
    let is_invalid = key.is_empty() || key.contains(&0) || is_text && value.contains(&0);
    (!is_invalid).then_some((key, value, &bytes[length..]))
}

/// Overrides the fields of a header by the records; empty values are ignored. Returns the size.
pub(super) fn apply(records: Records, entry: &mut Entry) -> Result<Option<u64>, &'static str> {
    let mut size = None;
    for (key, value) in records {
        if let Some(name) = key.strip_prefix(XATTR.as_bytes()) {
            entry.xattrs.insert(name.to_vec(), value);
            continue;
        }
        if value.is_empty() {
            continue;
        }
        let number = || decimal(&value).ok_or("an extended header holds a bad number");
        match key.as_slice() {
            b"path" => entry.path = value,
            b"linkpath" => entry.link = value,
            b"uname" => entry.user = value,
            b"gname" => entry.group = value,
            b"uid" => entry.uid = number()?,
            b"gid" => entry.gid = number()?,
            b"size" => size = Some(u64::try_from(number()?).map_err(|_| "an extended header holds a bad size")?),
            b"mtime" => entry.mtime = time(&value).ok_or("an extended header holds a bad time")?,
            _ => {}
        }
    }
    Ok(size)
}

/// Whether the records describe a file of GNU tar with holes.
pub(super) fn is_sparse(records: &Records) -> bool {
    records.keys().any(|key| key.starts_with(b"GNU.sparse."))
}

/// Appends a record. Its length counts its own digits.
pub(super) fn push(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + " =\n".len();
    let digits = |number: usize| number.to_string().len();
    let length = rest + digits(rest + digits(rest));
    out.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        out.extend_from_slice(part);
    }
}

fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads `seconds[.fraction]`; digits beyond nanoseconds are cut off.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = point.map_or((text, [].as_slice()), |at| (&text[..at], &text[at + 1..]));
    let seconds = decimal(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    match nanoseconds {
        0 => Some((seconds, 0)),
        // The fraction of a negative time counts backwards, too.
        _ if whole.starts_with(b"-") => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        _ => Some((seconds, nanoseconds)),
    }
}
