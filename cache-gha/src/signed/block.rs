//! Block blobs of Azure: small ones in one request, large ones as blocks that a list joins.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cache_core::model::random_number;
use cache_core::{Error, Result};
use cache_kit::{Flow, Outgoing, PartUpload};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use url::Url;

use super::Http;

const MESSAGE: &str = "cannot upload the entry";
/// The version of the protocol that BuildKit speaks.
const PROTOCOL: &str = "2024-11-04";
/// Bytes of a block's name before it is encoded: those of BuildKit have as many, the last of them zeros.
const NAME_LENGTH: usize = 64;
/// Bytes at the start of a name that tell uploads apart.
const PREFIX_LENGTH: usize = 16;

/// A blob that can be written by its signed URL.
pub(crate) struct BlockBlob {
    http: Http,
    url: Url,
    key: String,
}

impl BlockBlob {
    pub(crate) fn new(http: Http, url: Url, key: &str) -> Self {
        Self { http, url, key: key.to_owned() }
    }

    fn put_to(&self, query: &[(&str, &str)], media_type: &str, body: Bytes) -> (RequestBuilder, Arc<Flow>) {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(query);
        let request = self.http.client.put(url).header("x-ms-version", PROTOCOL).header(CONTENT_TYPE, media_type);
        let request = request.header(CONTENT_LENGTH, body.len());
        if body.is_empty() {
            return (request, Arc::default());
        }
        let part = Outgoing::of(body);
        let flow = part.flow();
        (request.body(reqwest::Body::wrap_stream(part)), flow)
    }

    async fn send(&self, request: RequestBuilder, flow: Arc<Flow>) -> Result<()> {
        let idle = self.http.tuning.timeouts().idle;
        let sent = self.http.send(request, &flow, idle, MESSAGE).await.map_err(|error| self.with_context(error))?;
        self.check(sent).await
    }

    async fn check(&self, response: Response) -> Result<()> {
        if response.status().is_success() {
            return Ok(());
        }
        let error = self.http.refused(response, MESSAGE).await;
        Err(self.with_context(error))
    }

    fn with_context(&self, error: Error) -> Error {
        error.with("key", &self.key)
    }
}

#[async_trait]
impl PartUpload for BlockBlob {
    async fn put(&self, bytes: Bytes) -> Result<()> {
        let (request, flow) = self.put_to(&[], "application/octet-stream", bytes);
        self.send(request.header("x-ms-blob-type", "BlockBlob"), flow).await
    }

    /// A prefix for the blocks of one upload, so that two writers of one blob do not collide.
    async fn begin(&self) -> Result<String> {
        Ok(format!("{:0PREFIX_LENGTH$x}", random_number()))
    }

    async fn part(&self, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let id = block_id(upload, number);
        let query = [("comp", "block"), ("blockid", id.as_str())];
        let (request, flow) = self.put_to(&query, "application/octet-stream", bytes);
        self.send(request, flow).await?;
        Ok(id)
    }

    async fn complete(&self, _: &str, blocks: Vec<String>) -> Result<()> {
        let list = block_list(&blocks).into();
        let (request, flow) = self.put_to(&[("comp", "blocklist")], "application/xml", list);
        self.send(request, flow).await
    }

    /// The service deletes blocks that no list names.
    async fn abort(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The name of a block, as in BuildKit: 16 bytes of the upload, the number from 0 on, and zeros. Some services place
/// blocks by this number and do not read the list.
fn block_id(upload: &str, number: u32) -> String {
    let mut name = upload.as_bytes().to_vec();
    name.resize(PREFIX_LENGTH, 0);
    name.extend_from_slice(&number.saturating_sub(1).to_be_bytes());
    name.resize(NAME_LENGTH, 0);
    STANDARD.encode(name)
}

fn block_list(blocks: &[String]) -> String {
    let mut list = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<BlockList>");
    for block in blocks {
        // A string takes everything.
        let _ = write!(list, "<Latest>{block}</Latest>");
    }
    list + "</BlockList>"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The third block of an upload of a real BuildKit, with another upload's bytes in front.
    #[test]
    fn blocks_are_named_as_buildkit_names_them() {
        let buildkit = "GqywWL2qTKhevmKU3EmKpgAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
        let [ours, theirs] = [&block_id("0123456789abcdef", 3), buildkit].map(|id| STANDARD.decode(id).unwrap());
        assert_eq!((ours.len(), &ours[16..]), (theirs.len(), &theirs[16..]));
        assert_eq!(ours[..16], *b"0123456789abcdef");
        assert_eq!(STANDARD.decode(block_id("x", 50_000)).unwrap()[16..20], 49_999_u32.to_be_bytes());
    }

    #[test]
    fn the_list_names_the_blocks_in_order() {
        let list = block_list(&["YQ==".to_owned(), "Yg==".to_owned()]);
        assert!(list.ends_with("<BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>"), "{list}");
    }
}
