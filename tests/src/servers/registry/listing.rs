//! How registries list their tags.

use hyper::header::LINK;

use super::Shared;
use super::http::{Answer, json};
use super::routes::error;

/// How tags are divided into pages, and how a page names the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// By `n` and `last`, with a `Link`, as in distribution-spec 1.1.
    Linked,
    /// By `n` and `last`, without a `Link`, as in distribution-spec 1.0.
    Unlinked,
    /// With a `Link` to the internal host and path of a registry behind a proxy.
    LinkedElsewhere,
    /// As `Linked`, but an `n` above the page size is refused.
    Strict,
    /// All tags at once, whatever the request.
    Whole,
    /// Always the first page: `last` is ignored.
    Stuck,
    /// Two pages whose `Link`s lead to each other.
    Circles,
    /// Pages without tags, each with a `Link` to another one.
    Empty,
}

/// The parameters of a request.
pub(super) struct Asked<'a> {
    pub(super) count: Option<&'a str>,
    pub(super) last: Option<&'a str>,
}

pub(super) fn tags(shared: &Shared, repository: &str, asked: &Asked<'_>) -> Answer {
    let (listing, page) = (shared.options.listing, shared.options.page);
    let count = asked.count.and_then(|count| count.parse().ok()).unwrap_or(page);
    if listing == Listing::Strict && count > page {
        return error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested");
    }
    let state = shared.state();
    let Some(own) = state.stored.repositories.get(repository) else {
        return error(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let (count, last) = match listing {
        Listing::Whole => (usize::MAX, None),
        Listing::Stuck => (count, None),
        Listing::Circles => (page, asked.last.filter(|last| !last.starts_with('~'))),
        Listing::Empty => (0, None),
        _ => (count.min(page), asked.last),
    };
    let mut rest = own.tags.keys().filter(|tag| last.is_none_or(|last| tag.as_str() > last));
    let tags: Vec<&String> = rest.by_ref().take(count).collect();
    let body = serde_json::json!({ "name": repository, "tags": if tags.is_empty() { None } else { Some(&tags) } });
    let mut answer = json(200, &body.to_string());
    let end = tags.last().map(|last| last.as_str()).filter(|_| rest.next().is_some());
    if let Some(link) = link(listing, page, repository, asked, end) {
        answer.headers_mut().insert(LINK, link.parse().expect("a header"));
    }
    answer
}

/// The `Link` of a page; `end` is its last tag, if there are more.
fn link(listing: Listing, page: usize, repository: &str, asked: &Asked<'_>, end: Option<&str>) -> Option<String> {
    let path = format!("/v2/{repository}/tags/list");
    let target = match listing {
        Listing::Linked | Listing::Strict => format!("{path}?last={}&n={page}", end?),
        Listing::LinkedElsewhere => format!("http://registry.internal/proxied{path}?last={}&n={page}", end?),
        Listing::Circles if asked.last == Some("~a") => format!("{path}?last=~b"),
        Listing::Circles => format!("{path}?last=~a"),
        Listing::Empty => {
            let at: u32 = asked.last.and_then(|last| last.parse().ok()).unwrap_or(0);
            format!("{path}?last={}", at + 1)
        }
        Listing::Unlinked | Listing::Whole | Listing::Stuck => return None,
    };
    Some(format!("<{target}>; rel=\"next\""))
}
