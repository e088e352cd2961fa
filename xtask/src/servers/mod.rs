//! Servers that a task starts for itself, on loopback and with all their files in a folder of its own.

pub(crate) mod buildkit;
pub(crate) mod registry;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

pub(crate) use self::server::Server;
use crate::failure::Failure;
use crate::process;

/// What the S3 store of the tests (`s3_store`) lets in, in the words of a spec.
pub(crate) const S3_STORE_KEYS: &str =
    "access_key_id=AKIATESTS3BUILDCACHE,secret_access_key=swordfish/3f9a+wJalrXUtnFEMI";

/// An address on loopback that nobody listens at.
pub(crate) fn free_address(server: &str) -> Result<SocketAddr, Failure> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Failure::new(format!("no port is free for {server}: {error}")))
}

/// A program of a package of Debian: looked for where Debian has it, then in `PATH`. The error says how to get it.
pub(crate) fn find_debian(name: &str, package: &str) -> Result<PathBuf, String> {
    let debian = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let found = process::find(name, debian.into_iter().chain(process::search_path()));
    found.ok_or_else(|| format!("no {name} found (on Debian: apt-get install {package})"))
}
