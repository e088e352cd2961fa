//! The tools on this machine, and a Go program that is built here.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cache_tests::programs::is_installed;

use crate::Outcome;

/// The Go program. BuildKit uses Go's gzip.
const GO: &str = r#"package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"os"
	"strconv"
)

func main() {
	file, err := os.Open(os.Args[len(os.Args)-1])
	check(err)
	switch os.Args[1] {
	case "gzip":
		level, err := strconv.Atoi(os.Args[2])
		check(err)
		out, err := gzip.NewWriterLevel(os.Stdout, level)
		check(err)
		_, err = io.Copy(out, file)
		check(err)
		check(out.Close())
	case "gunzip":
		in, err := gzip.NewReader(bufio.NewReaderSize(file, 1<<16))
		check(err)
		_, err = io.Copy(sha256.New(), in)
		check(err)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
"#;

pub(crate) struct Theirs {
    folder: PathBuf,
    /// The path of the Go program, if Go is installed.
    go: Option<PathBuf>,
}

impl Theirs {
    pub(crate) fn new(folder: &Path) -> Outcome<Self> {
        Ok(Self { folder: folder.to_owned(), go: build(folder)? })
    }

    /// A tool that reads a file and writes to standard output.
    pub(crate) fn tool(&self, name: &str, args: &[&str], input: &Path) -> Option<Vec<Command>> {
        is_there(name).then(|| vec![command(name, args, [input])])
    }

    pub(crate) fn go(&self, args: &[&str], input: &Path) -> Option<Vec<Command>> {
        self.go.as_ref().map(|go| vec![command(go, args, [input])])
    }

    /// The steps of a shell script: the digest of the tar, the layer in a file, the digest of the layer.
    pub(crate) fn zstd_between_digests(&self, level: &str, tar: &Path) -> Option<Vec<Command>> {
        let layer = self.folder.join("layer.zst");
        let out = layer.to_str()?;
        (is_there("zstd") && is_there("openssl")).then(|| {
            let zstd = command("zstd", &["-q", "-T0", level, "-f", "-o", out], [tar]);
            vec![command("openssl", &DIGEST, [tar]), zstd, command("openssl", &DIGEST, [&layer])]
        })
    }

    pub(crate) fn digests(&self, files: &[PathBuf]) -> Option<Vec<Command>> {
        is_there("openssl").then(|| vec![command("openssl", &DIGEST, files)])
    }

    /// Writes the output of a tool to a file; returns whether the tool is installed.
    pub(crate) fn write(&self, name: &str, args: &[&str], input: &Path, output: &Path) -> Outcome<bool> {
        let Some(mut commands) = self.tool(name, args, input) else { return Ok(false) };
        for command in &mut commands {
            if !command.stdout(File::create(output)?).status()?.success() {
                return Err(format!("{command:?} failed").into());
            }
        }
        Ok(true)
    }
}

const DIGEST: [&str; 2] = ["dgst", "-sha256"];

/// Runs the commands one after the other. Returns how many bytes they wrote to stdout, if that is a layer.
pub(crate) fn run(commands: &mut [Command]) -> Outcome<Option<u64>> {
    let mut made = 0;
    for command in commands {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut out = child.stdout.take().ok_or("it has a pipe")?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match out.read(&mut buffer)? {
                0 => break,
                len => made += len as u64,
            }
        }
        if !child.wait()?.success() {
            return Err(format!("{command:?} failed").into());
        }
    }
    // A digest is only a line.
    Ok((made > 4096).then_some(made))
}

fn command(
    program: impl AsRef<std::ffi::OsStr>,
    args: &[&str],
    files: impl IntoIterator<Item: AsRef<Path>>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    for file in files {
        command.arg(file.as_ref());
    }
    command
}

fn is_there(name: &str) -> bool {
    is_installed(name, if name == "openssl" { "version" } else { "--version" })
}

/// Builds the Go program with `go` of `PATH` or `GOROOT`, and prints the version of Go, since its codecs have changed.
fn build(folder: &Path) -> Outcome<Option<PathBuf>> {
    let in_root = std::env::var_os("GOROOT").map(|root| Path::new(&root).join("bin/go"));
    let candidates = [Some(PathBuf::from("go")), in_root];
    let version = |go: PathBuf| {
        let output = Command::new(&go).arg("version").output().ok().filter(|output| output.status.success())?;
        Some((go, String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    };
    let Some((go, version)) = candidates.into_iter().flatten().find_map(version) else { return Ok(None) };
    println!("Go is {version}");
    let (source, program) = (folder.join("peer.go"), folder.join("peer"));
    fs::write(&source, GO)?;
    let mut build = Command::new(go);
    build.args(["build", "-o"]).args([&program, &source]).env("GO111MODULE", "off");
    build.env("GOCACHE", folder.join("go-cache"));
    if !build.status()?.success() {
        return Err("the Go program does not build".into());
    }
    Ok(Some(program))
}
