//! A bucket of a store in a thread of this process.

use std::collections::HashSet;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{CacheBackend, CacheSpec, Digest, Timestamp};
use cache_kit::{PartLimits, RetryPolicy, Timeouts};
use cache_s3::{Credential, Environment, S3Config, S3Exporter, S3Importer, S3Probe, S3Store};

use super::{hostile, plans, system_time, whole};
use crate::harness::{Harness, Hostility, Quirk, TIGHT_IDLE, tight_bounds};
use crate::servers::http::{Answer, Method, fields, full};
use crate::servers::s3::{ACCESS_KEY, BUCKET, Logged, Options, SECRET_KEY, Server};

/// The session token of temporary keys.
const TOKEN: &str = "hush-session-77aa";

/// An empty bucket.
#[derive(Debug)]
pub struct S3 {
    server: Server,
    environment: Environment,
    honours_conditions: bool,
    /// Blobs that a test has damaged on purpose.
    damaged: Mutex<HashSet<Digest>>,
}

impl S3 {
    /// A bucket of a store with all that AWS has.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// A bucket of a store that ignores conditions.
    #[must_use]
    pub fn overwriting() -> Self {
        Self::with(Options { honours_conditions: false, ..Options::default() })
    }

    /// A bucket of a store with other options.
    #[must_use]
    pub fn with(options: Options) -> Self {
        // Without timeouts: paused time jumps ahead while the tests wait for the network.
        let environment = Environment::new().tune(|tuning| tuning.with_timeouts(Timeouts::none()));
        let honours_conditions = options.honours_conditions;
        Self { server: Server::start(options), environment, honours_conditions, damaged: Mutex::default() }
    }

    /// The server, to look at its log and to plan faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The configuration of the place.
    #[must_use]
    pub fn config(&self) -> S3Config {
        S3Config::from_spec(&self.spec(), self.environment.clone()).expect("the spec is valid")
    }

    fn damage(&self, blob: &Digest) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(*blob);
    }

    /// Blobs with wrong bytes, except for damaged ones, and keys of neither blob nor index.
    fn wrong_objects(&self) -> Vec<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wrong = |key: &String| match key.strip_prefix("blobs/").map(str::parse::<Digest>) {
            Some(Ok(digest)) => {
                let bytes = fs::read(self.server.path(key)).unwrap_or_default();
                Digest::sha256(&bytes) != digest && !damaged.contains(&digest)
            }
            Some(Err(_)) => true,
            None => !key.starts_with("manifests/"),
        };
        self.server.keys().into_iter().filter(is_wrong).collect()
    }
}

impl Default for S3 {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for S3 {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_s3::S3::new(self.environment.clone()))
    }

    fn spec(&self) -> CacheSpec {
        CacheSpec::new("s3")
            .with("bucket", BUCKET)
            .with("region", "eu-test-1")
            .with("name", "main")
            .with("endpoint_url", self.server.endpoint())
            .with("use_path_style", "true")
            .with("access_key_id", ACCESS_KEY)
            .with("secret_access_key", SECRET_KEY)
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(self.spec().with("name", "other"))
    }

    fn keeps_form(&self) -> bool {
        false
    }

    fn exception(&self, case: &str) -> Option<&'static str> {
        let is_lost = !self.honours_conditions && case == "one_of_many_conditional_commits_wins";
        is_lost.then_some("this store has no conditional writes: of writers that meet, several may win")
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET_KEY.to_owned(), TOKEN.to_owned()]
    }

    fn shown(&self) -> Vec<String> {
        let credential = Credential::new(ACCESS_KEY, SECRET_KEY).with_session_token(TOKEN);
        let config = self.config();
        vec![
            format!("{credential:?} {:?} {config:?}", Environment::new().with_credential(credential.clone())),
            format!("{:?} {:?}", S3Importer::new(config.clone()), S3Exporter::new(config.clone())),
            format!("{:?} {:?}", S3Store::new(config.clone()), S3Probe::new(config)),
        ]
    }

    fn requests(&self) -> Option<usize> {
        Some(self.server.take_log().len())
    }

    async fn contents(&self) -> Vec<String> {
        self.server.keys()
    }

    /// Waits, since dropped work takes a moment to end.
    async fn leftovers(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.server.uploads().keys().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut leftovers = self.server.uploads().keys();
        leftovers.extend(self.wrong_objects());
        leftovers
    }

    async fn lose(&self, blob: &Digest) {
        self.damage(blob);
        self.server.lose(blob);
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        self.damage(blob);
        fs::write(self.server.path(&format!("blobs/{blob}")), bytes).expect("the object can be written");
    }

    fn hostile(&self, how: &Hostility) -> Option<Box<dyn CacheBackend>> {
        hostile::plan(self.server.http(), how, page);
        let environment = Environment::new().tune(|tuning| {
            let tuning = tuning.with_bounds(tight_bounds()).with_retry(RetryPolicy::never());
            tuning.with_parts(PartLimits::new(hostile::PART, 4)).with_timeouts(Timeouts::all(TIGHT_IDLE))
        });
        Some(Box::new(cache_s3::S3::new(environment)))
    }

    fn speak(&self, quirk: Quirk) -> bool {
        if quirk == Quirk::NoRanges {
            let bytes = |key: &String| fs::read(self.server.path(key)).unwrap_or_default().into();
            self.server
                .http()
                .script(whole(self.server.keys().into_iter().map(|key| (key.clone(), bytes(&key))).collect()));
            return true;
        }
        for plan in plans(quirk, &["/blobs/", "/manifests/"], &Method::HEAD) {
            self.server.http().plan(plan);
        }
        true
    }

    fn hasty(&self, timeouts: Timeouts) -> Option<Box<dyn CacheBackend>> {
        let environment = Environment::new().tune(|tuning| tuning.with_timeouts(timeouts));
        Some(Box::new(cache_s3::S3::new(environment)))
    }

    /// Also removes objects of a probe that could not be deleted.
    fn calm(&self) -> bool {
        let of_probes = self.server.keys().into_iter().filter(|key| key.starts_with("blobs/buildcache-"));
        of_probes.for_each(|key| fs::remove_file(self.server.path(&key)).expect("it is listed"));
        self.server.http().calm()
    }

    async fn set_modified(&self, blob: &Digest, modified: Timestamp) -> bool {
        self.server.set_modified(&format!("blobs/{blob}"), system_time(modified));
        true
    }
}

/// A page of a list, with one object and the token of the next page.
fn page(asked: &Logged, next: hostile::Next) -> Option<Answer> {
    let query = fields(asked.path.split_once('?')?.1);
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    value("list-type")?;
    let next = next(value("continuation-token").and_then(|token| token.parse().ok()));
    let key = format!("{}{next}", value("prefix").unwrap_or_default());
    let xml = format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>\
         <Contents><Key>{key}</Key><LastModified>2026-03-01T10:00:00Z</LastModified><ETag>x</ETag><Size>2</Size></Contents>\
         </ListBucketResult>"
    );
    Some(full(200, "application/xml", xml.into()))
}
