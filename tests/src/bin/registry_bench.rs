//! Pushes caches to a registry on loopback, with `buildcache copy` and `skopeo copy`: `registry_bench BUILDCACHE
//! [RUNS]`.
//!
//! Both read the same directory and write to Debian's `docker-registry`, in turn. A program that is not installed is
//! skipped with a line that says so. The data is seeded and removed at the end.

use std::path::Path;
use std::process::Command;

use cache_tests::bench::{Figure, Load, Outcome, make, measure};
use cache_tests::programs::is_installed;
use cache_tests::servers::docker_registry::{DockerRegistry, Setup};
use cache_tests::servers::registry::{Access, Options, Server};

const SMALL: Load = Load { name: "small", blobs: 2_000, size: 4 << 10 };
const LARGE: Load = Load { name: "large", blobs: 2, size: 1 << 30 };
const RUNS: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let buildcache = args.next().ok_or("usage: registry_bench BUILDCACHE [RUNS]")?;
    let runs = args.next().map_or(Ok(RUNS), |runs| runs.parse())?.max(1);
    if !DockerRegistry::is_installed() {
        println!("skipped: docker-registry is not installed (`cargo xtask setup` installs it)");
        return Ok(());
    }
    for load in [SMALL, LARGE] {
        let folder = tempfile::tempdir()?;
        make(folder.path(), load).await?;
        println!("{}: {} blobs of {} KiB", load.name, load.blobs, load.size >> 10);
        if load.name == SMALL.name {
            let server = Server::start(Access::Open, Options::default());
            copy(&buildcache, folder.path(), &server.host())?;
            let requests = server.take_log().len();
            println!("  requests    {requests}, {:.2} per blob", requests as f64 / load.blobs as f64);
        }
        compare(&buildcache, folder.path(), runs)?;
    }
    Ok(())
}

fn compare(buildcache: &str, folder: &Path, runs: usize) -> Outcome<()> {
    let has_skopeo = is_installed("skopeo", "--version");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.push(copy(buildcache, folder, DockerRegistry::start(Setup::Plain).host())?);
        if has_skopeo {
            theirs.push(skopeo(folder, DockerRegistry::start(Setup::Plain).host())?);
        }
    }
    let our = Figure::median(&ours);
    println!("  buildcache  {:.2} s, peak {:.0} MiB (median of {runs})", our.seconds, our.peak);
    if has_skopeo {
        let their = Figure::median(&theirs);
        println!("  skopeo      {:.2} s, peak {:.0} MiB (median of {runs})", their.seconds, their.peak);
        println!("  skopeo / buildcache  {:.2}", their.seconds / our.seconds);
    } else {
        println!("  skopeo      skipped: it is not installed (`apt-get install skopeo`)");
    }
    Ok(())
}

fn copy(buildcache: &str, folder: &Path, host: &str) -> Outcome<Figure> {
    let source = format!("type=local,src={}", folder.display());
    measure(Command::new(buildcache).args([
        "--quiet",
        "copy",
        &source,
        &format!("type=registry,ref={host}/bench:main"),
    ]))
}

fn skopeo(folder: &Path, host: &str) -> Outcome<Figure> {
    let source = format!("oci:{}:latest", folder.display());
    let target = format!("docker://{host}/bench:main");
    measure(Command::new("skopeo").args(["copy", "--quiet", "--dest-tls-verify=false", &source, &target]))
}
