//! Blocks do not depend on how the stream is cut.

use cache_core::{Error, ErrorKind};
use futures_util::FutureExt;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::*;

fn cut(pieces: &[&'static [u8]]) -> Vec<Bytes> {
    let pieces: Vec<Result<Bytes>> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
    blocks(Box::pin(iter(pieces)), 4).try_collect().now_or_never().unwrap().unwrap()
}

#[test]
fn blocks_are_the_same_however_the_stream_is_cut() {
    let expected: [&[u8]; 3] = [b"abcd", b"efgh", b"i"];
    assert_eq!(cut(&[b"abcdefghi"]), expected);
    assert_eq!(cut(&[b"a", b"", b"bc", b"defg", b"hi"]), expected);
    assert_eq!(cut(&[b"abcd", b"efghi"]), expected);
    assert_eq!(cut(&[b"ab", b"cdefgh", b"i", b""]), expected);
}

#[test]
fn only_an_empty_stream_has_an_empty_block() {
    assert_eq!(cut(&[]), [b"".as_slice()]);
    assert_eq!(cut(&[b""]), [b"".as_slice()]);
    assert_eq!(cut(&[b"abcd"]), [b"abcd".as_slice()]);
}

#[test]
fn an_error_ends_the_blocks() {
    let pieces = [Ok(Bytes::from_static(b"ab")), Err(Error::new(ErrorKind::Unavailable, "reset")), Ok(Bytes::new())];
    let found: Vec<Result<Bytes>> = blocks(Box::pin(iter(pieces)), 4).collect().now_or_never().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
}
