//! [`LayerDir`]: layers on disk, made from tar streams.

use std::io::SeekFrom;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use async_trait::async_trait;
use bytes::BytesMut;
use cache_core::model::{Compression, Descriptor};
use cache_core::seams::{BlobInfo, BlobProvider, BlobStream};
use cache_core::{Error, ErrorKind, Result, Timestamp};
use futures_util::stream::{StreamExt, try_unfold};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::{CodecPool, encode};

/// The size of pieces when layers are read, in bytes.
const PIECE: usize = 256 << 10;

/// A directory of layers that are made from tar streams. Pass their descriptors to [`CacheChains::add`], and the
/// directory to [`export`], which reads their bytes.
///
/// Each layer is a file that is named after its digest, so that making an equal layer again changes nothing. Nothing
/// else is read or written, and nothing is deleted: delete the directory when the layers are not needed any more. Many
/// tasks and processes may use it at once. Clones share the directory.
///
/// ```
/// use cache_core::BlobProvider;
/// use cache_layers::{tar_tree, LayerDir, TreeOptions};
///
/// # let scratch = std::env::temp_dir().join(format!("layer-dir-{}", std::process::id()));
/// # let (output, layers) = (scratch.join("output"), scratch.join("layers"));
/// # std::fs::create_dir_all(&output).unwrap();
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// std::fs::write(output.join("hello"), "world")?;
///
/// let layers = LayerDir::new(layers);
/// let options = TreeOptions::default().with_source_date_epoch(0).with_owner(0, 0);
/// let layer = layers.add(tar_tree(output, &options)).await?;
///
/// assert!(layer.diff_id().is_some());
/// assert_eq!(layers.stat(&layer).await?.map(|info| info.size), Some(layer.size));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// # std::fs::remove_dir_all(scratch).unwrap();
/// ```
///
/// [`CacheChains::add`]: cache_core::CacheChains::add
/// [`export`]: https://docs.rs/cache-ops
#[derive(Debug, Clone)]
pub struct LayerDir {
    path: PathBuf,
    compression: Compression,
    pool: CodecPool,
    made: Arc<AtomicU64>,
}

impl LayerDir {
    /// Makes layers in a directory, which is created when it is needed; layers are not compressed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let compression = Compression::new(cache_core::model::CompressionKind::Uncompressed);
        Self { path: path.into(), compression, pool: CodecPool::default(), made: Arc::default() }
    }

    /// Sets how new layers are compressed.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// Sets the pool that compresses.
    #[must_use]
    pub fn with_pool(self, pool: CodecPool) -> Self {
        Self { pool, ..self }
    }

    /// Makes a layer of a tar stream, piece by piece. The layer appears as a whole or not at all.
    ///
    /// The descriptor has the OCI media type and the annotations that BuildKit needs: the diff ID, and for eStargz the
    /// two of its table of contents. [`annotation::CREATED_AT`](cache_core::annotation::CREATED_AT) is not added, so
    /// that equal layers have equal descriptors.
    ///
    /// # Errors
    /// Those of [`encode`]: what `tar` fails with, and [`ErrorKind::Unsupported`] for a compression that this build does
    /// not have. [`ErrorKind::Storage`] and [`ErrorKind::PermissionDenied`] when the file cannot be written.
    pub async fn add(&self, tar: BlobStream) -> Result<Descriptor> {
        let mut layer = encode(tar, &self.compression, &self.pool)?;
        tokio::fs::create_dir_all(&self.path).await.map_err(|error| unwritable(error, &self.path))?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let unfinished = Unfinished(self.path.join(format!(".new-{}-{number}", std::process::id())));
        let mut file = File::create_new(&unfinished.0).await.map_err(|error| unwritable(error, &unfinished.0))?;
        while let Some(piece) = layer.next().await {
            file.write_all(&piece?).await.map_err(|error| unwritable(error, &unfinished.0))?;
        }
        file.flush().await.map_err(|error| unwritable(error, &unfinished.0))?;
        let descriptor = layer.finish()?.descriptor;
        let path = self.path_of(&descriptor);
        tokio::fs::rename(&unfinished.0, &path).await.map_err(|error| unwritable(error, &path))?;
        Ok(descriptor)
    }

    fn path_of(&self, blob: &Descriptor) -> PathBuf {
        self.path.join(format!("{}-{}", blob.digest.algorithm(), blob.digest.hex()))
    }
}

#[async_trait]
impl BlobProvider for LayerDir {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let path = self.path_of(blob);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => {
                let modified = metadata.modified().ok().map(Timestamp::from);
                Ok(Some(BlobInfo { modified, ..BlobInfo::new(metadata.len()) }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error, &path)),
        }
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let path = self.path_of(blob);
        let mut file = match File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::new(ErrorKind::NotFound, "layer was not made here").with("blob", blob.digest));
            }
            Err(error) => return Err(unreadable(error, &path)),
        };
        let range = range.unwrap_or(0..u64::MAX);
        file.seek(SeekFrom::Start(range.start)).await.map_err(|error| unreadable(error, &path))?;
        let file = file.take(range.end.saturating_sub(range.start));
        Ok(Box::pin(try_unfold((file, path), |(mut file, path)| async move {
            let mut piece = BytesMut::with_capacity(PIECE);
            let read = file.read_buf(&mut piece).await.map_err(|error| unreadable(error, &path))?;
            Ok((read > 0).then(|| (piece.freeze(), (file, path))))
        })))
    }
}

/// A temporary file, which is deleted unless it is renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After a rename the file no longer has this name.
        let _ = fs::remove_file(&self.0);
    }
}

fn unwritable(error: io::Error, path: &Path) -> Error {
    Error::from_io(error, "cannot write a layer").with("path", path.display())
}

fn unreadable(error: io::Error, path: &Path) -> Error {
    Error::from_io(error, "cannot read a layer").with("path", path.display())
}
