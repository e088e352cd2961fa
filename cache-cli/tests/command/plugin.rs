//! The program as a plugin of the real `docker`, if that is installed.

use std::fs;
use std::process::Command;

use crate::sandbox::{Run, Sandbox};

#[test]
fn docker_finds_the_plugin_shows_it_and_runs_it() {
    if !Command::new("docker").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: docker is not installed");
        return;
    }
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let plugins = sandbox.path("docker/cli-plugins");
    fs::create_dir_all(&plugins).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_buildcache"), plugins.join("docker-buildcache")).unwrap();
    let docker = |args: &[&str]| {
        let mut docker = Command::new("docker");
        docker.args(args).current_dir(sandbox.path("")).env("DOCKER_CONFIG", sandbox.path("docker"));
        Run::from(docker.output().unwrap())
    };
    assert!(docker(&["--help"]).stdout.contains("buildcache*"));
    assert!(docker(&["buildcache", "version"]).stdout.starts_with("buildcache "));
    assert!(docker(&["help", "buildcache"]).stdout.contains("Usage: docker buildcache [OPTIONS] <COMMAND>"));
    assert!(docker(&["help", "buildcache", "ls"]).stdout.contains("Usage: docker buildcache ls [OPTIONS] <SPEC>"));
    let verified = docker(&["buildcache", "verify", "-q", "type=local,src=a"]);
    assert_eq!((verified.code, verified.stdout.len()), (0, 72), "{}", verified.stderr);
    assert_eq!(docker(&["buildcache", "inspect", "type=local,src=nowhere"]).code, 4);
}
