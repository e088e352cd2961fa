//! The emulator of the cache service in `tests/tools`, a Python program that was tested with BuildKit and with
//! `@actions/cache`. The service of this crate has to behave like it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::programs::is_installed;

/// A running emulator; it ends when it is dropped.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    folder: TempDir,
    host: String,
}

impl Emulator {
    /// Whether Python is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        is_installed("python3", "--version")
    }

    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("cache-tests-").expect("the folder for temporary files can be written");
        // Another process may take the port first. The emulator then exits, and another port is tried.
        for _ in 0..5 {
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
            let address = free.expect("a free port");
            let mut command = Command::new("python3");
            command.arg(script()).arg("serve").arg("--port").arg(address.port().to_string());
            command.arg("--data").arg(folder.path().join("data")).args(arguments);
            let mut process = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("python3 runs");
            let mut line = String::new();
            let output = process.stdout.take().map(|output| BufReader::new(output).read_line(&mut line));
            if output.is_some_and(|read| read.is_ok_and(|length| length > 0)) {
                return Self { process, folder, host: address.to_string() };
            }
            // It has exited, or does not answer.
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("the emulator does not start")
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The file with the bytes of an entry.
    #[must_use]
    pub fn file(&self, id: u64) -> PathBuf {
        self.folder.path().join("data").join(id.to_string())
    }

    /// The files of all entries.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path().join("data")).into_iter().flatten();
        files.filter_map(|file| Some(file.ok()?.path())).collect()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/gha_emulator.py")
}
