//! [`Sandbox`]: a directory to run the program in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cache_tests::schema;
use serde_json::Value;
use tempfile::TempDir;

/// A working directory with caches of BuildKit.
pub(crate) struct Sandbox(TempDir);

/// The outcome of a run of the program.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Copies a fixture to `a`.
    pub(crate) fn with(fixture: &str) -> Self {
        let sandbox = Self::empty();
        sandbox.add(fixture, "a");
        sandbox
    }

    pub(crate) fn add(&self, fixture: &str, name: &str) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/local");
        copy_dir(&fixtures.join(fixture), &self.path(name));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_buildcache"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::from(self.command(args).output().unwrap())
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let run = self.run(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", run.stdout, run.stderr))
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, cache: &str, digest: &str) -> PathBuf {
        self.path(cache).join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let run = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        // Every document in the output has to match its schema.
        [run.stdout.as_str()].into_iter().chain(run.stderr.lines()).for_each(checked);
        run
    }
}

/// Checks a document of the program against its schema; other text is ignored.
fn checked(text: &str) {
    if let Ok(document) = serde_json::from_str::<Value>(text) {
        schema::check(&document).unwrap_or_else(|wrong| panic!("not what schemas/ says: {wrong}: {text}"));
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::write(to, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// Every file below a directory, by its relative path, with its content.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push((path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
