#![doc = include_str!("../README.md")]

mod diff;
mod graph;
mod index;
mod optimize;
mod repair;

pub use self::diff::{Diff, Divergence, DivergingInput, DivergingKey, Reason, SideDiff, diff};
pub use self::graph::{Graph, GraphInput, GraphLayer, GraphLink, GraphRecord, GraphResult, graph};
pub use self::optimize::{CacheSizes, DroppedResult, OptimizeOptions, Optimized, optimize};
pub use self::repair::{MendedBlob, RepairOptions, Repaired, repair};
