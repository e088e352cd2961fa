//! Lists objects, in as few pages as needed.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use cache_core::{Error, Result};
use cache_kit::{
    LISTS, ListPart, Listed, Page, PageSource, Pager, Reach, Task, common_prefix, list_keys, list_parts, paged,
};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::client::{Client, Cursor, Found, ListedObject};

/// How many objects are looked up at once that no page had.
const LOOKS: usize = 16;

/// Every object whose key begins with `prefix`.
pub(crate) fn objects(client: &Client, prefix: String) -> BoxStream<'_, Result<ListedObject>> {
    paged(Objects { client, prefix, start: None }, client.tuning().bounds())
}

/// All objects whose key is `prefix` and a digest; objects with other keys may be left out.
///
/// Where the first page shows that there are many, they are listed in parts, by what their digests begin with.
pub(crate) fn blobs(client: &Client, prefix: String) -> BoxStream<'_, Result<ListedObject>> {
    let bounds = client.tuning().bounds();
    let listed = async move {
        let mut pager = Pager::new(Objects { client, prefix: prefix.clone(), start: None }, bounds);
        let first = pager.next().await?.unwrap_or_default();
        let rest = match list_parts(&prefix, first.iter().map(|(key, _)| key.as_str())) {
            _ if pager.is_whole() => stream::empty().boxed(),
            None => pager.into_items(),
            Some(parts) => {
                let part = |ListPart { prefix, after }| {
                    paged(Objects { client, prefix, start: after.map(Cursor::After) }, bounds)
                };
                stream::iter(parts.into_iter().map(part).collect::<Vec<_>>()).flatten_unordered(LISTS).boxed()
            }
        };
        Ok::<_, Error>(stream::iter(first.into_iter().map(Ok)).chain(rest))
    };
    stream::once(listed).try_flatten().boxed()
}

/// What a list from the first to the last of `keys` tells about them.
pub(crate) async fn list(client: &Client, keys: &BTreeSet<String>, reach: Reach) -> Result<Listed<Found>> {
    let first = keys.first().map(String::as_str).unwrap_or_default();
    // Right before the first key: without its last character it comes before everything that begins with it.
    let start = first.char_indices().next_back().and_then(|(at, _)| first.get(..at)).unwrap_or_default();
    let prefix = common_prefix(keys);
    // A start before the whole prefix is useless, and MinIO treats it as the end of the list.
    let start = (start.len() > prefix.len()).then(|| Cursor::After(start.to_owned()));
    let source = Objects { client, prefix: prefix.to_owned(), start };
    let Listed { found, rest } = list_keys(Pager::new(source, client.tuning().bounds()), keys, reach).await?;
    Ok(Listed { found: found.into_iter().map(|(key, (_, found))| (key, found)).collect(), rest })
}

/// The `keys` that exist, by a list or by lookups, whichever takes fewer requests.
pub(crate) async fn look(client: &Client, keys: &BTreeSet<String>) -> Result<BTreeMap<String, Found>> {
    let Listed { mut found, mut rest } = match list(client, keys, Reach::Worthwhile).await {
        Ok(listed) => listed,
        // The right to write does not include the right to list.
        Err(_) => Listed { found: BTreeMap::new(), rest: keys.clone() },
    };
    // An object that is listed as archived may have been restored.
    rest.extend(found.iter().filter(|(_, found)| found.is_archived).map(|(key, _)| key.clone()));
    let looks = stream::iter(rest).map(|key| async move {
        let found = client.retrying(|| client.head(&key)).await?;
        Ok::<_, Error>(found.map(|found| (key, found)))
    });
    let looked: Vec<_> = looks.boxed().buffer_unordered(LOOKS).try_collect().await?;
    found.extend(looked.into_iter().flatten());
    Ok(found)
}

/// The objects below a prefix, page by page.
struct Objects<'a> {
    client: &'a Client,
    prefix: String,
    /// Where the first page begins.
    start: Option<Cursor>,
}

#[async_trait]
impl PageSource for Objects<'_> {
    type Item = ListedObject;
    type Cursor = Cursor;

    async fn page(&self, cursor: Option<&Cursor>) -> Result<Page<ListedObject, Cursor>> {
        let (client, prefix) = (self.client.clone(), self.prefix.clone());
        let at = cursor.or(self.start.as_ref()).cloned();
        // A task, so that the pages of several lists are parsed on several threads.
        let page = async move { client.retrying(|| client.list(&prefix, at.as_ref())).await };
        Task::start(page).join().await
    }

    fn id((key, _): &ListedObject) -> String {
        key.clone()
    }

    fn with_context(&self, error: Error) -> Error {
        self.client.with_context(error, &self.prefix)
    }
}
