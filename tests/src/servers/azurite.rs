//! Azurite, Microsoft's emulator of Azure Storage, on a free port and in a temporary folder.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::azblob::hmac;
use super::installed::installed;
use crate::base64::base64;

/// The path at which `cargo xtask setup` installs it.
const PROGRAM: &str = "azurite-3.35.0/node_modules/.bin/azurite-blob";
/// Azurite's built-in account.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is public.
pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite; it ends when it is dropped.
#[derive(Debug)]
pub struct Azurite {
    process: Child,
    _folder: TempDir,
    host: String,
}

impl Azurite {
    /// Whether the program is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        program().is_some_and(|path| path.exists())
    }

    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one that also accepts newer versions of the API.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_for_newer_clients() -> Self {
        Self::start_with(&["--skipApiVersionCheck"])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let program = program().expect("it is installed");
        let folder = TempDir::with_prefix("cache-tests-").expect("the folder for temporary files can be written");
        // Another process may take the port first. Azurite then exits, and another port is tried.
        for _ in 0..5 {
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
            let address = free.expect("a free port");
            let log = File::create(folder.path().join("log")).expect("the folder can be written");
            let mut command = Command::new(&program);
            command.args(["--silent", "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort"]);
            command.arg(address.port().to_string()).arg("--location").arg(folder.path());
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            let mut process = command.spawn().expect("azurite runs");
            let host = address.to_string();
            if is_up(&mut process, &host) {
                return Self { process, _folder: folder, host };
            }
            // It has exited, or does not answer.
            let _ = process.kill();
            let _ = process.wait();
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("azurite does not start: {log}")
    }

    /// The URL of the account.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.host)
    }
}

impl Azurite {
    /// The URL of a path in the account with a signature for the whole account, by
    /// [the rules](https://learn.microsoft.com/rest/api/storageservices/create-account-sas).
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn signed_url(&self, path: &str, permissions: &str) -> String {
        let (version, expiry) = ("2024-11-04", "2099-01-01T00:00:00Z");
        let text = format!("{ACCOUNT}\n{permissions}\nb\nsco\n\n{expiry}\n\nhttps,http\n{version}\n\n");
        let key = STANDARD.decode(KEY).expect("Microsoft publishes it in base64");
        let signature = base64(&hmac(&key, text.as_bytes()));
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let query = format!("sv={version}&ss=b&srt=sco&sp={permissions}&se={expiry}&spr=https,http&sig={signature}");
        let url = self.url();
        if path.is_empty() { format!("{url}?{query}") } else { format!("{url}/{path}?{query}") }
    }

    /// Creates a container.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn create_container(&self, name: &str) -> io::Result<()> {
        let url = self.signed_url(name, "rwdlac");
        let path = url.trim_start_matches("http://").trim_start_matches(self.host.as_str());
        let mut stream = TcpStream::connect(&self.host)?;
        let head = format!("PUT {path}&restype=container HTTP/1.1\r\nHost: {}\r\n", self.host);
        stream.write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 201") { Ok(()) } else { Err(io::Error::other(answer)) }
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    installed(PROGRAM)
}

fn is_up(process: &mut Child, host: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
        if TcpStream::connect(host).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
