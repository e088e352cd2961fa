//! A build tool's side: from a directory to a tar stream, and from a tar stream to a layer.

mod dir;
mod metadata;
mod options;
mod pieces;
mod tree;
mod walk;

pub use self::dir::LayerDir;
pub use self::options::TreeOptions;
pub use self::tree::tar_tree;
