//! `buildcache.explain/v1`

use std::time::Duration;

use cache_core::{Digest, Timestamp};
use cache_ops::{Cause, CauseGroup, Explanation, Miss, Note, Step, StepOutcome};
use cache_report::words;
use serde::Serialize;

use super::caches::{Caches, Found};
use crate::args::ExplainArgs;
use crate::report::{digest_of, look_at};

/// A build, explained.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// What this document is.
    schema: &'static str,
    /// Whether every step hit.
    pub(super) is_all_cached: bool,
    /// The caches that were imported or searched.
    caches: Vec<CacheReport>,
    /// The cache that the build exported.
    exported: Option<CacheReport>,
    /// Where the time went, in seconds; unknown without a log.
    pub(super) times: TimesReport,
    /// The steps of the build.
    pub(super) steps: Vec<StepReport>,
    /// The causes, the dearest first.
    pub(super) causes: Vec<GroupReport>,
    /// What to know before one believes it.
    pub(super) notes: Vec<String>,
    #[serde(skip)]
    pub(super) report_command: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct CacheReport {
    /// Its spec.
    cache: String,
    /// The manifest that it led to.
    digest: Option<Digest>,
    /// Whether the build imported it.
    is_imported: bool,
}

/// Sums over all that ran, in seconds; only `wall` is what a clock on the wall shows.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct TimesReport {
    /// When the build began.
    started: Option<Timestamp>,
    /// Seconds from its start to its end.
    pub(super) wall: Option<f64>,
    /// Seconds of steps that ran.
    pub(super) missed: Option<f64>,
    /// Seconds of steps that hit.
    pub(super) hits: Option<f64>,
    /// Seconds of all else.
    pub(super) other: Option<f64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct StepReport {
    /// Its name in the log.
    pub(super) name: String,
    /// The stage that it is in.
    pub(super) stage: Option<String>,
    /// The digest of its vertex.
    vertex: Option<Digest>,
    /// `hit`, `ran`, `failed`, `unfinished` or `not-reached`.
    pub(super) outcome: &'static str,
    /// How long it took.
    pub(super) seconds: Option<f64>,
    /// Why it failed.
    error: Option<String>,
    /// The key of its record.
    record: Option<String>,
    /// The blob of its layer.
    layer: Option<Digest>,
    /// Why it ran.
    pub(super) miss: Option<MissReport>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct MissReport {
    /// The cause, in one word.
    pub(super) cause: &'static str,
    /// Whether that is proven.
    pub(super) is_certain: bool,
    /// The cause, in words.
    pub(super) words: String,
    /// What it is taken from.
    pub(super) evidence: Vec<Evidence>,
    /// Causes that would have made it miss alone.
    pub(super) also: Vec<String>,
    /// The step that it ran because of, as a place in `steps`; nothing for the step at which the cause was found.
    pub(super) because_of: Option<usize>,
    /// The place in `causes`.
    group: usize,
    /// Caches that have its result.
    pub(super) stored_in: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Evidence {
    /// What kind of thing it is.
    pub(super) what: &'static str,
    /// The thing.
    pub(super) object: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupReport {
    /// The cause, in one word.
    pub(super) cause: &'static str,
    /// Whether that is proven.
    pub(super) is_certain: bool,
    /// The cause, in words.
    pub(super) words: String,
    /// What to do about it.
    pub(super) advice: &'static str,
    /// The step at which it was found, as a place in `steps`.
    pub(super) step: usize,
    /// The steps that ran because of it.
    pub(super) followers: Vec<usize>,
    /// How long all of them took together.
    pub(super) seconds: Option<f64>,
}

impl Report {
    pub(super) fn new(caches: &Caches, explanation: &Explanation, args: &ExplainArgs) -> Self {
        let specs: Vec<&str> = std::iter::once(args.old.as_str()).chain(args.new.as_deref()).collect();
        Self {
            schema: "buildcache.explain/v1",
            is_all_cached: explanation.steps.iter().all(|step| step.outcome == StepOutcome::Hit),
            caches: caches.consulted.iter().map(CacheReport::from).collect(),
            exported: caches.exported.as_ref().map(|(place, manifest)| CacheReport {
                cache: place.spec.to_string(),
                digest: digest_of(manifest),
                is_imported: false,
            }),
            times: TimesReport::new(explanation),
            steps: explanation
                .steps
                .iter()
                .enumerate()
                .map(|(n, step)| StepReport::new(n, step, explanation))
                .collect(),
            causes: explanation.causes.iter().map(|group| GroupReport::new(group, explanation)).collect(),
            notes: explanation.notes.iter().map(words::note).collect(),
            report_command: look_at(&specs, args.log.as_deref()),
        }
    }
}

impl TimesReport {
    fn new(explanation: &Explanation) -> Self {
        let times = &explanation.times;
        Self {
            started: times.started,
            wall: seconds(times.wall, explanation),
            missed: seconds(times.missed, explanation),
            hits: seconds(times.hits, explanation),
            other: seconds(times.other, explanation),
        }
    }
}

impl From<&super::caches::Opened> for CacheReport {
    fn from(cache: &super::caches::Opened) -> Self {
        let digest = match &cache.found {
            Found::Cache(manifest) => digest_of(manifest),
            _ => None,
        };
        Self { cache: cache.name.clone(), digest, is_imported: cache.is_imported }
    }
}

impl StepReport {
    fn new(n: usize, step: &Step, explanation: &Explanation) -> Self {
        Self {
            name: step.name.clone(),
            stage: step.stage.clone(),
            vertex: step.vertex,
            outcome: outcome(step.outcome),
            seconds: seconds(step.time, explanation),
            error: step.error.clone(),
            record: step.record.as_ref().map(ToString::to_string),
            layer: step.layer,
            miss: step.miss.as_ref().map(|miss| MissReport::new(n, miss, explanation)),
        }
    }
}

impl MissReport {
    fn new(n: usize, miss: &Miss, explanation: &Explanation) -> Self {
        let first = explanation.causes.get(miss.group).map(|group| group.first);
        Self {
            cause: miss.cause.as_str(),
            is_certain: miss.is_certain,
            words: words::cause_and_certainty(&miss.cause, miss.is_certain),
            evidence: evidence(&miss.cause),
            also: miss.also.iter().map(words::cause).collect(),
            because_of: first.filter(|first| *first != n),
            group: miss.group,
            stored_in: miss.elsewhere.clone(),
        }
    }
}

fn evidence(cause: &Cause) -> Vec<Evidence> {
    words::evidence(cause).into_iter().map(|proof| Evidence { what: proof.what, object: proof.object }).collect()
}

impl GroupReport {
    fn new(group: &CauseGroup, explanation: &Explanation) -> Self {
        Self {
            cause: group.cause.as_str(),
            is_certain: group.is_certain,
            words: words::cause_and_certainty(&group.cause, group.is_certain),
            advice: words::advice(&group.cause),
            step: group.first,
            followers: group.followers.clone(),
            seconds: seconds(group.time, explanation),
        }
    }
}

fn outcome(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Hit => "hit",
        StepOutcome::Ran => "ran",
        StepOutcome::Failed => "failed",
        StepOutcome::Unfinished => "unfinished",
        _ => "not-reached",
    }
}

/// Seconds, to the microsecond; `None` without a log, which alone has times.
fn seconds(time: Duration, explanation: &Explanation) -> Option<f64> {
    let has_log = !explanation.notes.contains(&Note::NoLog);
    has_log.then(|| (time.as_secs_f64() * 1e6).round() / 1e6)
}
