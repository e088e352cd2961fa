//! Headers as they are written: ustar, and pax records for what ustar has no room for.

use super::entry::Entry;
use super::header::{USTAR, checksum, field};
use super::{BLOCK, number, pax, scan};

/// Appends the headers of an entry; its content and the padding are to follow.
///
/// Equal entries give equal bytes. Fractions of seconds are not written, as containerd does not write them for layers.
pub(crate) fn write_header(out: &mut Vec<u8>, entry: &Entry) {
    let mut records = Vec::new();
    let block = ustar(entry, &mut records);
    for (name, value) in &entry.xattrs {
        pax::push(&mut records, &[pax::XATTR.as_bytes(), name].concat(), value);
    }
    if !records.is_empty() {
        let size = records.len() as u64;
        out.extend_from_slice(&extended(&entry.path, size));
        out.extend_from_slice(&records);
        out.extend_from_slice(padding(size));
    }
    out.extend_from_slice(&block);
}

/// The zeros between content of that size and the next header.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    &ZEROS[..scan::padding(size) as usize]
}

/// The header of an extended header. Readers that know pax do not look at its name.
fn extended(path: &[u8], size: u64) -> [u8; BLOCK] {
    let name = path.strip_suffix(b"/").unwrap_or(path).rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut block = [0; BLOCK];
    put(&mut block[field::NAME], &[b"PaxHeaders/", &name[..name.len().min(80)]].concat());
    for (range, value) in [
        (field::MODE, 0o644),
        (field::UID, 0),
        (field::GID, 0),
        (field::SIZE, size),
        (field::MTIME, 0),
        (field::MAJOR, 0),
        (field::MINOR, 0),
    ] {
        number::write_octal(&mut block[range], value);
    }
    finish(&mut block, b'x');
    block
}

/// The block of the entry itself; fields that do not fit become records.
fn ustar(entry: &Entry, records: &mut Vec<u8>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    match split(&entry.path) {
        Some((prefix, name)) => {
            put(&mut block[field::PREFIX], prefix);
            put(&mut block[field::NAME], name);
        }
        None => put_or_record(&mut block[field::NAME], &entry.path, b"path", records),
    }
    put_or_record(&mut block[field::LINK], &entry.link, b"linkpath", records);
    put_or_record(&mut block[field::USER], &entry.user, b"uname", records);
    put_or_record(&mut block[field::GROUP], &entry.group, b"gname", records);
    for (range, value, key) in [
        (field::MODE, entry.mode, None),
        (field::UID, entry.uid, Some("uid")),
        (field::GID, entry.gid, Some("gid")),
        (field::SIZE, i64::try_from(entry.size).unwrap_or(i64::MAX), Some("size")),
        (field::MTIME, entry.mtime.0, Some("mtime")),
        (field::MAJOR, entry.device.0, Some("SCHILY.devmajor")),
        (field::MINOR, entry.device.1, Some("SCHILY.devminor")),
    ] {
        let fits = number::write_octal(&mut block[range], u64::try_from(value).unwrap_or(u64::MAX));
        if let (false, Some(key)) = (fits, key) {
            pax::push(records, key.as_bytes(), value.to_string().as_bytes());
        }
    }
    finish(&mut block, entry.kind.flag());
    block
}

/// Puts a text into its field, or what fits of it and a record. Text that is not ASCII needs the record: its encoding
/// is undefined in ustar.
fn put_or_record(field: &mut [u8], text: &[u8], key: &[u8], records: &mut Vec<u8>) {
    if text.len() > field.len() || !text.is_ascii() {
        pax::push(records, key, text);
    }
    let shortened: Vec<u8> = text.iter().copied().filter(u8::is_ascii).take(field.len()).collect();
    // Some readers take a file whose short name ends with a slash for a directory.
    let end = match shortened.iter().rposition(|&byte| byte != b'/') {
        Some(last) if shortened.len() < text.len() => last + 1,
        _ => shortened.len(),
    };
    put(field, &shortened[..end]);
}

fn put(field: &mut [u8], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
}

/// Cuts a path that is too long for the name field at a slash, so that prefix and name have room.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= field::NAME.len() || !path.is_ascii() {
        return None;
    }
    let window = &path[..path.len().min(field::PREFIX.len() + 1)];
    // A directory's last slash belongs to its name.
    let window = if window.len() == path.len() { window.strip_suffix(b"/").unwrap_or(window) } else { window };
    let slash = window.iter().rposition(|&byte| byte == b'/').filter(|&at| at > 0)?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (!name.is_empty() && name.len() <= field::NAME.len()).then_some((prefix, name))
}

fn finish(block: &mut [u8; BLOCK], flag: u8) {
    block[field::FLAG] = flag;
    block[field::MAGIC].copy_from_slice(USTAR);
    let (sum, _) = checksum(block);
    // Six digits, a NUL and a space, as every writer since the first has it.
    number::write_octal(&mut block[field::CHECKSUM.start..field::CHECKSUM.end - 1], sum.unsigned_abs());
    block[field::CHECKSUM.end - 1] = b' ';
}
