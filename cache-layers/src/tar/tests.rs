//! The scanner on archives of the `tar` crate and of GNU tar, and on invalid ones.

use std::io::Read as _;

use cache_core::{Error, ErrorKind};

use super::*;

/// Scans in pieces of `size` bytes; the entries with their contents, and whether every byte came back.
fn scan(bytes: &[u8], size: usize) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let (mut scanner, mut entries, mut raw) = (Scanner::new(), Vec::<(Entry, Vec<u8>)>::new(), Vec::new());
    for mut piece in bytes.chunks(size) {
        while let Some(part) = scanner.next(&mut piece)? {
            match part {
                Part::Frame(frame) => raw.extend_from_slice(frame),
                Part::Entry(entry) => entries.push((*entry, Vec::new())),
                Part::Content(content) => {
                    raw.extend_from_slice(content);
                    entries.last_mut().unwrap().1.extend_from_slice(content);
                }
            }
        }
        assert!(piece.is_empty());
    }
    scanner.finish()?;
    assert!(raw == bytes, "bytes were lost");
    Ok(entries)
}

fn write(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (entry, content) in entries {
        write_header(&mut out, entry);
        out.extend_from_slice(content);
        out.extend_from_slice(padding(content.len() as u64));
    }
    out.extend_from_slice(&END);
    out
}

fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    let entry = Entry { path: path.into(), size: content.len() as u64, mode: 0o644, ..Entry::default() };
    (entry, content.to_vec())
}

/// The header would apply to an appended entry.
#[test]
fn an_extended_header_that_is_about_nothing_is_refused() {
    let record = b"13 path=other";
    let record = [&record[..12], b"\n"].concat();
    for (flag, content) in [(b'x', &record[..]), (b'L', b"long\0"), (b'K', b"long\0")] {
        let mut header = Vec::new();
        write_header(&mut header, &file("extended", content).0);
        header[156] = flag;
        header[148..156].fill(b' ');
        let sum: u32 = header[..512].iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let dangling = [&header[..], content, padding(content.len() as u64)].concat();
        for end in [&[][..], &END] {
            for size in [1, 512, 1 << 20] {
                let error = scan(&[&dangling, end].concat(), size).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{} {size}: {error}", char::from(flag));
                assert_eq!(error.context("reason"), Some("an extended header is about nothing"));
            }
        }
    }
}

/// Entries that need every kind of record.
fn demanding() -> Vec<(Entry, Vec<u8>)> {
    let long = format!("{}/{}", "d".repeat(120), "n".repeat(140));
    let mut large = file(&long, b"long");
    large.0.uid = 1 << 40;
    large.0.gid = 1 << 33;
    large.0.mtime = (-5, 0);
    let mut attributes = file("ümlaut", b"");
    attributes.0.xattrs = [(b"user.a".to_vec(), b"\0=\xff".to_vec()), (b"user.b".to_vec(), Vec::new())].into();
    attributes.0.mtime = (1 << 40, 0);
    let prefixed = file(&format!("{}/{}", "p".repeat(100), "q".repeat(60)), &[7; 1000]);
    let directory = Entry { path: b"etc/".to_vec(), kind: EntryKind::Directory, mode: 0o1777, ..Entry::default() };
    let link = Entry {
        path: b"link".to_vec(),
        kind: EntryKind::Symlink,
        link: format!("../{long}").into_bytes(),
        ..Entry::default()
    };
    let hard = Entry { path: b"h".to_vec(), kind: EntryKind::HardLink, link: b"etc/x".to_vec(), ..Entry::default() };
    let device = Entry { path: b"tty".to_vec(), kind: EntryKind::Char, device: (4, 300), ..Entry::default() };
    let fifo = Entry { path: b"fifo".to_vec(), kind: EntryKind::Fifo, ..Entry::default() };
    let empty = [directory, link, hard, device, fifo].map(|entry| (entry, Vec::new()));
    [large, attributes, prefixed].into_iter().chain(empty).collect()
}

#[test]
fn written_entries_are_read_back_in_pieces_of_any_size() {
    let bytes = write(&demanding());
    for size in [1, 511, 512, 513, 1 << 20] {
        assert_eq!(scan(&bytes, size).unwrap(), demanding(), "pieces of {size}");
    }
}

#[test]
fn another_reader_reads_the_same_entries() {
    let bytes = write(&demanding());
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut seen = 0;
    for (found, (entry, content)) in archive.entries().unwrap().zip(demanding()) {
        let mut found = found.unwrap();
        assert_eq!(found.path_bytes().as_ref(), entry.path);
        assert_eq!(found.link_name_bytes().unwrap_or_default().as_ref(), entry.link);
        assert_eq!((found.header().mode().unwrap(), found.size()), (entry.mode as u32, entry.size));
        let extensions = found.pax_extensions().unwrap();
        let records: Vec<(Vec<u8>, Vec<u8>)> = extensions.map_or(Vec::new(), |records| {
            records.map(|r| r.unwrap()).map(|r| (r.key_bytes().to_vec(), r.value_bytes().to_vec())).collect()
        });
        for (name, value) in &entry.xattrs {
            assert!(records.contains(&([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone())));
        }
        let mut read = Vec::new();
        found.read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
        seen += 1;
    }
    assert_eq!(seen, demanding().len());
}

#[test]
fn gnu_long_names_and_binary_numbers_are_read() {
    let mut builder = tar::Builder::new(Vec::new());
    let long = "a/".repeat(90) + "file";
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_uid(1 << 40);
    header.set_mtime(1 << 36);
    builder.append_data(&mut header, &long, b"abc".as_slice()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "short", &long).unwrap();
    let entries = scan(&builder.into_inner().unwrap(), 700).unwrap();
    assert_eq!(entries[0].0.path, long.as_bytes());
    assert_eq!((entries[0].0.uid, entries[0].0.mtime), (1 << 40, (1 << 36, 0)));
    assert_eq!(entries[0].1, b"abc");
    assert_eq!(entries[1].0.link, long.as_bytes());
}

#[test]
fn numbers_are_octal_or_twos_complement() {
    for (field, number) in [
        (b"0000644\0".as_slice(), Some(0o644)),
        (b"   644 \0", Some(0o644)),
        (b"\0\0\0\0\0\0\0\0", Some(0)),
        (b"0000648\0", None),
        (b"+000644\0", None),
        (b"\x80\0\0\0\0\0\x01\0", Some(256)),
        (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
        (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
    ] {
        assert_eq!(number::parse(field), number, "{field:?}");
    }
}

#[test]
fn a_records_length_counts_its_own_digits() {
    for length in 0..1_100 {
        let (mut out, value) = (Vec::new(), vec![b'\n'; length]);
        pax::push(&mut out, b"k", &value);
        let records = pax::parse(&out).unwrap();
        assert_eq!(records.get(b"k".as_slice()), Some(&value));
    }
}

#[test]
fn bad_records_are_refused() {
    for bad in
        ["", "5", "x k=v\n", "4 k=\n", "7 k=v\n", "5 kv\n", "6 k=v ", "5 =v\n", "99 k=v\n", "-6 k=v\n", "11 path=a\0\n"]
    {
        assert!(bad.is_empty() || pax::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn times_of_records_have_fractions() {
    for (text, time) in [
        ("1.5", Some((1, 500_000_000))),
        ("-1.25", Some((-2, 750_000_000))),
        ("7.", Some((7, 0))),
        ("7.0000000019", Some((7, 1))),
        ("-0.5", Some((-1, 500_000_000))),
        ("1.x", None),
        (".5", None),
    ] {
        let mut entry = Entry::default();
        let applied = pax::apply([(b"mtime".to_vec(), text.into())].into(), &mut entry);
        assert_eq!(applied.ok().map(|_| entry.mtime), time, "{text}");
    }
}

#[test]
fn times_are_rounded_to_seconds() {
    assert_eq!(rfc3339(0, 900_000_000), None);
    assert_eq!(rfc3339(1_795_419_626, 400_000_000).as_deref(), Some("2026-11-23T07:40:26Z"));
    assert_eq!(rfc3339(-1, 500_000_000).as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(rfc3339(i64::MAX, 0), None);
}

#[test]
fn an_archive_that_ends_within_an_entry_is_refused() {
    let bytes = write(&[file("a", &[1; 700])]);
    for end in 0..bytes.len() {
        let scanned = scan(&bytes[..end], 100);
        // An archive may lack its closing zeros, but not only one block of them.
        let is_whole = end == 0 || end == 1536;
        assert_eq!(scanned.is_ok(), is_whole, "{end}");
        assert!(scanned.err().is_none_or(|error| error.kind() == ErrorKind::InvalidManifest));
    }
}

#[test]
fn bytes_after_the_end_are_passed_on() {
    let bytes = [write(&[file("a", b"")]), b"anything".to_vec()].concat();
    assert_eq!(scan(&bytes, 64).unwrap().len(), 1);
}

#[test]
fn headers_that_were_changed_are_refused() {
    let bytes = write(&[file("a", b"")]);
    for at in (0..BLOCK).filter(|at| !(154..156).contains(at)) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x11;
        assert!(scan(&changed, 512).is_err(), "byte {at}");
    }
}

#[test]
fn sparse_files_and_foreign_entries_are_unsupported() {
    for flag in [b'S', b'V', b'7', b'M'] {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::new(flag));
        header.set_cksum();
        assert_eq!(scan(header.as_bytes(), 512).unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("GNU.sparse.major", b"1".as_slice())]).unwrap();
    builder.append(&tar::Header::new_ustar(), [].as_slice()).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    let header = bytes.len() - 2 * BLOCK - BLOCK;
    let mut fixed = tar::Header::new_ustar();
    fixed.set_size(0);
    fixed.set_cksum();
    bytes[header..header + BLOCK].copy_from_slice(fixed.as_bytes());
    assert_eq!(scan(&bytes, 512).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn extended_headers_are_bounded() {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size((1 << 20) + 1);
    header.set_cksum();
    assert_eq!(scan(header.as_bytes(), 512).unwrap_err().kind(), ErrorKind::LimitExceeded);
}
