//! [`Pager`]: reads a list in pages to its end, or fails.
//!
//! A prune deletes what the lists do not show. So a list that breaks off must not look like a short list.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

use async_trait::async_trait;
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::Bounds;

/// The server's answer to a request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The items of the page. An empty page may be followed by others.
    pub items: Vec<T>,
    /// What the server says comes after the page.
    pub next: NextPage<C>,
    /// The size of the answer in bytes, or an estimate.
    pub bytes: u64,
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage<C> {
    /// Nothing: the list is complete.
    End,
    /// Another page, with its cursor.
    At(C),
    /// More, without a cursor.
    Lost,
}

/// A source of the pages of a list.
///
/// ```
/// use cache_kit::PageSource;
///
/// async fn is_empty<S: PageSource>(source: &S) -> cache_core::Result<bool> {
///     Ok(source.page(None).await?.items.is_empty())
/// }
/// ```
#[async_trait]
pub trait PageSource: Send + Sync {
    /// The items.
    type Item: Send;
    /// The cursor of a page: a token, a marker, a URL, a number.
    type Cursor: Hash + Send + Sync;

    /// Requests the first page, or the one at `cursor`; the source does the retries.
    ///
    /// # Errors
    /// The error of the server.
    async fn page(&self, cursor: Option<&Self::Cursor>) -> Result<Page<Self::Item, Self::Cursor>>;

    /// The identity of an item: its key, tag or number.
    fn id(item: &Self::Item) -> String;

    /// Adds to an error the place that was listed.
    fn with_context(&self, error: Error) -> Error;
}

/// Reads a list page by page.
///
/// It follows the server's cursors, over empty pages too, and skips items of earlier pages. A list fails if it
/// continues without a cursor, comes back to an earlier page, has too many empty pages, or exceeds its [`Bounds`].
pub struct Pager<S: PageSource> {
    source: S,
    bounds: Bounds,
    cursor: Option<S::Cursor>,
    is_whole: bool,
    pages: usize,
    empty: usize,
    bytes: u64,
    /// The cursors and the items so far. Only their hashes are kept: a million of them take 16 MB.
    asked: Seen,
    listed: Seen,
}

impl<S: PageSource> Pager<S> {
    /// Nothing is requested yet.
    #[must_use]
    pub fn new(source: S, bounds: Bounds) -> Self {
        let (asked, listed) = (Seen::default(), Seen::default());
        Self { source, bounds, cursor: None, is_whole: false, pages: 0, empty: 0, bytes: 0, asked, listed }
    }

    /// The new items of the next page; `None` at the end of the list.
    ///
    /// # Errors
    /// Whatever the source answers; [`ErrorKind::Unavailable`] for a list that has no end, and
    /// [`ErrorKind::LimitExceeded`] for one that is too large.
    pub async fn next(&mut self) -> Result<Option<Vec<S::Item>>> {
        if self.is_whole {
            return Ok(None);
        }
        let page = self.source.page(self.cursor.as_ref()).await?;
        self.count(page.bytes)?;
        let on_page = page.items.len();
        self.empty = if on_page == 0 { self.empty.saturating_add(1) } else { 0 };
        let new: Vec<S::Item> = page.items.into_iter().filter(|item| self.listed.is_new(&S::id(item))).collect();
        match page.next {
            NextPage::End => self.is_whole = true,
            NextPage::Lost => return Err(self.wrong("it says that there is more, but not where")),
            NextPage::At(_) if on_page > 0 && new.is_empty() => return Err(self.wrong("it sends the same page again")),
            NextPage::At(_) if self.empty > self.bounds.empty_pages => {
                return Err(self.wrong("it sends nothing but empty pages"));
            }
            NextPage::At(next) if !self.asked.is_new(&next) => {
                return Err(self.wrong("it leads back to an earlier page"));
            }
            NextPage::At(next) => self.cursor = Some(next),
        }
        Ok(Some(new))
    }

    /// The new items of all pages that are left; the stream ends with the list, or with the first error.
    pub fn into_items<'a>(self) -> BoxStream<'a, Result<S::Item>>
    where
        S: 'a,
        S::Item: 'a,
        S::Cursor: 'a,
    {
        let pages = stream::try_unfold(self, |mut pager| async move {
            Ok::<_, Error>(pager.next().await?.map(|items| (stream::iter(items.into_iter().map(Ok)), pager)))
        });
        pages.try_flatten().boxed()
    }

    /// Whether the last page was read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.pages = self.pages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        let Bounds { list_pages, list_bytes, .. } = self.bounds;
        if self.pages <= list_pages && self.bytes <= list_bytes {
            return Ok(());
        }
        let error = Error::new(ErrorKind::LimitExceeded, "the list is too long").with("pages", self.pages);
        Err(self.source.with_context(error.with("bytes", self.bytes)))
    }

    fn wrong(&self, cause: &str) -> Error {
        let error = Error::new(ErrorKind::Unavailable, "the server's list does not end").with("cause", cause);
        let error = error.with("pages", self.pages).with_retryable(false);
        self.source.with_context(error.with_hint("an incomplete list is never used: nothing is deleted because of it"))
    }
}

/// Every item of a list; the stream ends with the list, or with the first error.
pub fn paged<'a, S: PageSource + 'a>(source: S, bounds: Bounds) -> BoxStream<'a, Result<S::Item>>
where
    S::Item: 'a,
    S::Cursor: 'a,
{
    Pager::new(source, bounds).into_items()
}

/// The items and cursors seen before, as two independent hashes of 64 bits.
#[derive(Default)]
struct Seen {
    hashers: [RandomState; 2],
    hashes: HashSet<[u64; 2]>,
}

impl Seen {
    fn is_new(&mut self, value: &impl Hash) -> bool {
        self.hashes.insert(self.hashers.each_ref().map(|hasher| hasher.hash_one(value)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Pages by number, each with its items and the number of the next one.
    struct Book(Vec<(Vec<u32>, NextPage<usize>)>, AtomicUsize);

    impl Book {
        fn new(pages: impl IntoIterator<Item = (Vec<u32>, NextPage<usize>)>) -> Self {
            Self(pages.into_iter().collect(), AtomicUsize::new(0))
        }
    }

    #[async_trait]
    impl PageSource for &Book {
        type Item = u32;
        type Cursor = usize;

        async fn page(&self, cursor: Option<&usize>) -> Result<Page<u32, usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let (items, next) = self.0[cursor.copied().unwrap_or_default()].clone();
            Ok(Page { items, next, bytes: 100 })
        }

        fn id(item: &u32) -> String {
            item.to_string()
        }

        fn with_context(&self, error: Error) -> Error {
            error.with("backend", "book")
        }
    }

    async fn list(book: &Book) -> Result<Vec<u32>> {
        paged(book, Bounds::default()).try_collect().await
    }

    async fn cause(book: &Book) -> String {
        let error = list(book).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error}");
        error.context("cause").unwrap().to_owned()
    }

    #[tokio::test]
    async fn empty_pages_go_on_and_items_are_listed_once() {
        use NextPage::{At, End};
        let book =
            Book::new([(vec![], At(1)), (vec![1, 2], At(2)), (vec![], At(3)), (vec![2, 3], At(4)), (vec![], End)]);
        assert_eq!(list(&book).await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn more_without_a_cursor_is_an_error() {
        for items in [vec![], vec![1]] {
            assert_eq!(cause(&Book::new([(items, NextPage::Lost)])).await, "it says that there is more, but not where");
        }
    }

    #[tokio::test]
    async fn a_list_that_repeats_a_page_is_an_error() {
        use NextPage::At;
        let same = Book::new([(vec![1], At(0))]);
        assert_eq!((cause(&same).await.as_str(), same.1.into_inner()), ("it sends the same page again", 2));
        let empty = Book::new([(vec![], At(1)), (vec![], At(2)), (vec![], At(1))]);
        assert_eq!((cause(&empty).await.as_str(), empty.1.into_inner()), ("it leads back to an earlier page", 3));
        let growing = Book::new([(vec![1], At(1)), (vec![2], At(2)), (vec![3, 1], At(1))]);
        assert_eq!(cause(&growing).await, "it leads back to an earlier page");
    }

    #[tokio::test]
    async fn endless_empty_pages_are_an_error() {
        let empty = Book::new((0..20).map(|at| (vec![], NextPage::At(at + 1))));
        let bounds = Bounds { empty_pages: 5, ..Bounds::default() };
        let error = paged(&empty, bounds).try_collect::<Vec<u32>>().await.unwrap_err();
        assert_eq!(error.context("cause"), Some("it sends nothing but empty pages"));
        assert_eq!(empty.1.into_inner(), 6);
    }

    #[tokio::test]
    async fn a_list_is_no_larger_than_its_bounds() {
        let pages = || (0..20).map(|at| (vec![], NextPage::At(at + 1))).chain([(vec![], NextPage::End)]);
        let list = async |bounds: Bounds| {
            let book = Book::new(pages());
            let listed = paged(&book, bounds).try_collect::<Vec<u32>>().await;
            listed.map_err(|error| error.kind())
        };
        let bounds = Bounds::default();
        assert_eq!(list(Bounds { list_pages: 21, list_bytes: 2_100, ..bounds }).await, Ok(vec![]));
        assert_eq!(list(Bounds { list_pages: 20, ..bounds }).await, Err(ErrorKind::LimitExceeded));
        assert_eq!(list(Bounds { list_bytes: 2_099, ..bounds }).await, Err(ErrorKind::LimitExceeded));
    }
}
