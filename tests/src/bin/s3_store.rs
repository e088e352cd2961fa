//! Serves s3s on a file system: `s3_store PORT FOLDER`.

use std::path::Path;

use cache_tests::servers::s3::{Options, service};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(port), Some(folder)) = (words.next(), words.next()) else {
        eprintln!("usage: s3_store PORT FOLDER");
        std::process::exit(2);
    };
    let (service, _uploads) = service(Path::new(&folder), Options { page: 1_000, ..Options::default() });
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            // A client that disconnects does not affect the others.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
