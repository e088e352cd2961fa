//! The contenders of this workspace.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use cache_core::model::Digester;
use cache_core::{
    BlobStream, CacheChains, CacheExporter, CacheImporter, CacheKey, CacheResult, Compression, CompressionKind,
    Descriptor, Digest, Error, Expect, MediaType, Timestamp, annotation,
};
use cache_layers::{CodecPool, decode, encode};
use cache_local::{LocalConfig, LocalExporter, LocalImporter};
use cache_ops::{Depth, verify};
use futures_util::TryStreamExt;
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::data::Data;

/// Bytes of a file that are read at once.
const PIECE: usize = 256 << 10;

pub(crate) struct Ours {
    runtime: Runtime,
    threads: usize,
}

/// A directory with uncompressed layers.
pub(crate) struct Cache {
    root: PathBuf,
    /// The layers' files.
    pub(crate) files: Vec<PathBuf>,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { runtime: runtime.expect("a runtime needs nothing"), threads: CodecPool::default().threads() }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Makes a layer and returns its size.
    pub(crate) fn encode(&self, threads: usize, data: &Data, compression: &Compression) -> Outcome<Option<u64>> {
        let mut layer = encode(file(&data.path)?, compression, &CodecPool::new(threads))?;
        self.runtime.block_on(async {
            while layer.try_next().await?.is_some() {}
            Ok(Some(layer.finish()?.descriptor.size))
        })
    }

    /// Hashes the tar and the layer, one after the other.
    pub(crate) fn digests(&self, tar: &Path, layer: &Path) -> Outcome<Option<u64>> {
        for path in [tar, layer].into_iter().filter(|path| path.exists()) {
            let (mut digester, mut bytes) = (Digester::sha256(), file(path)?);
            self.runtime.block_on(async {
                while let Some(piece) = bytes.try_next().await? {
                    digester.update(&piece);
                }
                Ok::<(), Error>(())
            })?;
            std::hint::black_box(digester.finish());
        }
        Ok(None)
    }

    /// Decompresses a layer and hashes the tar, as for a conversion to a plain tar.
    pub(crate) fn decode(&self, layer: &Path, kind: CompressionKind) -> Outcome<Option<u64>> {
        let pool = CodecPool::new(self.threads);
        let tar = decode(kind.encoding(), file(layer)?, &pool)?;
        let mut tar = encode(tar, &Compression::new(CompressionKind::Uncompressed), &pool)?;
        self.runtime.block_on(async {
            while tar.try_next().await?.is_some() {}
            tar.finish().map(|_| None).map_err(Into::into)
        })
    }

    /// Writes the data to a directory as `layers` layers.
    pub(crate) fn cache(&self, root: &Path, data: &Data, layers: u64) -> Outcome<Cache> {
        let blobs = root.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let (mut source, mut chains, mut files) = (File::open(&data.path)?, CacheChains::new(), Vec::new());
        for number in 0..layers {
            let mut bytes = Vec::new();
            Read::by_ref(&mut source).take(data.size.div_ceil(layers)).read_to_end(&mut bytes)?;
            let layer = Descriptor::of(MediaType::OCI_LAYER, &bytes);
            let path = blobs.join(layer.digest.hex());
            fs::write(&path, bytes)?;
            files.push(path);
            let diff_id = layer.digest;
            let layer = layer.with_annotation(annotation::UNCOMPRESSED, diff_id);
            let key = CacheKey::content(Digest::sha256(&number.to_le_bytes()));
            chains.add(key, &[], vec![CacheResult::new(Timestamp::ZERO, vec![layer])])?;
        }
        let exporter = LocalExporter::new(LocalConfig::new(root));
        self.runtime.block_on(exporter.commit(&chains.to_manifest(), Expect::Any))?;
        Ok(Cache { root: root.to_owned(), files })
    }

    /// Reads and hashes every layer of the cache.
    pub(crate) fn verify(&self, cache: &Cache) -> Outcome<Option<u64>> {
        self.runtime.block_on(async {
            let importer = LocalImporter::new(LocalConfig::new(&cache.root));
            let manifest = importer.resolve().await?.ok_or("there is a cache")?.manifest;
            let report = verify(&manifest, &importer, Depth::Deep, 4).await?;
            if report.is_sound() { Ok(None) } else { Err("the cache is not sound".into()) }
        })
    }
}

/// The bytes of a file, which is cached in memory, so that reading does not wait.
pub(crate) fn file(path: &Path) -> Outcome<BlobStream> {
    let mut file = File::open(path)?;
    let pieces = std::iter::from_fn(move || piece(&mut file).transpose());
    Ok(Box::pin(futures_util::stream::iter(pieces)))
}

fn piece(file: &mut File) -> cache_core::Result<Option<Bytes>> {
    let mut piece = BytesMut::zeroed(PIECE);
    let len = file.read(&mut piece).map_err(|error| Error::from_io(error, "cannot read the data"))?;
    piece.truncate(len);
    Ok((len > 0).then(|| piece.freeze()))
}
