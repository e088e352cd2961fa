//! [`Place`]: the port and the folder of a server, and plain HTTP requests to it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use crate::scratch::Scratch;

/// A port and a folder.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(super) port: u16,
}

impl Place {
    pub(super) fn new(scratch: &Scratch) -> Result<Self, Failure> {
        let port = free_port()?;
        let folder = scratch.path().join(format!("store-{port}"));
        fs::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
        Ok(Self { folder, port })
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Creates a folder inside the server's folder.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join("files").join(name);
        // If this fails, the server reports it when it starts.
        let _ = fs::create_dir_all(&folder);
        folder
    }

    /// The content of a file that the server has written to its folder.
    pub(super) fn said(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok().filter(|text| !text.is_empty())
    }

    /// Whether the port accepts connections.
    pub(super) fn listens(&self) -> bool {
        TcpStream::connect(self.host()).is_ok()
    }

    /// Sends an HTTP request without a body; returns the status and the rest of the answer.
    pub(super) fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let host = self.host();
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&host)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let head = "Content-Length: 0\r\nAuthorization: Bearer x\r\nConnection: close";
            write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer))
    }
}

pub(super) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| Failure::new(format!("there is no free port: {error}")))
}
