//! For build tools: reads a directory as a tar stream, and makes layers of tar streams.

mod dir;
mod metadata;
mod options;
mod pieces;
mod tree;
mod walk;

pub use self::dir::LayerDir;
pub use self::options::TreeOptions;
pub use self::tree::tar_tree;
