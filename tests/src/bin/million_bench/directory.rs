//! A directory of any size.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use cache_core::Digest;
use cache_tests::bench::Outcome;
use cache_tests::servers::made_up::{Content, Size};
use tempfile::TempDir;

/// The modification time of blobs, after the epoch: older than every grace.
const MODIFIED: Duration = Duration::from_secs(1_577_836_800);

/// A directory that is removed when it is dropped.
pub(crate) struct Directory {
    folder: TempDir,
    size: Size,
    content: Content,
}

impl Directory {
    pub(crate) fn make(size: Size) -> Outcome<Self> {
        let directory = Self { folder: TempDir::new()?, size, content: Content::new(size) };
        fs::create_dir_all(directory.blobs())?;
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let entries: Vec<String> = (0..size.caches).map(|number| directory.cache(number)).collect::<Outcome<_>>()?;
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        fs::write(directory.path().join("index.json"), index)?;
        directory.fill()?;
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the missing blobs: sparse files of the right size.
    pub(crate) fn fill(&self) -> Outcome<()> {
        for number in 0..self.size.blobs {
            let path = self.blob(&self.content.blob(number));
            if !path.exists() {
                let file = File::create(path)?;
                file.set_len(Content::length(number) as u64)?;
                file.set_modified(UNIX_EPOCH + MODIFIED)?;
            }
        }
        Ok(())
    }

    /// The number of files, and the seconds that it takes to read the metadata of each.
    pub(crate) fn bare(&self) -> Outcome<(usize, f64)> {
        let (start, mut files) = (Instant::now(), 0);
        for entry in fs::read_dir(self.blobs())? {
            let _ = fs::metadata(entry?.path())?;
            files += 1;
        }
        Ok((files, start.elapsed().as_secs_f64()))
    }

    /// The number of missing blobs.
    pub(crate) fn deleted(&self) -> Outcome<usize> {
        Ok(self.size.blobs + 2 * self.size.caches - fs::read_dir(self.blobs())?.count())
    }

    /// Writes the documents of a cache and returns its entry in `index.json`.
    fn cache(&self, number: usize) -> Outcome<String> {
        let config = self.content.config(number);
        let digest = self.document(&config)?;
        let manifest = self.content.manifest(number, (&digest, config.len()));
        let (digest, length, name) = (self.document(&manifest)?, manifest.len(), Content::name(number));
        Ok(format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{length},"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}"#
        ))
    }

    fn document(&self, text: &str) -> Outcome<String> {
        let digest = Digest::sha256(text.as_bytes()).to_string();
        fs::write(self.blob(&digest), text)?;
        Ok(digest)
    }

    fn blobs(&self) -> PathBuf {
        self.path().join("blobs/sha256")
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.blobs().join(digest.trim_start_matches("sha256:"))
    }
}
