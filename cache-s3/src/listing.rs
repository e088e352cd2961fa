//! Many objects at once: in pages, and in as few of them as the question needs.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use cache_core::kit::{Page, PageSource, Pager, paged};
use cache_core::{Error, Result};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::client::{Client, Cursor, Found, ListedObject};

/// How many objects are looked up at once that no page had.
const LOOKS: usize = 16;
/// How many objects one page has to spare looking up.
const WORTH_A_PAGE: usize = 8;

/// Every object whose key begins with `prefix`.
pub(crate) fn objects(client: &Client, prefix: String) -> BoxStream<'_, Result<ListedObject>> {
    paged(Objects { client, prefix, start: None }, client.bounds())
}

/// Those of `keys` that are there, by listing what is between them.
pub(crate) async fn list(client: &Client, keys: &BTreeSet<String>) -> Result<BTreeMap<String, Found>> {
    Ok(list_pages(client, keys, usize::MAX).await?.0)
}

/// Those of `keys` that are there, by whichever takes fewer requests: listing, or asking for each.
pub(crate) async fn look(client: &Client, keys: &BTreeSet<String>) -> Result<BTreeMap<String, Found>> {
    let pages = keys.len().div_ceil(WORTH_A_PAGE);
    let (mut found, mut rest) = match list_pages(client, keys, pages).await {
        Ok(listed) => listed,
        // Not everybody who may write may list.
        Err(_) => (BTreeMap::new(), keys.iter().cloned().collect()),
    };
    // What is listed as archived may have been restored.
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
    /// What the first page begins with.
    start: Option<Cursor>,
}

#[async_trait]
impl PageSource for Objects<'_> {
    type Item = ListedObject;
    type Cursor = Cursor;

    async fn page(&self, cursor: Option<&Cursor>) -> Result<Page<ListedObject, Cursor>> {
        let at = cursor.or(self.start.as_ref());
        self.client.retrying(|| self.client.list(&self.prefix, at)).await
    }

    fn id((key, _): &ListedObject) -> String {
        key.clone()
    }

    fn about(&self, error: Error) -> Error {
        self.client.about(error, &self.prefix)
    }
}

/// What so many pages say about `keys`, and the keys that they say nothing about.
async fn list_pages(
    client: &Client,
    keys: &BTreeSet<String>,
    most: usize,
) -> Result<(BTreeMap<String, Found>, Vec<String>)> {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok((BTreeMap::new(), Vec::new())) };
    // Right before the first key: without its last character it comes before everything that begins with it.
    let start = &first[..first.char_indices().next_back().map_or(0, |(at, _)| at)];
    let source = Objects {
        client,
        prefix: common_prefix(first, last).to_owned(),
        start: (!start.is_empty()).then(|| Cursor::After(start.to_owned())),
    };
    let mut pager = Pager::new(source, client.bounds());
    let (mut found, mut order) = (BTreeMap::new(), Order::default());
    for _ in 0..most {
        let Some(objects) = pager.next().await? else { return Ok((found, Vec::new())) };
        objects.iter().for_each(|(key, _)| order.follow(key));
        found.extend(objects.into_iter().filter(|(key, _)| keys.contains(key)));
        if order.has_passed(last) {
            return Ok((found, Vec::new()));
        }
    }
    let rest = keys.iter().filter(|key| !found.contains_key(*key) && !order.has_passed(key)).cloned().collect();
    Ok((found, rest))
}

/// How far a list has come, as long as it is in order: some stores list as they find.
#[derive(Default)]
struct Order {
    reached: String,
    is_broken: bool,
}

impl Order {
    fn follow(&mut self, key: &str) {
        self.is_broken |= key < self.reached.as_str();
        key.clone_into(&mut self.reached);
    }

    /// Whether a key would have been listed by now.
    fn has_passed(&self, key: &str) -> bool {
        !self.is_broken && self.reached.as_str() >= key
    }
}

/// Keys in order have in common what the first and the last one have.
fn common_prefix<'a>(first: &'a str, last: &str) -> &'a str {
    let same = first.char_indices().zip(last.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    &first[..same.unwrap_or(first.len().min(last.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_in_common_what_the_first_and_the_last_have() {
        let cases = [("a/1", "a/2", "a/"), ("a", "a", "a"), ("a", "ab", "a"), ("é", "è", ""), ("", "x", "")];
        for (first, last, common) in cases {
            assert_eq!(common_prefix(first, last), common);
        }
    }

    #[test]
    fn a_list_without_order_has_passed_nothing() {
        let mut order = Order::default();
        ["a", "c"].into_iter().for_each(|key| order.follow(key));
        assert_eq!((order.has_passed("b"), order.has_passed("d")), (true, false));
        order.follow("b");
        assert!(!order.has_passed("a"));
    }
}
