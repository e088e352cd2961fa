//! Limits the answers that the SDK reads whole, which are all but objects.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use cache_kit::Bounds;
use http_body::{Body, Frame};

type BoxError = Box<dyn StdError + Send + Sync>;

/// The part of a URL by which the SDK's requests for objects are recognised.
const OF_AN_OBJECT: &str = "x-id=GetObject";
/// The message for an answer over the cap.
pub(crate) const TOO_LONG: &str = "the answer is too long";

/// Asks for answers as they are stored, and puts every one under a cap before the SDK reads it.
#[derive(Debug)]
pub(super) struct Caps(pub(super) Bounds);

impl Intercept for Caps {
    fn name(&self) -> &'static str {
        "Caps"
    }

    /// After the signature, so that a proxy that changes it does not break that.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().insert("accept-encoding", "identity");
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_of_an_object = context.inner().request().is_some_and(|request| request.uri().contains(OF_AN_OBJECT));
        let response = context.response_mut();
        let is_error = !response.status().is_success();
        if is_of_an_object && !is_error {
            return Ok(());
        }
        let left = if is_error { self.0.error_body } else { self.0.answer };
        let inner = std::mem::replace(response.body_mut(), SdkBody::taken());
        *response.body_mut() = SdkBody::from_body_1_x(Capped { inner, left, is_error });
        Ok(())
    }
}

/// A body that ends at its cap: quietly if it is an error's, whose first words are enough.
struct Capped {
    inner: SdkBody,
    left: u64,
    is_error: bool,
}

impl Body for Capped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_error && self.left == 0 {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(piece))) => Some(self.take(piece).map(Frame::data)),
            Some(Ok(Err(trailers))) => Some(Ok(trailers)),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }
}

impl Capped {
    fn take(&mut self, mut piece: Bytes) -> Result<Bytes, BoxError> {
        if piece.len() as u64 > self.left {
            if !self.is_error {
                return Err(TOO_LONG.into());
            }
            piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        }
        self.left = self.left.saturating_sub(piece.len() as u64);
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capped(left: u64, is_error: bool) -> Capped {
        Capped { inner: SdkBody::empty(), left, is_error }
    }

    #[test]
    fn an_error_is_cut_and_any_other_answer_refused() {
        let piece = Bytes::from_static(b"abcdef");
        assert_eq!(capped(4, true).take(piece.clone()).unwrap(), "abcd");
        assert_eq!(capped(4, false).take(piece.clone()).unwrap_err().to_string(), TOO_LONG);
        assert_eq!(capped(6, false).take(piece).unwrap(), "abcdef");
    }
}
