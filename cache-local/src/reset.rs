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
    let mut todo = Vec::new();
    for entry in snapshot.index.entries() {
        todo.push((entry.descriptor().ok_or_else(unreadable)?.digest, Kind::Manifest));
    }
    let (mut reached, mut followed) = (HashSet::new(), HashSet::new());
    while let Some((digest, kind)) = todo.pop() {
        reached.insert(digest);
        if followed.insert((digest, kind)) {
            let document = match kind {
                Kind::Manifest => Some(read_manifest(&place.layout, &digest)?),
                Kind::Unknown => read_unknown(&place.layout, &digest)?,
            };
            document.iter().for_each(|document| follow(document, kind, &mut reached, &mut todo));
        }
    }
    Ok(reached)
}

/// What a descriptor leads to, if that may name other blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// A manifest; a blob without a media type may be one.
    Manifest,
    /// A blob of a media type that is unknown here.
    Unknown,
}

fn read_manifest(layout: &Layout, digest: &Digest) -> Result<Value> {
    let path = layout.blob_path(digest);
    let gone = || at(ErrorKind::NotFound, "manifest is gone", &path);
    let bytes = read_document(layout, digest)?.ok_or_else(gone)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| at(ErrorKind::InvalidManifest, "manifest is not JSON", &path).with_source(error))
}

/// Reads a blob of an unknown media type if it is a document; one that is absent or too large for a manifest is none.
fn read_unknown(layout: &Layout, digest: &Digest) -> Result<Option<Value>> {
    match read_document(layout, digest) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())),
        Err(error) if error.kind() == ErrorKind::LimitExceeded => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a blob that says what else is needed; damaged ones do not.
fn read_document(layout: &Layout, digest: &Digest) -> Result<Option<Vec<u8>>> {
    let path = layout.blob_path(digest);
    let Some(bytes) = read_file(&path, MAX_MANIFEST)? else { return Ok(None) };
    let mut digester = digest.digester();
    digester.update(&bytes);
    if digester.finish() == *digest {
        return Ok(Some(bytes));
    }
    Err(at(ErrorKind::DigestMismatch, "the document does not match its digest", &path))
}

/// Marks every digest in a document, and adds what has to be followed from there.
fn follow(document: &Value, kind: Kind, reached: &mut HashSet<Digest>, next: &mut Vec<(Digest, Kind)>) {
    let mut todo = vec![document];
    while let Some(value) = todo.pop() {
        match value {
            Value::String(text) => reached.extend(text.parse::<Digest>().ok()),
            Value::Array(values) => todo.extend(values),
            Value::Object(fields) => {
                // In a document of an unknown kind, what has a digest need not be the descriptor of a blob.
                let found = described(fields);
                next.extend(found.map(|(digest, found)| (digest, if kind == Kind::Unknown { kind } else { found })));
                todo.extend(fields.values());
            }
            _ => {}
        }
    }
}

/// The digest in a descriptor, unless it is that of a layer or of a cache config.
fn described(fields: &Map<String, Value>) -> Option<(Digest, Kind)> {
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let digest = field("digest").parse().ok()?;
    let media_type = MediaType::from(field("mediaType").to_owned());
    if media_type.is_empty() || media_type.is_manifest() {
        return Some((digest, Kind::Manifest));
    }
    let is_leaf = media_type.layer_encoding().is_some() || media_type == MediaType::CACHE_CONFIG;
    (!is_leaf).then_some((digest, Kind::Unknown))
}

#[cfg(test)]
mod tests;
