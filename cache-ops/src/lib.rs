#![doc = include_str!("../README.md")]

mod prune;
mod reach;

pub use self::prune::{
    NameGlob, PlannedBlob, PlannedCache, PruneEvent, PrunePlan, PrunePolicy, PruneReason, PruneReport, PruneSettings,
    plan_prune, prune,
};
pub use self::reach::Reach;
