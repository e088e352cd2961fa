//! [`LocalExporter`]: writes a cache into a directory, blob by blob, and `index.json` last.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cache_core::manifest::Document;
use cache_core::seams::{Committed, Contributions, ExporterFacts, stream_of};
use cache_core::{
    BlobProvider, BlobStream, CacheExporter, CacheManifest, Descriptor, Digest, Error, ErrorKind, Expect, Progress,
    Pushed, Result, Version,
};
use tokio::sync::OnceCell;

use crate::LocalConfig;
use crate::beneath::Dir;
use crate::error::{at, io as io_error, on_path};
use crate::index::{Entry, Index};
use crate::ingest::{Ingest, TempFile};
use crate::layout::{LAYOUT, Layout, MARKER, blob_dir, is_older_than, make_blob_dir, read_file, sync, sync_blobs};
use crate::lock::IndexLock;
use crate::receive::receive;
use crate::reset::delete_unreachable;
use crate::task::blocking;
use crate::update::Place;

/// The age from which a push refreshes a blob: half the default grace of `prune`.
const REFRESH_AFTER: Duration = Duration::from_secs(30 * 60);

/// How many bytes of a present blob are hashed at once.
const PIECE: usize = 1 << 20;

/// A cache in a directory, for writing; the directory is created by the first push or commit.
///
/// * A blob gets its name when it is complete and on disk; `index.json` is replaced by a rename. Whatever happens,
///   earlier caches stay readable.
/// * Any number of exporters, of this process and of others, may write to one directory at once.
/// * The temporary files of a killed exporter are removed by the next one; those of a running one are not.
/// * A push finds a blob by name and size. One of another size is written again, and with
///   [`LocalConfig::with_check_present`] also one of other bytes.
#[derive(Debug)]
pub struct LocalExporter {
    config: LocalConfig,
    layout: Layout,
    /// Whether an entry of an image may be pointed to another manifest.
    replaces_images: bool,
    /// Set by the first call.
    ingest: OnceCell<Arc<Ingest>>,
    /// Blobs that must still exist when a manifest that names them is committed.
    pushed: Mutex<HashSet<Digest>>,
}

impl LocalExporter {
    /// An exporter of the cache in `config`; nothing is touched before the first push or commit.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let layout = Layout::new(config.root());
        Self { config, layout, replaces_images: false, ingest: OnceCell::new(), pushed: Mutex::default() }
    }

    /// An exporter for the documents of an image that may exist.
    pub(crate) fn of_image(config: LocalConfig) -> Self {
        Self { replaces_images: true, ..Self::new(config) }
    }

    /// Looks at `index.json`, cleans up after dead writers, and makes the exporter's own temporary directory.
    pub(crate) async fn ingest(&self) -> Result<Arc<Ingest>> {
        let (layout, config, replaces_images) = (self.layout.clone(), self.config.clone(), self.replaces_images);
        let open = || {
            blocking(move || {
                // What would fail the commit is an error before anything is written.
                if let Some(found) = layout.read_index(config.limits().config)?
                    && !replaces_images
                {
                    check_free(&found.index, &config)?;
                }
                Ingest::open(&layout)
            })
        };
        self.ingest.get_or_try_init(open).await.map(Arc::clone)
    }

    async fn write(&self, blob: &Descriptor, stream: BlobStream) -> Result<()> {
        let (ingest, digest) = (self.ingest().await?, blob.digest);
        let root = Arc::clone(ingest.root());
        let end = move |temp, file: File| put_in_place(temp, &file, &root, &digest);
        receive(&ingest, blob, stream, end).await
    }

    /// Writes a document unless it exists with the same bytes.
    pub(crate) async fn put(&self, document: &Document) -> Result<()> {
        let Document { descriptor, bytes } = document;
        let (layout, wanted, known) = (self.layout.clone(), descriptor.clone(), bytes.clone());
        let ingest = self.ingest().await?;
        let is_there = move || {
            let is_present = find(&layout, ingest.root(), &wanted)?.is_some();
            let stored = if is_present { read_file(&layout.blob_path(&wanted.digest), wanted.size)? } else { None };
            Ok(stored.is_some_and(|stored| stored == known))
        };
        if !blocking(is_there).await? {
            self.write(descriptor, stream_of(bytes.clone())).await?;
        }
        Ok(())
    }

    fn remember(&self, blob: &Descriptor) {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner).insert(blob.digest);
    }

    /// Those of a manifest's blobs that this exporter found or wrote, with their sizes.
    fn remembered(&self, manifest: &CacheManifest) -> Vec<(Digest, u64)> {
        let pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let blobs = manifest.blobs().iter().filter(|blob| pushed.contains(&blob.digest));
        blobs.map(|blob| (blob.digest, blob.size)).collect()
    }

    /// Changes `index.json` once the blobs are on disk, and only if they still exist; the lock is held when it returns.
    pub(crate) async fn update_index(
        &self,
        ingest: &Arc<Ingest>,
        blobs: Vec<(Digest, u64)>,
        change: impl Fn(&mut Index) -> Result<()> + Send + Sync + 'static,
    ) -> Result<(Place, IndexLock)> {
        let (writer, layout, in_use) = (Arc::clone(ingest), self.layout.clone(), blobs.clone());
        blocking(move || settle(&layout, &writer, &in_use)).await?;
        let (place, layout) = (self.place(ingest), self.layout.clone());
        let change = move |index: &mut Index| {
            change(index)?;
            check_present(&layout, &blobs)
        };
        let ((), lock) = place.update(change).await?;
        Ok((place, lock))
    }

    fn place(&self, ingest: &Arc<Ingest>) -> Place {
        Place {
            layout: self.layout.clone(),
            ingest: Arc::clone(ingest),
            limit: self.config.limits().config,
            timeout: self.config.lock_timeout(),
        }
    }
}

#[async_trait]
impl CacheExporter for LocalExporter {
    fn facts(&self) -> ExporterFacts {
        // A push ends with a sync to disk.
        ExporterFacts { settles_apart: true, ..ExporterFacts::default() }
    }

    fn prepare(&self, _: &CacheManifest, _: &Arc<dyn Progress>) {}

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        let ingest = self.ingest().await?;
        let (layout, wanted, checks) = (self.layout.clone(), blob.clone(), self.config.checks_present());
        let find = move || match checks && !is_sound(&layout, &wanted)? {
            true => Ok(None),
            false => find(&layout, ingest.root(), &wanted),
        };
        let pushed = match blocking(find).await? {
            Some(found) => found,
            None => {
                self.write(blob, from.read(blob, None).await?).await?;
                Pushed::Uploaded
            }
        };
        self.remember(blob);
        Ok(pushed)
    }

    /// If a pushed blob was deleted meanwhile, by a prune or a reset of the directory, the error is
    /// [`ErrorKind::Unavailable`], and the export can be repeated.
    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        if manifest.is_empty() && manifest.raw_manifest().is_none() {
            return Ok(Committed::default());
        }
        let ingest = self.ingest().await?;
        let encoded = manifest.encode(self.config.form()).checked(&self.config.limits())?;
        let mut blobs = self.remembered(manifest);
        for document in [&encoded.config, &encoded.manifest] {
            self.put(document).await?;
            blobs.push((document.descriptor.digest, document.descriptor.size));
        }
        let descriptor = encoded.manifest.descriptor;
        let (config, written) = (self.config.clone(), descriptor.clone());
        let change = move |index: &mut Index| {
            // The version that an importer would find, to compare with the expected one.
            let found = config.tag().map_or_else(|| index.find_default(), |tag| index.find(tag));
            check_expected(&config, found, &expect)?;
            put(index, &config, &written)
        };
        let (place, lock) = self.update_index(&ingest, blobs, change).await?;
        if self.config.reset() {
            // The cache is written. A failure to delete old blobs does not fail the commit.
            let _ = blocking(move || delete_unreachable(&place, &lock)).await;
        }
        let version = Version::new(descriptor.digest.to_string());
        Ok(Committed::new(Some(descriptor), version))
    }

    /// The exporter's own temporary directory.
    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(Some(self.ingest().await?.dir().to_owned()))
    }

    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        Ok(None)
    }
}

/// Whether a blob is there, and young enough to stay.
fn find(layout: &Layout, root: &Dir, blob: &Descriptor) -> Result<Option<Pushed>> {
    let found = layout.blob_metadata(&blob.digest)?.filter(|metadata| metadata.len() == blob.size);
    Ok(found.map(|metadata| match refresh(root, &blob.digest, &metadata) {
        Ok(true) => Pushed::Refreshed,
        // Only its owner can refresh a file, and files behind links are not touched. The commit checks that it exists.
        Ok(false) | Err(_) => Pushed::Present,
    }))
}

/// Whether a blob of the right size matches its digest.
fn is_sound(layout: &Layout, blob: &Descriptor) -> Result<bool> {
    if layout.blob_metadata(&blob.digest)?.is_none_or(|metadata| metadata.len() != blob.size) {
        return Ok(true);
    }
    let path = layout.blob_path(&blob.digest);
    let (mut file, _) = layout.open_blob(&blob.digest)?;
    let (mut digester, mut piece) = (blob.digest.digester(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(|error| io_error(error, "cannot read the blob", &path))? {
            0 => return Ok(digester.finish() == blob.digest),
            read => digester.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

fn refresh(root: &Dir, digest: &Digest, metadata: &Metadata) -> Result<bool> {
    let is_old = is_older_than(metadata, REFRESH_AFTER);
    if is_old {
        let dir = blob_dir(root, digest.algorithm())?;
        let made_young = dir.file(&digest.hex()).and_then(|file| file.set_modified(SystemTime::now()));
        made_young.map_err(|error| io_error(error, "cannot set the time of the blob", dir.path()))?;
    }
    Ok(is_old)
}

/// Gives a blob its name: its bytes are on disk by then, and it is read-only.
fn put_in_place(temp: TempFile, file: &File, root: &Dir, digest: &Digest) -> Result<()> {
    let written = protect(file).and_then(|()| file.sync_all());
    written.map_err(|error| io_error(error, "cannot write the blob", &temp.path()).with("blob", digest))?;
    temp.persist(&make_blob_dir(root, digest.algorithm())?, &digest.hex())
}

/// BuildKit's mode for blobs: read-only, and readable as the umask allows.
#[cfg(unix)]
fn protect(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    file.set_permissions(std::fs::Permissions::from_mode(mode & 0o444))
}

#[cfg(not(unix))]
fn protect(_: &File) -> io::Result<()> {
    Ok(())
}

/// Writes `oci-layout`, and makes the names of blobs survive a crash of the machine.
fn settle(layout: &Layout, ingest: &Arc<Ingest>, blobs: &[(Digest, u64)]) -> Result<()> {
    let path = layout.marker_path();
    let is_there = read_file(&path, 4096).is_ok_and(|found| found.is_some_and(|found| found == LAYOUT));
    let root = ingest.root();
    if !is_there {
        ingest.write(MARKER, LAYOUT)?.persist(root, MARKER)?;
    }
    let algorithms: BTreeSet<&str> = blobs.iter().map(|(digest, _)| digest.algorithm()).collect();
    algorithms.iter().try_for_each(|algorithm| sync(&make_blob_dir(root, algorithm)?))?;
    sync_blobs(root)
}

/// Checks that readers would find a cache under the tag of `config`.
pub(crate) fn check_free(index: &Index, config: &LocalConfig) -> Result<()> {
    index.check_free(config.tag_or_default()).map_err(|error| on_path(error, config.root()))
}

/// Points the tag of `config` to a manifest.
pub(crate) fn put(index: &mut Index, config: &LocalConfig, manifest: &Descriptor) -> Result<()> {
    index.put(config.tag_or_default(), manifest).map_err(|error| on_path(error, config.root()))
}

/// Compares the current entry of `index.json` with the expected one.
pub(crate) fn check_expected(config: &LocalConfig, found: Option<&Entry>, expect: &Expect) -> Result<()> {
    let found = found.map(Entry::state);
    let expected = match expect {
        Expect::Any => return Ok(()),
        Expect::Absent => None,
        Expect::Version(version) => Some(version),
    };
    if found.as_ref() == expected {
        return Ok(());
    }
    let text = |state: Option<&Version>| state.map_or("nothing", Version::as_str).to_owned();
    Err(at(ErrorKind::Conflict, "somebody else wrote first", config.root())
        .with("tag", config.tag_or_default())
        .with("expected", text(expected))
        .with("found", text(found.as_ref())))
}

fn check_present(layout: &Layout, blobs: &[(Digest, u64)]) -> Result<()> {
    let is_gone = |(digest, size): &&(Digest, u64)| match layout.blob_metadata(digest) {
        Ok(found) => found.is_none_or(|metadata| metadata.len() != *size),
        Err(_) => true,
    };
    blobs.iter().find(is_gone).map_or(Ok(()), |(digest, _)| Err(deleted(layout, digest)))
}

fn deleted(layout: &Layout, digest: &Digest) -> Error {
    at(ErrorKind::Unavailable, "a blob was deleted while the cache was written", &layout.blob_path(digest))
        .with("blob", digest)
        .with_hint("something prunes or resets the directory at the same time; export again")
}

#[cfg(test)]
mod tests;
