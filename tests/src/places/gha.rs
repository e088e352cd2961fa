//! The cache service of GitHub Actions, in a thread of this process.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{CacheBackend, CacheSpec, Digest, Timestamp};
use cache_gha::{ApiVersion, Environment, GhaConfig, GhaExporter, GhaImporter, GhaProbe, GhaStore};
use cache_kit::{PartLimits, RetryPolicy, Secret, Timeouts};

use super::{hostile, plans, system_time};
use crate::harness::{Harness, Hostility, Quirk, TIGHT_IDLE, tight_bounds};
use crate::servers::actions::{Dialect, Logged, Options, Server, mint};
use crate::servers::http::{Answer, Method, fields, json};

/// The scope that the tests write.
pub const MAIN: &str = "refs/heads/main";
/// The version of every entry of BuildKit.
pub const VERSION: &str = "693bb7016429d80366022f036f84856888c9f13e00145f5f6f4dce303a38d6f2";
const REST_TOKEN: &str = "ghp-opensesame-77c1";

/// An empty service for a job on the main branch.
#[derive(Debug)]
pub struct Gha {
    server: Server,
    api: ApiVersion,
    token: String,
    is_act: bool,
    /// Blobs that a test has damaged on purpose.
    damaged: Mutex<HashSet<Digest>>,
}

impl Gha {
    /// A service of version 2.
    #[must_use]
    pub fn v2() -> Self {
        Self::with(ApiVersion::V2, Options::default())
    }

    /// A service of version 1.
    #[must_use]
    pub fn v1() -> Self {
        Self::with(ApiVersion::V1, Options::default())
    }

    /// A service of version 1 with the dialect of act, and a token of Gitea.
    #[must_use]
    pub fn act() -> Self {
        let options = Options { dialect: Dialect::Act, ..Options::default() };
        Self { token: token(&[("", 2)]), ..Self::with(ApiVersion::V1, options) }
    }

    /// A service of version 2 that uses the numbers of blocks.
    #[must_use]
    pub fn numbered() -> Self {
        Self::with(ApiVersion::V2, Options { dialect: Dialect::Numbered, ..Options::default() })
    }

    /// A service with other options.
    #[must_use]
    pub fn with(api: ApiVersion, mut options: Options) -> Self {
        options.rest_token = Some(REST_TOKEN.to_owned());
        let is_act = options.dialect == Dialect::Act;
        let server = Server::start(options);
        Self { server, api, token: token(&[(MAIN, 3)]), is_act, damaged: Mutex::default() }
    }

    /// The token of its job.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The server, to look at its log and to plan faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The spec for a job with this token, without the REST API, so that every blob is looked up.
    #[must_use]
    pub fn spec_of(&self, token: &str) -> CacheSpec {
        let spec = CacheSpec::new("gha").with("token", token);
        match self.api {
            ApiVersion::V1 => spec.with("version", "1").with("url", self.server.url()),
            ApiVersion::V2 => spec.with("url_v2", self.server.url()),
        }
    }

    /// The configuration for a job with this token, without the REST API, so that every blob is looked up.
    #[must_use]
    pub fn config_of(&self, token: &str) -> GhaConfig {
        self.config_in(token, self.environment())
    }

    /// The configuration in another environment.
    #[must_use]
    pub fn config_in(&self, token: &str, environment: Environment) -> GhaConfig {
        GhaConfig::new(self.api, &self.server.url(), Secret::new(token), environment).expect("a token and a URL")
    }

    /// The configuration of the place, with the REST API, by which blobs are listed.
    #[must_use]
    pub fn config(&self) -> GhaConfig {
        let config = self.config_of(&self.token);
        config.with_repository("octo/repo", Secret::new(REST_TOKEN)).expect("a repository")
    }

    /// The environment of the tests in place of a runner's variables. Without timeouts: paused time jumps ahead while
    /// the tests wait for the network.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let api = format!("{}api/v3", self.server.url());
        let environment = Environment::of(move |name| (name == "GITHUB_API_URL").then(|| api.clone()));
        environment
            .tune(|tuning| tuning.with_timeouts(Timeouts::none()))
            .with_upload_budget(100_000, Duration::from_secs(1))
    }

    fn damage(&self, blob: &Digest) -> String {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(*blob);
        format!("buildkit-blob-1-{blob}")
    }
}

/// A token that is valid for an hour.
#[must_use]
pub fn token(scopes: &[(&str, u64)]) -> String {
    mint(scopes, Duration::from_secs(3_600))
}

/// The spec of a place with the REST API.
fn spec(gha: &Gha) -> CacheSpec {
    gha.spec_of(&gha.token).with("repository", "octo/repo").with("ghtoken", REST_TOKEN)
}

#[async_trait]
impl Harness for Gha {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_gha::Gha::new(self.environment()))
    }

    fn spec(&self) -> CacheSpec {
        spec(self)
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(spec(self).with("scope", "other"))
    }

    fn keeps_form(&self) -> bool {
        false
    }

    fn exception(&self, case: &str) -> Option<&'static str> {
        let is_hidden = self.is_act && case == "a_second_export_of_many_blobs_sends_few_requests";
        let reason =
            "this service hides an index that is written in the second of another, which is written again then";
        if is_hidden { Some(reason) } else { exception(case) }
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.server.signatures();
        secrets.extend([self.token.clone(), REST_TOKEN.to_owned()]);
        secrets.extend(self.token.split('.').skip(1).map(str::to_owned));
        secrets
    }

    fn shown(&self) -> Vec<String> {
        let config = self.config();
        let opened = "the token counts";
        vec![
            format!("{config:?} {:?}", self.environment()),
            format!("{:?}", GhaImporter::new(config.clone()).expect(opened)),
            format!("{:?}", GhaExporter::new(config.clone()).expect(opened)),
            format!("{:?} {:?}", GhaStore::new(config.clone()).expect(opened), GhaProbe::new(config)),
        ]
    }

    fn requests(&self) -> Option<usize> {
        Some(self.server.take_log().len())
    }

    async fn contents(&self) -> Vec<String> {
        self.server.entries(|entries| entries.iter().map(|entry| format!("{} {}", entry.scope, entry.key)).collect())
    }

    /// A reservation cannot be released, so unfinished ones do not count; wrong bytes do.
    async fn leftovers(&self) -> Vec<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.server.entries(|entries| {
            let blobs = entries.iter().filter(|entry| entry.is_ready).filter_map(|entry| {
                let digest: Digest = entry.key.strip_prefix("buildkit-blob-1-")?.parse().ok()?;
                let is_right = entry.bytes.as_ref().is_some_and(|bytes| Digest::sha256(bytes) == digest);
                (!is_right && !damaged.contains(&digest)).then(|| format!("wrong blob {digest}"))
            });
            blobs.collect()
        })
    }

    fn speak(&self, quirk: Quirk) -> bool {
        for plan in plans(quirk, &["actions-cache/", "artifactcache/artifact/"], &Method::GET) {
            self.server.http().plan(plan);
        }
        true
    }

    fn hasty(&self, timeouts: Timeouts) -> Option<Box<dyn CacheBackend>> {
        let environment = self.environment().tune(|tuning| tuning.with_timeouts(timeouts));
        Some(Box::new(cache_gha::Gha::new(environment)))
    }

    async fn lose(&self, blob: &Digest) {
        let key = self.damage(blob);
        self.server.entries(|entries| entries.remove(|entry| entry.key == key));
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        let key = self.damage(blob);
        self.server.entries(|entries| entries.overwrite(&bytes, |entry| entry.key == key));
    }

    fn hostile(&self, how: &Hostility) -> Option<Box<dyn CacheBackend>> {
        hostile::plan(self.server.http(), how, page);
        let environment = self.environment().tune(|tuning| {
            let tuning = tuning.with_bounds(tight_bounds()).with_retry(RetryPolicy::never());
            tuning.with_parts(PartLimits::new(hostile::PART, 4)).with_timeouts(Timeouts::all(TIGHT_IDLE))
        });
        Some(Box::new(cache_gha::Gha::new(environment.with_patience(TIGHT_IDLE))))
    }

    /// Also removes unfinished reservations, so that no writer waits for them.
    fn calm(&self) -> bool {
        self.server.entries(|entries| entries.remove(|entry| !entry.is_ready));
        self.server.http().calm()
    }

    async fn set_modified(&self, blob: &Digest, modified: Timestamp) -> bool {
        let key = format!("buildkit-blob-1-{blob}");
        self.server.entries(|entries| entries.set_created(system_time(modified), |entry| entry.key == key));
        true
    }
}

/// A page of a list, with one entry, that says there are more.
fn page(asked: &Logged, next: hostile::Next) -> Option<Answer> {
    let query = fields(asked.path.split_once('?')?.1);
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let number: u64 = value("page")?.parse().ok()?;
    // Pages have numbers here: the id is found by following `next` from the first page.
    let id = (0..number).fold(None, |token, _| Some(next(token)))?;
    let key = format!("{}{id}", value("key").unwrap_or_default());
    let entry = serde_json::json!({ "id": id, "ref": MAIN, "key": key, "version": VERSION, "size_in_bytes": 2 });
    Some(json(200, &serde_json::json!({ "total_count": 1_000_000, "actions_caches": [entry] }).to_string()))
}

/// The rules that such services cannot keep.
pub(super) fn exception(_case: &str) -> Option<&'static str> {
    None
}
