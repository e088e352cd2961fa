//! Shared by the benchmarks of whole commands: caches of a given size, measurements, and comparisons.

mod args;
mod beside;
mod caches;
mod measure;

use std::error::Error;

pub use self::args::Args;
pub use self::beside::{Contender, Round, beside, installed};
pub use self::caches::{make, make_of};
pub use self::measure::{Figure, measure, measure_to, median, peak, processors};

/// The result of a benchmark.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Blobs of one size.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Its name in the report.
    pub name: &'static str,
    /// The number of pairs.
    pub blobs: usize,
    /// Bytes of each.
    pub size: usize,
}

impl Load {
    /// Whether the files of many rounds fit on a disk together.
    fn is_light(&self) -> bool {
        self.blobs * self.size < 1 << 30
    }
}
