//! A cache as a graph: built from a manifest, checked, looked up, merged, and written again.

mod chains;
mod check;
mod inline;
mod load;
mod mode;
mod repeated;
mod walk;

pub use self::chains::{CacheChains, CacheHit, CacheLink, CacheResult, LazyLayers, RecordId, ResultLayers};
pub use self::check::{Affected, AffectedRecords, Finding, FindingCode, check};
pub use self::load::{is_cache, load, named};
pub use self::mode::Mode;
use self::walk::walk;
