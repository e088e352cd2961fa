#![doc = include_str!("../README.md")]

mod diff;
mod graph;
mod index;
mod optimize;
mod prune;
mod reach;
mod repair;

pub use self::diff::{Diff, Divergence, DivergingInput, DivergingKey, Reason, SideDiff, diff};
pub use self::graph::{Graph, GraphInput, GraphLayer, GraphLink, GraphRecord, GraphResult, graph};
pub use self::optimize::{CacheSizes, DroppedResult, OptimizeOptions, Optimized, optimize};
pub use self::prune::{
    NameGlob, PlannedBlob, PlannedCache, PruneEvent, PrunePlan, PrunePolicy, PruneReason, PruneReport, PruneSettings,
    plan_prune, prune,
};
pub use self::reach::Reach;
pub use self::repair::{MendedBlob, RepairOptions, Repaired, repair};
