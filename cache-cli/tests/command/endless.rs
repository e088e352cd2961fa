//! Endless files, and pipes without another end, wherever a file can be named: every run ends with a message.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use cache_tests::servers::registry::{self, Access, Account, Options};

use crate::sandbox::{Run, Sandbox};

/// Address space in KiB: a hundred times what a file may take.
const MEMORY: u64 = 3 << 20;
/// The time limit of a run, in seconds.
const PATIENCE: &str = "60";

/// A way to name a file: the arguments of a run, and the variable with the file.
struct Naming {
    words: &'static [&'static str],
    variable: Option<&'static str>,
}

const fn by_flag(words: &'static [&'static str]) -> Naming {
    Naming { words, variable: None }
}

const fn by_variable(variable: &'static str, words: &'static [&'static str]) -> Naming {
    Naming { words, variable: Some(variable) }
}

/// `FILE` is the file, `REGISTRY` a registry that requires a login.
const NAMINGS: [Naming; 14] = [
    by_flag(&["explain", "type=local,src=a", "--log", "FILE"]),
    by_flag(&["report", "type=local,src=a", "-o", "page.html", "--log", "FILE"]),
    by_flag(&["prune", "--force", "--apply", "FILE", "type=local,src=a"]),
    by_flag(&["repair", "type=local,src=a", "--to", "type=local,dest=b", "--findings", "FILE"]),
    by_flag(&[
        "ls",
        "type=s3,bucket=b,region=r,access_key_id=i,secret_access_key=@FILE,endpoint_url=http://127.0.0.1:1",
    ]),
    by_flag(&["ls", "type=azblob,account_url=http://127.0.0.1:1/a,account_name=a,secret_access_key=@FILE"]),
    by_flag(&["inspect", "type=gha,url_v2=http://127.0.0.1:1/,token=@FILE"]),
    by_variable("REGISTRY_AUTH_FILE", &["inspect", "REGISTRY/a"]),
    by_variable("AWS_CA_BUNDLE", &["ls", "type=s3,bucket=b,region=r,endpoint_url=http://127.0.0.1:1"]),
    by_variable("AWS_CONFIG_FILE", &["ls", "type=s3,bucket=b,region=r,endpoint_url=http://127.0.0.1:1"]),
    by_variable("AWS_SHARED_CREDENTIALS_FILE", &["ls", "type=s3,bucket=b,region=r,endpoint_url=http://127.0.0.1:1"]),
    by_variable("AWS_WEB_IDENTITY_TOKEN_FILE", &["ls", "type=s3,bucket=b,region=r,endpoint_url=http://127.0.0.1:1"]),
    by_variable("AZURE_FEDERATED_TOKEN_FILE", &["ls", "type=azblob,account_url=https://127.0.0.1:1/a"]),
    by_variable("SSL_CERT_FILE", &["inspect", "registry.test/a"]),
];

/// Runs the program within bounds. Its exit code is 124 after the time limit.
fn run(sandbox: &Sandbox, naming: &Naming, file: &str) -> Run {
    let registry = registry::Server::start(Access::Basic(Account::new("tester", "hush-hush")), Options::default());
    let mut command = Command::new("timeout");
    let limited = format!("ulimit -v {MEMORY} && exec \"$@\"");
    command.args([PATIENCE, "sh", "-c", &limited, "sh", env!("CARGO_BIN_EXE_buildcache")]);
    command.args(naming.words.iter().map(|word| word.replace("FILE", file).replace("REGISTRY", &registry.host())));
    command.current_dir(sandbox.path("")).stdin(Stdio::null());
    command.env("HOME", sandbox.path("")).env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs([
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential"),
    ]);
    if let Some(variable) = naming.variable {
        command.env(variable, file);
    }
    Run::from(command.output().unwrap())
}

fn every_naming_ends(file: &str) {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let path = sandbox.path("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let file = if file.is_empty() { &path } else { file };
    thread::scope(|scope| {
        for naming in &NAMINGS {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let run = run(sandbox, naming, file);
                let told = format!("{:?} {:?}: {} {}", naming.variable, naming.words, run.code, run.stderr);
                assert!(matches!(run.code, 1 | 2 | 5), "{told}");
                assert!(run.stderr.contains(file), "{told}");
                assert!(!run.stderr.contains("panicked") && !run.stderr.contains("allocation"), "{told}");
            });
        }
    });
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    every_naming_ends("/dev/zero");
}

#[test]
fn a_pipe_without_a_writer_is_an_error() {
    every_naming_ends("");
}

/// A shell makes a pipe from `<(…)`, which the program reads.
#[test]
fn a_pipe_with_a_writer_is_read_like_a_file() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let found = sandbox.run(&["verify", "-o", "json", "type=local,src=a"]).stdout;
    let path = sandbox.path("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    thread::spawn(move || fs::write(path, found));
    let run = sandbox.run(&["repair", "type=local,src=a", "--to", "type=local,dest=b", "--findings", "pipe"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn a_metadata_pipe_without_a_reader_is_an_error() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let naming = by_flag(&["copy", "type=local,src=a", "type=local,dest=b", "--metadata-file", "FILE"]);
    let path = sandbox.path("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let run = run(&sandbox, &naming, &path);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains(&path) && !sandbox.path("b").exists(), "{}", run.stderr);
}
