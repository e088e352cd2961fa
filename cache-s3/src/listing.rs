//! Many objects at once: in pages, and in as few of them as the question needs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use cache_core::Result;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::client::{Client, Found};

/// How many objects are looked up at once that no page had.
const LOOKS: usize = 16;
/// How many objects one page has to spare looking up.
const WORTH_A_PAGE: usize = 8;

/// Every object whose key begins with `prefix`, in order of the keys.
pub(crate) fn objects(client: &Client, prefix: String) -> BoxStream<'_, Result<(String, Found)>> {
    let pages = stream::try_unfold(Some(String::new()), move |after| {
        let prefix = prefix.clone();
        async move {
            let Some(after) = after else { return Ok(None) };
            let page = client.retrying(|| client.list(&prefix, &after)).await?;
            let last = page.objects.last().map(|(key, _)| key.clone()).filter(|_| !page.is_last);
            Ok(Some((stream::iter(page.objects).map(Ok), last)))
        }
    });
    pages.try_flatten().boxed()
}

/// Those of `keys` that are there, by listing what is between them.
pub(crate) async fn list(client: &Client, keys: &BTreeSet<String>) -> Result<BTreeMap<String, Found>> {
    Ok(list_pages(client, keys, usize::MAX).await?.0)
}

/// Those of `keys` that are there, by whichever takes fewer requests: listing, or asking for each.
pub(crate) async fn look(client: &Client, keys: &BTreeSet<String>) -> Result<BTreeMap<String, Found>> {
    let pages = keys.len().div_ceil(WORTH_A_PAGE);
    let (mut found, rest) = match list_pages(client, keys, pages).await {
        Ok(listed) => listed,
        // Not everybody who may write may list.
        Err(_) => (BTreeMap::new(), keys.iter().cloned().collect()),
    };
    let looks = stream::iter(rest).map(|key| async move {
        let found = client.retrying(|| client.head(&key)).await?;
        Ok::<_, cache_core::Error>(found.map(|found| (key, found)))
    });
    let looked: Vec<_> = looks.boxed().buffer_unordered(LOOKS).try_collect().await?;
    found.extend(looked.into_iter().flatten());
    Ok(found)
}

/// What so many pages say about `keys`, and the keys that they say nothing about.
async fn list_pages(
    client: &Client,
    keys: &BTreeSet<String>,
    most: usize,
) -> Result<(BTreeMap<String, Found>, Vec<String>)> {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok((BTreeMap::new(), Vec::new())) };
    let prefix = common_prefix(first, last);
    // Right before the first key: without its last character it comes before everything that begins with it.
    let mut after = first[..first.char_indices().next_back().map_or(0, |(at, _)| at)].to_owned();
    let mut found = BTreeMap::new();
    for _ in 0..most {
        let page = client.retrying(|| client.list(prefix, &after)).await?;
        let reached = page.objects.last().map(|(key, _)| key.clone());
        found.extend(page.objects.into_iter().filter(|(key, _)| keys.contains(key)));
        match reached {
            Some(reached) if !page.is_last && reached < *last => after = reached,
            _ => return Ok((found, Vec::new())),
        }
    }
    let rest = keys.range::<String, _>((Bound::Excluded(&after), Bound::Unbounded)).cloned().collect();
    Ok((found, rest))
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
}
