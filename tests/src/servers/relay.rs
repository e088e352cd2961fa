//! A relay to a server that breaks connections as planned, whatever the protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A running relay in its own thread; it stops when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    sent: u64,
    /// The bytes before each planned break.
    breaks: Vec<u64>,
    /// The headers of the requests for a tunnel.
    tunnels: Vec<String>,
}

impl Relay {
    /// Starts a relay to a server on this machine. It is also a proxy: every request for a tunnel gets one to this
    /// server, whatever host it names.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(server: impl Into<String>) -> Self {
        let server = server.into();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
                tell.send(listener.local_addr().expect("it is bound")).expect("the test waits");
                tokio::select! {
                    () = serve(listener, server, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: told.recv().expect("the relay starts"), state, _stop: stop }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Breaks one connection after `bytes` more bytes to the server. Several breaks follow one after the other.
    pub fn break_after(&self, bytes: u64) {
        lock(&self.state).breaks.push(bytes);
    }

    /// The headers of the requests for a tunnel since the last call.
    #[must_use]
    pub fn take_tunnels(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).tunnels)
    }

    /// The bytes that were sent to the server since the last call.
    #[must_use]
    pub fn take_sent(&self) -> u64 {
        std::mem::take(&mut lock(&self.state).sent)
    }
}

impl State {
    /// How many of the bytes pass, and whether the connection breaks after them.
    fn pass(&mut self, bytes: usize) -> (usize, bool) {
        let passing = self.breaks.first().map_or(bytes as u64, |left| (*left).min(bytes as u64));
        self.sent += passing;
        let Some(left) = self.breaks.first_mut() else { return (bytes, false) };
        *left -= passing;
        let is_break = *left == 0;
        if is_break {
            self.breaks.remove(0);
        }
        (usize::try_from(passing).expect("no more than there are"), is_break)
    }
}

async fn serve(listener: TcpListener, server: String, state: Arc<Mutex<State>>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (server, state) = (server.clone(), Arc::clone(&state));
        tokio::spawn(async move { relay(client, &server, &state).await });
    }
}

async fn relay(mut client: TcpStream, server: &str, state: &Mutex<State>) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut there, mut back) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    if let Some(head) = tunnel(&mut client).await? {
        lock(state).tunnels.push(head);
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    }
    loop {
        tokio::select! {
            count = client.read(&mut there) => {
                let count = count?;
                let (passing, is_break) = lock(state).pass(count);
                server.write_all(&there[..passing]).await?;
                if is_break {
                    return end(&mut server).await;
                }
                if count == 0 {
                    return Ok(());
                }
            }
            count = server.read(&mut back) => match count? {
                0 => return Ok(()),
                count => client.write_all(&back[..count]).await?,
            },
        }
    }
}

/// The headers of a request for a tunnel, if the connection begins with one.
async fn tunnel(client: &mut TcpStream) -> io::Result<Option<String>> {
    const MARK: &[u8] = b"CONNECT ";
    let mut first = [0; MARK.len()];
    let seen = client.peek(&mut first).await?;
    if &first[..seen] != MARK {
        return Ok(None);
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// Waits until the server has seen the end of the connection, so that what it has received is deterministic. Its answer
/// is discarded.
async fn end(server: &mut TcpStream) -> io::Result<()> {
    server.shutdown().await?;
    tokio::io::copy(server, &mut tokio::io::sink()).await.map(drop)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
