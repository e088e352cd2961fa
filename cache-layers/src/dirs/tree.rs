//! [`tar_tree`]: a directory as a tar stream.

use std::path::PathBuf;

use cache_core::seams::BlobStream;

use super::options::TreeOptions;
use super::pieces::streamed;
use super::walk::write_tree;

/// Reads a directory as the tar stream of a layer; equal trees give equal bytes.
///
/// Entries are sorted by the bytes of their names, a directory before what is in it; the directory itself has none. Times
/// are cut to seconds. Long names, large numbers and extended attributes are in pax headers. On Unix:
///
/// * Modes, owners (as numbers), symbolic links, hard links within the tree, devices and FIFOs are kept; sockets are left
///   out.
/// * Of the extended attributes, `user.*` and `security.capability` are kept. The others are specific to the machine.
/// * A device 0:0 and the attribute `overlay.opaque` (`trusted.` or `user.`), by which overlayfs marks deletions,
///   become the whiteouts `.wh.NAME` and `.wh..wh..opq` of the OCI image spec. Files that already have such a name are
///   whiteouts too.
///
/// On other systems directories have mode 755 and files 644, and owner 0:0.
///
/// A separate thread reads the tree, some hundred kilobytes ahead of the reader. It ends when the stream is dropped. In
/// memory are the names in the directories on the way to the current one, and the hard links seen so far.
///
/// # Errors
/// The stream fails when a file cannot be read, or becomes shorter meanwhile; the error names the path.
#[must_use]
pub fn tar_tree(directory: impl Into<PathBuf>, options: &TreeOptions) -> BlobStream {
    let (directory, options) = (directory.into(), *options);
    streamed(move |out| write_tree(&directory, &options, out))
}
