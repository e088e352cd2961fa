//! [`RegistryProbe`]: tests what a registry can do, with a tiny cache under a tag of its own.

mod artefacts;
mod requests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::manifest::{Document, ManifestForm};
use cache_core::seams::{CacheProbe, Diagnosis, Outcome, Publishing};
use cache_core::{CacheSpec, Digest, ErrorKind, Result};

use self::artefacts::Artefacts;
use crate::auth::Scopes;
use crate::client::Client;
use crate::exporter::{RegistryExporter, SETTLE_TIME};
use crate::{KIND, RegistryConfig};

/// In order of preference.
const FORMS: [ManifestForm; 3] = [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList];

const NOT_READ: &str = "not tried: the repository cannot be read";
const NOT_PUSHED: &str = "not tried: no blob can be pushed";
const NOT_WRITTEN: &str = "not tried: no manifest can be written";

/// The repository to probe.
///
/// The probe writes to one tag, `buildcache-doctor-<random>`, and does not use the tag in its configuration. It sends
/// about 6 KiB in 33 requests. At the end it deletes its manifests by their digests, and its blobs if the registry can;
/// the [`Diagnosis`] lists what could not be deleted.
pub struct RegistryProbe {
    client: Arc<Client>,
    exporter: RegistryExporter,
    scopes: Scopes,
}

impl RegistryProbe {
    /// A probe of the repository of `config`; nothing is sent before [`diagnose`](CacheProbe::diagnose).
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        let scopes = Scopes::push(config.parsed().repository());
        let client = Arc::new(Client::new(config));
        Self { exporter: RegistryExporter::over(Arc::clone(&client)), client, scopes }
    }

    fn repository(&self) -> &str {
        self.client.config().parsed().repository()
    }

    /// Sends blobs in every way; returns whether one works.
    async fn try_blobs(&self, artefacts: &Artefacts, found: &mut Diagnosis) -> bool {
        let Artefacts { layer, chunked, posted, .. } = artefacts;
        let config = artefacts.encode(ManifestForm::Index).config;
        let mut pushed = self.client.retrying(|| self.exporter.put_blob(layer)).await;
        if pushed.is_ok() {
            pushed = self.client.retrying(|| self.exporter.put_blob(&config)).await;
        }
        let advice = "without this nothing can be written: ask for the right to push to the repository";
        if !found.record("blob-push", pushed, advice) {
            ["single-post", "chunked-upload", "range-read", "mount"]
                .into_iter()
                .for_each(|name| found.skip(name, NOT_PUSHED));
            return false;
        }
        let sent = self.client.retrying(|| self.post(posted)).await;
        found.record("single-post", sent, "each small blob takes two requests instead of one");
        let sent = self.client.retrying(|| self.upload_in_chunks(chunked)).await;
        found.record("chunked-upload", sent, "BuildKit and buildcache do not need it");
        let read = self.client.retrying(|| self.read_a_part(layer)).await;
        found.record("range-read", read, "a download that breaks starts again from its first byte");
        let mounted = self.client.retrying(|| self.mount(&layer.descriptor)).await;
        found.record("mount", mounted, "a blob that another repository has is uploaded again");
        true
    }

    /// Writes the cache in each form, and returns those that the registry accepted.
    async fn try_forms(&self, artefacts: &Artefacts, found: &mut Diagnosis) -> Vec<Digest> {
        let mut written = Vec::new();
        for form in FORMS {
            let manifest = artefacts.encode(form).manifest;
            let tried = self.write_manifest(&artefacts.tag, &manifest).await;
            // A manifest that is read back changed was written too.
            let is_there = tried.is_ok() || self.is_left(&manifest.descriptor.digest.to_string()).await;
            written.extend(is_there.then_some(manifest.descriptor.digest));
            found.record(form.name(), tried, advice_without(form));
        }
        written
    }

    async fn try_lists(&self, written: &[Digest], found: &mut Diagnosis) {
        let Some(manifest) = written.first() else {
            ["tag-list", "referrers"].into_iter().for_each(|name| found.skip(name, NOT_WRITTEN));
            return;
        };
        let listed = self.client.retrying(|| self.list_tags()).await;
        found.record("tag-list", listed, "`ls`, `du`, `prune` and `copy --all` cannot work here");
        let listed = self.client.retrying(|| self.list_referrers(manifest)).await;
        found.record("referrers", listed, "signatures and attestations are stored under separate tags instead");
    }

    /// Deletes everything again.
    async fn clean_up(&self, artefacts: &Artefacts, written: &[Digest], found: &mut Diagnosis) {
        let mut deleted = Ok(());
        for digest in written {
            let path = format!("manifests/{digest}");
            deleted = deleted.and(self.client.retrying(|| self.delete(&path)).await);
        }
        if written.is_empty() {
            found.skip("delete", NOT_WRITTEN);
        } else {
            found.record("delete", deleted, "`rm` and `prune` cannot work here: set a retention rule at the registry");
            if self.is_tag_left(&artefacts.tag).await {
                found.leftovers.push(format!("tag {}: delete it where the registry lets you", artefacts.tag));
                return;
            }
        }
        let (count, bytes) = self.delete_blobs(artefacts).await;
        if count > 0 {
            let left = format!("{count} blobs, {bytes} bytes, until the registry's own garbage collection");
            found.leftovers.push(left);
        }
    }

    async fn is_tag_left(&self, tag: &str) -> bool {
        if !self.is_left(tag).await {
            return false;
        }
        // Some registries keep a tag whose manifest is gone, or delete tags and no manifests.
        let path = format!("manifests/{tag}");
        let _ = self.client.retrying(|| self.delete(&path)).await;
        self.is_left(tag).await
    }

    /// Deletes the blobs one by one, which not every registry does; counts those that stay, and their bytes.
    async fn delete_blobs(&self, artefacts: &Artefacts) -> (usize, u64) {
        let config = artefacts.encode(ManifestForm::Index).config;
        let Artefacts { layer, chunked, posted, .. } = artefacts;
        let (mut count, mut bytes) = (0, 0);
        for Document { descriptor, .. } in [layer, &config, chunked, posted] {
            let Ok(Some(_)) = crate::importer::stat(&self.client, &self.scopes, descriptor).await else { continue };
            if self.delete(&format!("blobs/{}", descriptor.digest)).await.is_err() {
                (count, bytes) = (count + 1, bytes + descriptor.size);
            }
        }
        (count, bytes)
    }

    /// The attributes that choose a form that works; that of the configuration goes before the others.
    fn recommended(&self, found: &Diagnosis) -> Option<CacheSpec> {
        let config = self.client.config();
        let form = config.form().into_iter().chain(FORMS).find(|form| found.works(form.name()))?;
        let spec = CacheSpec::new(KIND).with("ref", config.reference());
        let spec = if config.is_insecure() { spec.with("registry.insecure", "true") } else { spec };
        Some(match form {
            // BuildKit before v0.21 writes an index unless it is told otherwise.
            ManifestForm::ImageManifest if found.works(ManifestForm::Index.name()) => spec,
            ManifestForm::ImageManifest => spec.with("image-manifest", "true"),
            ManifestForm::Index => spec.with("image-manifest", "false"),
            // BuildKit v0.21 needs both.
            ManifestForm::DockerList => spec.with("image-manifest", "false").with("oci-mediatypes", "false"),
        })
    }
}

#[async_trait]
impl CacheProbe for RegistryProbe {
    async fn diagnose(&self) -> Result<Diagnosis> {
        let artefacts = Artefacts::new()?;
        let mut found = Diagnosis::default();
        let read = self.client.retrying(|| self.read(&artefacts.tag)).await;
        let read = match read {
            Err(error) if !is_about_rights(error.kind()) => return Err(error),
            read => Outcome::from(read),
        };
        if !found.record("read", read, "log in with `docker login`, or ask for the right to pull") {
            found.skip("blob-push", NOT_READ);
            return Ok(found);
        }
        let mut written = Vec::new();
        if self.try_blobs(&artefacts, &mut found).await {
            written = self.try_forms(&artefacts, &mut found).await;
        } else {
            FORMS.into_iter().for_each(|form| found.skip(form.name(), NOT_PUSHED));
        }
        self.try_lists(&written, &mut found).await;
        self.clean_up(&artefacts, &written, &mut found).await;
        if !written.is_empty() {
            found.publishing = Some(match found.works("tag-list") {
                true => Publishing::Contributions { removes: found.works("delete") },
                false => Publishing::Timed(SETTLE_TIME),
            });
        }
        found.recommended = self.recommended(&found);
        let is_default = found.recommended.as_ref().is_some_and(|spec| spec.get("image-manifest").is_none());
        if is_default {
            found
                .notes
                .push("BuildKit before v0.12 cannot read an image manifest: use image-manifest=false for it".into());
        }
        Ok(found)
    }
}

fn is_about_rights(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
}

fn advice_without(form: ManifestForm) -> &'static str {
    match form {
        ManifestForm::ImageManifest => "BuildKit since v0.21 writes this form unless image-manifest=false is set",
        ManifestForm::Index => "BuildKit before v0.21 writes this form unless image-manifest=true is set",
        ManifestForm::DockerList => "do not set oci-mediatypes=false",
    }
}

impl fmt::Debug for RegistryProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryProbe").field("config", self.client.config()).finish_non_exhaustive()
    }
}
