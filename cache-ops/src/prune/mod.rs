//! Deleting by policy: a [`PrunePlan`] from one listing, and [`prune`], which looks again before it deletes.

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
pub use self::sweep::{PruneReport, prune};

#[cfg(test)]
mod tests;
