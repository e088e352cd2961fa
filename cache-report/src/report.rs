//! [`Report`]: the content of a page.

use std::collections::HashMap;

use cache_core::{CacheManifest, Digest, Finding, Timestamp, check};
use cache_ops::{Explanation, Graph, graph};

/// Caches to show, and how a build used them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report<'a> {
    /// The caches.
    pub(crate) caches: Vec<ReportedCache<'a>>,
    /// The result of `explain`, if there is a build.
    pub(crate) explanation: Option<&'a Explanation>,
    /// Unreachable blobs of the store, if they were looked up.
    pub(crate) dead: Option<Dead>,
    /// The time from which ages are counted.
    pub(crate) now: Timestamp,
}

/// Bytes of a store that no cache reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dead {
    /// How many blobs.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// One cache to show.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReportedCache<'a> {
    /// Its name in reports.
    pub(crate) name: String,
    /// The cache.
    pub(crate) manifest: &'a CacheManifest,
    /// Its findings.
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    /// A page of caches.
    #[must_use]
    pub fn new(caches: Vec<ReportedCache<'a>>, now: Timestamp) -> Self {
        Self { caches, explanation: None, dead: None, now }
    }

    /// Adds a build.
    #[must_use]
    pub fn with_explanation(self, explanation: &'a Explanation) -> Self {
        Self { explanation: Some(explanation), ..self }
    }

    /// Sets the blobs in the store that no cache reaches.
    #[must_use]
    pub fn with_dead(self, dead: Dead) -> Self {
        Self { dead: Some(dead), ..self }
    }
}

impl Dead {
    /// `blobs` blobs with `bytes` bytes in all.
    #[must_use]
    pub fn new(blobs: usize, bytes: u64) -> Self {
        Self { blobs, bytes }
    }
}

impl<'a> ReportedCache<'a> {
    /// A cache, with the findings from its documents.
    #[must_use]
    pub fn new(name: impl Into<String>, manifest: &'a CacheManifest) -> Self {
        Self { name: name.into(), manifest, findings: check(manifest) }
    }

    /// Shows these findings instead.
    #[must_use]
    pub fn with_findings(self, findings: Vec<Finding>) -> Self {
        Self { findings, ..self }
    }
}

/// What every part of a page asks for.
pub(crate) struct Context<'a> {
    pub(crate) report: &'a Report<'a>,
    /// The caches as graphs; nothing for one that BuildKit does not import.
    pub(crate) graphs: Vec<Option<Graph>>,
    /// The steps that a build made layers and records with.
    pub(crate) steps: StepNames<'a>,
}

/// Names by layer and by record.
#[derive(Default)]
pub(crate) struct StepNames<'a> {
    pub(crate) of_layers: HashMap<Digest, &'a str>,
    pub(crate) of_records: HashMap<String, &'a str>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(report: &'a Report<'a>) -> Self {
        let graphs = report.caches.iter().map(|cache| graph(cache.manifest).ok()).collect();
        let mut steps = StepNames::default();
        for step in report.explanation.into_iter().flat_map(|explanation| &explanation.steps) {
            if let Some(layer) = step.layer {
                steps.of_layers.entry(layer).or_insert(&step.name);
            }
            if let Some(record) = &step.record {
                steps.of_records.entry(record.to_string()).or_insert(&step.name);
            }
        }
        Self { report, graphs, steps }
    }
}
