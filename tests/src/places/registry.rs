//! A registry with a token server, in a thread of this process.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::ImageStore;
use cache_core::{CacheBackend, CacheSpec, Digest};
use cache_kit::{RetryPolicy, Timeouts};
use cache_registry::{
    Credential, Environment, RegistryConfig, RegistryExporter, RegistryImage, RegistryImporter, RegistryStore,
};

use super::{hostile, plans};
use crate::harness::{Harness, Hostility, Quirk, TIGHT_IDLE, tight_bounds};
use crate::servers::http::{Answer, Method, fields, json};
use crate::servers::registry::{Access, Account, Logged, Options, SIGNATURE, Server};

const PASSWORD: &str = "swordfish-3f9a";

/// An empty registry that requires a login.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    account: Account,
    /// Blobs that a test has damaged on purpose.
    damaged: Mutex<HashSet<Digest>>,
}

impl Registry {
    /// A registry with everything in the specification.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// A registry with other options.
    #[must_use]
    pub fn with(options: Options) -> Self {
        let account = Account::new("tester", PASSWORD);
        Self::behind(Access::Token(account.clone()), account, options)
    }

    /// A registry with another kind of login, for this account.
    #[must_use]
    pub fn behind(access: Access, account: Account, options: Options) -> Self {
        Self { server: Server::start(access, options), account, damaged: Mutex::default() }
    }

    /// The server, to look at its log and to plan faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Credentials for it, and no timeouts: paused time jumps ahead while the tests wait for the network.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let credential = Credential::password(&self.account.name, &self.account.password);
        Environment::new().with_credential(credential).tune(|tuning| tuning.with_timeouts(Timeouts::none()))
    }

    /// The configuration of the place.
    #[must_use]
    pub fn config(&self) -> RegistryConfig {
        self.config_of("team/cache:main", self.environment())
    }

    /// The configuration of another place in it.
    #[must_use]
    pub fn config_of(&self, path: &str, environment: Environment) -> RegistryConfig {
        RegistryConfig::new(&format!("{}/{path}", self.server.host()), environment).expect("a reference")
    }

    fn damage(&self, blob: &Digest) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(*blob);
    }

    /// Blobs with wrong bytes, except for damaged ones.
    fn wrong_blobs(&self) -> Vec<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        self.server.stored(|stored| {
            let blobs = stored.repositories.values().flat_map(|repository| &repository.blobs);
            let wrong = blobs.filter(|(digest, bytes)| Digest::sha256(bytes) != **digest && !damaged.contains(digest));
            wrong.map(|(digest, _)| format!("wrong blob {digest}")).collect()
        })
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for Registry {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_registry::Registry::new(self.environment()))
    }

    fn spec(&self) -> CacheSpec {
        CacheSpec::new("registry").with("ref", format!("{}/team/cache:main", self.server.host()))
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(self.spec().with("ref", format!("{}/team/cache:other", self.server.host())))
    }

    async fn image(&self) -> Option<Box<dyn ImageStore>> {
        Some(Box::new(RegistryImage::new(self.config_of("team/image:main", self.environment()))))
    }

    fn keeps_form(&self) -> bool {
        true
    }

    fn exception(&self, case: &str) -> Option<&'static str> {
        exception(case)
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.server.tokens();
        secrets.extend([self.account.password.clone(), self.account.identity.clone(), SIGNATURE.to_owned()]);
        secrets
    }

    fn shown(&self) -> Vec<String> {
        let config = self.config();
        vec![
            format!("{config:?} {:?}", self.environment()),
            format!("{:?}", RegistryImporter::new(config.clone())),
            format!("{:?}", RegistryExporter::new(config.clone())),
            format!("{:?}", RegistryStore::new(config)),
        ]
    }

    fn requests(&self) -> Option<usize> {
        Some(self.server.take_log().len())
    }

    async fn contents(&self) -> Vec<String> {
        self.server.stored(|stored| stored.contents())
    }

    /// Waits, since a cancelled upload takes a moment to disappear.
    async fn leftovers(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.server.stored(|stored| stored.open_uploads()).is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut leftovers = self.server.stored(|stored| stored.open_uploads());
        leftovers.extend(self.wrong_blobs());
        leftovers
    }

    fn speak(&self, quirk: Quirk) -> bool {
        // Blobs are not sent in parts.
        if quirk == Quirk::LosesParts {
            return false;
        }
        for plan in plans(quirk, &["/blobs/", "/manifests/"], &Method::HEAD) {
            self.server.http().plan(plan);
        }
        true
    }

    fn hasty(&self, timeouts: Timeouts) -> Option<Box<dyn CacheBackend>> {
        let environment = self.environment().tune(|tuning| tuning.with_timeouts(timeouts));
        Some(Box::new(cache_registry::Registry::new(environment)))
    }

    async fn lose(&self, blob: &Digest) {
        self.damage(blob);
        self.server.stored(|stored| stored.lose(blob));
    }

    fn hostile(&self, how: &Hostility) -> Option<Box<dyn CacheBackend>> {
        hostile::plan(self.server.http(), how, page);
        let environment = self.environment().tune(|tuning| {
            let tuning = tuning.with_bounds(tight_bounds()).with_retry(RetryPolicy::never());
            tuning.with_timeouts(Timeouts::all(TIGHT_IDLE))
        });
        Some(Box::new(cache_registry::Registry::new(environment)))
    }

    /// Also removes uploads that could not be cancelled.
    fn calm(&self) -> bool {
        let is_done = self.server.http().calm();
        self.server.stored(crate::servers::registry::Stored::forget_uploads);
        is_done
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        self.damage(blob);
        self.server.stored(|stored| stored.overwrite(blob, &bytes));
    }
}

/// A page of tags, with one tag and the link to the next page.
fn page(asked: &Logged, next: hostile::Next) -> Option<Answer> {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let repository = path.strip_prefix("/v2/")?.strip_suffix("/tags/list")?;
    let last = fields(query).into_iter().find(|(key, _)| key == "last").and_then(|(_, last)| last.parse().ok());
    let next = next(last);
    let mut answer = json(200, &serde_json::json!({ "name": repository, "tags": [next.to_string()] }).to_string());
    answer.headers_mut().insert("link", format!("<{path}?last={next}>; rel=\"next\"").parse().expect("a header"));
    Some(answer)
}

/// The rules that registries cannot keep.
pub(super) fn exception(case: &str) -> Option<&'static str> {
    match case {
        "one_of_many_conditional_commits_wins" => {
            Some("a registry has no conditional writes: of writers that meet, several may win")
        }
        "a_foreign_token_server_gets_no_secret" => {
            Some("a registry names its token server itself, by its own challenge")
        }
        "a_store_of_nothing_lists_nothing_and_creates_nothing"
        | "a_store_lists_every_blob"
        | "delete_blob_is_conditional"
        | "deleting_many_blobs_returns_an_outcome_for_each" => Some("a registry cannot list its blobs"),
        _ => None,
    }
}
