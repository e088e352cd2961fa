//! A buildkitd of its own: a fresh root, a unix socket, stopped at the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Tools;
use crate::failure::Failure;
use crate::process;

/// How long buildkitd may take to answer, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// A running buildkitd.
pub(super) struct Daemon {
    child: Child,
    buildctl: PathBuf,
    address: String,
    log: PathBuf,
}

impl Daemon {
    /// Starts buildkitd below the directory and waits until it answers.
    pub(super) fn start(tools: &Tools, directory: &Path) -> Result<Self, Failure> {
        let log = directory.join("buildkitd.log");
        let output = File::create(&log).map_err(|error| Failure::io("create", &log, &error))?;
        let address = format!("unix://{}", directory.join("buildkitd.sock").display());
        let child = Command::new(&tools.buildkitd)
            .args(["--config", "/dev/null", "--addr", &address, "--containerd-worker=false", "--oci-worker=true"])
            .args(["--oci-worker-snapshotter=native", "--oci-worker-net=host", "--oci-worker-gc=false", "--root"])
            .arg(directory.join("root"))
            .arg("--oci-worker-binary")
            .arg(&tools.runc)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|error| Failure::io("start", &tools.buildkitd, &error))?;
        let mut daemon = Self { child, buildctl: tools.buildctl.clone(), address, log };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// A `buildctl` that talks to this daemon.
    pub(super) fn buildctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.buildctl);
        command.args(["--addr", &self.address]).args(args);
        command
    }

    /// Removes everything the daemon remembers of earlier builds.
    pub(super) fn prune(&self) -> Result<(), Failure> {
        process::output(&mut self.buildctl(&["prune", "--all"])).map(drop)
    }

    /// What the client says it is, such as `buildctl github.com/moby/buildkit v0.32.0`.
    pub(super) fn version(&self) -> Result<String, Failure> {
        let text = process::output(&mut self.buildctl(&["--version"]))?;
        Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while process::output(&mut self.buildctl(&["debug", "workers"])).is_err() {
            if self.has_stopped() || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(Failure::new(format!("buildkitd does not answer; its log:\n{}", log.trim_end())));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn has_stopped(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Daemon {
    /// Asks the daemon to stop, so that it unmounts what it mounted, before killing it.
    fn drop(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + PATIENCE;
        while asked.is_ok() && !self.has_stopped() && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            eprintln!("warning: buildkitd {} may still run", self.child.id());
        }
    }
}
