//! Answers, and the faults in them.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Response;
use hyper::body::{Frame, Incoming};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use tokio::io::AsyncReadExt as _;

use super::{Fault, Never};

/// The answer of a service.
pub type Answer = Response<Full<Bytes>>;
/// An answer as it is sent.
pub(super) type Sent = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// An answer with a body.
///
/// # Panics
/// If `media_type` is not a valid header.
#[must_use]
pub fn full(status: u16, media_type: &str, bytes: Bytes) -> Answer {
    let response =
        Response::builder().status(status).header(CONTENT_TYPE, media_type).header(CONTENT_LENGTH, bytes.len());
    response.body(Full::new(bytes)).expect("a response")
}

/// An answer in JSON.
#[must_use]
pub fn json(status: u16, body: &str) -> Answer {
    full(status, "application/json", Bytes::copy_from_slice(body.as_bytes()))
}

/// An answer without a body.
///
/// # Panics
/// If `status` is invalid.
#[must_use]
pub fn empty(status: u16) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    answer
}

/// The part of a document that a `Range` header selects, or all of it.
///
/// # Panics
/// If `media_type` is not a valid header.
#[must_use]
pub fn sliced(media_type: &str, bytes: Bytes, range: Option<&str>) -> Answer {
    let Some(range) = range else { return full(200, media_type, bytes) };
    let parsed = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((first, last)) = parsed.and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok())))
    else {
        return empty(416);
    };
    let total = bytes.len();
    let end = last.map_or(total, |last| last.saturating_add(1).min(total));
    if first >= end {
        return empty(416);
    }
    let mut answer = full(206, media_type, bytes.slice(first..end));
    let content_range = format!("bytes {first}-{}/{total}", end - 1);
    answer.headers_mut().insert(CONTENT_RANGE, content_range.parse().expect("a header"));
    answer
}

/// The body of a request; empty if it breaks off.
pub async fn collect(body: Incoming) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

/// The fields of a query or a form.
#[must_use]
pub fn fields(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// The answer of a fault, in place of the service's.
pub(super) fn planned(fault: &Fault) -> Answer {
    if let Fault::Redirect(status, location) = fault {
        let mut answer = empty(*status);
        answer.headers_mut().insert(LOCATION, location.parse().expect("a header"));
        return answer;
    }
    if let Fault::Challenge(challenge) = fault {
        let mut answer = empty(401);
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge.parse().expect("a header"));
        return answer;
    }
    let (status, wait, body) = match fault {
        Fault::Answer(status, wait, body) => (status, wait, *body),
        Fault::EndlessError(status) => (status, &None, "no"),
        _ => return empty(500),
    };
    let mut answer = json(*status, body);
    if let Some(wait) = wait {
        answer.headers_mut().insert(RETRY_AFTER, (*wait).into());
    }
    answer
}

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send>>;

/// A slow or endless body, if that is the fault.
fn slow(fault: &Fault, bytes: Bytes) -> Option<Frames> {
    let noise = || Bytes::from_static(&[b' '; 16 << 10]);
    match fault {
        Fault::Endless | Fault::EndlessError(_) => {
            let frames = stream::iter([bytes]).chain(stream::repeat_with(noise));
            Some(Box::pin(frames.map(|bytes| Ok(Frame::data(bytes)))))
        }
        Fault::Trickle => Some(Box::pin(stream::iter(bytes).then(|byte| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(Frame::data(Bytes::copy_from_slice(&[byte])))
        }))),
        Fault::StallAfter(count) => {
            let start = stream::iter([Ok(Frame::data(bytes.slice(..bytes.len().min(*count))))]);
            Some(Box::pin(start.chain(stream::pending())))
        }
        _ => None,
    }
}

/// The headers and the body after a proxy, if that is the fault.
async fn proxied(fault: &Fault, headers: &mut HeaderMap, bytes: Bytes) -> Bytes {
    match fault {
        Fault::UntoldRange => drop(headers.remove(CONTENT_RANGE)),
        Fault::OtherRange => change(headers, CONTENT_RANGE, |range| {
            let (first, rest) = range.strip_prefix("bytes ")?.split_once('-')?;
            Some(format!("bytes {}-{rest}", first.parse::<u64>().ok()? + 1))
        }),
        Fault::Shorter => {
            change(headers, CONTENT_LENGTH, |length| Some((length.parse::<u64>().ok()?.checked_sub(1)?).to_string()));
            change(headers, CONTENT_RANGE, |range| {
                let (range, total) = range.split_once('/')?;
                Some(format!("{range}/{}", total.parse::<u64>().ok()?.checked_sub(1)?))
            });
        }
        Fault::Gzip | Fault::GzipInName => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            if *fault == Fault::Gzip {
                headers.remove(CONTENT_LENGTH);
                let mut encoded = Vec::new();
                let mut encoder = async_compression::tokio::bufread::GzipEncoder::new(&bytes[..]);
                encoder.read_to_end(&mut encoded).await.expect("it goes into memory");
                return encoded.into();
            }
        }
        _ => {}
    }
    bytes
}

fn change(headers: &mut HeaderMap, name: HeaderName, to: impl Fn(&str) -> Option<String>) {
    let changed = headers.get(&name).and_then(|value| to(value.to_str().ok()?)?.parse().ok());
    if let Some(value) = changed {
        headers.insert(name, value);
    }
}

/// The answer as it is sent, with the planned fault.
pub(super) async fn spoil(answer: Answer, fault: Option<&Fault>, is_head: bool) -> Sent {
    let (mut parts, body) = answer.into_parts();
    let bytes = body.collect().await.map_or_else(|never: Never| match never {}, http_body_util::Collected::to_bytes);
    if !is_head && !parts.headers.contains_key(CONTENT_LENGTH) {
        parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
    }
    let bytes = match fault.filter(|fault| is_head == (**fault == Fault::Shorter) || !is_head) {
        Some(fault) => proxied(fault, &mut parts.headers, bytes).await,
        None => bytes,
    };
    if let Some(frames) = fault.and_then(|fault| slow(fault, bytes.clone())).filter(|_| !is_head) {
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, StreamBody::new(frames).boxed_unsync());
    }
    let (bytes, end) = match fault {
        Some(Fault::DropAfter(count)) => (bytes.slice(..bytes.len().min(*count)), true),
        Some(Fault::Truncate(count)) => {
            parts.headers.remove(CONTENT_LENGTH);
            (bytes.slice(..bytes.len().min(*count)), false)
        }
        Some(Fault::Corrupt(at)) if *at < bytes.len() => (crate::faulty::flipped(&bytes, *at), false),
        _ => (bytes, false),
    };
    let frames =
        stream::iter([Ok(Frame::data(bytes))].into_iter().chain(end.then(|| Err(std::io::Error::other("planned")))));
    // hyper would close the connection at once, before the earlier bytes arrive.
    let frames: Frames = Box::pin(frames.then(|frame| async {
        if frame.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        frame
    }));
    let body = if is_head {
        Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
    } else {
        StreamBody::new(frames).boxed_unsync()
    };
    Response::from_parts(parts, body)
}
