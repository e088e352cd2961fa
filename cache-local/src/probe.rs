//! [`LocalProbe`]: tests whether a directory can hold a cache, with a blob of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cache_core::manifest::ManifestForm;
use cache_core::model::random_number;
use cache_core::seams::{CacheProbe, Diagnosis, Publishing};
use cache_core::{CacheSpec, Digest, ErrorKind, Result};

use crate::beneath::Dir;
use crate::error::{at, io as io_error};
use crate::exporter::check_free;
use crate::layout::{INDEX_LOCK, Layout, make_blob_dir, sync};
use crate::lock::{Attempt, try_lock};
use crate::task::blocking;
use crate::{KIND, LocalConfig};

/// The directory to probe.
///
/// The probe takes the lock of `index.json` for a moment, reads that file, and writes one small random blob. At the end
/// it deletes everything that it has created, directories included.
#[derive(Debug)]
pub struct LocalProbe(LocalConfig);

impl LocalProbe {
    /// A probe of the directory of `config`; nothing is touched before [`diagnose`](CacheProbe::diagnose).
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        Self(config)
    }
}

#[async_trait]
impl CacheProbe for LocalProbe {
    async fn diagnose(&self) -> Result<Diagnosis> {
        let config = self.0.clone();
        blocking(move || Ok(examine(&config))).await
    }
}

/// The kind of the digests of the probe's blobs.
const ALGORITHM: &str = "sha256";

fn examine(config: &LocalConfig) -> Diagnosis {
    let layout = Layout::new(config.root());
    let mut found = Diagnosis::default();
    let _made = MadeDirs::before(&layout.blobs_dir().join(ALGORITHM));
    let root = match layout.create_root() {
        Ok(root) => root,
        Err(error) => {
            found.record("directory", Err(error), "make the directory, or ask for the right to write");
            let untried = ["lock", "index", "blob", "blob-mode"];
            untried.into_iter().for_each(|name| found.skip(name, "not tried: no directory"));
            return found;
        }
    };
    found.record("directory", Ok(()), "");
    try_locks(&root, &mut found);
    match layout.read_index(config.limits().config) {
        Ok(index) => {
            let free = index.map_or(Ok(()), |found| check_free(&found.index, config));
            found.record("index", free, "give the cache another tag");
        }
        Err(error) => {
            let advice = "BuildKit fails on this index.json after it has written the cache: repair or delete it";
            found.record("index", Err(error), advice);
        }
    }
    try_blob(&root, &mut found);
    let is_usable = ["index", "blob"].into_iter().all(|name| found.works(name)) && !is_refused(&found, "lock");
    found.recommended = is_usable.then(|| recommended(config));
    if found.works("lock") {
        found.publishing = Some(Publishing::Conditional);
    }
    let is_default = config.form().is_none_or(|form| form == ManifestForm::ImageManifest);
    if is_default {
        found.notes.push("BuildKit before v0.12 cannot read an image manifest: use image-manifest=false for it".into());
    }
    if config.tag().is_some() {
        found.notes.push("BuildKit before v0.11 has no tag for exports".into());
    }
    found
}

fn is_refused(found: &Diagnosis, name: &str) -> bool {
    let is_it = |check: &&cache_core::seams::Check| check.name == name;
    found.checks.iter().find(is_it).is_some_and(|check| matches!(check.outcome, cache_core::seams::Outcome::Refused(_)))
}

/// Takes the lock as writers do, and checks that it excludes others.
fn try_locks(root: &Dir, found: &mut Diagnosis) {
    const ADVICE: &str = "writers of this directory cannot lock each other out: use a local file system";
    let path = root.path().join(INDEX_LOCK);
    match try_lock(root, INDEX_LOCK).map_err(|error| io_error(error, "cannot lock the file", &path)) {
        Err(error) => drop(found.record("lock", Err(error), ADVICE)),
        Ok(Attempt::Held | Attempt::Gone) => found.skip("lock", "another process is writing to the directory"),
        Ok(Attempt::Locked(held)) => {
            let excludes = match try_lock(root, INDEX_LOCK) {
                Ok(Attempt::Locked(_)) => {
                    Err(at(ErrorKind::Unsupported, "the lock does not keep other processes out", &path))
                }
                _ => Ok(()),
            };
            // A lock file that stays behind blocks no other writer.
            let _ = root.remove_file(INDEX_LOCK);
            drop(held);
            found.record("lock", excludes, ADVICE);
        }
    }
}

/// Writes a blob under another name, syncs it, renames it and makes it read-only, as an export does.
fn try_blob(root: &Dir, found: &mut Diagnosis) {
    const ADVICE: &str = "free space, or give this user the right to write below the directory";
    let content = format!("buildcache-doctor-{:016x}", random_number());
    let written = make_blob_dir(root, ALGORITHM).and_then(|dir| TempBlob::write(dir, &content));
    let blob = match written {
        Ok(blob) => blob,
        Err(error) => {
            found.record("blob", Err(error), ADVICE);
            found.skip("blob-mode", "not tried: no blob can be written");
            return;
        }
    };
    found.record("blob", Ok(()), ADVICE);
    found.record("blob-mode", blob.protect(), "blobs stay writable here, which does no harm");
}

/// A blob with its two names; both are gone when it is dropped.
struct TempBlob {
    dir: Dir,
    temp: String,
    name: String,
    file: Option<File>,
}

impl TempBlob {
    fn write(dir: Dir, content: &str) -> Result<Self> {
        let name = Digest::sha256(content.as_bytes()).hex();
        let mut blob = Self { dir, temp: content.to_owned(), name, file: None };
        let written = blob.dir.create_file(&blob.temp).and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            Ok(file)
        });
        blob.file = Some(written.map_err(|error| io_error(error, "cannot write a file", &blob.path()))?);
        let renamed = blob.dir.rename(&blob.temp, &blob.dir, &blob.name);
        renamed.map_err(|error| io_error(error, "cannot rename the file", &blob.path()))?;
        sync(&blob.dir)?;
        Ok(blob)
    }

    fn protect(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let is_protected = || -> io::Result<bool> {
            let mut permissions = file.metadata()?.permissions();
            permissions.set_readonly(true);
            file.set_permissions(permissions)?;
            Ok(file.metadata()?.permissions().readonly())
        };
        match is_protected().map_err(|error| io_error(error, "cannot change the mode", &self.path()))? {
            true => Ok(()),
            false => Err(at(ErrorKind::Unsupported, "the file system keeps no modes", &self.path())),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(&self.temp)
    }
}

impl Drop for TempBlob {
    fn drop(&mut self) {
        // At most one of them exists.
        let _ = self.dir.remove_file(&self.temp);
        let _ = self.dir.remove_file(&self.name);
    }
}

/// The directories that do not exist yet, deepest first. They are removed when this is dropped, unless they are in use.
struct MadeDirs(Vec<PathBuf>);

impl MadeDirs {
    fn before(path: &Path) -> Self {
        Self(path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).map(Into::into).collect())
    }
}

impl Drop for MadeDirs {
    fn drop(&mut self) {
        for dir in &self.0 {
            // One that is not empty is used by another program.
            let _ = fs::remove_dir(dir);
        }
    }
}

fn recommended(config: &LocalConfig) -> CacheSpec {
    let spec = CacheSpec::new(KIND).with("dest", config.root().display().to_string());
    let spec = config.tag().into_iter().fold(spec, |spec, tag| spec.with("tag", tag));
    let spec = if config.reset() { spec.with("reset", "true") } else { spec };
    match config.form() {
        None => spec,
        Some(ManifestForm::ImageManifest) => spec.with("image-manifest", "true"),
        Some(ManifestForm::Index) => spec.with("image-manifest", "false"),
        Some(ManifestForm::DockerList) => spec.with("image-manifest", "false").with("oci-mediatypes", "false"),
    }
}

#[cfg(test)]
mod tests;
