//! Gives a blob a new time, by copying it onto itself.

use cache_core::Result;

use crate::client::{Client, Found};
use crate::parts::{abort, complete};

/// Gives a present object a new time.
pub(crate) async fn refresh(client: &Client, key: &str, found: &Found) -> Result<()> {
    let limits = client.config().environment().copies();
    if found.size < limits.whole {
        return client.retrying(|| client.renew(key, found)).await;
    }
    let upload = client.retrying(|| client.begin(key, found.content_type.as_deref())).await?;
    let copied = match copy_parts(client, key, &upload, ranges(found.size, limits.part)).await {
        Ok(tags) => complete(client, key, &upload, &tags, found.size, Some(found)).await,
        Err(error) => Err(error),
    };
    if copied.is_err() {
        // The first error is the one to tell.
        let _ = abort(client, key, &upload).await;
    }
    copied
}

async fn copy_parts(
    client: &Client,
    key: &str,
    upload: &str,
    ranges: impl Iterator<Item = (u64, u64)>,
) -> Result<Vec<String>> {
    let mut tags = Vec::new();
    for (number, (first, last)) in (1..).zip(ranges) {
        tags.push(client.retrying(|| client.part_of_itself(key, upload, number, first, last)).await?);
    }
    Ok(tags)
}

/// The first and the last byte of each part; the last part ends with the object, which BuildKit's may not.
fn ranges(size: u64, part: u64) -> impl Iterator<Item = (u64, u64)> {
    let part = part.max(size.div_ceil(10_000)).max(1);
    (0..size.div_ceil(part)).map(move |n| (n * part, ((n + 1) * part).min(size) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_object_and_end_with_it() {
        let five: u64 = 5 << 30;
        let expected = [(0, five - 1), (five, 2 * five - 2)];
        assert_eq!(ranges(2 * five - 1, five).collect::<Vec<_>>(), expected);
        assert_eq!(ranges(10, 5).collect::<Vec<_>>(), [(0, 4), (5, 9)]);
        assert_eq!(ranges(1, 5).collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(ranges(1_000_000, 1).count(), 10_000);
    }
}
