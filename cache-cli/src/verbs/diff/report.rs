//! `buildcache.diff/v1`

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};
use cache_ops::{Diff, Divergence, DivergingInput, DivergingKey, SelectedKey, SideDiff};
use serde::Serialize;

use super::compared::Compared;
use crate::output::Report;
use crate::report::digest_of;
use crate::table::{Column, Table};
use crate::text;

/// Divergences of each side that a table shows.
const SHOWN: usize = 20;

/// What differs between two caches.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Differences {
    /// What this document is.
    schema: &'static str,
    /// Whether they differ.
    is_different: bool,
    /// The one cache.
    a: Side,
    /// The other one.
    b: Side,
}

/// What only one of them has.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Side {
    /// Its spec.
    cache: String,
    /// The manifest that it led to.
    digest: Option<Digest>,
    /// What the other one has not.
    only_here: Only,
    /// Where its chains leave those of the other one.
    diverging: Vec<Diverging>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Only {
    /// How many records.
    records: usize,
    /// How many results.
    results: usize,
    /// The blobs of layers.
    layers: Vec<Digest>,
    /// Their bytes.
    bytes: u64,
}

/// The first record of a chain that the other cache does not have.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Diverging {
    /// `input-changed`, `step-changed` or `missing`.
    reason: &'static str,
    #[serde(flatten)]
    record: Key,
    /// The inputs of the record, here and there.
    inputs: Vec<Input>,
    /// Records of the other cache that may be meant for it, at most ten.
    instead: Vec<Key>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Key {
    /// The key of the record.
    key: String,
    /// What made its layer.
    description: Option<String>,
    /// When its result was made.
    created_at: Option<Timestamp>,
    /// The blob of its top layer.
    layer: Option<Digest>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Input {
    /// Whether both have it.
    is_shared: bool,
    /// The alternatives in this cache.
    here: Vec<Link>,
    /// The alternatives in the other one.
    there: Vec<Link>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Link {
    /// The key of a record.
    key: String,
    /// What of its result is taken.
    selector: String,
}

impl Differences {
    pub(super) fn new(a: &Compared, b: &Compared, diff: &Diff) -> Self {
        Self {
            schema: "buildcache.diff/v1",
            is_different: !diff.is_empty(),
            a: Side::new(a, &diff.only_a, &diff.diverging_a),
            b: Side::new(b, &diff.only_b, &diff.diverging_b),
        }
    }
}

impl Side {
    fn new(compared: &Compared, only: &SideDiff, diverging: &[Divergence]) -> Self {
        let SideDiff { records, results, layers, bytes, .. } = only.clone();
        Self {
            cache: compared.place.spec.to_string(),
            digest: digest_of(&compared.manifest),
            only_here: Only { records, results, layers, bytes },
            diverging: diverging.iter().map(Diverging::from).collect(),
        }
    }
}

impl From<&Divergence> for Diverging {
    fn from(divergence: &Divergence) -> Self {
        Self {
            reason: divergence.reason.as_str(),
            record: Key::from(&divergence.record),
            inputs: divergence.inputs.iter().map(Input::from).collect(),
            instead: divergence.instead.iter().map(Key::from).collect(),
        }
    }
}

impl From<&DivergingKey> for Key {
    fn from(key: &DivergingKey) -> Self {
        Self {
            key: key.key.to_string(),
            description: key.description.clone(),
            created_at: key.created_at.and_then(text::known),
            layer: key.top,
        }
    }
}

impl From<&DivergingInput> for Input {
    fn from(input: &DivergingInput) -> Self {
        let link = |link: &SelectedKey| Link { key: link.key.to_string(), selector: link.selector.clone() };
        Self {
            is_shared: input.is_shared,
            here: input.here.iter().map(link).collect(),
            there: input.there.iter().map(link).collect(),
        }
    }
}

impl Report for Differences {
    fn table(&self, now: Timestamp, all: bool) -> String {
        if !self.is_different {
            return "the caches are the same\n".to_owned();
        }
        let columns = [
            Column::Left("ONLY IN"),
            Column::Right("RECORDS"),
            Column::Right("RESULTS"),
            Column::Right("LAYERS"),
            Column::Right("BYTES"),
        ];
        let mut table = Table::new(columns);
        for side in [&self.a, &self.b] {
            let only = &side.only_here;
            table.row([
                side.cache.clone(),
                only.records.to_string(),
                only.results.to_string(),
                only.layers.len().to_string(),
                text::size(only.bytes),
            ]);
        }
        let mut text = table.to_string();
        for side in [&self.a, &self.b].into_iter().filter(|side| !side.diverging.is_empty()) {
            let _ = writeln!(text, "\n{} diverges at", text::printable(&side.cache));
            let shown = if all { usize::MAX } else { SHOWN };
            for diverging in side.diverging.iter().take(shown) {
                diverging.write(&mut text, now);
            }
            if let Some(more) = side.diverging.len().checked_sub(shown).filter(|more| *more > 0) {
                let _ = writeln!(text, "  and {more} more (-v lists them)");
            }
        }
        text
    }

    fn digests(&self) -> Vec<Digest> {
        [&self.a, &self.b].into_iter().filter_map(|side| side.digest).collect()
    }
}

impl Diverging {
    fn write(&self, text: &mut String, now: Timestamp) {
        let _ = writeln!(text, "  {}  {}", self.record.line(now), self.reason);
        for (n, input) in self.inputs.iter().enumerate().filter(|(_, input)| !input.is_shared) {
            for link in &input.here {
                let _ = writeln!(text, "    input {n}        {}", link.line());
            }
            for link in &input.there {
                let _ = writeln!(text, "    there instead  {}", link.line());
            }
        }
        if self.reason == "step-changed" {
            for key in &self.instead {
                let _ = writeln!(text, "    there instead  {}", key.line(now));
            }
        }
    }
}

impl Key {
    fn line(&self, now: Timestamp) -> String {
        let mut line = self.key.clone();
        if let Some(created_at) = self.created_at {
            let _ = write!(line, "  {} ago", text::age(created_at, now));
        }
        if let Some(description) = &self.description {
            let _ = write!(line, "  {description}");
        }
        text::printable(&line)
    }
}

impl Link {
    fn line(&self) -> String {
        let part = if self.selector.is_empty() { String::new() } else { format!("  part {}", self.selector) };
        text::printable(&format!("{}{part}", self.key))
    }
}
