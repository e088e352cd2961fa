//! The table of `inspect`.

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};

use super::report::{Inspection, LayerReport, RecordReport};
use crate::output::Report;
use crate::report::{BlobReport, FindingReport};
use crate::table::{Column, Table};
use crate::text;

impl Report for Inspection<'_> {
    fn table(&self, now: Timestamp, all: bool) -> String {
        let mut text = String::new();
        for (name, value) in self.facts(now) {
            let _ = writeln!(text, "{name:<15}{}", text::printable(&value));
        }
        for finding in &self.findings {
            text.push_str(&warning(finding));
        }
        for note in &self.notes {
            let _ = writeln!(text, "{:<15}{note}", "note");
        }
        if all {
            let _ = write!(text, "\n{}\n{}", layers(self.layers.iter()), records(self.records.iter()));
        }
        if let Some(command) = &self.report_command {
            let _ = writeln!(text, "\nto look at it: {}", text::printable(command));
        }
        text
    }

    fn digests(&self) -> Vec<Digest> {
        self.digest.into_iter().collect()
    }
}

impl Inspection<'_> {
    fn facts(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let totals = &self.totals;
        let mut facts = vec![("form", self.form.to_owned())];
        facts.extend(self.manifest.as_ref().map(|manifest| ("manifest", document(manifest))));
        facts.extend(self.config.as_ref().map(|config| ("config", document(config))));
        facts.extend(
            self.inline_images
                .iter()
                .map(|image| ("image", format!("{}  {}", image.manifest, text::count(image.layers, "layer")))),
        );
        let (unique, total) = (text::size(totals.unique_bytes), text::size(totals.total_bytes));
        let blobs = text::count(totals.unique_blobs, "unique blob");
        facts.push(("layers", format!("{}: {blobs}, {unique} unique, {total} in all", totals.layers)));
        facts.extend(self.media_types.iter().map(|media_type| {
            let (name, bytes) = (&media_type.media_type, text::size(media_type.bytes));
            ("media type", format!("{name}  {}, {bytes}", text::count(media_type.blobs, "blob")))
        }));
        let (roots, with_result) = (text::count(totals.roots, "root"), totals.records_with_result);
        facts.push(("records", format!("{}: {roots}, {with_result} with a result", totals.records)));
        facts.push(("results", format!("{}, and {} as chains", totals.results, totals.chains)));
        facts.push(("oldest result", text::time_and_age(totals.oldest_result, now)));
        facts.push(("newest result", text::time_and_age(totals.newest_result, now)));
        facts
    }
}

fn document(document: &BlobReport) -> String {
    format!("{}  {}", document.digest, text::size(document.size))
}

fn warning(finding: &FindingReport) -> String {
    let line = format!("{}: {}: {}", finding.code, finding.object, finding.message);
    format!("{:<15}{}\n", finding.severity.as_str(), text::printable(&line))
}

fn layers(layers: impl Iterator<Item = LayerReport>) -> Table {
    let columns = [
        Column::Right("LAYER"),
        Column::Right("PARENT"),
        Column::Left("BLOB"),
        Column::Right("SIZE"),
        Column::Left("CREATED"),
        Column::Left("MEDIA TYPE"),
    ];
    let mut table = Table::new(columns);
    for layer in layers {
        table.row([
            layer.index.to_string(),
            if layer.parent == -1 { "-".to_owned() } else { layer.parent.to_string() },
            layer.blob.to_string(),
            layer.size.map_or_else(|| "-".to_owned(), text::size),
            layer.created_at.map_or_else(|| "-".to_owned(), |time| time.to_string()),
            layer.media_type.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        ]);
    }
    table
}

fn records(records: impl Iterator<Item = RecordReport>) -> Table {
    let columns = [
        Column::Right("RECORD"),
        Column::Left("KEY"),
        Column::Right("INPUTS"),
        Column::Right("RESULTS"),
        Column::Right("CHAINS"),
    ];
    let mut table = Table::new(columns);
    for record in records {
        table.row([
            record.index.to_string(),
            record.key.to_string(),
            record.inputs.len().to_string(),
            record.results.len().to_string(),
            record.chains.len().to_string(),
        ]);
    }
    table
}
