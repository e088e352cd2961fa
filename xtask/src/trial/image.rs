//! Builds the image of the `Dockerfile`, which is from scratch, with a real BuildKit.

use std::process::Command;

use super::Trial;
use super::root::{Root, copy, make};
use crate::failure::Failure;
use crate::{interop, process};

/// The system's certificates of public CAs.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Builds it without a network: the stage with the certificates is replaced by the certificates of this machine.
pub(super) fn from_scratch(trial: &Trial<'_>) -> Result<String, Failure> {
    if trial.root.is_foreign() || trial.prefix != "/usr/local" {
        return Ok("not tried: the archive of this machine is".to_owned());
    }
    let folder = trial.root.path("../image");
    let (context, certificates, made) = (folder.join("context"), folder.join("certificates"), folder.join("made"));
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let program = trial.root.path("usr/local/bin/buildcache");
    copy(&program, &context.join("target/assets").join(&target).join("bin/buildcache"))?;
    copy(CERTIFICATES.as_ref(), &certificates.join(CERTIFICATES.trim_start_matches('/')))?;
    make(&made)?;
    let mut is_built = false;
    interop::with_buildkit(|address, _, tools| {
        let mut build = Command::new(tools.join("buildctl"));
        build.args(["--addr", address, "build", "--frontend", "dockerfile.v0", "--progress", "plain"]);
        for (name, path) in
            [("context", &context), ("dockerfile", &trial.workspace.root), ("certificates", &certificates)]
        {
            build.arg("--local").arg(format!("{name}={}", path.display()));
        }
        build.args([
            "--opt",
            "context:certificates=local:certificates",
            "--opt",
            &format!("build-arg:TARGET={target}"),
        ]);
        build.arg("--output").arg(format!("type=local,dest={}", made.display()));
        process::output(&mut build).map(drop)?;
        is_built = true;
        Ok(())
    })?;
    if !is_built {
        return Ok("not tried: no BuildKit is installed".to_owned());
    }
    let files = process::output(Command::new("find").args([".", "-type", "f"]).current_dir(&made))?;
    let image = Root::made(made);
    let output = image.run(&["buildcache", "--version"])?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if said != format!("buildcache {}", trial.version) {
        return Err(Failure::new(format!("the program in the image says {said:?}")));
    }
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    Ok(format!("a real BuildKit makes it, {said} runs in it; its files: {}", files.join(" ")))
}
