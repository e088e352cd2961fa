//! The emulator of the cache service, if Python is installed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{CacheBackend, CacheSpec, Digest, Timestamp};
use cache_gha::{ApiVersion, Environment, GhaConfig};
use cache_kit::{Secret, Timeouts};
use serde_json::{Value, json};

use super::gha::{MAIN, exception, token};
use crate::harness::Harness;
use crate::servers::emulator::Emulator;
use crate::servers::exchange::{Ask, exchange};

const REST_TOKEN: &str = "ghp-opensesame-41b0";

/// An empty emulator for a job on the main branch; `None` if Python is not installed.
#[derive(Debug)]
pub struct GhaEmulator {
    emulator: Option<Emulator>,
    token: String,
    /// Blobs that a test has damaged on purpose.
    damaged: Mutex<HashSet<Digest>>,
}

/// An entry as the emulator describes it.
struct Entry {
    id: u64,
    key: String,
    line: String,
    is_ready: bool,
}

impl GhaEmulator {
    /// Starts an emulator, if Python is installed.
    #[must_use]
    pub fn new() -> Self {
        let emulator = Emulator::is_installed().then(|| Emulator::start(&["--rest-token", REST_TOKEN]));
        Self { emulator, token: token(&[(MAIN, 3)]), damaged: Mutex::default() }
    }

    fn emulator(&self) -> &Emulator {
        self.emulator.as_ref().expect("every case is skipped without it")
    }

    /// Without timeouts: paused time jumps ahead while the tests wait for the network.
    fn environment(&self) -> Environment {
        let api = format!("http://{}", self.emulator().host());
        let environment = Environment::of(move |name| (name == "GITHUB_API_URL").then(|| api.clone()));
        environment
            .tune(|tuning| tuning.with_timeouts(Timeouts::none()))
            .with_upload_budget(100_000, Duration::from_secs(1))
    }

    fn entries(&self) -> Vec<Entry> {
        let Some(emulator) = &self.emulator else { return Vec::new() };
        let ask = Ask { method: "GET", path: "/_emu/state".to_owned(), ..Ask::default() };
        let told = exchange(emulator.host(), &ask).expect("the emulator answers");
        let state: Value = serde_json::from_slice(&told.body).expect("its state is JSON");
        let entry = |entry: &Value| Entry {
            id: entry["id"].as_u64().expect("a number"),
            key: entry["key"].as_str().expect("a key").to_owned(),
            line: format!("{} {}", entry["scope"], entry["key"]),
            is_ready: entry["state"] == "ready",
        };
        state["entries"].as_array().expect("a list").iter().map(entry).collect()
    }

    /// Records that a blob is damaged, and returns its finalised entries.
    fn damage(&self, blob: &Digest) -> Vec<u64> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(*blob);
        let key = format!("buildkit-blob-1-{blob}");
        self.entries().into_iter().filter(|entry| entry.is_ready && entry.key == key).map(|entry| entry.id).collect()
    }
}

impl Default for GhaEmulator {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for GhaEmulator {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_gha::Gha::new(self.environment()))
    }

    fn spec(&self) -> CacheSpec {
        let url = format!("http://{}/", self.emulator().host());
        let spec = CacheSpec::new("gha").with("token", &self.token).with("url_v2", url);
        spec.with("repository", "octo/repo").with("ghtoken", REST_TOKEN)
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(self.spec().with("scope", "other"))
    }

    fn keeps_form(&self) -> bool {
        false
    }

    fn exception(&self, case: &str) -> Option<&'static str> {
        if self.emulator.is_none() {
            return Some("python3 is not installed");
        }
        exception(case)
    }

    fn secrets(&self) -> Vec<String> {
        let parts = self.token.split('.').skip(1).map(str::to_owned);
        parts.chain([REST_TOKEN.to_owned(), "sig=".to_owned()]).collect()
    }

    fn shown(&self) -> Vec<String> {
        let url = format!("http://{}/", self.emulator().host());
        let config = GhaConfig::new(ApiVersion::V2, &url, Secret::new(&self.token), self.environment());
        vec![format!("{:?}", config.expect("a token and a URL"))]
    }

    async fn contents(&self) -> Vec<String> {
        self.entries().into_iter().map(|entry| entry.line).collect()
    }

    /// A reservation cannot be released, so unfinished ones do not count; wrong bytes do.
    async fn leftovers(&self) -> Vec<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ready = self.entries().into_iter().filter(|entry| entry.is_ready);
        let wrong = ready.filter_map(|entry| {
            let digest: Digest = entry.key.strip_prefix("buildkit-blob-1-")?.parse().ok()?;
            let is_right = std::fs::read(self.emulator().file(entry.id)).is_ok_and(|b| Digest::sha256(&b) == digest);
            (!is_right && !damaged.contains(&digest)).then(|| format!("wrong blob {digest}"))
        });
        wrong.collect()
    }

    async fn lose(&self, blob: &Digest) {
        for id in self.damage(blob) {
            let path = format!("/repos/octo/repo/actions/caches/{id}");
            let headers = vec![("Authorization", format!("Bearer {REST_TOKEN}"))];
            let ask = Ask { method: "DELETE", path, headers, ..Ask::default() };
            exchange(self.emulator().host(), &ask).expect("the emulator answers");
        }
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        for id in self.damage(blob) {
            std::fs::write(self.emulator().file(id), &bytes).expect("the file can be written");
        }
    }

    async fn set_modified(&self, blob: &Digest, modified: Timestamp) -> bool {
        let body = json!({ "key": format!("buildkit-blob-1-{blob}"), "created": modified.unix_seconds() });
        let path = "/_emu/created".to_owned();
        let ask = Ask { method: "POST", path, body: body.to_string().into(), ..Ask::default() };
        exchange(self.emulator().host(), &ask).expect("the emulator answers");
        true
    }
}
