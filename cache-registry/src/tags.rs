//! The tags of a repository, all of them: page by page, with an end, and never fewer without saying so.
//!
//! * Registries name the next page in a `Link`. Its query is put on our own URL: the host, the scheme and the path in it
//!   are those that the registry believes it has, and a proxy in front of it may have others.
//! * A page without a `Link` is not the last one by that: distribution-spec 1.0 pages by `n` and `last` alone, and some
//!   registries send fewer than `n`. The end is a page that brings nothing new.
//! * A list that goes round in circles, or says that there is more and not where, is an error: what deletes relies on a
//!   list that is whole.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use cache_core::kit::Bounds;
use cache_core::{Error, ErrorKind, Result};
use reqwest::header::LINK;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::auth::Scopes;
use crate::client::{Client, Request};
use crate::error;

const LIST: &str = "cannot list the tags";
/// How many tags are asked for at once: what a registry refuses is asked for smaller, and then as it likes.
const SIZES: [Option<usize>; 4] = [Some(1_000), Some(100), Some(10), None];
/// What a list may be at most, beside its [`Bounds`](cache_core::Bounds), since it is in memory whole: bytes of a page, bytes
/// of all pages, and pages in a row that bring nothing new.
const MOST_OF_A_PAGE: u64 = 8 << 20;
const MOST_BYTES: u64 = 64 << 20;
const MOST_STALE: usize = 16;

/// Every tag of the repository in order, as the registry says them; none of one that does not exist.
pub(crate) async fn list(client: &Client, scopes: &Scopes) -> Result<Vec<String>> {
    let mut walk = Walk { client, scopes, tags: BTreeSet::new(), asked: HashSet::new(), bytes: 0, stale: 0 };
    walk.run().await.map_err(|error| client.about(error))?;
    Ok(walk.tags.into_iter().collect())
}

struct Walk<'a> {
    client: &'a Client,
    scopes: &'a Scopes,
    tags: BTreeSet<String>,
    /// The queries of the pages so far.
    asked: HashSet<String>,
    bytes: u64,
    stale: usize,
}

/// One page.
#[derive(Default)]
struct Page {
    tags: Vec<String>,
    /// The query of the next one, if the registry says it.
    next: Option<String>,
    bytes: u64,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Walk<'_> {
    async fn run(&mut self) -> Result<()> {
        let (size, mut page) = self.first().await?;
        let most_pages = self.bounds().list_pages;
        for _ in 0..most_pages {
            let new = self.take(&page)?;
            let Some(query) = self.next(&page, size, new)? else { return Ok(()) };
            let is_told = page.next.is_some();
            self.asked.insert(query.clone());
            page = match self.page(&query).await {
                // Nobody said that there is more: a registry may refuse to look.
                Err(error) if !is_told && size.is_none_or(|size| page.tags.len() < size) && is_refusal(&error) => {
                    return Ok(());
                }
                page => page?,
            };
        }
        Err(too_long().with("pages", most_pages))
    }

    /// The first page, of as many tags as the registry lets one ask for.
    async fn first(&mut self) -> Result<(Option<usize>, Page)> {
        let mut refusal = None;
        for size in SIZES {
            let query = query(size, None);
            self.asked.insert(query.clone());
            match self.page(&query).await {
                Ok(page) => return Ok((size, page)),
                Err(error) if is_refusal(&error) => drop(refusal.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(too_long))
    }

    /// Takes the tags of a page, and says how many of them are new.
    fn take(&mut self, page: &Page) -> Result<usize> {
        self.bytes = self.bytes.saturating_add(page.bytes);
        let most_bytes = self.bounds().list_bytes.min(MOST_BYTES);
        if self.bytes > most_bytes {
            return Err(too_long().with("limit", most_bytes));
        }
        let before = self.tags.len();
        self.tags.extend(page.tags.iter().cloned());
        let new = self.tags.len() - before;
        self.stale = if new == 0 { self.stale + 1 } else { 0 };
        Ok(new)
    }

    /// The query of the page after this one; none at the end.
    fn next(&self, page: &Page, size: Option<usize>, new: usize) -> Result<Option<String>> {
        let after_last = page.tags.last().map(|last| query(size, Some(last)));
        let is_told = page.next.is_some();
        if new == 0 && !is_told {
            // As many as were asked for, and always the same ones: there is more, and no way to it.
            let is_cut = size == Some(page.tags.len());
            return if is_cut { Err(endless()) } else { Ok(None) };
        }
        let next = page.next.clone().into_iter().chain(after_last).find(|query| !self.asked.contains(query));
        match next {
            None if is_told => Err(endless()),
            Some(_) if self.stale >= MOST_STALE => Err(endless()),
            next => Ok(next),
        }
    }

    fn bounds(&self) -> Bounds {
        self.client.config().environment().bounds()
    }

    async fn page(&self, query: &str) -> Result<Page> {
        self.client.retrying(|| self.page_once(query)).await
    }

    async fn page_once(&self, query: &str) -> Result<Page> {
        let mut url = self.client.url("tags/list").await?;
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let response = self.client.send(Request::new(Method::GET, url, self.scopes, LIST)).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(Page::default()),
            status if status.is_success() => {
                let next = next_query(&response);
                let body = self.client.read(response, self.bounds().answer.min(MOST_OF_A_PAGE), LIST).await?;
                Ok(Page { tags: tags(&body)?, next, bytes: body.len() as u64 })
            }
            _ => Err(self.client.refused(response, LIST).await),
        }
    }
}

fn tags(body: &Bytes) -> Result<Vec<String>> {
    let tags: Tags = serde_json::from_slice(body)
        .map_err(|error| error::new(ErrorKind::Unavailable, "the list of tags is no list").with_source(error))?;
    Ok(tags.tags.unwrap_or_default())
}

/// `n=<size>&last=<last>`, as far as they are given.
fn query(size: Option<usize>, last: Option<&str>) -> String {
    let mut query = Serializer::new(String::new());
    if let Some(size) = size {
        query.append_pair("n", &size.to_string());
    }
    if let Some(last) = last {
        query.append_pair("last", last);
    }
    query.finish()
}

/// The query of `Link: <…>; rel="next"`.
fn next_query(response: &Response) -> Option<String> {
    let links = response.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let target = links.flat_map(next_targets).next()?;
    response.url().join(target).ok()?.query().map(str::to_owned).filter(|query| !query.is_empty())
}

/// The targets in a `Link` that are next; they may hold commas themselves.
fn next_targets(link: &str) -> impl Iterator<Item = &str> {
    link.split('<').skip(1).filter_map(|one| {
        let (target, parameters) = one.split_once('>')?;
        let parameters = parameters.to_ascii_lowercase().replace([' ', '"'], "");
        parameters.split([';', ',']).any(|parameter| parameter == "rel=next").then_some(target)
    })
}

/// Whether the registry does not like how it was asked.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::LimitExceeded)
}

fn too_long() -> Error {
    error::new(ErrorKind::LimitExceeded, "the list of tags is too long to read")
}

fn endless() -> Error {
    error::new(ErrorKind::Unavailable, "the list of tags does not end: the registry leads to no further page")
        .with_retryable(false)
        .with_hint("nothing relies on a list that may not be whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(link: &str) -> Option<&str> {
        next_targets(link).next()
    }

    #[test]
    fn the_next_page_is_found_in_a_link() {
        assert_eq!(next(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#), Some("/v2/a/tags/list?last=b&n=2"));
        assert_eq!(next("<x>; rel=prev, <y?a=1,2>; title=t; REL=Next"), Some("y?a=1,2"));
        for none in ["", "</v2>", "<x; rel=next", "<x>; rel=nextpage", "x; rel=next"] {
            assert_eq!(next(none), None, "{none}");
        }
    }

    #[test]
    fn a_tag_in_a_query_is_escaped() {
        assert_eq!(query(Some(10), Some("a&n=1")), "n=10&last=a%26n%3D1");
        assert_eq!(query(None, None), "");
    }
}
