//! [`Place`]: where a server runs, and how it is asked for something without its client.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use crate::scratch::Scratch;

/// A port, and a folder of its own.
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

    /// A folder in the server's own, which is there.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join("files").join(name);
        // Who cannot write there says so when it starts.
        let _ = fs::create_dir_all(&folder);
        folder
    }

    /// What a file says that the server has left in its folder.
    pub(super) fn said(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok().filter(|text| !text.is_empty())
    }

    /// Whether somebody listens at the port.
    pub(super) fn listens(&self) -> bool {
        TcpStream::connect(self.host()).is_ok()
    }

    /// Sends a request of HTTP without a body; the status and the rest of the answer.
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
