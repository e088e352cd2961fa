//! `explain` of builds that BuildKit v0.32.2 ran twice, with one change in between.
//!
//! The expected causes are the changes that were made (`tests/fixtures/explain/README.md`), not the output of the
//! program.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixture has to stop")]

mod causes;
mod guesses;
mod places;
mod times;

use std::collections::HashSet;
use std::path::PathBuf;

use cache_core::{CacheManifest, Digest};
use cache_ops::{BuildLog, ConsultedCache, Content, Explanation, LogLimits, explain};
use cache_tests::fixtures::{Fixture, root};

/// A build that ran twice.
struct Rebuild(&'static str);

impl Rebuild {
    fn path(&self) -> PathBuf {
        root().join("explain").join(self.0)
    }

    async fn cache(&self, side: &str) -> CacheManifest {
        let fixture = Fixture { name: format!("{}/{side}", self.0), path: self.path().join(side) };
        let (_, entry) = fixture.entries().remove(0);
        let document = fixture.document(&entry.digest);
        fixture.load(document).await
    }

    fn log(&self) -> BuildLog {
        let log = std::fs::read(self.path().join("new.rawjson")).unwrap();
        BuildLog::read(log.as_slice(), &LogLimits::default()).unwrap()
    }

    /// Explains the second build from both caches and the log.
    async fn explain(&self) -> Explanation {
        let (old, new, log) = (self.cache("old").await, self.cache("new").await, self.log());
        explain(&[imported(&old)], Some(&new), Some(&log)).unwrap()
    }

    /// Explains it from only the imported cache and the log.
    async fn explain_without_export(&self, lost: &[Digest]) -> Explanation {
        let (old, log) = (self.cache("old").await, self.log());
        let old = imported(&old).with_lost(lost.iter().copied().collect::<HashSet<_>>());
        explain(&[old], None, Some(&log)).unwrap()
    }
}

fn imported(cache: &CacheManifest) -> ConsultedCache<'_> {
    ConsultedCache::imported("old", Content::Cache(cache))
}

/// A step by its place: `build 2/4`.
fn label(name: &str) -> String {
    name.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(name, |(label, _)| label).to_owned()
}

/// Every cause with the step at which it was found and the steps that ran because of it.
fn told(explanation: &Explanation) -> Vec<(&'static str, String, Vec<String>)> {
    let name = |step: &usize| label(&explanation.steps[*step].name);
    let groups = explanation.causes.iter();
    let mut told: Vec<_> = groups
        .map(|group| {
            let mut followers: Vec<String> = group.followers.iter().map(name).collect();
            followers.sort();
            (group.cause.as_str(), name(&group.first), followers)
        })
        .collect();
    told.sort_by_key(|(_, first, _)| explanation.steps.iter().position(|step| label(&step.name) == *first));
    told
}
