//! [`S3Probe`]: tests what a store can do, with tiny objects at keys of its own.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::{CacheProbe, Diagnosis, Outcome, Publishing};
use cache_core::{CacheSpec, Digest, Error, ErrorKind, Result};
use cache_kit::Reach;
use futures_util::stream::TryStreamExt;

use crate::client::{Client, Condition};
use crate::conditional::{throw_away_key, try_out};
use crate::exporter::SETTLE_TIME;
use crate::keys::UNUSUAL;
use crate::{KIND, S3Config, error, listing, names, parts};

const SAMPLE: Bytes = Bytes::from_static(b"buildcache doctor");
const NOT_READ: &str = "not tried: the bucket cannot be read";
const NOT_WRITTEN: &str = "not tried: nothing can be written";

/// The bucket to probe.
///
/// The probe writes to keys that begin with `buildcache-` below the prefix of blobs, which no cache reads, and deletes
/// them. It sends about 100 bytes in 20 requests.
pub struct S3Probe {
    client: Client,
}

impl S3Probe {
    /// A probe of the bucket of `config`; nothing is sent before [`diagnose`](CacheProbe::diagnose).
    #[must_use]
    pub fn new(config: S3Config) -> Self {
        Self { client: Client::new(config) }
    }

    /// Looks for an index that cannot be there.
    async fn read(&self) -> Result<()> {
        let key = throw_away_key(&self.client, "doctor-absent");
        match self.client.retrying(|| self.client.read(&key, 1 << 10)).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                Err(self.client.with_context(error::new(ErrorKind::Unsupported, "the store answers anything"), &key))
            }
            Err(error) => Err(error),
        }
    }

    async fn write(&self, key: &str) -> Result<()> {
        let digest = Digest::sha256(&SAMPLE);
        let put = || self.client.put(key, SAMPLE, &digest, Condition::None);
        self.client.retrying(put).await?;
        match self.client.retrying(|| self.client.read(key, 1 << 10)).await? {
            Some((bytes, _)) if bytes == SAMPLE => Ok(()),
            _ => Err(self.wrong("what was written is not what is read", key)),
        }
    }

    async fn range(&self, key: &str) -> Result<()> {
        let answer = self.client.retrying(|| self.client.open(key, Some(1..4))).await?;
        let read: Vec<Bytes> = answer.body.try_collect().await.map_err(|error| self.client.with_context(error, key))?;
        if read.concat() == SAMPLE[1..4] { Ok(()) } else { Err(self.wrong("the store sent another range", key)) }
    }

    async fn conditions(&self) -> Result<()> {
        if try_out(&self.client).await? {
            return Ok(());
        }
        Err(error::new(ErrorKind::Unsupported, "the store overwrites whatever the condition"))
    }

    async fn copy(&self, key: &str) -> Result<()> {
        let head = || self.client.head(key);
        let Some(before) = self.client.retrying(head).await? else { return Err(self.wrong("the object is gone", key)) };
        self.client.retrying(|| self.client.renew(key, &before)).await?;
        let after = self.client.retrying(head).await?;
        let is_same = after.is_some_and(|after| after.size == before.size && after.modified >= before.modified);
        if is_same { Ok(()) } else { Err(self.wrong("the copy is another object", key)) }
    }

    async fn multipart(&self, key: &str) -> Result<()> {
        let client = &self.client;
        let upload = client.retrying(|| client.begin(key, None)).await?;
        let sent = match client.retrying(|| client.part(key, &upload, 1, SAMPLE)).await {
            Ok(tag) => parts::complete(client, key, &upload, &[tag], SAMPLE.len() as u64, None).await,
            Err(error) => Err(error),
        };
        if sent.is_err() {
            // The first error is the one to tell.
            let _ = parts::abort(client, key, &upload).await;
        }
        sent
    }

    /// How large blobs are written: in parts, or else in one request each.
    async fn uploads(&self, key: &str, found: &mut Diagnosis) {
        let sent = self.multipart(key).await;
        if !sent.as_ref().is_err_and(parts::is_about_parts) {
            found.record(
                "multipart",
                sent,
                "blobs of more than 8 MiB cannot be written: ask for the rights of uploads in parts",
            );
            return;
        }
        found.record("multipart", sent, "buildcache sends each blob in one request here, which S3 takes up to 5 GiB");
        let stream = cache_core::seams::stream_of(SAMPLE);
        let whole = self.client.put_stream(key, stream, SAMPLE.len() as u64).await;
        found.record("single-upload", whole, "blobs of more than 8 MiB cannot be written");
    }

    async fn list(&self, key: &str) -> Result<()> {
        let listed = listing::list(&self.client, &BTreeSet::from([key.to_owned()]), Reach::Whole).await?;
        if listed.found.contains_key(key) { Ok(()) } else { Err(self.wrong("the list lacks what was written", key)) }
    }

    /// Deletes both objects, in one request if the store supports that; notes those that stay.
    async fn clean_up(&self, keys: &[String], found: &mut Diagnosis) {
        let batch = match self.client.retrying(|| self.client.delete_all(keys)).await {
            Ok(failed) => failed.into_values().next().map_or(Ok(()), Err),
            Err(error) => Err(error),
        };
        found.record("batch-delete", batch, "`prune` deletes one by one here");
        let mut deleted = Ok(());
        for key in keys {
            deleted = deleted.and(self.client.retrying(|| self.client.delete(key, None)).await);
            if !matches!(self.client.retrying(|| self.client.head(key)).await, Ok(None)) {
                found.leftovers.push(format!("object {key}: delete it where the store lets you"));
            }
        }
        found.record("delete", deleted, "`rm` and `prune` cannot work here: set a lifecycle rule at the store");
    }

    fn wrong(&self, message: &str, key: &str) -> Error {
        self.client.with_context(error::new(ErrorKind::Unsupported, message), key)
    }

    /// The place without its secrets, with what this store needs from BuildKit.
    fn recommended(&self, found: &Diagnosis) -> CacheSpec {
        let (config, defaults) = (self.client.config(), crate::keys::Keys::default());
        let mut spec = CacheSpec::new(KIND).with("bucket", config.bucket()).with("region", config.region());
        let keys = config.keys();
        let prefixes = [
            ("prefix", &keys.prefix, &defaults.prefix),
            ("manifests_prefix", &keys.manifests_prefix, &defaults.manifests_prefix),
            ("blobs_prefix", &keys.blobs_prefix, &defaults.blobs_prefix),
        ];
        for (name, value, default) in prefixes {
            spec = if value == default { spec } else { spec.with(name, value) };
        }
        let names: Vec<&str> = [config.first_name()].into_iter().chain(config.other_names()).collect();
        spec = spec.with("name", names.join(";"));
        if let Some(endpoint) = config.endpoint() {
            spec = spec
                .with("endpoint_url", endpoint.to_string())
                .with("use_path_style", config.is_path_style().to_string());
            // A proxy that changes `Accept-Encoding` breaks the signature of Go's SDK.
            spec = spec.with("disable_accept_encoding", "true");
        }
        // BuildKit's export fails when a blob is old and cannot be copied.
        if found.works("refresh") { spec } else { spec.with("touch_refresh", "87600h") }
    }
}

#[async_trait]
impl CacheProbe for S3Probe {
    async fn diagnose(&self) -> Result<Diagnosis> {
        let mut found = Diagnosis::default();
        let read = match self.read().await {
            Err(error) if !is_about_rights(error.kind()) => return Err(error),
            read => Outcome::from(read),
        };
        let rest =
            ["write", "range-read", "conditional-write", "multipart", "refresh", "list", "batch-delete", "delete"];
        if !found.record("read", read, "check the credentials, and the rights s3:GetObject and s3:ListBucket") {
            rest.into_iter().for_each(|name| found.skip(name, NOT_READ));
            return Ok(found);
        }
        let keys = ["doctor-small", "doctor-parts"].map(|purpose| throw_away_key(&self.client, purpose));
        let [small, large] = &keys;
        let advice = "without this nothing can be written: ask for the right s3:PutObject";
        if !found.record("write", self.write(small).await, advice) {
            // It may be there, and not be readable.
            let _ = self.client.retrying(|| self.client.delete(small, None)).await;
            rest.into_iter().skip(1).for_each(|name| found.skip(name, NOT_WRITTEN));
            return Ok(found);
        }
        let advice = "a download that breaks starts again from its first byte";
        found.record("range-read", self.range(small).await, advice);
        let advice = "of merges without --publish that meet, several may be told that they have won";
        let is_conditional = found.record("conditional-write", self.conditions().await, advice);
        self.uploads(large, &mut found).await;
        let advice = "buildcache sends old blobs again; BuildKit's exports fail on them";
        found.record("refresh", self.copy(small).await, advice);
        let advice = if names::has_unusual(self.client.config().keys()) {
            UNUSUAL
        } else {
            "`ls`, `du` and `prune` cannot work here: ask for the right s3:ListBucket"
        };
        found.record("list", self.list(small).await, advice);
        self.clean_up(&keys, &mut found).await;
        found.publishing = Some(match (is_conditional, found.works("list")) {
            (true, _) => Publishing::Conditional,
            (false, true) => Publishing::Contributions { removes: found.works("delete") },
            (false, false) => Publishing::Timed(SETTLE_TIME),
        });
        let writes_large = found.works("multipart") || found.works("single-upload");
        found.recommended = writes_large.then(|| self.recommended(&found));
        Ok(found)
    }
}

fn is_about_rights(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
}

impl fmt::Debug for S3Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Probe").field("config", self.client.config()).finish_non_exhaustive()
    }
}
