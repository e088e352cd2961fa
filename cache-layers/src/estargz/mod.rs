//! eStargz: gzip whose members start at files, with a table of contents, so that single files can be read from a
//! registry without the rest.
//!
//! Layers are those that BuildKit writes: the tar stream stays as it is, each chunk of 4 MiB of a file's content starts
//! a member, a tar entry with the table of contents is appended, and a footer with its offset. No landmark files are
//! added. The format is the one of
//! <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>.

mod encode;
mod footer;
mod pack;
mod read;
mod split;
mod strip;
mod text;
mod toc;

pub(super) use self::encode::encode;
pub use self::read::{Toc, annotations, open};
pub(super) use self::strip::strip;

/// The name of the entry that holds the table of contents.
const TOC_NAME: &str = "stargz.index.json";

/// The size of chunks: a file's content is cut after this many bytes.
const CHUNK: u64 = 4 << 20;

/// Whether a path names the table of contents once it is cleaned, as every reader cleans it.
fn is_toc(path: &[u8]) -> bool {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names == [TOC_NAME.as_bytes()]
}
