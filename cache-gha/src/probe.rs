//! [`GhaProbe`]: tests what a token may do, with one small entry of its own.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::model::random_number;
use cache_core::seams::{CacheProbe, Deleted, Diagnosis, Outcome, Publishing};
use cache_core::{CacheSpec, ErrorKind, Result};

use crate::config::ApiVersion;
use crate::rest::Rest;
use crate::saving::{Saved, save_bytes};
use crate::session::Session;
use crate::signed::Entry;
use crate::{GhaConfig, KIND, error};

const CONTENT: &[u8] = b"buildcache-doctor";
const NOT_WRITTEN: &str = "not tried: no entry can be written";
const NO_REST: &str = "not tried: repository and ghtoken are not given";

/// The cache service to probe.
///
/// The probe writes one entry, `buildcache-doctor-<random>`, and reads it. It deletes the entry if the spec has
/// `repository` and `ghtoken`. Otherwise the service deletes it when it is old: GitHub and act delete entries that were
/// unused for seven days.
pub struct GhaProbe(GhaConfig);

impl GhaProbe {
    /// A probe of the service of `config`; nothing is sent before [`diagnose`](CacheProbe::diagnose).
    #[must_use]
    pub fn new(config: GhaConfig) -> Self {
        Self(config)
    }

    /// Without tokens: a workflow's own action has those.
    fn recommended(&self) -> Result<CacheSpec> {
        let version = match self.0.endpoint()?.api {
            ApiVersion::V1 => "1",
            ApiVersion::V2 => "2",
        };
        let spec = CacheSpec::new(KIND).with("scope", self.0.scope());
        Ok(spec.with("mode", "max").with("version", version))
    }
}

async fn write(session: &Arc<Session>, key: &str) -> Result<()> {
    session.written_scope()?;
    match save_bytes(session, key, Bytes::from_static(CONTENT)).await? {
        Saved::Done => session.doubles(key).await.map(drop),
        Saved::Taken => Err(error::new(ErrorKind::Conflict, "an entry of the probe is there already")),
    }
}

async fn read(session: &Arc<Session>, key: &str) -> Result<()> {
    let entry = Entry::new(Arc::clone(session), key.to_owned(), "cannot read the entry");
    let bytes = entry.document(CONTENT.len() as u64).await?;
    if bytes == CONTENT { Ok(()) } else { Err(error::new(ErrorKind::DigestMismatch, "the entry holds other bytes")) }
}

/// Lists what the probe wrote.
async fn list(session: &Session, rest: &Rest, key: &str) -> Result<()> {
    let found = rest.list(key, None, session.config().retry()).await?;
    let message = "the list does not hold the entry";
    if found.is_empty() { Err(error::new(ErrorKind::NotFound, message)) } else { Ok(()) }
}

async fn delete(session: &Session, rest: &Rest, key: &str) -> Result<()> {
    let scope = session.written_scope()?;
    match session.retrying(|| rest.delete_key(key, scope)).await? {
        Deleted::Removed => Ok(()),
        Deleted::Absent => Err(error::new(ErrorKind::NotFound, "the entry to delete is not there")),
    }
}

#[async_trait]
impl CacheProbe for GhaProbe {
    async fn diagnose(&self) -> Result<Diagnosis> {
        let session = Arc::new(Session::open(self.0.clone())?);
        let key = format!("buildcache-doctor-{:016x}", random_number());
        let mut found = Diagnosis::default();
        let looked = match session.lookup(&key).await {
            Err(error) if !is_about_rights(error.kind()) => return Err(error),
            looked => Outcome::from(looked.map(drop)),
        };
        found.record("lookup", looked, "without this no cache can be imported: use the token of a running job");
        if found.record("write", write(&session, &key).await, error::READ_ONLY) {
            found.record("read", read(&session, &key).await, "entries can be written but not read back");
        } else {
            found.skip("read", NOT_WRITTEN);
        }
        let is_written = found.works("write");
        match session.rest() {
            Some(rest) if is_written => {
                let advice = "exports look up every blob, and `ls` and `du` cannot work: give ghtoken actions: read";
                found.record("list", list(&session, rest, &key).await, advice);
                let advice = "`rm` and `prune` cannot work: give ghtoken actions: write";
                found.record("delete", delete(&session, rest, &key).await, advice);
            }
            rest => {
                let why = if rest.is_some() { NOT_WRITTEN } else { NO_REST };
                ["list", "delete"].into_iter().for_each(|name| found.skip(name, why));
            }
        }
        if is_written && !found.works("delete") {
            let until = "until the service deletes it: GitHub and act do so after 7 days without use";
            found.leftovers.push(format!("entry {key} of {} bytes, {until}", CONTENT.len()));
        }
        if is_written {
            found.recommended = Some(self.recommended()?);
            found.publishing = Some(session.settles_in().map_or(Publishing::Conditional, Publishing::Timed));
            found.notes.push("the cache is written for one branch and seen by those that start from it".to_owned());
        }
        Ok(found)
    }
}

fn is_about_rights(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
}

impl fmt::Debug for GhaProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GhaProbe").field("config", &self.0).finish_non_exhaustive()
    }
}
