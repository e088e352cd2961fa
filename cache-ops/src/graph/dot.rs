//! The graph in the language of Graphviz.

use std::fmt::Write as _;

use cache_core::Digest;

use super::{Graph, GraphLayer, GraphRecord};

/// How many hex digits of a digest name a node.
const SHORT: usize = 12;

impl Graph {
    /// The graph as a `digraph` for `dot`: records as boxes, layers as cylinders, one arrow for each alternative of an
    /// input, dashed arrows from results to their layers.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph cache {\n  rankdir=LR;\n  node [fontname=monospace];\n");
        for (n, record) in self.records.iter().enumerate() {
            let _ = writeln!(text, "  r{n} [shape=box, label={}];", quote(&record_label(record)));
        }
        for (n, layer) in self.layers.iter().enumerate() {
            let _ = writeln!(text, "  l{n} [shape=cylinder, label={}];", quote(&layer_label(layer)));
        }
        for (n, record) in self.records.iter().enumerate() {
            for (input, links) in record.inputs.iter().enumerate() {
                for link in links {
                    let part = if link.selector.is_empty() { "" } else { ", style=bold" };
                    let _ = writeln!(text, "  r{} -> r{n} [label=\"{input}\"{part}];", link.record);
                }
            }
            if let Some(result) = &record.result {
                let _ = writeln!(text, "  r{n} -> l{} [style=dashed];", result.top);
            }
        }
        for (n, layer) in self.layers.iter().enumerate() {
            if let Some(parent) = layer.parent {
                let _ = writeln!(text, "  l{parent} -> l{n} [arrowhead=none];");
            }
        }
        text.push_str("}\n");
        text
    }
}

fn record_label(record: &GraphRecord) -> String {
    let key = record.key.to_string();
    let key = key.strip_prefix("sha256:").unwrap_or(&key).chars().take(SHORT).collect::<String>();
    record.result.as_ref().map_or_else(|| key.clone(), |result| format!("{key}\n{}", result.created_at))
}

fn layer_label(layer: &GraphLayer) -> String {
    let mut label = format!("{}\n{} bytes", short(&layer.blob), layer.size);
    if let Some(description) = &layer.description {
        let _ = write!(label, "\n{description}");
    }
    label
}

fn short(digest: &Digest) -> String {
    let text = digest.to_string();
    let hex = text.split_once(':').map_or(text.as_str(), |(_, hex)| hex);
    hex.chars().take(SHORT).collect()
}

/// A quoted string of the language; foreign text cannot leave it.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
