//! Reads blobs.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{BlobStream, Descriptor, Error, Progress, Result};
use cache_kit::{ContentRange, RangeAnswer, RangeSource, read_ranges};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, RANGE};
use url::Url;

use crate::answer::encoding_of;
use crate::auth::Scopes;
use crate::client::{Client, Request};

const MESSAGE: &str = "cannot read the blob";

/// The URL of a blob. Manifests have another path than blobs, and so has the root of the reference, whatever its type.
pub(crate) async fn url(client: &Client, blob: &Descriptor) -> Result<Url> {
    let is_root = client.config().parsed().digest() == Some(blob.digest);
    let kind = if is_root || blob.media_type.is_manifest() { "manifests" } else { "blobs" };
    client.url(&format!("{kind}/{}", blob.digest)).await
}

/// Opens a blob, or a part of it.
pub(crate) async fn open(client: Arc<Client>, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
    let tuning = client.tuning().clone();
    let source = Source { url: url(&client, blob).await?, client, blob: blob.clone() };
    read_ranges(source, blob, range, &tuning).await
}

struct Source {
    client: Arc<Client>,
    blob: Descriptor,
    url: Url,
}

#[async_trait]
impl RangeSource for Source {
    async fn get(&self, range: Option<Range<u64>>) -> Result<RangeAnswer> {
        let scopes = Scopes::pull(self.client.config().parsed().repository());
        let request = Request::new(Method::GET, self.url.clone(), &scopes, MESSAGE);
        let request = request.accept(&format!("{}, */*", self.blob.media_type));
        let request = match range {
            Some(range) => request.header(RANGE, &format!("bytes={}-{}", range.start, range.end - 1)),
            None => request,
        };
        let response = self.client.send(request).await?;
        if !response.status().is_success() {
            return Err(self.client.refused(response, MESSAGE).await);
        }
        let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let range = header(CONTENT_RANGE).map(ContentRange::parse);
        let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let encoding = encoding_of(&response);
        Ok(RangeAnswer { body: self.client.stream(response, MESSAGE), range, length, encoding })
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(self.client.config().environment().listener().clone())
    }

    fn with_context(&self, error: Error) -> Error {
        self.client.with_context(error.with("blob", self.blob.digest))
    }
}
