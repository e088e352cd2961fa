//! Bodies on their way up, which tell whether they move: a slow line is no silent server.

use bytes::Bytes;
use cache_core::kit::Outgoing;
use futures_util::stream;

/// What is handed to the connection at once.
const PIECE: usize = 64 << 10;

/// The bytes as the body of a request.
pub(crate) fn outgoing(bytes: Bytes) -> Outgoing {
    let size = bytes.len() as u64;
    let pieces = stream::unfold(bytes, |mut bytes| async move {
        let piece = bytes.split_to(PIECE.min(bytes.len()));
        (!piece.is_empty()).then_some((Ok(piece), bytes))
    });
    Outgoing::new(Box::pin(pieces), size)
}
