//! A storage account in a thread of this process.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_azblob::{AzblobConfig, AzblobExporter, AzblobImporter, AzblobStore, Environment};
use cache_core::{CacheBackend, CacheSpec, Digest, Timestamp};
use cache_kit::{PartLimits, RetryPolicy, Timeouts};

use super::{hostile, plans, system_time, whole};
use crate::base64::base64;
use crate::harness::{Harness, Hostility, Quirk, TIGHT_IDLE, tight_bounds};
use crate::servers::azblob::{ACCOUNT, KEY, Logged, Options, SIGNATURE, Server};
use crate::servers::http::{Answer, Method, fields, full};

/// An empty account that requires its key.
#[derive(Debug)]
pub struct Azblob {
    server: Server,
    /// Blobs that a test has damaged on purpose.
    damaged: Mutex<HashSet<Digest>>,
}

impl Azblob {
    /// An account that can do everything.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// An account with other options.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self { server: Server::start(options), damaged: Mutex::default() }
    }

    /// The server, to look at its log and to plan faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Without timeouts: paused time jumps ahead while the tests wait for the network.
    #[must_use]
    pub fn environment() -> Environment {
        Environment::new().tune(|tuning| tuning.with_timeouts(Timeouts::none()))
    }

    /// The configuration of the place.
    ///
    /// # Panics
    /// If the spec is invalid.
    #[must_use]
    pub fn config(&self) -> AzblobConfig {
        self.config_of(&self.spec())
    }

    /// The configuration of another spec.
    ///
    /// # Panics
    /// If the spec is invalid.
    #[must_use]
    pub fn config_of(&self, spec: &CacheSpec) -> AzblobConfig {
        AzblobConfig::from_spec(spec, Self::environment()).expect("a spec")
    }

    /// A spec with a signature in its URL instead of the key.
    #[must_use]
    pub fn signed_spec(&self) -> CacheSpec {
        let signature = SIGNATURE.replace('+', "%2B").replace('=', "%3D");
        CacheSpec::new("azblob").with("account_url", format!("{}?sv=2024-11-04&sig={signature}", self.server.url()))
    }

    fn damage(&self, blob: &Digest) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(*blob);
    }

    /// Blobs with wrong bytes, except for damaged ones.
    fn wrong_blobs(&self) -> Vec<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        self.server.stored(|stored| {
            let named = stored
                .blobs()
                .filter_map(|(_, name, blob)| Some((name.rsplit('/').next()?.parse::<Digest>().ok()?, blob)));
            let wrong =
                named.filter(|(digest, blob)| Digest::sha256(&blob.bytes) != *digest && !damaged.contains(digest));
            wrong.map(|(digest, _)| format!("wrong blob {digest}")).collect()
        })
    }
}

impl Default for Azblob {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for Azblob {
    fn backend(&self) -> Box<dyn CacheBackend> {
        Box::new(cache_azblob::Azblob::new(Self::environment()))
    }

    fn spec(&self) -> CacheSpec {
        CacheSpec::new("azblob")
            .with("account_url", self.server.url())
            .with("account_name", ACCOUNT)
            .with("secret_access_key", base64(KEY))
            .with("name", "main")
    }

    fn other_spec(&self) -> Option<CacheSpec> {
        Some(self.spec().with("name", "other"))
    }

    fn keeps_form(&self) -> bool {
        false
    }

    fn exception(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn secrets(&self) -> Vec<String> {
        vec![base64(KEY), String::from_utf8_lossy(KEY).into_owned(), SIGNATURE.to_owned()]
    }

    fn shown(&self) -> Vec<String> {
        let mut shown = Vec::new();
        for config in [self.config(), self.config_of(&self.signed_spec())] {
            shown.push(format!(
                "{config:?} {:?}",
                Self::environment().with_variable("AZURE_CLIENT_SECRET", base64(KEY))
            ));
            shown.push(format!("{:?}", AzblobImporter::new(config.clone()).expect("it opens")));
            shown.push(format!("{:?}", AzblobExporter::new(config.clone()).expect("it opens")));
            shown.push(format!("{:?}", AzblobStore::new(config).expect("it opens")));
        }
        shown
    }

    fn requests(&self) -> Option<usize> {
        Some(self.server.take_log().len())
    }

    async fn contents(&self) -> Vec<String> {
        self.server.stored(|stored| stored.contents())
    }

    /// Uncommitted blocks do not count: the service drops them when the blob is written, or after a week.
    async fn leftovers(&self) -> Vec<String> {
        self.wrong_blobs()
    }

    async fn lose(&self, blob: &Digest) {
        self.damage(blob);
        let name = format!("blobs/{blob}");
        self.server.stored(|stored| stored.containers.values_mut().for_each(|held| drop(held.blobs.remove(&name))));
    }

    async fn overwrite(&self, blob: &Digest, bytes: Bytes) {
        self.damage(blob);
        let name = format!("blobs/{blob}");
        self.server.stored(|stored| stored.put("buildkit-cache", &name, bytes));
    }

    fn hostile(&self, how: &Hostility) -> Option<Box<dyn CacheBackend>> {
        hostile::plan(self.server.http(), how, page);
        let environment = Environment::new().tune(|tuning| {
            let tuning = tuning.with_bounds(tight_bounds()).with_retry(RetryPolicy::never());
            tuning.with_parts(PartLimits::new(hostile::PART, 4)).with_timeouts(Timeouts::all(TIGHT_IDLE))
        });
        Some(Box::new(cache_azblob::Azblob::new(environment)))
    }

    fn speak(&self, quirk: Quirk) -> bool {
        if quirk == Quirk::NoRanges {
            let blobs = self.server.stored(|stored| {
                let blobs = stored.containers.values().flat_map(|container| &container.blobs);
                blobs.map(|(key, blob)| (key.clone(), blob.bytes.clone())).collect()
            });
            self.server.http().script(whole(blobs));
            return true;
        }
        for plan in plans(quirk, &["/blobs%2F", "/manifests%2F"], &Method::HEAD) {
            self.server.http().plan(plan);
        }
        true
    }

    fn hasty(&self, timeouts: Timeouts) -> Option<Box<dyn CacheBackend>> {
        let environment = Environment::new().tune(|tuning| tuning.with_timeouts(timeouts));
        Some(Box::new(cache_azblob::Azblob::new(environment)))
    }

    fn calm(&self) -> bool {
        self.server.http().calm()
    }

    async fn set_modified(&self, blob: &Digest, modified: Timestamp) -> bool {
        let name = format!("blobs/{blob}");
        self.server.stored(|stored| stored.set_modified(&name, system_time(modified)));
        true
    }
}

/// A page of a list, with one blob and the marker of the next page.
fn page(asked: &Logged, next: hostile::Next) -> Option<Answer> {
    let query = fields(asked.path.split_once('?')?.1);
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    value("comp").filter(|comp| *comp == "list")?;
    let next = next(value("marker").and_then(|marker| marker.parse().ok()));
    let key = format!("{}/{next}", value("prefix").unwrap_or_default());
    let xml = format!(
        "<?xml version=\"1.0\"?><EnumerationResults><Blobs><Blob><Name>{key}</Name><Properties><Etag>x</Etag>\
         <Content-Length>2</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob></Blobs>\
         <NextMarker>{next}</NextMarker></EnumerationResults>"
    );
    Some(full(200, "application/xml", xml.into()))
}
