//! Requests about many objects.

use std::collections::HashMap;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use cache_core::{ErrorKind, Result};
use cache_kit::{NextPage, Page};

use super::{Client, Found, length, timestamp, unquoted};
use crate::error;

/// How many objects a page has that says nothing about the next one, and may not be the last.
const FULL: usize = 1_000;
/// About how many bytes of an answer an object takes, beside its key.
const ROW: u64 = 300;

/// An object in a list, by its key.
pub(crate) type Object = (String, Found);

/// The cursor of a page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Cursor {
    /// As the page before says.
    Token(String),
    /// By the last key before it: at the start of a list, and where a page says that there is more and has no token.
    After(String),
}

impl Client {
    /// At most 1,000 objects whose keys begin with `prefix`.
    pub(crate) async fn list(&self, prefix: &str, at: Option<&Cursor>) -> Result<Page<Object, Cursor>> {
        let request = self.sdk().await?.list_objects_v2().bucket(self.config().bucket()).prefix(prefix);
        let request = match at {
            Some(Cursor::Token(token)) => request.continuation_token(token),
            Some(Cursor::After(key)) => request.start_after(key),
            None => request,
        };
        let listed = self.send("cannot list the objects", prefix, None, request.send()).await?;
        let next = next_page(&listed);
        let objects = listed.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let found = Found {
                size: length(object.size),
                modified: timestamp(object.last_modified),
                etag: unquoted(object.e_tag),
                content_type: None,
                is_archived: object.storage_class.is_some_and(|class| super::is_cold(class.as_str())),
            };
            Some((object.key?, found))
        });
        let items: Vec<Object> = objects.filter(|(key, _)| key.starts_with(prefix)).collect();
        let bytes = items.iter().fold(ROW, |sum, (key, _)| sum.saturating_add(key.len() as u64).saturating_add(ROW));
        Ok(Page { items, next, bytes })
    }

    /// Deletes at most 1,000 objects in one request; what could not be deleted is in the answer, with the store's words.
    pub(crate) async fn delete_all(&self, keys: &[String]) -> Result<HashMap<String, cache_core::Error>> {
        const MESSAGE: &str = "cannot delete the object";
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<Result<Vec<_>, _>>();
        let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
        let delete = delete.map_err(|error| error::new(ErrorKind::Unsupported, MESSAGE).with_source(error))?;
        let request = self.sdk().await?.delete_objects().bucket(self.config().bucket()).delete(delete);
        let prefix = self.config().keys().blobs();
        let answer = self.send("cannot delete the objects", &prefix, Some(0), request.send()).await?;
        let failures = answer.errors.unwrap_or_default().into_iter().filter_map(|failure| {
            let made = error::in_words(MESSAGE, failure.code.as_deref(), failure.message.as_deref());
            let key = failure.key?;
            let made = self.with_context(made, &key);
            Some((key, made))
        });
        Ok(failures.collect())
    }
}

/// `IsTruncated` decides where it is there, and the token says how to go on.
fn next_page(listed: &ListObjectsV2Output) -> NextPage<Cursor> {
    let token = listed.next_continuation_token.clone().filter(|token| !token.is_empty());
    let is_full = listed.contents().len() >= FULL;
    match (listed.is_truncated, token) {
        (Some(false), _) => NextPage::End,
        (_, Some(token)) => NextPage::At(Cursor::Token(token)),
        (None, None) if !is_full => NextPage::End,
        _ => match listed.contents().last().and_then(|object| object.key.clone()) {
            Some(last) => NextPage::At(Cursor::After(last)),
            None => NextPage::Lost,
        },
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::Object as Listed;

    use super::*;

    fn next(is_truncated: Option<bool>, token: Option<&str>, keys: usize) -> NextPage<Cursor> {
        let objects = (0..keys).map(|at| Listed::builder().key(format!("{at:04}")).build()).collect();
        let listed = ListObjectsV2Output::builder().set_contents(Some(objects)).set_is_truncated(is_truncated);
        next_page(&listed.set_next_continuation_token(token.map(str::to_owned)).build())
    }

    #[test]
    fn a_page_is_the_last_one_only_if_it_says_so_or_has_room() {
        let token = || NextPage::At(Cursor::Token("t".to_owned()));
        assert_eq!(next(Some(true), Some("t"), 0), token());
        assert_eq!(next(None, Some("t"), 3), token());
        assert_eq!(next(Some(false), Some("t"), 3), NextPage::End);
        assert_eq!(next(None, None, 3), NextPage::End);
        assert_eq!(next(None, None, 1_000), NextPage::At(Cursor::After("0999".to_owned())));
        assert_eq!(next(Some(true), Some(""), 2), NextPage::At(Cursor::After("0001".to_owned())));
        assert_eq!(next(Some(true), None, 0), NextPage::Lost);
    }
}
