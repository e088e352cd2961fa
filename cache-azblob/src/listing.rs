//! Lists blobs, in as few pages as needed.

use std::collections::BTreeSet;

use async_trait::async_trait;
use cache_core::{Error, Result};
use cache_kit::{LISTS, ListPart, Page, PageSource, Pager, Reach, Task, common_prefix, list_keys, list_parts, paged};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::client::{Client, Listed};

/// All blobs whose name begins with `start`.
pub(crate) fn blobs(client: &Client, start: String) -> BoxStream<'_, Result<Listed>> {
    paged(Blobs { client, start }, client.tuning().bounds())
}

/// All blobs whose name is `start` and a digest; others may be left out.
///
/// If the first page shows that there are many, they are listed in parts, by the prefix of their digests.
pub(crate) fn by_digest(client: &Client, start: String) -> BoxStream<'_, Result<Listed>> {
    let bounds = client.tuning().bounds();
    let listed = async move {
        let mut pager = Pager::new(Blobs { client, start: start.clone() }, bounds);
        let first = pager.next().await?.unwrap_or_default();
        let rest = match list_parts(&start, first.iter().map(|listed| listed.key.as_str())) {
            _ if pager.is_whole() => stream::empty().boxed(),
            None => pager.into_items(),
            Some(parts) => stream::iter(parts.into_iter().map(|part| in_part(client, part)).collect::<Vec<_>>())
                .flatten_unordered(LISTS)
                .boxed(),
        };
        Ok::<_, Error>(stream::iter(first.into_iter().map(Ok)).chain(rest))
    };
    stream::once(listed).try_flatten().boxed()
}

/// Lists a part, without the items of the first page: a list can start only at a marker of the service.
fn in_part(client: &Client, ListPart { prefix, after }: ListPart) -> BoxStream<'_, Result<Listed>> {
    let is_new = move |listed: &Listed| after.as_ref().is_none_or(|after| listed.key > *after);
    blobs(client, prefix).try_filter(move |listed| std::future::ready(is_new(listed))).boxed()
}

/// What a list tells about `keys`, as long as its pages save requests.
pub(crate) async fn look(client: &Client, keys: &BTreeSet<String>) -> Result<cache_kit::Listed<Listed>> {
    let source = Blobs { client, start: common_prefix(keys).to_owned() };
    list_keys(Pager::new(source, client.tuning().bounds()), keys, Reach::Worthwhile).await
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
        let (client, start, marker) = (self.client.clone(), self.start.clone(), marker.cloned());
        // A task, so that the pages of several lists are parsed on several threads.
        let page = async move { client.retrying(|| client.list(&start, marker.clone())).await };
        Task::start(page).join().await
    }

    fn id(listed: &Listed) -> String {
        listed.key.clone()
    }

    fn with_context(&self, error: Error) -> Error {
        self.client.with_context(error).with("prefix", &self.start)
    }
}
