//! Servers that a task starts, on loopback and with all of their files in one folder.

pub(crate) mod buildkit;
pub(crate) mod registry;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

pub(crate) use self::server::Server;
use crate::failure::Failure;
use crate::process;

/// The keys of the S3 store of the tests (`s3_store`), as attributes of a spec.
pub(crate) const S3_STORE_KEYS: &str =
    "access_key_id=AKIATESTS3BUILDCACHE,secret_access_key=swordfish/3f9a+wJalrXUtnFEMI";

/// A free address on loopback.
pub(crate) fn free_address(server: &str) -> Result<SocketAddr, Failure> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Failure::new(format!("no port is free for {server}: {error}")))
}

/// Finds a program of a Debian package in Debian's folders, then in `PATH`. The error says how to get it.
pub(crate) fn find_debian(name: &str, package: &str) -> Result<PathBuf, String> {
    let debian = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let found = process::find(name, debian.into_iter().chain(process::search_path()));
    found.ok_or_else(|| format!("no {name} found (on Debian: apt-get install {package})"))
}
