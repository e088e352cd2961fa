//! Requests that list or delete many objects.

use std::collections::HashMap;

use aws_sdk_s3::types::{Delete, EncodingType, Object as Row, ObjectIdentifier};
use cache_core::{ErrorKind, Result};
use cache_kit::{NextPage, Page};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Client, Found, length, timestamp, unquoted};
use crate::error;

/// From how many objects on a page without a mark or a token may not be the last one.
const FULL: usize = 1_000;
/// About how many bytes of an answer an object takes, beside its key.
const ROW: u64 = 300;

const MESSAGE: &str = "cannot list the objects";

/// An object in a list, by its key.
pub(crate) type Object = (String, Found);

/// How many objects without a size in the list are looked up at once.
const LOOKS: usize = 16;

/// The cursor of a page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Cursor {
    /// The token of the page before.
    Token(String),
    /// The last key before it: at the start of a list, and after a page that is truncated and has no token.
    After(String),
    /// The same, for a store that only supports the first version of lists.
    Marker(String),
}

/// A page as it came, in either version.
struct Listing {
    rows: Vec<Row>,
    encoding: Option<EncodingType>,
    is_truncated: Option<bool>,
    next: Option<Cursor>,
    /// Whether it is continued by [`Cursor::Marker`] if it has no token.
    is_first_version: bool,
}

impl Client {
    /// At most 1,000 objects whose keys begin with `prefix`.
    ///
    /// A store that does not know the second version of lists refuses it, or answers in the first.
    pub(crate) async fn list(&self, prefix: &str, at: Option<&Cursor>) -> Result<Page<Object, Cursor>> {
        let listed = match at {
            Some(Cursor::Marker(key)) => self.list_by_marker(prefix, Some(key)).await?,
            Some(Cursor::Token(token)) => self.list_by_token(prefix, Some(token), None).await?,
            None | Some(Cursor::After(_)) => {
                let start = match at {
                    Some(Cursor::After(key)) => Some(key.as_str()),
                    _ => None,
                };
                match self.list_by_token(prefix, None, start).await {
                    Err(error) if is_about_versions(&error) => {
                        self.list_by_marker(prefix, start).await.map_err(|_| error)?
                    }
                    listed => listed?,
                }
            }
        };
        let next = next_page(&listed);
        let is_url = listed.encoding.is_some_and(|encoding| encoding == EncodingType::Url);
        let keyed = listed.rows.into_iter().filter_map(|row| {
            let key = row.key.clone()?;
            Some((if is_url { decoded(&key) } else { key }, row))
        });
        let keyed: Vec<_> = keyed.filter(|(key, _)| key.starts_with(prefix)).collect();
        let rows = stream::iter(keyed).map(|(key, row)| self.found(key, row)).boxed();
        let items: Vec<Option<Object>> = rows.buffered(LOOKS).try_collect().await?;
        let items: Vec<Object> = items.into_iter().flatten().collect();
        let bytes = items.iter().fold(ROW, |sum, (key, _)| sum.saturating_add(key.len() as u64).saturating_add(ROW));
        Ok(Page { items, next, bytes })
    }

    async fn list_by_token(&self, prefix: &str, token: Option<&str>, start: Option<&str>) -> Result<Listing> {
        let request = self.sdk().await?.list_objects_v2().bucket(self.config().bucket()).prefix(prefix);
        let request =
            request.set_continuation_token(token.map(str::to_owned)).set_start_after(start.map(str::to_owned));
        let listed = self.send(MESSAGE, prefix, None, request.send()).await?;
        let next = listed.next_continuation_token.filter(|token| !token.is_empty()).map(Cursor::Token);
        Ok(Listing {
            rows: listed.contents.unwrap_or_default(),
            encoding: listed.encoding_type,
            is_truncated: listed.is_truncated,
            next,
            is_first_version: listed.key_count.is_none(),
        })
    }

    async fn list_by_marker(&self, prefix: &str, marker: Option<&str>) -> Result<Listing> {
        let request = self.sdk().await?.list_objects().bucket(self.config().bucket()).prefix(prefix);
        let request = request.set_marker(marker.map(str::to_owned));
        let listed = self.send(MESSAGE, prefix, None, request.send()).await?;
        let is_url = listed.encoding_type == Some(EncodingType::Url);
        let next = listed.next_marker.filter(|key| !key.is_empty());
        Ok(Listing {
            rows: listed.contents.unwrap_or_default(),
            encoding: listed.encoding_type,
            is_truncated: listed.is_truncated,
            next: next.map(|key| Cursor::Marker(if is_url { decoded(&key) } else { key })),
            is_first_version: true,
        })
    }

    /// The object of a row; if the row has no size, the object is looked up.
    async fn found(&self, key: String, row: Row) -> Result<Option<Object>> {
        let Some(size) = row.size else {
            let found = self.retrying(|| self.head(&key)).await?;
            return Ok(found.map(|found| (key, found)));
        };
        let found = Found {
            size: length(Some(size)),
            modified: timestamp(row.last_modified),
            etag: unquoted(row.e_tag),
            content_type: None,
            is_archived: row.storage_class.is_some_and(|class| super::is_cold(class.as_str())),
        };
        Ok(Some((key, found)))
    }

    /// Deletes at most 1,000 objects in one request; what could not be deleted is in the answer, with the store's
    /// words.
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

/// `IsTruncated` decides if it is present; the token is the position of the next page.
fn next_page(listed: &Listing) -> NextPage<Cursor> {
    let is_full = listed.rows.len() >= FULL;
    match (listed.is_truncated, &listed.next) {
        (Some(false), _) => NextPage::End,
        (_, Some(next)) => NextPage::At(next.clone()),
        (None, None) if !is_full => NextPage::End,
        _ => match listed.rows.last().and_then(|object| object.key.clone()) {
            Some(last) => {
                let is_url = listed.encoding == Some(EncodingType::Url);
                let last = if is_url { decoded(&last) } else { last };
                NextPage::At(if listed.is_first_version { Cursor::Marker(last) } else { Cursor::After(last) })
            }
            None => NextPage::Lost,
        },
    }
}

/// Whether a store has refused a list for its version.
fn is_about_versions(error: &cache_core::Error) -> bool {
    error.status() == Some(400) || error.kind() == ErrorKind::Unsupported
}

/// Decodes form encoding: `%41` is a byte, and `+` a blank. Anything else is unchanged.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(is_truncated: Option<bool>, token: Option<&str>, keys: usize) -> Listing {
        let rows = (0..keys).map(|at| Row::builder().key(format!("{at:04}")).build()).collect();
        let next = token.map(|token| Cursor::Token(token.to_owned()));
        Listing { rows, encoding: None, is_truncated, next, is_first_version: false }
    }

    fn next(is_truncated: Option<bool>, token: Option<&str>, keys: usize) -> NextPage<Cursor> {
        next_page(&listing(is_truncated, token, keys))
    }

    #[test]
    fn a_page_is_the_last_one_only_if_marked_or_not_full() {
        let token = || NextPage::At(Cursor::Token("t".to_owned()));
        assert_eq!(next(Some(true), Some("t"), 0), token());
        assert_eq!(next(None, Some("t"), 3), token());
        assert_eq!(next(Some(false), Some("t"), 3), NextPage::End);
        assert_eq!(next(None, None, 3), NextPage::End);
        assert_eq!(next(None, None, 1_000), NextPage::At(Cursor::After("0999".to_owned())));
        assert_eq!(next(Some(true), None, 2), NextPage::At(Cursor::After("0001".to_owned())));
        assert_eq!(next(Some(true), None, 0), NextPage::Lost);
        let first = Listing { is_first_version: true, ..listing(Some(true), None, 2) };
        assert_eq!(next_page(&first), NextPage::At(Cursor::Marker("0001".to_owned())));
    }

    #[test]
    fn encoded_keys_are_decoded_as_forms_are() {
        for (text, key) in [
            ("a%2Fb%3a1", "a/b:1"),
            ("a+b%2Bc", "a b+c"),
            ("%e2%82%ac", "€"),
            ("100%", "100%"),
            ("%zz%+4%4", "%zz% 4%4"),
        ] {
            assert_eq!(decoded(text), key);
        }
    }
}
