//! A foreign host that asks for a login in every answer, and records all that it receives.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The largest request, in bytes.
const MOST_READ: u64 = 64 << 20;

/// How it asks for a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// For a name and a password.
    Basic,
    /// For a token of its own token server, which accepts any login.
    Bearer,
}

/// A running thief in its own thread; it stops when it is dropped.
#[derive(Debug)]
pub struct Thief {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
}

impl Thief {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(asks: Asks) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let shared = Arc::downgrade(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(told) = shared.upgrade() else { return };
                // A broken connection has sent nothing.
                let _ = stream.and_then(|stream| serve(&stream, asks, address, &told));
            }
        });
        Self { address, told }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The challenge with its token server.
    #[must_use]
    pub fn challenge(&self) -> String {
        challenge(Asks::Bearer, self.address)
    }

    /// The complete requests since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        // The thread checks at the next connection whether to stop.
        self.told = Arc::default();
        drop(TcpStream::connect(self.address));
    }
}

fn challenge(asks: Asks, address: SocketAddr) -> String {
    match asks {
        Asks::Basic => "Basic realm=\"thief\"".to_owned(),
        Asks::Bearer => format!("Bearer realm=\"http://{address}/token\",service=\"thief\""),
    }
}

fn serve(mut stream: &TcpStream, asks: Asks, address: SocketAddr, told: &Mutex<Vec<String>>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?.take(MOST_READ));
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request)? > 0 {}
    let length =
        request.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = Vec::new();
    reader.by_ref().take(length.unwrap_or(0)).read_to_end(&mut body)?;
    request.push_str(&String::from_utf8_lossy(&body));
    let is_token = request.split(' ').nth(1).is_some_and(|path| path.starts_with("/token"));
    if !request.is_empty() {
        told.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
    let (status, header, body) = match is_token {
        true => ("200 OK", String::new(), r#"{"token":"fake","expires_in":300}"#),
        false => ("401 Unauthorized", format!("WWW-Authenticate: {}\r\n", challenge(asks, address)), "{}"),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
