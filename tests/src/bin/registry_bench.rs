//! Pushes caches to a registry, with `buildcache copy`, `skopeo copy` and `crane push`: `registry_bench BUILDCACHE
//! [RUNS]`.
//!
//! All read the same directory, in turn. Small blobs go to the registry of the tests, which delays each answer by 5 ms,
//! with and without uploads in one request, and to Debian's `docker-registry`, which gets two large ones too. A program
//! that is not installed is skipped with a line that says so. The data is seeded and removed at the end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cache_tests::bench::{Figure, Load, Outcome, make, measure};
use cache_tests::programs::is_installed;
use cache_tests::servers::docker_registry::{DockerRegistry, Setup};
use cache_tests::servers::registry::{Access, Options, Server};

/// Few enough for skopeo 1.9.3, which takes minutes of processor time for 2,000.
const SMALL: Load = Load { name: "small", blobs: 500, size: 16 << 10 };
const LARGE: Load = Load { name: "large", blobs: 2, size: 1 << 30 };
const RUNS: usize = 3;
const DELAY: Duration = Duration::from_millis(5);

/// A program that pushes a directory to a registry.
struct Program<'a> {
    name: &'a str,
    push: fn(&str, &Path, &str) -> Command,
    /// The word that prints its version, and where to get it.
    version: &'static str,
    source: &'static str,
}

const PEERS: [Program<'_>; 2] = [
    Program { name: "skopeo", push: skopeo, version: "--version", source: "`apt-get install skopeo`" },
    Program {
        name: "crane",
        push: crane,
        version: "version",
        source: "https://github.com/google/go-containerregistry",
    },
];

/// A registry to push to, which is new for each push.
enum Registry {
    Delayed(Server),
    Debian(DockerRegistry),
}

impl Registry {
    fn delayed(takes_posts: bool) -> Self {
        let server = Server::start(Access::Open, Options { takes_posts, ..Options::default() });
        server.delay(DELAY);
        Self::Delayed(server)
    }

    fn host(&self) -> String {
        match self {
            Self::Delayed(server) => server.host(),
            Self::Debian(registry) => registry.host().to_owned(),
        }
    }

    fn requests(&self) -> Option<usize> {
        match self {
            Self::Delayed(server) => Some(server.take_log().len()),
            Self::Debian(_) => None,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let buildcache = args.next().ok_or("usage: registry_bench BUILDCACHE [RUNS]")?;
    let runs = args.next().map_or(Ok(RUNS), |runs| runs.parse())?.max(1);
    let ours = Program { name: &buildcache, push: copy, version: "--version", source: "cargo" };
    let (peers, missing): (Vec<_>, Vec<_>) = PEERS.iter().partition(|peer| is_installed(peer.name, peer.version));
    missing.iter().for_each(|peer| println!("{} is skipped: it is not installed ({})", peer.name, peer.source));
    let programs: Vec<&Program<'_>> = std::iter::once(&ours).chain(peers).collect();
    for load in [SMALL, LARGE] {
        let folder = tempfile::tempdir()?;
        make(folder.path(), load).await?;
        println!("{}: {} blobs of {} KiB, median of {runs}", load.name, load.blobs, load.size >> 10);
        if load.name == SMALL.name {
            println!(" a registry with {} ms a request", DELAY.as_millis());
            compare(&programs, folder.path(), runs, || Registry::delayed(false))?;
            println!(" the same, where a blob can be sent in one request");
            compare(&programs, folder.path(), runs, || Registry::delayed(true))?;
        }
        if DockerRegistry::is_installed() {
            println!(" docker-registry");
            compare(&programs, folder.path(), runs, || Registry::Debian(DockerRegistry::start(Setup::Plain)))?;
        } else {
            println!(" docker-registry is skipped: it is not installed (`cargo xtask setup` installs it)");
        }
    }
    Ok(())
}

/// Prints the figures of each program, and how many times as long as the first one it takes.
fn compare(programs: &[&Program<'_>], folder: &Path, runs: usize, start: impl Fn() -> Registry) -> Outcome<()> {
    let mut figures = vec![Vec::new(); programs.len()];
    let mut requests = vec![None; programs.len()];
    for at in (0..runs).flat_map(|round| (0..programs.len()).map(move |at| (round + at) % programs.len())) {
        let (registry, program) = (start(), programs[at]);
        figures[at].push(measure(&mut (program.push)(program.name, folder, &registry.host()))?);
        requests[at] = registry.requests();
    }
    let medians: Vec<Figure> = figures.iter().map(|figures| Figure::median(figures)).collect();
    for ((program, Figure { seconds, cpu, peak }), requests) in programs.iter().zip(&medians).zip(requests) {
        let (times, less) = (seconds / medians[0].seconds, cpu / medians[0].cpu);
        let name = Path::new(program.name).file_name().unwrap_or_default().to_string_lossy();
        let requests = requests.map_or_else(String::new, |requests| format!(", {requests} requests"));
        println!(
            "  {name:<11} {seconds:.2} s ({times:.2}), {cpu:.2} s of CPU ({less:.2}), peak {peak:.0} MiB{requests}"
        );
    }
    Ok(())
}

fn copy(program: &str, folder: &Path, host: &str) -> Command {
    let mut command = Command::new(program);
    let source = format!("type=local,src={}", folder.display());
    command.args(["--quiet", "copy", &source, &format!("type=registry,ref={host}/bench:main")]);
    command
}

fn skopeo(program: &str, folder: &Path, host: &str) -> Command {
    let mut command = Command::new(program);
    let (source, target) = (format!("oci:{}:latest", folder.display()), format!("docker://{host}/bench:main"));
    command.args(["copy", "--quiet", "--dest-tls-verify=false", &source, &target]);
    command
}

fn crane(program: &str, folder: &Path, host: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("push").arg(folder).arg(format!("{host}/bench:main")).arg("--insecure").stderr(Stdio::null());
    command
}
