//! Many blobs at once: in pages, and in as few of them as the question needs.

use std::collections::BTreeSet;

use async_trait::async_trait;
use cache_core::{Error, Result};
use cache_kit::{Page, PageSource, Pager, Reach, common_prefix, list_keys, paged};
use futures_util::stream::BoxStream;

use crate::client::{Client, Listed};

/// Every blob whose name starts like this.
pub(crate) fn blobs(client: &Client, start: String) -> BoxStream<'_, Result<Listed>> {
    paged(Blobs { client, start }, client.tuning().bounds)
}

/// What a list says about `keys`, as long as its pages are worth their requests.
pub(crate) async fn look(client: &Client, keys: &BTreeSet<String>) -> Result<cache_kit::Listed<Listed>> {
    let source = Blobs { client, start: common_prefix(keys).to_owned() };
    list_keys(Pager::new(source, client.tuning().bounds), keys, Reach::Worthwhile).await
}

/// The blobs whose names start like this, page by page.
struct Blobs<'a> {
    client: &'a Client,
    start: String,
}

#[async_trait]
impl PageSource for Blobs<'_> {
    type Item = Listed;
    type Cursor = String;

    async fn page(&self, marker: Option<&String>) -> Result<Page<Listed, String>> {
        self.client.retrying(|| self.client.list(&self.start, marker.cloned())).await
    }

    fn id(listed: &Listed) -> String {
        listed.key.clone()
    }

    fn about(&self, error: Error) -> Error {
        self.client.about(error).with("prefix", &self.start)
    }
}
