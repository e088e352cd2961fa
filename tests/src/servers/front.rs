//! A reverse proxy in front of a real server, with a log of requests and planned faults.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::http::{Answer, Server, Service, collect, json};

/// Forwards every request without a planned fault.
#[derive(Debug)]
pub struct Front {
    server: String,
}

impl Front {
    /// Starts a proxy of a server on this machine.
    #[must_use]
    pub fn start(server: impl Into<String>) -> Server<Self> {
        let server = server.into();
        Server::start(|_| Self { server })
    }

    async fn forward(&self, request: Request<Full<Bytes>>) -> Option<Answer> {
        let stream = TcpStream::connect(&self.server).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let (mut parts, body) = sender.send_request(request).await.ok()?.into_parts();
        let body = collect(body).await;
        parts.headers.remove(TRANSFER_ENCODING);
        if !body.is_empty() {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        Some(Response::from_parts(parts, Full::new(body)))
    }
}

impl Service for Front {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        // A request that breaks off is not forwarded.
        let Ok(body) = body.collect().await else { return json(400, "{}") };
        let request = Request::from_parts(parts, Full::new(body.to_bytes()));
        self.forward(request).await.unwrap_or_else(|| json(502, "the server does not answer"))
    }
}
