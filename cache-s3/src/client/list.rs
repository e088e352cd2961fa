//! Requests that are about many objects.

use std::collections::HashMap;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use cache_core::{ErrorKind, Result};

use super::{Client, Found, length, timestamp, unquoted};
use crate::error;

/// Objects in order of their keys.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(String, Found)>,
    pub(crate) is_last: bool,
}

impl Client {
    /// At most 1,000 objects whose keys begin with `prefix` and come after `after`.
    pub(crate) async fn list(&self, prefix: &str, after: &str) -> Result<Page> {
        let request = self.sdk().await.list_objects_v2().bucket(self.config().bucket()).prefix(prefix);
        let request = request.set_start_after((!after.is_empty()).then(|| after.to_owned()));
        let listed = self.send("cannot list the objects", prefix, 0, request.send()).await?;
        let objects = listed.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let found = Found {
                size: length(object.size),
                modified: timestamp(object.last_modified),
                etag: unquoted(object.e_tag),
                content_type: None,
            };
            Some((object.key?, found))
        });
        let objects: Vec<_> = objects.collect();
        // A store that says that there is more, and gives nothing after what it has given, would never end.
        let moves = objects.last().is_some_and(|(key, _)| key.as_str() > after);
        Ok(Page { is_last: !listed.is_truncated.unwrap_or(false) || !moves, objects })
    }

    /// Deletes at most 1,000 objects in one request; what could not be deleted is in the answer, with the store's words.
    pub(crate) async fn delete_all(&self, keys: &[String]) -> Result<HashMap<String, cache_core::Error>> {
        const MESSAGE: &str = "cannot delete the object";
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<Result<Vec<_>, _>>();
        let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
        let delete = delete.map_err(|error| error::new(ErrorKind::Unsupported, MESSAGE).with_source(error))?;
        let request = self.sdk().await.delete_objects().bucket(self.config().bucket()).delete(delete);
        let prefix = self.config().keys().blobs();
        let answer = self.send("cannot delete the objects", &prefix, 0, request.send()).await?;
        let failures = answer.errors.unwrap_or_default().into_iter().filter_map(|failure| {
            let made = error::in_words(MESSAGE, failure.code.as_deref(), failure.message.as_deref());
            let key = failure.key?;
            let made = self.about(made, &key);
            Some((key, made))
        });
        Ok(failures.collect())
    }
}
