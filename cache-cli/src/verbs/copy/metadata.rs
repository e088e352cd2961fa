//! `--metadata-file`: the outcome of the commit, in the form of BuildKit's clients.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cache_kit::create_file;
use serde_json::{Map, Value, json};

use super::report::{Copied, Copies};
use crate::exit::{Exit, Failure};
use crate::output;

/// The file, which is opened before anything is copied. Its content stays until there is something to write.
pub(super) struct MetadataFile {
    path: PathBuf,
    file: File,
    /// Whether the file was created, and is deleted if nothing is written.
    is_new: bool,
}

impl MetadataFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let is_new = !path.exists();
        let file = create_file(path).map_err(|error| cannot_write(path, &error))?;
        Ok(Self { path: path.to_owned(), file, is_new })
    }

    pub(super) fn write(mut self, copies: &Copies) -> Result<(), Failure> {
        let text = output::json(&document(&copies.copies))?;
        self.replace(text.as_bytes()).map_err(|error| cannot_write(&self.path, &error))?;
        self.is_new = false;
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A pipe has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(bytes)
    }
}

impl Drop for MetadataFile {
    fn drop(&mut self) {
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
}

/// For one destination an object with BuildKit's key `cache.manifest`; for several, a list of such objects.
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
