//! Lists all tags of a repository page by page; an incomplete list is an error.
//!
//! * Registries name the next page in a `Link` header. Only its query is used, on our own URL: its scheme, host and
//!   path may be wrong behind a proxy.
//! * A page without a `Link` need not be the last one: distribution-spec 1.0 has pages by `n` and `last` alone, and
//!   some registries return fewer than `n`. The list ends with a page that has nothing new.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::{NextPage, Page, PageSource, paged};
use futures_util::stream::TryStreamExt;
use reqwest::header::LINK;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::auth::Scopes;
use crate::client::{Client, Request};
use crate::error;

const LIST: &str = "cannot list the tags";
/// The page sizes to try in order, smaller ones after a refusal; in the end the registry's default.
const SIZES: [Option<usize>; 4] = [Some(1_000), Some(100), Some(10), None];
/// How many pages in a row may be empty; registries have no reason for empty pages.
const MOST_EMPTY: usize = 16;

/// All tags of the repository, in the registry's order; none if the repository does not exist.
pub(crate) async fn list(client: &Client, scopes: &Scopes) -> Result<Vec<String>> {
    let mut bounds = client.tuning().bounds();
    bounds.empty_pages = bounds.empty_pages.min(MOST_EMPTY);
    let tags: BTreeSet<String> = paged(Tags { client, scopes }, bounds).try_collect().await?;
    Ok(tags.into_iter().collect())
}

struct Tags<'a> {
    client: &'a Client,
    scopes: &'a Scopes,
}

/// The request for a page.
#[derive(Hash)]
struct Asked {
    query: String,
    size: Option<usize>,
    /// The last tag of the page before, if that had no link to the next.
    after: Option<String>,
    /// Whether a refusal means the end: the page before had no link to the next, and was not full.
    may_be_refused: bool,
}

/// The answer of a registry.
#[derive(Default)]
struct Answer {
    tags: Vec<String>,
    /// The query of the next page, if the answer has a link to it.
    next: Option<String>,
    bytes: u64,
}

#[derive(Deserialize)]
struct Document {
    tags: Option<Vec<String>>,
}

#[async_trait]
impl PageSource for Tags<'_> {
    type Item = String;
    type Cursor = Asked;

    async fn page(&self, asked: Option<&Asked>) -> Result<Page<String, Asked>> {
        let Some(asked) = asked else { return self.first().await };
        match self.answer(&asked.query).await {
            Err(error) if asked.may_be_refused && is_refusal(&error) => Ok(page(Answer::default(), asked.size, None)),
            answer => Ok(page(answer?, asked.size, asked.after.as_deref())),
        }
    }

    fn id(item: &String) -> String {
        item.clone()
    }

    fn with_context(&self, error: Error) -> Error {
        self.client.with_context(error)
    }
}

impl Tags<'_> {
    /// The first page, of as many tags as the registry lets one ask for.
    async fn first(&self) -> Result<Page<String, Asked>> {
        let mut refusal = None;
        for size in SIZES {
            match self.answer(&query(size, None)).await {
                Ok(answer) => return Ok(page(answer, size, None)),
                Err(error) if is_refusal(&error) => drop(refusal.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| error::new(ErrorKind::Unsupported, LIST)))
    }

    async fn answer(&self, query: &str) -> Result<Answer> {
        self.client.retrying(|| self.answer_once(query)).await.map_err(|error| self.client.with_context(error))
    }

    async fn answer_once(&self, query: &str) -> Result<Answer> {
        let mut url = self.client.url("tags/list").await?;
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let response = self.client.send(Request::new(Method::GET, url, self.scopes, LIST)).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(Answer::default()),
            status if status.is_success() => {
                let next = next_query(&response);
                let body = self.client.read(response, self.client.tuning().bounds().answer, LIST).await?;
                Ok(Answer { tags: tags(&body)?, next, bytes: body.len() as u64 })
            }
            _ => Err(self.client.refused(response, LIST).await),
        }
    }
}

/// The page that an answer is, to a request for `size` tags after `after`.
fn page(answer: Answer, size: Option<usize>, after: Option<&str>) -> Page<String, Asked> {
    let Answer { tags, next, bytes } = answer;
    let count = tags.len();
    let next = match (next, tags.last()) {
        (Some(query), _) => NextPage::At(Asked { query, size, after: None, may_be_refused: false }),
        (None, None) => NextPage::End,
        // The registry does not know `last`. As many as were asked for, and always the same ones: there is more.
        (None, Some(last)) if after == Some(last) => match size == Some(count) {
            true => NextPage::Lost,
            false => NextPage::End,
        },
        (None, Some(last)) => NextPage::At(Asked {
            query: query(size, Some(last)),
            size,
            after: Some(last.clone()),
            may_be_refused: size.is_none_or(|size| count < size),
        }),
    };
    Page { items: tags, next, bytes }
}

fn tags(body: &Bytes) -> Result<Vec<String>> {
    let tags: Document = serde_json::from_slice(body)
        .map_err(|error| error::new(ErrorKind::Unavailable, "the list of tags is not a list").with_source(error))?;
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
