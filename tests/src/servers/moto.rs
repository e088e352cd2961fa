//! moto, the S3 of Python's tests, as another implementation of the API.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::installed::installed;

/// The path at which `cargo xtask setup` installs it, below the user's cache.
const PROGRAM: &str = "moto-5.2.1/bin/moto_server";
/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running moto; it ends when it is dropped. It checks no signatures.
#[derive(Debug)]
pub struct Moto {
    process: Child,
    host: String,
}

impl Moto {
    /// The path of the program; `PATH` takes precedence over the setup.
    #[must_use]
    pub fn find() -> Option<PathBuf> {
        let path = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
        let on_path = path.into_iter().map(|folder| folder.join("moto_server")).find(|program| program.is_file());
        on_path.or_else(|| installed(PROGRAM))
    }

    /// Starts one and waits until it answers; `None` if it is not installed.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = Self::find()?;
        // Another process may take the port first. moto then exits, and another port is tried.
        for _ in 0..5 {
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
            let address = free.expect("a free port");
            let mut command = Command::new(&program);
            command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let process = command.spawn().expect("moto_server runs");
            let mut moto = Self { process, host: address.to_string() };
            if moto.is_up() {
                return Some(moto);
            }
        }
        panic!("moto does not start")
    }

    /// The URL of the store.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Creates a bucket.
    ///
    /// # Panics
    /// If moto refuses it.
    pub fn make_bucket(&self, name: &str) {
        let answer = self.ask(&format!("PUT /{name}")).expect("moto answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Whether it answers before it ends or the time is up.
    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
            if self.ask("GET /").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn ask(&self, request: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.host)?;
        let host = &self.host;
        write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
