//! `--metadata-file`: what was committed, as BuildKit's clients write it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::report::{Copied, Copies};
use crate::exit::{Exit, Failure};
use crate::output;

/// Writes the file.
pub(super) fn write(file: &Path, copies: &Copies) -> Result<(), Failure> {
    let text = output::json(&document(&copies.copies))?;
    std::fs::write(file, text)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", file.display())))
}

/// One destination has BuildKit's key `cache.manifest`; several have it each, in a list.
fn document(copies: &[Copied]) -> Value {
    match copies {
        [one] => Value::Object(manifest(one)),
        many => json!({ "caches": many.iter().map(listed).collect::<Vec<_>>() }),
    }
}

fn listed(copied: &Copied) -> Value {
    let mut listed = manifest(copied);
    listed.insert("destination".to_owned(), json!(copied.destination));
    Value::Object(listed)
}

fn manifest(copied: &Copied) -> Map<String, Value> {
    let manifest = copied.manifest.as_ref().map(|manifest| ("cache.manifest".to_owned(), json!(manifest)));
    manifest.into_iter().collect()
}
