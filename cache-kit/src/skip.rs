//! Skipping the start of a stream.

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

/// The body without its first `count` bytes, for servers that ignore ranges and send the whole.
#[must_use]
pub fn skip_bytes<E: Send + 'static>(
    body: BoxStream<'static, Result<Bytes, E>>,
    count: u64,
) -> BoxStream<'static, Result<Bytes, E>> {
    if count == 0 {
        return body;
    }
    let skipped = body.scan(count, |left, piece| {
        let piece = piece.map(|mut piece| {
            let cut = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
            *left -= cut as u64;
            piece.split_off(cut)
        });
        async move { Some(piece) }
    });
    skipped.boxed()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use futures_util::stream::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn so_many_bytes_are_left_out_however_they_are_cut() {
        for (count, left) in [(0, "abcdef"), (1, "bcdef"), (2, "cdef"), (5, "f"), (6, ""), (9, "")] {
            let pieces = ["ab", "cde", "f"].map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
            let body = skip_bytes(stream::iter(pieces).boxed(), count);
            assert_eq!(body.try_collect::<Vec<Bytes>>().await.unwrap().concat(), left.as_bytes(), "{count}");
        }
    }
}
