//! The bare listing of a made-up store.

use std::time::Instant;

use bytes::Bytes;
use cache_tests::bench::Outcome;
use cache_tests::servers::made_up::{Kind, PLACE, Server};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Connections that read manifests.
const CONNECTIONS: usize = 16;

/// The number of requests, and the seconds that they take.
pub(crate) fn listing(kind: Kind, server: &Server) -> Outcome<(usize, f64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    let requests = runtime.block_on(async {
        let mut connection = Connection::open(server).await?;
        if kind == Kind::Registry {
            return repository(server, &mut connection).await;
        }
        let mut requests = 0;
        for prefix in ["manifests/", "blobs/"] {
            requests += pages(kind, server, &mut connection, prefix).await?;
        }
        Ok(requests)
    })?;
    Ok((requests, start.elapsed().as_secs_f64()))
}

/// The pages of all keys with a prefix.
async fn pages(kind: Kind, server: &Server, connection: &mut Connection, prefix: &str) -> Outcome<usize> {
    let (query, cursor, element) = match kind {
        Kind::Azblob => ("restype=container&comp=list&maxresults=5000", "marker", "<NextMarker>"),
        _ => ("list-type=2", "continuation-token", "<NextContinuationToken>"),
    };
    let (path, mut at) = (format!("{}/{PLACE}?{query}&prefix={prefix}", server.endpoint()), String::new());
    for pages in 1.. {
        let page = connection.get(&format!("{path}&{cursor}={at}")).await?;
        let next = page.split_once(element).and_then(|(_, rest)| rest.split_once("</"));
        match next.filter(|(next, _)| !next.is_empty()) {
            Some((next, _)) => next.clone_into(&mut at),
            None => return Ok(pages),
        }
    }
    Ok(0)
}

/// The pages of tags, and every manifest.
async fn repository(server: &Server, connection: &mut Connection) -> Outcome<usize> {
    let (mut tags, mut requests) = (Vec::new(), 0);
    loop {
        let last = tags.last().map_or_else(String::new, |last| format!("&last={last}"));
        let page = connection.get(&format!("/v2/{PLACE}/tags/list?n=1000{last}")).await?;
        let page: serde_json::Value = serde_json::from_str(&page)?;
        let page = page["tags"].as_array().ok_or("a list has tags")?;
        tags.extend(page.iter().filter_map(|tag| tag.as_str()).map(str::to_owned));
        requests += 1;
        if page.len() < 1_000 {
            break;
        }
    }
    let share = tags.len().div_ceil(CONNECTIONS).max(1);
    let readers = stream::iter(tags.chunks(share)).map(|tags| async move {
        let mut connection = Connection::open(server).await?;
        for tag in tags {
            connection.get(&format!("/v2/{PLACE}/manifests/{tag}")).await?;
        }
        Outcome::Ok(())
    });
    readers.buffer_unordered(CONNECTIONS).try_collect::<()>().await?;
    Ok(requests + tags.len())
}

struct Connection {
    host: String,
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    async fn open(server: &Server) -> Outcome<Self> {
        let host = server.host();
        let (sender, connection) = handshake(TokioIo::new(TcpStream::connect(&host).await?)).await?;
        tokio::spawn(connection);
        Ok(Self { host, sender })
    }

    /// The body of an answer.
    async fn get(&mut self, path: &str) -> Outcome<String> {
        let request = Request::get(path).header("host", &self.host).body(Empty::new())?;
        let answer = self.sender.send_request(request).await?;
        Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?)
    }
}
