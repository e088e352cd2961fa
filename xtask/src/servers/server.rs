//! A server that runs during a scenario. It is started with a log and stopped at the end, and its mounts are removed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How long a server may take to answer, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// A running server; dropping it stops it.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    directory: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Starts the program, whose files are below the directory, and waits until it is ready.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        directory: &Path,
        is_ready: impl FnMut() -> bool,
    ) -> Result<Self, Failure> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).map_err(|error| Failure::io("create", &log, &error))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start {name}: {error}")))?;
        let mut server = Self { name, child, directory: directory.to_owned(), log };
        server.wait_until(is_ready)?;
        Ok(server)
    }

    fn wait_until(&mut self, mut is_ready: impl FnMut() -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.has_stopped() || !is_ready() {
            if self.has_stopped() || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(Failure::new(format!("{} does not answer; its log:\n{}", self.name, log.trim_end())));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn has_stopped(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the server to stop, so that it ends its children, and kills it if it does not.
    fn stop(&mut self) {
        if self.has_stopped() {
            return;
        }
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + PATIENCE;
        while asked.is_ok() && !self.has_stopped() && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            eprintln!("warning: {} {} may still run", self.name, self.child.id());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in mounts_below(&mounts, &self.directory) {
            if !Command::new("umount").args(["--lazy", mount]).status().is_ok_and(|status| status.success()) {
                eprintln!("warning: {} left a mount on {mount}", self.name);
            }
        }
    }
}

/// The mount points below a directory, the last mounted first. Names that `mountinfo` escapes are none of ours.
fn mounts_below<'a>(mountinfo: &'a str, directory: &Path) -> Vec<&'a str> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<_> = points.filter(|point| Path::new(point).starts_with(directory)).collect();
    below.reverse();
    below
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::mounts_below;

    #[test]
    fn mounts_below_a_directory_are_named_innermost_first() {
        let mountinfo = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 254:0 /x /tmp/a rw - ext4 /dev/vda rw
41 40 0:40 / /tmp/a/merged rw - overlay overlay rw
42 22 0:41 / /tmp/ab rw - tmpfs tmpfs rw
";
        assert_eq!(mounts_below(mountinfo, Path::new("/tmp/a")), ["/tmp/a/merged", "/tmp/a"]);
        assert!(mounts_below(mountinfo, Path::new("/tmp/c")).is_empty());
    }
}
