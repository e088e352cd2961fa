//! Builds twice with a change in between, and checks what `buildcache explain` says about the second build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::failure::Failure;
use crate::interop::build;
use crate::process;
use crate::servers::buildkit::Daemon;

/// The Dockerfile of both builds; one step of it is edited in between.
const FILE: &str = "Dockerfile";
/// The text of the step before and after.
const EDIT: (&str, &str) = (r#""/two", "2""#, r#""/two", "22""#);

/// Builds, edits one command, builds again, and has the miss explained; then builds once more without an edit.
pub(super) fn explain(daemon: &Daemon, buildcache: &Path, directory: &Path) -> Result<(), Failure> {
    let directory = directory.join("explained");
    fs::create_dir(&directory).map_err(|error| Failure::io("create", &directory, &error))?;
    let rebuild = Rebuild { daemon, buildcache, context: build::prepare(&directory)?, directory };
    let cache = |name: &str| rebuild.directory.join(name);
    rebuild.build(None, &cache("first"))?;
    rebuild.edit()?;
    let log = rebuild.build(Some(&cache("first")), &cache("second"))?;
    let found = rebuild.explain(&cache("first"), &cache("second"), &log)?;
    let first = found["causes"][0]["step"].as_u64().and_then(|step| usize::try_from(step).ok()).unwrap_or(usize::MAX);
    let name = found["steps"][first]["name"].as_str().unwrap_or_default();
    let followers = found["causes"][0]["followers"].as_array().map_or(0, Vec::len);
    if found["causes"][0]["cause"] != "step-changed" || !name.contains("/two") || followers != 1 {
        return Err(Failure::new(format!("explain found something else than the command that was edited:\n{found:#}")));
    }
    let log = rebuild.build(Some(&cache("second")), &cache("third"))?;
    let found = rebuild.explain(&cache("second"), &cache("third"), &log)?;
    if found["isAllCached"] != true {
        return Err(Failure::new(format!("explain did not find that every step hit:\n{found:#}")));
    }
    println!("interop: explain found the command that was edited in {name}, and that every step hit without an edit");
    Ok(())
}

struct Rebuild<'a> {
    daemon: &'a Daemon,
    buildcache: &'a Path,
    context: PathBuf,
    directory: PathBuf,
}

impl Rebuild<'_> {
    fn edit(&self) -> Result<(), Failure> {
        let file = self.context.join(FILE);
        let text = fs::read_to_string(&file).map_err(|error| Failure::io("read", &file, &error))?;
        fs::write(&file, text.replace(EDIT.0, EDIT.1)).map_err(|error| Failure::io("write", &file, &error))
    }

    /// Builds with an empty daemon; returns the path of the log.
    fn build(&self, from: Option<&Path>, to: &Path) -> Result<PathBuf, Failure> {
        self.daemon.prune()?;
        let mut command = self.daemon.build(&self.context, FILE);
        command.args(["--progress", "rawjson"]);
        command.args(["--export-cache", &format!("type=local,dest={},mode=max", to.display())]);
        if let Some(from) = from {
            command.args(["--import-cache", &format!("type=local,src={}", from.display())]);
        }
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|error| Failure::new(format!("cannot start the build: {error}")))?;
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("the build failed ({}):\n{log}", output.status)));
        }
        let log = to.with_extension("rawjson");
        fs::write(&log, &output.stderr).map_err(|error| Failure::io("write", &log, &error))?;
        Ok(log)
    }

    fn explain(&self, old: &Path, new: &Path, log: &Path) -> Result<Value, Failure> {
        let spec = |cache: &Path| format!("type=local,src={}", cache.display());
        let mut command = Command::new(self.buildcache);
        command.args(["explain", "-o", "json", &spec(old), &spec(new), "--log"]).arg(log);
        let text = process::output(&mut command)?;
        serde_json::from_str(&text).map_err(|error| Failure::new(format!("explain wrote no JSON: {error}\n{text}")))
    }
}
