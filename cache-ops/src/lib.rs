#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backends;
mod content;
mod copy;
mod diff;
mod examine;
mod explain;
mod export;
mod graph;
mod index;
mod joined;
mod listed;
mod optimize;
mod options;
mod prune;
mod publish;
mod reach;
mod reached;
mod reading;
mod repair;
mod shard;
mod spans;
mod verify;
mod weigh;

pub use self::backends::Backends;
pub use self::content::EntryContent;
pub use self::copy::{CopyOptions, CopyReport, Destination, copy, copy_manifest, copy_many};
pub use self::diff::{Diff, Divergence, DivergingInput, DivergingKey, Reason, SelectedKey, SideDiff, diff};
pub use self::examine::{Examined, examine_layer};
pub use self::explain::{
    AskedFor, BuildLog, Cause, CauseGroup, ConsultedCache, Content, Doubted, Explanation, LogLimits, Miss, NotImported,
    NotStored, Note, Part, Span, Step, StepOutcome, Times, Vertex, explain,
};
pub use self::export::{Concurrency, Conversion, ExportReport, ExportSettings, Recheck, export};
pub use self::graph::{Graph, GraphInput, GraphLayer, GraphLink, GraphRecord, GraphResult, graph};
pub use self::joined::JoinedBlobs;
pub use self::optimize::{CacheSizes, DroppedResult, OptimizeOptions, Optimized, optimize};
pub use self::options::ExportOptions;
pub use self::prune::{
    KeptCache, NameGlob, PlannedBlob, PlannedCache, PruneEvent, PrunePlan, PrunePolicy, PruneReason, PruneReport,
    PruneSettings, UnreadableName, plan_prune, prune,
};
pub use self::publish::{Leftovers, PublishSettings, PublishWay, Published, SizeLimit, publish};
pub use self::reach::Reach;
pub use self::reached::{Reached, ReachedByCaches, UnreadEntry};
pub use self::repair::{MendedBlob, RepairOptions, Repaired, repair, repair_as_found};
pub use self::shard::Shard;
pub use self::verify::{Depth, VerifyReport, bytes_of, part_of, verify, verify_shard};
pub use self::weigh::{LookEvent, StoreWeight, UnreadableEntry, weigh};
