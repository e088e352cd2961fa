//! The graph as a tree of text: below each record its children, and the layers that its result adds.

use std::fmt::Write as _;

use cache_core::{Digest, Timestamp};
use cache_ops::{Graph, GraphResult};

use crate::text;

/// The largest indentation of a line, in levels.
const DEEPEST: usize = 30;
/// Hex digits of a shortened digest.
const SHORT: usize = 12;

/// A record that is still to be drawn, and its depth.
struct Todo {
    record: usize,
    depth: usize,
}

/// Draws every record once, below its first parent; below other parents, a line refers to it. Every layer is drawn
/// once, below the first result that needs it. With `all`, digests are not shortened.
pub(super) fn draw(graph: &Graph, now: Timestamp, all: bool) -> String {
    let mut drawing = Drawing {
        graph,
        now,
        all,
        is_drawn: vec![false; graph.records.len()],
        is_shown: vec![false; graph.layers.len()],
        depths: depths(graph),
        text: String::new(),
    };
    for root in (0..graph.records.len()).filter(|&n| graph.records[n].inputs.is_empty()) {
        let mut todo = vec![Todo { record: root, depth: 0 }];
        while let Some(next) = todo.pop() {
            todo.extend(drawing.record(&next));
        }
    }
    drawing.text
}

/// For each layer, the length of its chain, itself included. Parents come before children.
fn depths(graph: &Graph) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(graph.layers.len());
    for layer in &graph.layers {
        depths.push(layer.parent.and_then(|parent| depths.get(parent)).map_or(1, |depth| depth + 1));
    }
    depths
}

struct Drawing<'a> {
    graph: &'a Graph,
    now: Timestamp,
    all: bool,
    is_drawn: Vec<bool>,
    is_shown: Vec<bool>,
    /// The length of the chain of each layer.
    depths: Vec<usize>,
    text: String,
}

impl Drawing<'_> {
    /// Draws a record and returns its children; the one to draw first is the last.
    fn record(&mut self, todo: &Todo) -> Vec<Todo> {
        let record = &self.graph.records[todo.record];
        let mut line = self.digest_text(&record.key.to_string());
        if std::mem::replace(&mut self.is_drawn[todo.record], true) {
            let _ = write!(line, "  (above)");
            self.line(todo.depth, "- ", &line);
            return Vec::new();
        }
        if record.inputs.len() > 1 {
            let _ = write!(line, "  {} inputs", record.inputs.len());
        }
        if let Some(result) = &record.result {
            let _ = write!(line, "  {}", self.result(result));
        }
        self.line(todo.depth, "- ", &line);
        if let Some(result) = &record.result {
            self.layers(result.top, todo.depth);
        }
        let children = record.children.iter().rev();
        children.map(|&record| Todo { record, depth: todo.depth.saturating_add(1) }).collect()
    }

    fn result(&self, result: &GraphResult) -> String {
        let layers = text::count(self.depths[result.top], "layer");
        format!("result of {layers}, {}", text::ago(Some(result.created_at), self.now))
    }

    /// Draws the layers of a result that were not drawn yet, lowest first.
    fn layers(&mut self, top: usize, depth: usize) {
        let mut new = Vec::new();
        let mut at = Some(top);
        while let Some(layer) = at.filter(|&layer| !std::mem::replace(&mut self.is_shown[layer], true)) {
            new.push(layer);
            at = self.graph.layers[layer].parent;
        }
        for layer in new.into_iter().rev() {
            let layer = &self.graph.layers[layer];
            let mut line = format!("layer {}  {}", self.digest(&layer.blob), text::size(layer.size));
            if let Some(created_at) = layer.created_at.and_then(text::known) {
                let _ = write!(line, "  {} ago", text::age(created_at, self.now));
            }
            if layer.results > 1 {
                let _ = write!(line, "  in {} results", layer.results);
            }
            if let Some(description) = &layer.description {
                let _ = write!(line, "  {description}");
            }
            self.line(depth, "  * ", &line);
        }
    }

    fn line(&mut self, depth: usize, mark: &str, line: &str) {
        let indent = "  ".repeat(depth.min(DEEPEST));
        let deeper = if depth > DEEPEST { format!("[{depth}] ") } else { String::new() };
        let _ = writeln!(self.text, "{indent}{deeper}{mark}{}", text::printable(line));
    }

    fn digest(&self, digest: &Digest) -> String {
        self.digest_text(&digest.to_string())
    }

    fn digest_text(&self, text: &str) -> String {
        match text.split_once(':') {
            Some((_, hex)) if !self.all => hex.chars().take(SHORT).collect(),
            _ => text.to_owned(),
        }
    }
}
