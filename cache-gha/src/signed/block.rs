//! Block blobs of Azure: small ones in one request, large ones as blocks that a list joins.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cache_core::{Error, PartUpload, Result};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use url::Url;

use super::Http;

const MESSAGE: &str = "cannot upload the entry";
/// The version of the protocol that BuildKit speaks.
const PROTOCOL: &str = "2024-11-04";
/// How many times longer the answer to a part may take than that to a question.
const PATIENCE: u32 = 5;
/// Bytes of a block's name before it is encoded: those of BuildKit have as many.
const NAME_LENGTH: usize = 64;

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

    fn put_to(&self, query: &[(&str, &str)], media_type: &str, body: Bytes) -> RequestBuilder {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(query);
        let request = self.http.client.put(url).header("x-ms-version", PROTOCOL).header(CONTENT_TYPE, media_type);
        request.header(CONTENT_LENGTH, body.len()).body(body)
    }

    async fn send(&self, request: RequestBuilder) -> Result<()> {
        let sent = self.http.send(request, PATIENCE, MESSAGE).await.map_err(|error| self.about(error))?;
        self.check(sent).await
    }

    async fn check(&self, response: Response) -> Result<()> {
        if response.status().is_success() {
            return Ok(());
        }
        let error = self.http.refused(response, MESSAGE).await;
        Err(self.about(error))
    }

    fn about(&self, error: Error) -> Error {
        error.with("key", &self.key)
    }
}

#[async_trait]
impl PartUpload for BlockBlob {
    async fn put(&self, bytes: Bytes) -> Result<()> {
        let request = self.put_to(&[], "application/octet-stream", bytes);
        self.send(request.header("x-ms-blob-type", "BlockBlob")).await
    }

    /// A name for all blocks of one upload: two writers of one blob do not get into each other's way.
    async fn begin(&self) -> Result<String> {
        Ok(format!("{:016x}", RandomState::new().hash_one(&self.key)))
    }

    async fn part(&self, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let id = block_id(upload, number);
        let query = [("comp", "block"), ("blockid", id.as_str())];
        self.send(self.put_to(&query, "application/octet-stream", bytes)).await?;
        Ok(id)
    }

    async fn complete(&self, _: &str, blocks: Vec<String>) -> Result<()> {
        self.send(self.put_to(&[("comp", "blocklist")], "application/xml", block_list(&blocks).into())).await
    }

    /// Blocks that no list names are thrown away by the service.
    async fn abort(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// All blocks of a blob need names of one length.
fn block_id(upload: &str, number: u32) -> String {
    let mut name = format!("{upload}-{number:010}").into_bytes();
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

    #[test]
    fn names_of_blocks_have_one_length_and_differ() {
        let ids = [block_id("0123456789abcdef", 1), block_id("0123456789abcdef", 50_000)];
        assert_eq!(ids.each_ref().map(String::len), [88; 2]);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn the_list_names_the_blocks_in_order() {
        let list = block_list(&["YQ==".to_owned(), "Yg==".to_owned()]);
        assert!(list.ends_with("<BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>"), "{list}");
    }
}
