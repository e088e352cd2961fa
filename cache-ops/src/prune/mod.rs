//! Deletes by policy: [`plan_prune`] makes a [`PrunePlan`] from a list of the store, and [`prune`] carries it out after
//! checking again.

mod contributions;
mod glob;
mod look;
mod pace;
mod plan;
mod policy;
mod settings;
mod sweep;

pub use self::glob::NameGlob;
pub use self::plan::{PlannedBlob, PlannedCache, PrunePlan, UnreadableName, plan_prune};
pub use self::policy::{PrunePolicy, PruneReason};
pub use self::settings::{PruneEvent, PruneSettings};
pub use self::sweep::{KeptCache, PruneReport, prune};

#[cfg(test)]
mod tests;
