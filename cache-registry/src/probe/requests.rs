//! Requests that only probes make.

use cache_core::manifest::Document;
use cache_core::{Descriptor, Digest, Error, ErrorKind, Result};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::RegistryProbe;
use crate::auth::Scopes;
use crate::client::Request;
use crate::error;
use crate::importer::{MANIFEST_TYPES, stat};
use crate::store::manifest_digest;
use crate::upload::{OCTETS, UPLOAD, cancel, upload_location};

const READ: &str = "cannot read from the repository";
const CHUNK: &str = "cannot upload the blob in chunks";
const MOUNT: &str = "cannot mount the blob";
const RANGES: &str = "cannot read a part of the blob";
const LIST: &str = "cannot list the tags";
const REFERRERS: &str = "cannot list the referrers";
const BACK: &str = "cannot read the manifest back";
const DELETE: &str = "cannot delete the manifest";

impl RegistryProbe {
    /// Asks for a manifest that is not there.
    pub(super) async fn read(&self, tag: &str) -> Result<()> {
        let scopes = Scopes::pull(self.repository());
        let url = self.client.url(&format!("manifests/{tag}")).await?;
        let request = Request::new(Method::GET, url, &scopes, READ).accept(MANIFEST_TYPES);
        let response = self.client.send(request).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(()),
            _ => self.expect_success(response, READ).await.map(drop),
        }
    }

    /// Sends a blob in the request that starts an upload.
    pub(super) async fn post(&self, blob: &Document) -> Result<()> {
        let mut url = self.client.url("blobs/uploads/").await?;
        url.query_pairs_mut().append_pair("digest", &blob.descriptor.digest.to_string());
        let request = Request::new(Method::POST, url, &self.scopes, UPLOAD).body(OCTETS, blob.bytes.clone());
        let response = self.expect_success(self.client.send(request).await?, UPLOAD).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.cancelled(&response, "the registry wants the blob in a second request").await);
        }
        match stat(&self.client, &self.scopes, &blob.descriptor).await? {
            Some(_) => Ok(()),
            None => Err(self.answered(&response, "the registry has accepted the blob, but does not have it")),
        }
    }

    /// Sends a blob in two parts, then ends the upload.
    pub(super) async fn upload_in_chunks(&self, blob: &Document) -> Result<()> {
        let url = self.client.url("blobs/uploads/").await?;
        let start = self.client.send(Request::new(Method::POST, url, &self.scopes, CHUNK)).await?;
        let mut location = upload_location(&self.client, &self.expect_success(start, CHUNK).await?)?;
        let half = blob.bytes.len() / 2;
        for part in [0..half, half..blob.bytes.len()] {
            let range = format!("{}-{}", part.start, part.end - 1);
            let request = Request::new(Method::PATCH, location.clone(), &self.scopes, CHUNK);
            let request = request.body(OCTETS, blob.bytes.slice(part)).header(CONTENT_RANGE, &range);
            let sent = match self.client.send(request).await {
                Ok(response) => self.expect_success(response, CHUNK).await,
                Err(error) => Err(error),
            };
            match sent.and_then(|response| upload_location(&self.client, &response)) {
                Ok(next) => location = next,
                Err(error) => {
                    cancel(&self.client, location).await;
                    return Err(error);
                }
            }
        }
        location.query_pairs_mut().append_pair("digest", &blob.descriptor.digest.to_string());
        let end = Request::new(Method::PUT, location, &self.scopes, CHUNK);
        self.expect_success(self.client.send(end).await?, CHUNK).await.map(drop)
    }

    /// Mounts a blob from this very repository: another one that may be read is not known.
    pub(super) async fn mount(&self, blob: &Descriptor) -> Result<()> {
        let mut url = self.client.url("blobs/uploads/").await?;
        let digest = blob.digest.to_string();
        url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", self.repository());
        let response = self.client.send(Request::new(Method::POST, url, &self.scopes, MOUNT)).await?;
        let response = self.expect_success(response, MOUNT).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(());
        }
        Err(self.cancelled(&response, "the registry wants the blob uploaded again").await)
    }

    /// Asks for bytes from the middle.
    pub(super) async fn read_a_part(&self, blob: &Document) -> Result<()> {
        let scopes = Scopes::pull(self.repository());
        let url = self.client.url(&format!("blobs/{}", blob.descriptor.digest)).await?;
        let request = Request::new(Method::GET, url, &scopes, RANGES).header(RANGE, "bytes=1-8");
        let response = self.expect_success(self.client.send(request).await?, RANGES).await?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(self.answered(&response, "the registry sends the whole blob instead of the requested part"));
        }
        let wrong = self.answered(&response, "the registry sends another part than was requested");
        let bytes = self.client.read(response, blob.descriptor.size, RANGES).await?;
        if bytes == blob.bytes.slice(1..9) { Ok(()) } else { Err(wrong) }
    }

    /// Writes a manifest to the tag, and reads it back.
    pub(super) async fn write_manifest(&self, tag: &str, manifest: &Document) -> Result<()> {
        self.client.retrying(|| self.exporter.put_manifest(tag, manifest)).await?;
        let url = self.client.url(&format!("manifests/{tag}")).await?;
        let request = Request::new(Method::GET, url, &self.scopes, BACK).accept(MANIFEST_TYPES);
        let response = self.expect_success(self.client.send(request).await?, BACK).await?;
        let changed = self.answered(&response, "the registry returns another manifest than was written");
        let bytes = self.client.read(response, self.client.config().limits().manifest, BACK).await?;
        if bytes == manifest.bytes { Ok(()) } else { Err(changed) }
    }

    pub(super) async fn list_tags(&self) -> Result<()> {
        let scopes = Scopes::pull(self.repository());
        let url = self.client.url("tags/list?n=1").await?;
        let response = self.client.send(Request::new(Method::GET, url, &scopes, LIST)).await?;
        self.expect_success(response, LIST).await.map(drop)
    }

    pub(super) async fn list_referrers(&self, manifest: &Digest) -> Result<()> {
        let scopes = Scopes::pull(self.repository());
        let url = self.client.url(&format!("referrers/{manifest}")).await?;
        let response = self.client.send(Request::new(Method::GET, url, &scopes, REFERRERS)).await?;
        self.expect_success(response, REFERRERS).await.map(drop)
    }

    /// Deletes `manifests/<name>` or `blobs/<digest>`; it is not an error if it does not exist.
    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        let scopes = Scopes::delete(self.repository());
        let url = self.client.url(path).await?;
        let response = self.client.send(Request::new(Method::DELETE, url, &scopes, DELETE)).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(()),
            _ => self.expect_success(response, DELETE).await.map(drop),
        }
    }

    /// Whether a tag or a digest still leads somewhere; one that cannot be looked up may.
    pub(super) async fn is_left(&self, name: &str) -> bool {
        let found = self.client.retrying(|| manifest_digest(&self.client, &self.scopes, name)).await;
        found.map_or(true, |found| found.is_some())
    }

    async fn expect_success(&self, response: Response, message: &str) -> Result<Response> {
        if response.status().is_success() { Ok(response) } else { Err(self.client.refused(response, message).await) }
    }

    /// The error for an answer that starts an upload, which is cancelled.
    async fn cancelled(&self, response: &Response, message: &str) -> Error {
        if let Ok(location) = upload_location(&self.client, response) {
            cancel(&self.client, location).await;
        }
        self.answered(response, message)
    }

    /// An answer that is a success, but not the one that was asked for.
    fn answered(&self, response: &Response, message: &str) -> Error {
        let error = error::new(ErrorKind::Unsupported, message).with_status(response.status().as_u16());
        self.client.with_context(error)
    }
}
