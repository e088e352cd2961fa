//! Tar as layers use it: a scanner that keeps every byte, and the headers that are written.
//!
//! The format is POSIX ustar with pax extended headers, read with the extensions of GNU tar and of star
//! (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>).

mod entry;
mod header;
mod number;
mod pax;
mod scan;
mod time;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use self::entry::{Entry, EntryKind};
pub(crate) use self::scan::{Part, Scanner};
pub(crate) use self::time::rfc3339;
pub(crate) use self::write::{padding, write_header};

/// The block size of tar, in bytes.
pub(crate) const BLOCK: usize = 512;

/// Two blocks of zeros end an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest extended header or long name in bytes, as in Go's reader.
const MAX_EXTENDED: u64 = 1 << 20;
