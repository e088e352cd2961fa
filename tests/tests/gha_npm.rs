//! The official client, `@actions/cache` from npm, works with the service of the tests.

#![cfg(feature = "gha")]

use std::fs;
use std::path::Path;
use std::process::Command;

use cache_tests::places::gha::{MAIN, token};
use cache_tests::servers::actions::{Options, Server};
use cache_tests::servers::installed::installed;
use tempfile::TempDir;

/// The path at which `cargo xtask setup` installs it.
const MODULE: &str = "actions-cache-6.3.0/node_modules/@actions/cache/lib/cache.js";

/// Runs the client as in a step of a job, and returns its result.
fn run(server: &Server, module: &Path, folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/actions_cache.mjs")).arg(module).args(arguments);
    command.current_dir(folder).env("ACTIONS_CACHE_SERVICE_V2", "1").env("ACTIONS_RESULTS_URL", server.url());
    command.env("ACTIONS_RUNTIME_TOKEN", token(&[(MAIN, 3)])).env("RUNNER_TEMP", folder.join("temp"));
    command.env("GITHUB_WORKSPACE", folder).env("GITHUB_SERVER_URL", "https://github.com");
    let output = command.output().expect("node runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    result.unwrap_or_else(|| panic!("no result: {text}")).to_owned()
}

#[test]
fn the_official_client_saves_and_restores() {
    let Some(module) = installed(MODULE) else {
        println!("skipped: @actions/cache is not installed; `cargo xtask setup` does that where npm is");
        return;
    };
    let server = Server::start(Options::default());
    let folder = TempDir::with_prefix("cache-tests-").unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("temp")).unwrap();
    fs::create_dir_all(folder.join("deps/inner")).unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(folder.join("deps/inner/large"), &content).unwrap();

    assert_eq!(run(&server, &module, folder, &["restore", "deps", "deps-1", "deps-"]), "undefined");
    assert_ne!(run(&server, &module, folder, &["save", "deps", "deps-1"]), "-1");
    // Entries cannot be changed: the second save is refused, which the client does not treat as an error.
    assert_eq!(run(&server, &module, folder, &["save", "deps", "deps-1"]), "-1");
    fs::remove_dir_all(folder.join("deps")).unwrap();
    assert_eq!(run(&server, &module, folder, &["restore", "deps", "deps-2", "deps-"]), "deps-1");
    assert!(fs::read(folder.join("deps/inner/large")).unwrap() == content);
}
