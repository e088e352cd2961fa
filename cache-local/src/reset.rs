//! `reset=true`: deletes the blobs that no entry of `index.json` reaches.
//!
//! It rather keeps too much: every digest anywhere in a document keeps its blob, and if a document cannot be read,
//! nothing is deleted.

use std::collections::HashSet;

use cache_core::{Digest, ErrorKind, MediaType, Result};
use serde_json::{Map, Value};

use crate::error::at;
use crate::layout::{Layout, blob_dir, read_file, read_if_object};
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
    let mut todo = Vec::new();
    for entry in snapshot.index.entries() {
        todo.push(Named { digest: entry.descriptor().ok_or_else(unreadable)?.digest, is_manifest: true });
    }
    let mut followed = HashSet::new();
    while let Some(named) = todo.pop() {
        if followed.insert(named) {
            let document = match named.is_manifest {
                true => Some(read_manifest(&place.layout, &named.digest)?),
                false => read_other(&place.layout, &named.digest),
            };
            document.iter().for_each(|document| follow(document, named.is_manifest, &mut todo));
        }
    }
    Ok(followed.into_iter().map(|named| named.digest).collect())
}

/// A digest in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Named {
    digest: Digest,
    /// Whether it is in the descriptor of a manifest, or in one without a media type, which may be a manifest's.
    is_manifest: bool,
}

fn read_manifest(layout: &Layout, digest: &Digest) -> Result<Value> {
    let path = layout.blob_path(digest);
    let gone = || at(ErrorKind::NotFound, "manifest is gone", &path);
    let bytes = read_file(&path, MAX_MANIFEST)?.ok_or_else(gone)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| at(ErrorKind::InvalidManifest, "manifest is not JSON", &path).with_source(error))
}

/// Reads a blob that may be a document of a kind that is unknown here; most are layers.
fn read_other(layout: &Layout, digest: &Digest) -> Option<Value> {
    let bytes = read_if_object(layout, digest, MAX_MANIFEST).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

/// Adds every digest in a document. Only in a manifest an object is a descriptor: the records of a cache have digests
/// that are none of blobs.
fn follow(document: &Value, is_manifest: bool, named: &mut Vec<Named>) {
    let mut todo = vec![document];
    while let Some(value) = todo.pop() {
        match value {
            Value::String(text) => named.extend(text.parse().ok().map(|digest| Named { digest, is_manifest: false })),
            Value::Array(values) => todo.extend(values),
            Value::Object(fields) => {
                let manifest = if is_manifest { manifest_digest(fields) } else { None };
                named.extend(manifest.map(|digest| Named { digest, is_manifest: true }));
                todo.extend(fields.values());
            }
            _ => {}
        }
    }
}

/// The digest in the descriptor of a manifest.
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
