//! A dockerd for the tests. Its data, its containerd and its socket are below one directory, and it does not change the
//! host's network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tools;
use crate::failure::Failure;
use crate::process;
use crate::servers::Server;

/// The time limit of one command of the client, in seconds.
const LIMIT: &str = "300";

/// A running dockerd and its client.
pub(super) struct Daemon {
    _server: Server,
    client: Client,
}

impl Daemon {
    /// Starts dockerd below the directory and waits until it answers.
    pub(super) fn start(tools: &Tools, directory: &Path) -> Result<Self, Failure> {
        let below = |name: &str| directory.join(name);
        // Without this file it would read the one of the machine.
        let config = below("dockerd.json");
        fs::write(&config, "{}").map_err(|error| Failure::io("write", &config, &error))?;
        let address = format!("unix://{}", below("docker.sock").display());
        let mut command = Command::new(&tools.dockerd);
        command
            .args(["--iptables=false", "--bridge=none", "--ip-forward=false", "--storage-driver=vfs"])
            .args(["--host", &address, "--config-file"])
            .arg(config)
            .arg("--data-root")
            .arg(below("docker-data"))
            .arg("--exec-root")
            .arg(below("docker-exec"))
            .arg("--pidfile")
            .arg(below("docker.pid"));
        let client = Client { docker: tools.docker.clone(), config: below("docker-config"), address };
        let is_ready = || process::output(&mut client.command(&["version"])).is_ok();
        let server = Server::start("dockerd", &mut command, directory, is_ready)?;
        Ok(Self { _server: server, client })
    }

    /// A build whose context is the next argument. Its steps have no network.
    pub(super) fn build(&self, args: &[&str]) -> Command {
        let mut command = self.client.command(&["build", "--network", "none", "--progress", "plain"]);
        command.args(args);
        command
    }

    pub(super) fn push(&self, image: &str) -> Result<(), Failure> {
        process::output(&mut self.client.command(&["push", image])).map(drop)
    }

    /// Removes the cache and the images of earlier builds from the daemon.
    pub(super) fn prune(&self) -> Result<(), Failure> {
        for what in ["builder", "image"] {
            process::output(&mut self.client.command(&[what, "prune", "--all", "--force"]))?;
        }
        Ok(())
    }

    /// The version, such as `dockerd 20.10.24+dfsg1`.
    pub(super) fn version(&self) -> Result<String, Failure> {
        let text = process::output(&mut self.client.command(&["version", "--format", "{{.Server.Version}}"]))?;
        Ok(format!("dockerd {}", text.trim()))
    }
}

/// The `docker` client, with an empty configuration and the address of its daemon.
struct Client {
    docker: PathBuf,
    config: PathBuf,
    address: String,
}

impl Client {
    /// A command that ends with status 124 after [`LIMIT`].
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", LIMIT]).arg(&self.docker).args(["--host", &self.address]).args(args);
        command.env("DOCKER_BUILDKIT", "1").env("DOCKER_CONFIG", &self.config);
        command
    }
}
