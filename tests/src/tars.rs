//! Random tar streams in every dialect of layers.

use crate::random::Random;

/// Lengths of content near boundaries: blocks, and chunks of 4 MiB.
const LENGTHS: [usize; 9] = [0, 1, 511, 512, 513, 5_000, (4 << 20) - 1, 4 << 20, (4 << 20) + 1];

/// A tar stream of up to twelve entries.
#[must_use]
pub fn random(random: &mut Random) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for n in 0..random.below(12) {
        append(&mut builder, random, n);
    }
    let mut bytes = builder.into_inner().expect("memory does not fail");
    match random.below(4) {
        // The closing zeros may be missing, or be longer, or be followed by other bytes.
        0 => bytes.truncate(bytes.len() - 1024),
        1 => bytes.resize(bytes.len().next_multiple_of(10_240), 0),
        2 => bytes.extend(random.bytes(700)),
        _ => {}
    }
    bytes
}

fn append(builder: &mut tar::Builder<Vec<u8>>, random: &mut Random, n: usize) {
    let mut header = if random.is_one_in(2) { tar::Header::new_gnu() } else { tar::Header::new_ustar() };
    header.set_mode(random.number() as u32 & 0o7777);
    header.set_mtime(random.number() >> random.below(64).max(31));
    header.set_uid(random.number() & 0o777_7777);
    header.set_gid(random.number() & 0o777_7777);
    let name = name(random, n);
    if random.is_one_in(3) {
        let value = (0..random.below(700)).map(|_| b'a' + random.below(26) as u8).collect::<Vec<_>>();
        let record = [("SCHILY.xattr.user.a", value.as_slice()), ("mtime", b"1700000000.75".as_slice())];
        builder.append_pax_extensions(record).expect("memory does not fail");
    }
    let written = match random.below(5) {
        0 => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, format!("{name}/"), [].as_slice())
        }
        kind @ (1 | 2) => {
            header.set_entry_type(if kind == 1 { tar::EntryType::Symlink } else { tar::EntryType::Link });
            header.set_size(0);
            builder.append_link(&mut header, &name, "target/of a <link>")
        }
        _ => {
            let length = *random.pick(&LENGTHS);
            header.set_size(length as u64);
            let unit = random.bytes(64);
            let content: Vec<u8> = unit.iter().copied().cycle().take(length).collect();
            builder.append_data(&mut header, &name, content.as_slice())
        }
    };
    written.expect("memory does not fail");
}

/// A name that is short, or long enough for a prefix, or too long for ustar.
fn name(random: &mut Random, n: usize) -> String {
    match random.below(4) {
        0 => format!("{}/{n}", "p".repeat(90)),
        1 => format!("{}ü{n}", "deep/".repeat(60)),
        2 => format!("a & b {n}"),
        _ => format!("file{n}"),
    }
}
