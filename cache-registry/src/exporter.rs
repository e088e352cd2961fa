//! [`RegistryExporter`]: writes a cache to a registry, blob by blob, and the manifest last.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::manifest::{Document, EncodedManifest};
use cache_core::seams::{Committed, Contributions, ExporterFacts, stream_of};
use cache_core::{
    BlobProvider, BlobStream, CacheExporter, CacheManifest, Descriptor, Error, ErrorKind, Expect, MediaType, Progress,
    Pushed, Result, Version,
};
use cache_kit::{Accepted, FEW, PresenceChecks, held_back};
use futures_util::stream::TryStreamExt;
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::auth::Scopes;
use crate::client::{Client, Request};
use crate::importer::stat;
use crate::presence::Presence;
use crate::reference::is_repository;
use crate::single_post::SinglePost;
use crate::store::manifest_digest;
use crate::upload::{OCTETS, UPLOAD, Upload, check_stored};
use crate::{RegistryConfig, RegistryImporter, error};

/// Where containerd notes the repositories of a registry that have a blob: `<this><host>` = `repo[,repo]`.
const SOURCE: &str = "containerd.io/distribution.source.";
const COMMIT: &str = "cannot write the manifest";
/// How long a look at a tag, and a write to it after that, may take together.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(5);

/// A cache in a registry, for writing.
///
/// * A push looks up the blob. If it does not exist, it is mounted from the repository that containerd's annotation
///   names, or else sent in one request of known length.
/// * The first blob of up to 256 KiB is sent in the request that starts its upload. If the registry takes it so, which
///   is then checked, all blobs up to that size are sent in one request instead of two.
/// * An upload that breaks is resumed after the bytes that the registry reports as stored, or started again if there
///   are none. A blob that is too large for one request is sent in chunks.
/// * A push that fails, or whose future is dropped, asks the registry to cancel its upload. The upload of a killed
///   process expires in the registry, and so does an upload in distribution whose request broke, since that cannot be
///   cancelled.
/// * For more than 16 blobs, those that the present manifest names are not looked up: the registry checked them when it
///   accepted that manifest, keeps them for it, and checks them again for the new one. After 16 lookups in a row that
///   found nothing, blobs of up to 256 KiB are sent without one, except for every sixteenth.
/// * Before the manifest is written, one byte of each blob that the registry claims to have is read back, because some
///   registries remember deleted blobs; those are sent after all. Of the blobs that the present manifest names, four
///   are read back, and all of them if one is gone.
/// * No registry has conditional writes. Publishers write their parts under tags of their own until the cache contains
///   them ([`Contributions`]), and lose nothing. Any other conditional commit checks the tag right before it writes and
///   right after. It notices every write before the first check, and every manifest that has replaced ours by the
///   second. If two writers fall between each other's checks, both may succeed, and the later manifest is there.
pub struct RegistryExporter {
    client: Arc<Client>,
    scopes: Scopes,
    presence: Presence,
    /// The blobs in the present manifest.
    accepted: Accepted,
    checks: PresenceChecks,
    single_post: SinglePost,
}

impl RegistryExporter {
    /// An exporter of the cache in `config`; nothing is sent before the first push or commit.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        Self::over(Arc::new(Client::new(config)))
    }

    /// A writer that shares an existing client.
    pub(crate) fn over(client: Arc<Client>) -> Self {
        let scopes = Scopes::push(client.config().parsed().repository());
        Self {
            client,
            scopes,
            presence: Presence::default(),
            accepted: Accepted::default(),
            checks: PresenceChecks::untold(),
            single_post: SinglePost::default(),
        }
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Makes a document present: a manifest at its digest, anything else as a blob.
    pub(crate) async fn put(&self, document: &Document) -> Result<()> {
        let Descriptor { media_type, digest, .. } = &document.descriptor;
        if !media_type.is_manifest() {
            return self.put_as_blob(document).await;
        }
        self.put_at(&digest.to_string(), document).await
    }

    /// Makes a document present as a blob, whatever it is.
    pub(crate) async fn put_as_blob(&self, config: &Document) -> Result<()> {
        self.retrying(|| self.put_blob(config)).await
    }

    /// Writes a manifest at a tag or digest, whatever is there.
    pub(crate) async fn put_at(&self, target: &str, manifest: &Document) -> Result<()> {
        self.retrying(|| self.put_manifest(target, manifest)).await
    }

    /// Writes a manifest at `target` if `looked`, which is the same but for a reference with a digest, is as expected.
    pub(crate) async fn write(&self, looked: &str, target: &str, root: &Document, expect: &Expect) -> Result<Version> {
        let version = Version::new(root.descriptor.digest.to_string());
        self.check_expected(looked, expect).await?;
        self.put_at(target, root).await?;
        self.check_written(root).await?;
        self.check_won(expect, target, &version).await?;
        Ok(version)
    }

    async fn is_present(&self, blob: &Descriptor) -> Result<bool> {
        if !self.presence.may_ask(blob) || self.checks.can_skip(blob.size) {
            return Ok(false);
        }
        let found = stat(&self.client, &self.scopes, blob).await?;
        self.checks.saw(found.is_some());
        Ok(found.is_some_and(|found| found.size == blob.size))
    }

    /// Whether the present manifest names the blob: the registry had it when it accepted that manifest.
    async fn is_accepted(&self, blob: &Descriptor) -> bool {
        let named = || async {
            let importer = RegistryImporter::over(Arc::clone(&self.client)).with_scopes(self.scopes.clone());
            importer.named().await
        };
        self.presence.may_ask(blob) && self.accepted.has(blob, named).await
    }

    /// Takes the blob from another repository, sends it in one request, or starts an upload.
    async fn start<F>(&self, blob: &Descriptor, open: impl Fn() -> F) -> Result<Started>
    where
        F: Future<Output = Result<BlobStream>> + Send,
    {
        let url = self.client.url("blobs/uploads/").await?;
        if let Some(from) = self.mount_source(blob).filter(|_| self.presence.may_ask(blob)) {
            let scopes = self.scopes.clone().and_pull(from);
            let mut url = url.clone();
            url.query_pairs_mut().append_pair("mount", &blob.digest.to_string()).append_pair("from", from);
            let response = self.client.send(Request::new(Method::POST, url, &scopes, UPLOAD)).await?;
            match response.status() {
                StatusCode::CREATED => return Ok(Started::Mounted),
                status if status.is_success() => return self.started(&response, None),
                // Who may not read the other repository may still upload.
                status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {}
                _ => return Err(self.client.refused(response, UPLOAD).await),
            }
        }
        if self.single_post.begin(blob.size) {
            let bytes = whole(blob, open().await?).await?;
            if let Some(started) = self.post(url.clone(), blob, bytes).await? {
                return Ok(started);
            }
        }
        let response = self.client.send(Request::new(Method::POST, url, &self.scopes, UPLOAD)).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Started::Present),
            status if status.is_success() => self.started(&response, None),
            _ => Err(self.client.refused(response, UPLOAD).await),
        }
    }

    /// Sends a blob in the request that starts an upload; `None` if the registry refuses that.
    async fn post(&self, mut url: Url, blob: &Descriptor, bytes: Bytes) -> Result<Option<Started>> {
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let request = Request::new(Method::POST, url, &self.scopes, UPLOAD).body(OCTETS, bytes.clone());
        let Some(response) = self.single_post.send(&self.client, request, UPLOAD).await? else { return Ok(None) };
        if response.status() != StatusCode::CREATED {
            self.single_post.learn(false);
            return self.started(&response, Some(bytes)).map(Some);
        }
        let stored = check_stored(&self.client, response, blob.digest, UPLOAD).await;
        if self.single_post.works() {
            return stored.map(|()| Some(Started::Sent));
        }
        // A registry that ignores the bytes may answer so too.
        let found = if stored.is_ok() { stat(&self.client, &self.scopes, blob).await? } else { None };
        let is_there = found.is_some_and(|found| found.size == blob.size);
        self.single_post.learn(is_there);
        Ok(is_there.then_some(Started::Sent))
    }

    fn started(&self, response: &Response, bytes: Option<Bytes>) -> Result<Started> {
        Upload::started(&self.client, &self.scopes, response).map(|upload| Started::Upload(Box::new(upload), bytes))
    }

    /// The other repository of this registry with the longest path in common.
    fn mount_source<'a>(&self, blob: &'a Descriptor) -> Option<&'a str> {
        let reference = self.client.config().parsed();
        let sources = blob.annotations.get(&format!("{SOURCE}{}", reference.hostname()))?;
        // Annotations are untrusted, and this becomes a part of a URL and of a scope.
        let others = sources.split(',').map(str::trim);
        let others = others.filter(|source| is_repository(source) && *source != reference.repository());
        others.max_by_key(|source| common_parts(source, reference.repository()))
    }

    /// Makes a document present.
    pub(crate) async fn put_blob(&self, document: &Document) -> Result<()> {
        let descriptor = &document.descriptor;
        self.make_present(descriptor, || async { Ok(stream_of(document.bytes.clone())) }).await.map(drop)
    }

    /// Makes a blob present by the cheapest means; `open` opens the whole of it.
    async fn make_present<F>(&self, blob: &Descriptor, open: impl Fn() -> F + Send + Sync) -> Result<Pushed>
    where
        F: Future<Output = Result<BlobStream>> + Send,
    {
        let pushed = match self.is_present(blob).await? {
            true => Pushed::Present,
            false => match self.start(blob, &open).await? {
                Started::Mounted => Pushed::Mounted,
                Started::Present => Pushed::Present,
                Started::Sent => Pushed::Uploaded,
                Started::Upload(upload, bytes) => {
                    match bytes {
                        Some(bytes) => upload.send(blob, || async { Ok(stream_of(bytes.clone())) }).await?,
                        None => upload.send(blob, open).await?,
                    }
                    Pushed::Uploaded
                }
            },
        };
        match pushed {
            Pushed::Uploaded => self.presence.sent(blob),
            _ => self.presence.claimed(blob),
        }
        Ok(pushed)
    }

    pub(crate) async fn put_manifest(&self, target: &str, document: &Document) -> Result<()> {
        let url = self.client.url(&format!("manifests/{target}")).await?;
        let media_type = document.descriptor.media_type.as_str();
        let request = Request::new(Method::PUT, url, &self.scopes, COMMIT).body(media_type, document.bytes.clone());
        let response = self.client.send(request).await?;
        let stored = check_stored(&self.client, response, document.descriptor.digest, COMMIT).await;
        if stored.as_ref().is_err_and(is_gone) {
            // One of the blobs, and the registry does not say which.
            self.accepted.doubt();
        }
        stored
    }

    /// Retries a write that may succeed later; one that needs a push first is left to the export.
    async fn retrying<F>(&self, mut write: impl FnMut() -> F + Send) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let once = || {
            let write = write();
            async {
                write
                    .await
                    .map_or_else(|error| if is_gone(&error) { Ok(Err(error)) } else { Err(error) }, |()| Ok(Ok(())))
            }
        };
        self.client.retrying(once).await?
    }

    /// The digest of a tag or digest.
    async fn found(&self, name: &str) -> Result<Option<Version>> {
        let digest = self.client.retrying(|| manifest_digest(&self.client, &self.scopes, name)).await?;
        Ok(digest.map(|found| Version::new(found.digest.to_string())))
    }

    /// Checks the condition before a commit.
    async fn check_expected(&self, looked: &str, expect: &Expect) -> Result<()> {
        let expected = match expect {
            Expect::Any => return Ok(()),
            Expect::Absent => None,
            Expect::Version(version) => Some(version),
        };
        let found = self.found(looked).await?;
        if found.as_ref() == expected { Ok(()) } else { Err(self.conflict(expected, found.as_ref())) }
    }

    /// Checks after a commit that the reference still points to our manifest.
    async fn check_won(&self, expect: &Expect, target: &str, ours: &Version) -> Result<()> {
        if matches!(expect, Expect::Any) {
            return Ok(());
        }
        let found = self.found(target).await?;
        if found.as_ref() == Some(ours) { Ok(()) } else { Err(self.conflict(Some(ours), found.as_ref())) }
    }

    /// Reads back the blobs that the registry has only claimed to have, and a sample of those in the present manifest;
    /// if one of the sample is gone, all of those. A config that cannot be read is sent at once.
    async fn check_presence(&self, manifest: &CacheManifest, config: &Document) -> Result<()> {
        let check = || self.presence.check(&self.client, &self.scopes, manifest, &config.descriptor);
        let sample = self.accepted.sample();
        sample.iter().for_each(|blob| self.presence.claimed(blob));
        let checked = check().await;
        if sample.iter().any(|blob| !self.presence.may_ask(blob)) {
            self.accepted.doubt().iter().for_each(|blob| self.presence.claimed(blob));
            // It is to be told of the first one.
            let _ = check().await;
        }
        if checked.is_err() && !self.presence.may_ask(&config.descriptor) {
            self.retrying(|| self.put_blob(config)).await?;
        }
        checked
    }

    /// Checks that a written manifest is stored, if the registry has claimed something that it does not have.
    ///
    /// Distribution 2 does not store bytes that it believes it has, unless they are uploaded as a blob.
    async fn check_written(&self, root: &Document) -> Result<()> {
        let name = root.descriptor.digest.to_string();
        if !self.presence.has_claims() || self.found(&name).await?.is_some() {
            return Ok(());
        }
        self.presence.refuted(&root.descriptor);
        self.retrying(|| self.put_blob(root)).await?;
        if self.found(&name).await?.is_some() {
            return Ok(());
        }
        let error = error::new(ErrorKind::Unavailable, "the registry has accepted the manifest, but does not have it");
        Err(self.client.with_context(error.with("manifest", name)))
    }

    /// Why a registry reports that a manifest names a missing blob: a blob was deleted, or the registry accepts only
    /// manifests in an index.
    async fn why_gone(&self, manifest: &CacheManifest, encoded: &EncodedManifest, error: Error) -> Error {
        let media_type = &encoded.manifest.descriptor.media_type;
        if *media_type != MediaType::OCI_INDEX && *media_type != MediaType::DOCKER_LIST {
            return error;
        }
        for blob in manifest.blobs().iter().map(AsRef::as_ref).chain([&encoded.config.descriptor]) {
            match stat(&self.client, &self.scopes, blob).await {
                Ok(Some(_)) => {}
                _ => return error,
            }
        }
        let refused = error::new(ErrorKind::Unsupported, "the registry refuses an index that names layers");
        let server = error.context("server").unwrap_or_default().to_owned();
        self.client
            .with_context(refused.with("server", server).with("mediaType", media_type).with_source(error))
            .with_hint("set image-manifest=true at the destination: BuildKit since v0.12 reads it")
    }

    fn conflict(&self, expected: Option<&Version>, found: Option<&Version>) -> Error {
        let text = |state: Option<&Version>| state.map_or("nothing", Version::as_str).to_owned();
        let error = error::new(ErrorKind::Conflict, "somebody else wrote first");
        self.client.with_context(error.with("expected", text(expected)).with("found", text(found)))
    }
}

#[async_trait]
impl CacheExporter for RegistryExporter {
    fn facts(&self) -> ExporterFacts {
        ExporterFacts::default()
    }

    fn prepare(&self, manifest: &CacheManifest, _: &Arc<dyn Progress>) {
        self.accepted.expect(manifest.blobs().len(), FEW + 1);
    }

    async fn push(&self, blob: &Descriptor, from: &dyn BlobProvider) -> Result<Pushed> {
        if self.is_accepted(blob).await {
            return Ok(Pushed::Present);
        }
        self.make_present(blob, || from.read(blob, None)).await
    }

    /// If the registry notices that a pushed blob was deleted, the error is [`ErrorKind::Unavailable`], and the export
    /// can be repeated.
    async fn commit(&self, manifest: &CacheManifest, expect: Expect) -> Result<Committed> {
        if manifest.is_empty() && manifest.raw_manifest().is_none() {
            return Ok(Committed::default());
        }
        let encoded = manifest.encode(self.client.config().form()).checked(&self.client.config().limits())?;
        let (reference, descriptor) = (self.client.config().parsed(), encoded.manifest.descriptor.clone());
        let (looked, target) = (reference.selector(), reference.target(&descriptor.digest));
        self.put_as_blob(&encoded.config).await?;
        self.check_presence(manifest, &encoded.config).await?;
        let written = self.write(&looked, &target, &encoded.manifest, &expect).await;
        let version = match written {
            Err(error) if is_gone(&error) => return Err(self.why_gone(manifest, &encoded, error).await),
            written => written?,
        };
        // A write to a digest replaces nothing.
        let replaces = expect != Expect::Any && reference.digest().is_none();
        let settles_in = replaces.then_some(SETTLE_TIME);
        Ok(Committed { settles_in, ..Committed::new(Some(descriptor), version) })
    }

    async fn spool(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// No registry has conditional writes. A write to a digest replaces nothing.
    async fn contributions(&self) -> Result<Option<&dyn Contributions>> {
        let is_by_digest = self.client.config().parsed().digest().is_some();
        Ok(if is_by_digest { None } else { Some(self) })
    }
}

/// Whether the registry lacks a blob that the write needs: a repeated export may succeed, but not the same write.
fn is_gone(error: &Error) -> bool {
    let is_refused = matches!(error.status(), Some(400 | 404));
    error.kind() == ErrorKind::Unavailable && is_refused
}

enum Started {
    Mounted,
    Present,
    Sent,
    /// The blob's bytes, if they were read already.
    Upload(Box<Upload>, Option<Bytes>),
}

/// The whole of a small blob.
async fn whole(blob: &Descriptor, stream: BlobStream) -> Result<Bytes> {
    let pieces: Vec<Bytes> = held_back(stream, blob.size).try_collect().await?;
    Ok(if let [piece] = &pieces[..] { piece.clone() } else { pieces.concat().into() })
}

fn common_parts(a: &str, b: &str) -> usize {
    a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b).count()
}

impl fmt::Debug for RegistryExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryExporter").field("config", self.client.config()).finish_non_exhaustive()
    }
}
