//! Debian's `docker-registry`, if it is installed.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::ImageStore;
use cache_core::{CacheBackend, CacheSpec, Digest};
use cache_kit::{RetryPolicy, Timeouts};
use cache_registry::{Credential, Environment, RegistryConfig, RegistryImage};

use super::registry::exception;
use crate::harness::Harness;
use crate::servers::docker_registry::{ACCOUNT, DockerRegistry as Server, Setup};

/// An empty registry with a password; `None` if the program is not installed.
#[derive(Debug)]
pub struct DockerRegistry {
    server: Option<Server>,
    /// Blobs that a test has damaged on purpose.
    damaged: Mutex<HashSet<String>>,
}

impl DockerRegistry {
    /// Starts a registry, if it is installed.
    #[must_use]
    pub fn new() -> Self {
        Self { server: Server::is_installed().then(|| Server::start(Setup::Password)), damaged: Mutex::default() }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("every case is skipped without it")
    }

    /// Without timeouts: paused time jumps ahead while the tests wait for the network.
    fn environment() -> Environment {
        Environment::new()
            .with_credential(Credential::password(ACCOUNT.0, ACCOUNT.1))
            .tune(|tuning| tuning.with_timeouts(Timeouts::none()))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.server.as_ref().map_or_else(Vec::new, |server| files_below(&server.root()))
    }

    fn damage(&self, blob: &Digest) -> PathBuf {
        let hex = blob.hex();
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(hex.clone());
        self.server().root().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(&hex).join("data")
    }

    /// Blobs with wrong bytes, except for damaged ones.
    fn wrong_blobs(&self) -> Vec<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wrong = |path: &PathBuf| {
            let hex = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            let is_blob = path.ends_with("data") && path.iter().any(|part| part == "blobs");
            let right = fs::read(path).ok().map(|bytes| Digest::sha256(&bytes).hex());
            is_blob && hex != right && hex.is_some_and(|hex| !damaged.contains(&hex))
        };
        self.files().into_iter().filter(is_wrong).map(|path| path.display().to_string()).collect()
    }
}

impl Default for DockerRegistry {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for DockerRegistry {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_registry::Registry::new(Self::environment()))
    }

    fn spec(&self) -> CacheSpec {
        CacheSpec::new("registry").with("ref", format!("{}/team/cache:main", self.server().host()))
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(self.spec().with("ref", format!("{}/team/cache:other", self.server().host())))
    }

    async fn image(&self) -> Option<Box<dyn ImageStore>> {
        let reference = format!("{}/team/image:main", self.server().host());
        Some(Box::new(RegistryImage::new(RegistryConfig::new(&reference, Self::environment()).expect("a reference"))))
    }

    fn keeps_form(&self) -> bool {
        true
    }

    /// This registry answers 500 to the lookup of a blob while it writes the link from the repository to it.
    fn retry(&self) -> RetryPolicy {
        RetryPolicy::default()
    }

    fn exception(&self, case: &str) -> Option<&'static str> {
        if self.server.is_none() {
            return Some("docker-registry is not installed; `cargo xtask setup` does that");
        }
        match case {
            "deleting_a_cache_leaves_the_others_and_the_blobs" => {
                Some("docker-registry deletes a manifest with all its tags, and so we do not")
            }
            "concurrent_pushes_of_one_blob_all_succeed" | "a_corrupt_config_is_a_digest_mismatch" => None,
            _ => exception(case),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec![ACCOUNT.1.to_owned()]
    }

    fn shown(&self) -> Vec<String> {
        let config = RegistryConfig::new(&format!("{}/team/cache", self.server().host()), Self::environment());
        vec![format!("{:?}", config.expect("a reference"))]
    }

    async fn contents(&self) -> Vec<String> {
        self.files().iter().map(|path| path.display().to_string()).collect()
    }

    /// Open uploads do not count: this registry answers 404 to a DELETE if a request broke off after the offset in its
    /// `_state`. The registry of the tests shows that each upload is cancelled.
    async fn leftovers(&self) -> Vec<String> {
        self.wrong_blobs()
    }

    async fn lose(&self, blob: &Digest) {
        fs::remove_file(self.damage(blob)).expect("the blob is there");
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        fs::write(self.damage(blob), bytes).expect("the blob can be written");
    }
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for path in fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() { todo.push(path) } else { files.push(path) }
        }
    }
    files
}
