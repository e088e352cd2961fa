//! The stores of the measurements, empty and on loopback.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::process;
use crate::servers::registry::Registry;
use crate::servers::{S3_STORE_KEYS, Server, free_address};

/// The kind of a store.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Registry,
    S3,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Registry, Self::S3];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::S3 => "s3",
        }
    }

    /// The compressions that BuildKit has there: only gzip, except for registries and directories.
    pub(super) fn compressions_of_buildkit(self) -> &'static [&'static str] {
        match self {
            Self::Registry => &["gzip", "zstd"],
            Self::S3 => &["gzip"],
        }
    }
}

/// A running store; it ends when it is dropped.
pub(super) struct Store {
    _server: Running,
    folder: PathBuf,
    spec: String,
}

enum Running {
    Registry { _registry: Registry },
    S3 { _server: Server },
}

impl Store {
    /// Starts this program below the directory.
    pub(super) fn start(kind: Kind, program: &Path, directory: &Path) -> Result<Self, Failure> {
        let folder = directory.join("store");
        fs::create_dir(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
        let (server, spec) = match kind {
            Kind::Registry => {
                let registry = Registry::start(program, &folder)?;
                let spec = format!("type=registry,ref={}", registry.reference("cache"));
                (Running::Registry { _registry: registry }, spec)
            }
            Kind::S3 => s3(program, &folder)?,
        };
        Ok(Self { _server: server, folder, spec })
    }

    /// The spec of the cache, for BuildKit and buildcache.
    pub(super) fn spec(&self) -> &str {
        &self.spec
    }

    /// The size of its content, in MB.
    pub(super) fn megabytes(&self) -> Result<f64, Failure> {
        let said = process::output(Command::new("du").args(["--summarize", "--bytes"]).arg(&self.folder))?;
        let bytes = said.split_whitespace().next().and_then(|bytes| bytes.parse::<f64>().ok());
        bytes.map(|bytes| bytes / 1e6).ok_or_else(|| Failure::new(format!("du says {said:?}")))
    }
}

fn s3(program: &Path, folder: &Path) -> Result<(Running, String), Failure> {
    let address = free_address("s3_store")?;
    let mut command = Command::new(program);
    command.arg(address.port().to_string()).arg(folder);
    let server = Server::start("s3_store", &mut command, folder, || TcpStream::connect(address).is_ok())?;
    let spec = format!(
        "type=s3,bucket=team,region=us-east-1,endpoint_url=http://{address},use_path_style=true,{S3_STORE_KEYS},name=cache"
    );
    Ok((Running::S3 { _server: server }, spec))
}
