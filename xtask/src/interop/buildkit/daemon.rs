//! A buildkitd of its own: a fresh root and a unix socket.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tools;
use crate::failure::Failure;
use crate::interop::server::Server;
use crate::process;

/// A running buildkitd and the way to talk to it.
pub(in crate::interop) struct Daemon {
    _server: Server,
    client: Client,
}

impl Daemon {
    /// Starts buildkitd below the directory and waits until it answers.
    pub(in crate::interop) fn start(tools: &Tools, directory: &Path) -> Result<Self, Failure> {
        let address = format!("unix://{}", directory.join("buildkitd.sock").display());
        let mut command = Command::new(&tools.buildkitd);
        command
            .args(["--config", "/dev/null", "--addr", &address, "--containerd-worker=false", "--oci-worker=true"])
            .args(["--oci-worker-snapshotter=native", "--oci-worker-net=host", "--oci-worker-gc=false", "--root"])
            .arg(directory.join("root"))
            .arg("--oci-worker-binary")
            .arg(&tools.runc);
        let client = Client { buildctl: tools.buildctl.clone(), address };
        let is_ready = || process::output(&mut client.command(&["debug", "workers"])).is_ok();
        let server = Server::start("buildkitd", &mut command, directory, is_ready)?;
        Ok(Self { _server: server, client })
    }

    /// What `buildctl --addr` takes.
    pub(in crate::interop) fn address(&self) -> &str {
        &self.client.address
    }

    /// A build of a file in the context, to be told of caches.
    pub(super) fn build(&self, context: &Path, file: &str) -> Command {
        let mut command = self.client.command(&["build", "--frontend", "dockerfile.v0", "--progress", "plain"]);
        for name in ["context", "dockerfile"] {
            command.args(["--local", &format!("{name}={}", context.display())]);
        }
        command.args(["--opt", &format!("filename={file}")]);
        command
    }

    /// Removes everything the daemon remembers of earlier builds.
    pub(super) fn prune(&self) -> Result<(), Failure> {
        process::output(&mut self.client.command(&["prune", "--all"])).map(drop)
    }

    /// What the client says it is, such as `buildctl github.com/moby/buildkit v0.32.0`.
    pub(super) fn version(&self) -> Result<String, Failure> {
        let text = process::output(&mut self.client.command(&["--version"]))?;
        Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
    }
}

/// A `buildctl` and its daemon's address.
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
