//! [`GhaImporter`]: reads the caches of the Git refs of a job.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheChains, CacheImporter, CacheManifest, Descriptor, Error, ErrorKind, Resolved, Result,
};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::index::{self, ReadIndex};
use crate::keys::{self, IndexName};
use crate::session::Session;
use crate::signed::{self, Entry};
use crate::{GhaConfig, error};

/// How many scopes are read at once.
const AT_ONCE: usize = 4;

/// A cache of GitHub Actions, for reading: the caches of the job's own branch and of the branches that it can read,
/// merged into one.
///
/// If there is no index, there is no cache. Errors that may pass are retried, and a stream that breaks is resumed where
/// it stopped, with a new URL if the old one has expired. Nothing is sent before the first call.
pub struct GhaImporter {
    session: Arc<Session>,
    from: Reads,
}

/// What to read.
enum Reads {
    /// The newest index of each of these.
    Newest(Vec<IndexName>),
    /// One entry.
    Exactly(String),
}

impl GhaImporter {
    /// An importer of all scopes that the token can read.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for a token that has expired.
    pub fn new(config: GhaConfig) -> Result<Self> {
        let names = config.endpoint()?.token.readable().into_iter();
        let names = names.map(|scope| IndexName::new(config.scope(), scope)).collect();
        Ok(Self { session: Arc::new(Session::open(config)?), from: Reads::Newest(names) })
    }

    /// An importer of only the scope that the token writes, for [`publish`](https://docs.rs/cache-ops): with the other
    /// scopes, the caches of other branches would be copied into this one.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] for a token that cannot write, and [`ErrorKind::Unauthenticated`] for one that
    /// has expired.
    pub fn of_written_scope(config: GhaConfig) -> Result<Self> {
        let session = Arc::new(Session::open(config)?);
        let name = IndexName::new(session.config().scope(), session.written_scope()?);
        Ok(Self { from: Reads::Newest(vec![name]), session })
    }

    /// A reader of one entry.
    pub(crate) fn of_entry(config: GhaConfig, key: String) -> Result<Self> {
        Ok(Self { session: Arc::new(Session::open(config)?), from: Reads::Exactly(key) })
    }

    async fn read_all(&self) -> Result<Vec<ReadIndex>> {
        let names = match &self.from {
            Reads::Exactly(key) => return self.read_exactly(key).await.map(|index| vec![index]),
            Reads::Newest(names) => names,
        };
        let reads: Vec<BoxFuture<'_, _>> = names.iter().map(|name| self.read(name).boxed()).collect();
        let found: Vec<Option<ReadIndex>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Reads a listed entry. If the token cannot read it, that must not look like an empty cache, whose blobs are not
    /// needed.
    async fn read_exactly(&self, key: &str) -> Result<ReadIndex> {
        index::read_exactly(&self.session, key).await?.ok_or_else(|| {
            let error =
                error::new(ErrorKind::NotFound, "the cache is gone, or this job's token cannot read its branch");
            error.with("key", key)
        })
    }

    /// Reads the newest index of a scope. If there is only a signed one, that is an error.
    async fn read(&self, name: &IndexName) -> Result<Option<ReadIndex>> {
        let found = index::read(&self.session, name).await?;
        if found.is_some() {
            return Ok(found);
        }
        match self.session.lookup(&name.signed().prefix()).await? {
            None => Ok(None),
            Some(signed) => {
                let error =
                    error::new(ErrorKind::Unsupported, "the cache is signed, and signatures are not verified here");
                Err(error.with("key", signed.key).with_hint("export once without signing, or import with BuildKit"))
            }
        }
    }

    fn entry(&self, blob: &Descriptor) -> Entry {
        Entry::new(Arc::clone(&self.session), keys::blob(&blob.digest), "cannot read the blob")
    }

    fn with_context(&self, error: Error) -> Error {
        self.session.with_context(error)
    }
}

/// One cache keeps its bytes; several are merged.
fn merged(found: &[ReadIndex]) -> Result<Option<CacheManifest>> {
    match found {
        [] => Ok(None),
        [only] => Ok(Some(only.manifest.clone())),
        [first, others @ ..] => {
            let mut chains = CacheChains::from_manifest(&first.manifest)?;
            for other in others {
                chains.merge(&CacheChains::from_manifest(&other.manifest)?)?;
            }
            Ok(Some(chains.to_manifest()))
        }
    }
}

#[async_trait]
impl BlobProvider for GhaImporter {
    /// Takes two requests: the service does not tell the size of an entry, so its first byte is requested.
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        let size = self.entry(blob).size().await;
        let size = size.map_err(|error| self.with_context(error.with("blob", blob.digest)))?;
        Ok(size.map(BlobInfo::new))
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        signed::open(self.entry(blob), blob, range).await.map_err(|error| self.with_context(error))
    }
}

#[async_trait]
impl CacheImporter for GhaImporter {
    async fn resolve(&self) -> Result<Option<Resolved>> {
        let found = self.read_all().await.map_err(|error| self.with_context(error))?;
        let manifest = merged(&found).map_err(|error| self.with_context(error))?;
        let version = index::version(found.iter().map(|index| index.key.as_str()));
        Ok(manifest.map(|manifest| Resolved { manifest, version }))
    }
}

impl fmt::Debug for GhaImporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GhaImporter").field("config", self.session.config()).finish_non_exhaustive()
    }
}
