//! [`BodyReader`]: reads the body of an answer within bounds on bytes and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cache_core::{Error, ErrorKind, Result};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::time::{Instant, timeout};

use crate::Bounds;

/// Reads bodies within [`Bounds`]. Only time spent waiting for the server counts, not that of a slow reader.
///
/// ```
/// use bytes::Bytes;
/// use cache_core::ErrorKind;
/// use cache_kit::{BodyReader, Bounds};
/// use futures_util::stream;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let reader = BodyReader::new("cannot list the tags", None, &Bounds::default()).with_limit(8);
/// let endless = stream::repeat_with(|| Ok(Bytes::from_static(b"tag ")));
/// assert_eq!(reader.read(endless).await.unwrap_err().kind(), ErrorKind::LimitExceeded);
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BodyReader {
    message: &'static str,
    limit: u64,
    idle: Option<Duration>,
    slowest: u64,
}

impl BodyReader {
    /// Reads bodies of any length. `message` is the message of the error for a timeout. A server may be silent for
    /// `idle`, and has to send more than `bounds.slowest` bytes a second over that time. With `None` there is no time
    /// limit.
    #[must_use]
    pub fn new(message: &'static str, idle: Option<Duration>, bounds: &Bounds) -> Self {
        Self { message, limit: u64::MAX, idle, slowest: bounds.slowest }
    }

    /// Sets the longest body, in bytes.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The body as a stream that ends after its first error.
    ///
    /// It fails with [`ErrorKind::Unavailable`] if nothing comes for too long, with the same kind but not retryable if
    /// too little comes, and with [`ErrorKind::LimitExceeded`] if the body is too long.
    pub fn stream<'a>(&self, body: impl Stream<Item = Result<Bytes>> + Send + 'a) -> BoxStream<'a, Result<Bytes>> {
        let reading = Reading { reader: *self, body: body.boxed(), read: 0, window: Window::default() };
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        pieces.boxed()
    }

    /// Reads a whole body into memory.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn read(&self, body: impl Stream<Item = Result<Bytes>> + Send) -> Result<Bytes> {
        let mut pieces = self.stream(body);
        let mut whole = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.freeze())
    }

    /// Reads the body of an error up to the limit. A failure to read the rest is ignored.
    pub async fn read_start(&self, body: impl Stream<Item = Result<Bytes>> + Send) -> Bytes {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut pieces = Self { limit: u64::MAX, ..*self }.stream(body);
        let mut start = BytesMut::new();
        while start.len() < limit {
            let Some(Ok(piece)) = pieces.next().await else { break };
            start.extend_from_slice(&piece);
        }
        start.truncate(limit);
        start.freeze()
    }

    fn too_long(&self) -> Error {
        let error = Error::new(ErrorKind::LimitExceeded, self.message).with("cause", "the answer is too long");
        error.with("limit", self.limit)
    }

    /// A retry would be as slow.
    fn too_slow(&self, idle: Duration) -> Error {
        let cause = format!("fewer than {} bytes a second came for {} s", self.slowest, idle.as_secs_f32());
        Error::new(ErrorKind::Unavailable, self.message).with("cause", cause).with_retryable(false)
    }
}

/// The progress of a body while it was waited for.
#[derive(Default)]
struct Window {
    waited: Duration,
    came: u64,
}

struct Reading<'a> {
    reader: BodyReader,
    body: BoxStream<'a, Result<Bytes>>,
    read: u64,
    window: Window,
}

impl Reading<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(piece) = self.wait().await?.transpose()? else { return Ok(None) };
        self.read = self.read.saturating_add(piece.len() as u64);
        if self.read > self.reader.limit {
            return Err(self.reader.too_long());
        }
        self.pace(piece.len())?;
        Ok(Some(piece))
    }

    async fn wait(&mut self) -> Result<Option<Result<Bytes>>> {
        let Some(idle) = self.reader.idle else { return Ok(self.body.next().await) };
        let begun = Instant::now();
        let next = timeout(idle, self.body.next()).await.map_err(|_| Error::silence(self.reader.message, idle))?;
        self.window.waited = self.window.waited.saturating_add(begun.elapsed());
        Ok(next)
    }

    fn pace(&mut self, came: usize) -> Result<()> {
        let Some(idle) = self.reader.idle else { return Ok(()) };
        self.window.came = self.window.came.saturating_add(came as u64);
        if self.window.waited < idle {
            return Ok(());
        }
        let least = u128::from(self.reader.slowest).saturating_mul(idle.as_millis()) / 1_000;
        let window = std::mem::take(&mut self.window);
        if u128::from(window.came) < least { Err(self.reader.too_slow(idle)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn reader() -> BodyReader {
        BodyReader::new("cannot read", Some(IDLE), &Bounds::default())
    }

    /// An endless body, this many bytes at a time.
    fn every(wait: Duration, bytes: usize) -> impl Stream<Item = Result<Bytes>> + Send {
        stream::repeat(bytes).then(move |bytes| async move {
            tokio::time::sleep(wait).await;
            Ok(Bytes::from(vec![b'x'; bytes]))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_an_error_and_not_retried() {
        let begun = Instant::now();
        let error = reader().read(every(Duration::from_secs(1), 1)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable(), begun.elapsed()), (ErrorKind::Unavailable, false, IDLE));
        assert_eq!(error.context("cause"), Some("fewer than 1024 bytes a second came for 60 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_start_does_not_excuse_a_slow_rest() {
        let fast = stream::iter([Ok(Bytes::from(vec![0; 8 << 20]))]);
        let error = reader().read(fast.chain(every(Duration::from_secs(1), 1))).await.unwrap_err();
        assert!(error.context("cause").unwrap().starts_with("fewer than"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_may_pass() {
        let error = reader().read(stream::pending()).await.unwrap_err();
        assert!(error.is_retryable() && error.context("cause") == Some("nothing has moved for 60 s"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_no_slow_server() {
        let mut pieces = reader().stream(stream::repeat_with(|| Ok(Bytes::from_static(b"x"))).take(100));
        while let Some(piece) = pieces.next().await {
            piece.unwrap();
            tokio::time::sleep(IDLE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_server_is_read_to_its_end() {
        let body = every(Duration::from_secs(1), 2 << 10).take(600);
        assert_eq!(reader().read(body).await.unwrap().len(), 600 << 11);
    }

    #[tokio::test]
    async fn a_body_ends_at_its_limit() {
        let body = || stream::repeat_with(|| Ok(Bytes::from_static(b"abc")));
        assert_eq!(reader().with_limit(9).read(body().take(3)).await.unwrap(), "abcabcabc");
        let error = reader().with_limit(8).read(body()).await.unwrap_err();
        assert_eq!((error.kind(), error.context("limit")), (ErrorKind::LimitExceeded, Some("8")));
        assert_eq!(reader().with_limit(8).read_start(body()).await, "abcabcab");
    }

    #[tokio::test]
    async fn the_body_of_an_error_is_read_until_it_breaks() {
        let broken = stream::iter([Ok(Bytes::from_static(b"no")), Err(Error::new(ErrorKind::Unavailable, "reset"))]);
        assert_eq!(reader().read_start(broken).await, "no");
    }
}
