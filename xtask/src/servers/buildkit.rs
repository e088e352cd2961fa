//! BuildKit: its programs, and a buildkitd with a new root and a unix socket.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Server;
use crate::failure::Failure;
use crate::process;

/// The paths of BuildKit's programs.
pub(crate) struct Tools {
    buildkitd: PathBuf,
    buildctl: PathBuf,
    runc: PathBuf,
}

impl Tools {
    /// Searches `$BUILDKIT_BIN`, then `PATH`. The error says which program is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let find = |name: &str| {
            let configured = env::var_os("BUILDKIT_BIN").map(PathBuf::from);
            let found = process::find(name, configured.into_iter().chain(process::search_path()));
            found.ok_or_else(|| format!("no {name} found (set $BUILDKIT_BIN)"))
        };
        Ok(Self { buildkitd: find("buildkitd")?, buildctl: find("buildctl")?, runc: find("runc")? })
    }

    /// The version that the client prints.
    pub(crate) fn version(&self) -> Result<String, Failure> {
        version(&self.buildctl)
    }

    /// The folder of `buildctl`.
    pub(crate) fn folder(&self) -> &Path {
        self.buildctl.parent().unwrap_or(&self.buildctl)
    }
}

/// How a daemon keeps the files of its steps.
#[derive(Clone, Copy)]
pub(crate) enum Snapshots {
    /// Each step has a copy of all files below it, which works on any file system.
    Copied,
    /// The daemon's default: overlayfs if the file system supports it.
    Best,
}

/// A running buildkitd and its client.
pub(crate) struct Daemon {
    _server: Server,
    client: Client,
}

impl Daemon {
    /// Starts buildkitd below the directory and waits until it answers.
    pub(crate) fn start(tools: &Tools, directory: &Path, snapshots: Snapshots) -> Result<Self, Failure> {
        let address = format!("unix://{}", directory.join("buildkitd.sock").display());
        let snapshotter = match snapshots {
            Snapshots::Copied => "native",
            Snapshots::Best => "auto",
        };
        let mut command = Command::new(&tools.buildkitd);
        command
            .args(["--config", "/dev/null", "--addr", &address, "--containerd-worker=false", "--oci-worker=true"])
            .args(["--oci-worker-snapshotter", snapshotter, "--oci-worker-net=host", "--oci-worker-gc=false", "--root"])
            .arg(directory.join("root"))
            .arg("--oci-worker-binary")
            .arg(&tools.runc);
        let client = Client { buildctl: tools.buildctl.clone(), address };
        let is_ready = || process::output(&mut client.command(&["debug", "workers"])).is_ok();
        let server = Server::start("buildkitd", &mut command, directory, is_ready)?;
        Ok(Self { _server: server, client })
    }

    /// The address for `buildctl --addr`.
    pub(crate) fn address(&self) -> &str {
        &self.client.address
    }

    /// A build of a file in the context, without flags about caches.
    pub(crate) fn build(&self, context: &Path, file: &str) -> Command {
        let mut command = self.client.command(&["build", "--frontend", "dockerfile.v0", "--progress", "plain"]);
        for name in ["context", "dockerfile"] {
            command.args(["--local", &format!("{name}={}", context.display())]);
        }
        command.args(["--opt", &format!("filename={file}")]);
        command
    }

    /// Removes the cache of earlier builds from the daemon.
    pub(crate) fn prune(&self) -> Result<(), Failure> {
        process::output(&mut self.client.command(&["prune", "--all"])).map(drop)
    }

    /// The version that the client prints.
    pub(crate) fn version(&self) -> Result<String, Failure> {
        version(&self.client.buildctl)
    }
}

/// The `buildctl` client and the address of its daemon.
struct Client {
    buildctl: PathBuf,
    address: String,
}

impl Client {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.buildctl);
        command.args(["--addr", &self.address]).args(args);
        command
    }
}

/// The version, such as `buildctl github.com/moby/buildkit v0.32.0`.
fn version(buildctl: &Path) -> Result<String, Failure> {
    let text = process::output(Command::new(buildctl).arg("--version"))?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
