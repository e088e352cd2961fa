//! Azurite, if it is installed.

use async_trait::async_trait;
use bytes::Bytes;
use cache_azblob::{AzblobConfig, AzblobExporter, AzblobStore, Environment};
use cache_core::{CacheBackend, CacheExporter, CacheSpec, CacheStore, Descriptor, Digest, MediaType};
use cache_kit::Timeouts;
use cache_memory::MemoryCache;
use futures_util::stream::TryStreamExt;

use crate::harness::Harness;
use crate::servers::azurite::{ACCOUNT, Azurite as Server, KEY};

/// An empty account; `None` if the program is not installed. The age of its blobs cannot be changed.
#[derive(Debug)]
pub struct Azurite(Option<Server>);

impl Azurite {
    /// Starts an Azurite, if it is installed.
    #[must_use]
    pub fn new() -> Self {
        Self(Server::is_installed().then(Server::start))
    }

    fn server(&self) -> &Server {
        self.0.as_ref().expect("every case is skipped without it")
    }

    /// Without timeouts: paused time jumps ahead while the tests wait for the network.
    fn environment() -> Environment {
        Environment::new().tune(|tuning| tuning.with_timeouts(Timeouts::none()))
    }

    fn config(&self) -> AzblobConfig {
        AzblobConfig::from_spec(&self.spec(), Self::environment()).expect("a spec")
    }

    fn store(&self) -> AzblobStore {
        AzblobStore::new(self.config()).expect("it opens")
    }
}

impl Default for Azurite {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for Azurite {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_azblob::Azblob::new(Self::environment()))
    }

    fn spec(&self) -> CacheSpec {
        CacheSpec::new("azblob")
            .with("account_url", self.server().url())
            .with("account_name", ACCOUNT)
            .with("secret_access_key", KEY)
            .with("name", "main")
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(self.spec().with("name", "other"))
    }

    fn keeps_form(&self) -> bool {
        false
    }

    fn exception(&self, _: &str) -> Option<&'static str> {
        self.0.is_none().then_some("azurite is not installed; `cargo xtask setup` does that")
    }

    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }

    fn shown(&self) -> Vec<String> {
        vec![format!("{:?}", self.config())]
    }

    /// The content as the backend lists it, since the tests cannot read the store otherwise.
    async fn contents(&self) -> Vec<String> {
        let store = self.store();
        let caches = store.caches().await.expect("it can be listed");
        let blobs: Vec<_> = store.blobs().try_collect().await.expect("it can be listed");
        let blobs = blobs.into_iter().map(|blob| format!("{} {}", blob.digest, blob.version.as_str()));
        caches.into_iter().map(|cache| format!("{cache:?}")).chain(blobs).collect()
    }

    /// Uncommitted blocks cannot be listed, and are dropped by the service.
    async fn leftovers(&self) -> Vec<String> {
        Vec::new()
    }

    async fn lose(&self, blob: &Digest) {
        let store = self.store();
        let blobs: Vec<_> = store.blobs().try_collect().await.expect("it can be listed");
        let entry = blobs.into_iter().find(|entry| entry.digest == *blob).expect("the blob is there");
        store.delete_blob(&entry).await.expect("it can be deleted");
    }

    /// A push does not check the bytes of its source.
    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        self.lose(blob).await;
        let source = MemoryCache::new();
        let descriptor = Descriptor::new(MediaType::OCI_LAYER, *blob, bytes.len() as u64);
        source.overwrite(*blob, bytes);
        let exporter = AzblobExporter::new(self.config()).expect("it opens");
        exporter.push(&descriptor, &source).await.expect("it can be written");
    }
}
