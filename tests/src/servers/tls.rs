//! TLS in front of a server without it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificates::Certificates;

/// A running front in its own thread; it stops when it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl TlsFront {
    /// Starts a front for a server on this machine, with the certificate of this name.
    ///
    /// # Panics
    /// If there is no such certificate, or no port is free.
    #[must_use]
    pub fn start(server: impl Into<String>, certificates: &Certificates, name: &str) -> Self {
        let (server, acceptor) = (server.into(), acceptor(certificates, name));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
                tell.send(listener.local_addr().expect("it is bound")).expect("the test waits");
                tokio::select! {
                    () = serve(listener, server, acceptor) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: told.recv().expect("the front starts"), _stop: stop }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

fn acceptor(certificates: &Certificates, name: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(certificates.path(&format!("{name}.cert"))).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certificates.path(&format!("{name}.key"))).expect("its key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("the provider has them").with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).expect("they go together")))
}

async fn serve(listener: TcpListener, server: String, acceptor: TlsAcceptor) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (server, acceptor) = (server.clone(), acceptor.clone());
        // Failed handshakes are expected in tests.
        tokio::spawn(async move { forward(client, &server, &acceptor).await });
    }
}

async fn forward(client: TcpStream, server: &str, acceptor: &TlsAcceptor) -> io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await.map(drop)
}
