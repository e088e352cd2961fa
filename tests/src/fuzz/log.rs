//! Build logs: any bytes are read or refused, and a log that was read can be explained.

use std::sync::LazyLock;
use std::time::Duration;

use cache_core::model::Limits;
use cache_core::{CacheManifest, load};
use cache_ops::{BuildLog, ConsultedCache, Content, LogLimits, explain};
use futures_util::FutureExt;

use crate::fixtures::{Fixture, root};

/// The caches of a rebuild; its log is among the seeds.
static CACHES: LazyLock<[CacheManifest; 2]> = LazyLock::new(|| ["old", "new"].map(cache));

fn cache(side: &str) -> CacheManifest {
    let path = root().join("explain/source-file-changed").join(side);
    let fixture = Fixture { name: side.to_owned(), path };
    let (_, entry) = fixture.entries().remove(0);
    let document = fixture.document(&entry.digest);
    let loaded = load(document, &fixture, &Limits::default()).now_or_never();
    loaded.expect("files are never pending").expect("BuildKit wrote it").expect("it is a cache")
}

/// Every step is reported once, every miss has one cause, and all time is counted once.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(log) = BuildLog::read(data, &LogLimits::default()) else { return };
    for vertex in &log.vertices {
        assert!(vertex.inputs.iter().flatten().all(|input| *input < log.vertices.len()), "an input is nowhere");
        assert!(vertex.spans.windows(2).all(|pair| pair[0].end < pair[1].start), "spans overlap");
    }
    let [old, new] = &*CACHES;
    for exported in [Some(new), None] {
        let found = explain(&[ConsultedCache::imported("old", Content::Cache(old))], exported, Some(&log));
        let found = found.expect("the caches are sound");
        let missed = found.steps.iter().filter(|step| step.miss.is_some()).count();
        let counted: usize = found.causes.iter().map(|group| group.followers.len() + 1).sum();
        assert_eq!(missed, counted, "a miss is under no cause, or under two");
        let times = found.times;
        let all: Duration = log.vertices.iter().map(cache_ops::Vertex::time).sum();
        assert_eq!(times.missed + times.hits + times.other, all, "time is lost");
    }
}
