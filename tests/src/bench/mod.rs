//! What benchmarks of whole commands share: caches of a size, what a command takes, and peers beside it.

mod beside;
mod caches;
mod measure;

use std::error::Error;

pub use self::beside::{Contender, Round, beside, installed};
pub use self::caches::{make, make_of};
pub use self::measure::{Figure, measure, median, processors};

/// What a benchmark comes to.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Blobs of one size.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// What it is called in the report.
    pub name: &'static str,
    /// The number of pairs.
    pub blobs: usize,
    /// Bytes of each.
    pub size: usize,
}

impl Load {
    /// Whether what many rounds write fits on a disk beside each other.
    fn is_light(&self) -> bool {
        self.blobs * self.size < 1 << 30
    }
}
