//! `reset=true`: deletes the blobs that no entry of `index.json` reaches.
//!
//! It rather keeps too much: every digest anywhere in a document keeps its blob, and if a document cannot be read,
//! nothing is deleted.

use std::collections::HashSet;

use cache_core::{Digest, ErrorKind, MediaType, Result};
use serde_json::{Map, Value};

use crate::error::at;
use crate::layout::{Layout, blob_dir, read_file};
use crate::lock::IndexLock;
use crate::update::Place;
use crate::walk::Walk;

/// How large a manifest may be.
const MAX_MANIFEST: u64 = 4 << 20;

/// Deletes unreachable blobs, unless another writer is active. Blobs that are younger than the writer stay: another
/// one may have written them for a manifest that is still to come.
///
/// The lock is held meanwhile, so a writer of this crate that needs a blob finds in its commit that it is gone. Once the
/// lock is lost, the rest stays.
pub(crate) fn delete_unreachable(place: &Place, lock: &IndexLock) -> Result<()> {
    if place.ingest.has_company() {
        return Ok(());
    }
    let reachable = reachable(place)?;
    for blob in Walk::new(&place.layout)? {
        let blob = blob?;
        let is_old = blob.metadata.modified().is_ok_and(|modified| modified < place.ingest.started());
        if is_old && !reachable.contains(&blob.digest) {
            if !lock.is_current() {
                return Ok(());
            }
            // A blob that cannot be deleted does no harm.
            if let Ok(dir) = blob_dir(place.ingest.root(), blob.digest.algorithm()) {
                let _ = dir.remove_file(&blob.digest.hex());
            }
        }
    }
    Ok(())
}

fn reachable(place: &Place) -> Result<HashSet<Digest>> {
    let path = place.layout.index_path();
    let unreadable = || at(ErrorKind::InvalidManifest, "index.json cannot be followed", &path);
    let snapshot = place.layout.read_index(place.limit)?.ok_or_else(unreadable)?;
    let (mut reached, mut followed) = (HashSet::new(), HashSet::new());
    let mut todo = Vec::new();
    for entry in snapshot.index.entries() {
        todo.push(entry.descriptor().ok_or_else(unreadable)?.digest);
    }
    while let Some(digest) = todo.pop() {
        if followed.insert(digest) {
            let document = read_document(&place.layout, &digest)?;
            todo.extend(follow(&document, &mut reached));
        }
    }
    reached.extend(followed);
    Ok(reached)
}

fn read_document(layout: &Layout, digest: &Digest) -> Result<Value> {
    let path = layout.blob_path(digest);
    let gone = || at(ErrorKind::NotFound, "manifest is gone", &path);
    let bytes = read_file(&path, MAX_MANIFEST)?.ok_or_else(gone)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| at(ErrorKind::InvalidManifest, "manifest is not JSON", &path).with_source(error))
}

/// Marks every digest in a document, and returns those of manifests, which must be followed.
fn follow(document: &Value, reached: &mut HashSet<Digest>) -> Vec<Digest> {
    let mut manifests = Vec::new();
    let mut todo = vec![document];
    while let Some(value) = todo.pop() {
        match value {
            Value::String(text) => reached.extend(text.parse::<Digest>().ok()),
            Value::Array(values) => todo.extend(values),
            Value::Object(fields) => {
                manifests.extend(manifest_digest(fields));
                todo.extend(fields.values());
            }
            _ => {}
        }
    }
    manifests
}

/// The digest in the descriptor of a manifest, or in one without a media type, which may be a manifest's.
fn manifest_digest(fields: &Map<String, Value>) -> Option<Digest> {
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let media_type = MediaType::from(field("mediaType").to_owned());
    let may_be_manifest = media_type.is_empty() || media_type.is_manifest();
    if may_be_manifest { field("digest").parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
