//! What one list tells about keys.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use cache_core::{Error, ErrorKind};

use super::*;
use crate::{Bounds, NextPage, Page};

/// A list of numbers in pages.
struct Numbers {
    all: Vec<usize>,
    page: usize,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl PageSource for Numbers {
    type Item = usize;
    type Cursor = usize;

    async fn page(&self, cursor: Option<&usize>) -> Result<Page<usize, usize>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let start = cursor.copied().unwrap_or(0);
        let end = (start + self.page).min(self.all.len());
        let next = if end == self.all.len() { NextPage::End } else { NextPage::At(end) };
        Ok(Page { items: self.all[start..end].to_vec(), next, bytes: 1 })
    }

    fn id(item: &usize) -> String {
        key(*item)
    }

    fn with_context(&self, error: Error) -> Error {
        error
    }
}

fn key(number: usize) -> String {
    format!("{number:06}")
}

/// What a list of `all` in pages of ten tells about `keys`, and in how many requests.
async fn listed(all: impl Iterator<Item = usize>, keys: &BTreeSet<String>, reach: Reach) -> (usize, usize, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Numbers { all: all.collect(), page: 10, asked: Arc::clone(&asked) };
    let Listed { found, rest } = list_keys(Pager::new(source, Bounds::default()), keys, reach).await.unwrap();
    (found.len(), rest.len(), asked.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_list_is_read_as_long_as_it_is_worth_it() {
    let dense: BTreeSet<String> = (0..100).map(key).collect();
    assert_eq!(listed(0..100, &dense, Reach::Worthwhile).await, (100, 0, 10));
    assert_eq!(listed(0..0, &dense, Reach::Worthwhile).await, (0, 0, 1), "an empty list settles all");
    assert_eq!(listed(0..500, &dense, Reach::Worthwhile).await.2, 10, "nothing after the last key is listed");
    let sparse: BTreeSet<String> = (0..100).map(|n| key(n * 5)).collect();
    let (found, rest, pages) = listed(0..500, &sparse, Reach::Worthwhile).await;
    assert_eq!((found, rest, pages), (2, 98, 1));
    assert_eq!(listed(0..500, &sparse, Reach::Whole).await, (100, 0, 50));
}

#[tokio::test]
async fn a_list_without_order_has_passed_nothing() {
    let keys: BTreeSet<String> = (0..100).map(key).collect();
    // The last key comes first.
    let (found, rest, _) = listed((0..50).map(|n| 99 - n), &keys, Reach::Whole).await;
    assert_eq!((found, rest), (50, 0));
    let (found, rest, pages) = listed((0..1_000).map(|n| 999 - n), &keys, Reach::Worthwhile).await;
    assert_eq!((found, rest, pages), (0, 100, 1));
}

#[test]
fn the_common_prefix_is_that_of_the_first_and_last_key() {
    for (first, last, common) in
        [("a/1", "a/2", "a/"), ("a", "a", "a"), ("a", "ab", "a"), ("é", "è", ""), ("", "x", "")]
    {
        assert_eq!(common_prefix(&[first, last].map(str::to_owned).into()), common);
    }
}

async fn find(known: &Known<u8>, number: usize, listed: Option<&Listed<u8>>, lists: &AtomicUsize) -> Knowledge<u8> {
    let list = |_| async {
        lists.fetch_add(1, Ordering::Relaxed);
        listed.cloned().ok_or_else(|| Error::new(ErrorKind::PermissionDenied, "no lists for you"))
    };
    known.find(&key(number), 1, list).await
}

#[tokio::test]
async fn one_list_answers_for_all_keys_until_they_change() {
    let (known, lists) = (Known::default(), AtomicUsize::new(0));
    let listed = Listed { found: [(key(1), 7)].into(), rest: [key(2)].into() };
    known.expect((0..20).map(key));
    let ask = async |number| find(&known, number, Some(&listed), &lists).await;
    assert_eq!(ask(1).await, Knowledge::There(7));
    assert_eq!((ask(0).await, ask(2).await), (Knowledge::Absent, Knowledge::Unknown));
    assert_eq!(ask(99).await, Knowledge::Unknown, "nobody said that it would come");
    known.wrote(&key(0));
    assert_eq!((ask(0).await, ask(1).await), (Knowledge::Unknown, Knowledge::There(7)));
    assert_eq!(lists.load(Ordering::Relaxed), 1);
    known.expire();
    assert_eq!((ask(0).await, lists.load(Ordering::Relaxed)), (Knowledge::Absent, 2));
}

#[tokio::test]
async fn few_keys_and_a_list_that_fails_are_asked_for_one_by_one() {
    let (known, lists) = (Known::default(), AtomicUsize::new(0));
    known.expect((0..FEW).map(key));
    let listed = Listed { found: [(key(1), 7)].into(), rest: BTreeSet::new() };
    assert_eq!(find(&known, 1, Some(&listed), &lists).await, Knowledge::Unknown);
    known.expect((0..20).map(key));
    assert_eq!(find(&known, 1, None, &lists).await, Knowledge::Unknown);
    assert_eq!(find(&known, 2, None, &lists).await, Knowledge::Unknown);
    assert_eq!(lists.load(Ordering::Relaxed), 1);
}
