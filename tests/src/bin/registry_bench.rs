//! Pushes caches to a registry on loopback, by `buildcache copy` and by `skopeo copy`: `registry_bench BUILDCACHE [RUNS]`.
//!
//! Both read the same directory and write to Debian's `docker-registry`, in turn. What has no figure here is skipped with
//! a line that says so. The data is seeded and removed at the end.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cache_core::{CacheChains, CacheExporter, CacheKey, CacheResult, Descriptor, Digest, Expect, MediaType, Timestamp};
use cache_local::{LocalConfig, LocalExporter};
use cache_tests::random::Random;
use cache_tests::servers::docker_registry::{DockerRegistry, Setup};
use cache_tests::servers::registry::{Access, Options, Server};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Blobs of one size.
struct Load {
    name: &'static str,
    blobs: usize,
    size: usize,
}

const SMALL: Load = Load { name: "small", blobs: 2_000, size: 4 << 10 };
const LARGE: Load = Load { name: "large", blobs: 2, size: 1 << 30 };
const RUNS: usize = 3;
/// How much is written at once.
const PIECE: usize = 1 << 20;

/// What a run took.
struct Figure {
    seconds: f64,
    /// The most memory that the process had, in MiB.
    peak: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let buildcache = args.next().ok_or("usage: registry_bench BUILDCACHE [RUNS]")?;
    let runs = args.next().map_or(Ok(RUNS), |runs| runs.parse())?.max(1);
    if !DockerRegistry::is_installed() {
        println!("skipped: docker-registry is not installed (`cargo xtask setup` installs it)");
        return Ok(());
    }
    for (load, runs) in [(SMALL, runs), (LARGE, 1)] {
        let folder = tempfile::tempdir()?;
        make(folder.path(), &load).await?;
        println!("{}: {} blobs of {} KiB", load.name, load.blobs, load.size >> 10);
        if load.size <= PIECE {
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
    let has_skopeo = Command::new("skopeo").arg("--version").output().is_ok_and(|output| output.status.success());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.push(copy(buildcache, folder, DockerRegistry::start(Setup::Plain).host())?);
        if has_skopeo {
            theirs.push(skopeo(folder, DockerRegistry::start(Setup::Plain).host())?);
        }
    }
    let our = median(&mut ours);
    println!("  buildcache  {:.2} s, peak {:.0} MiB (median of {runs})", our.seconds, our.peak);
    if has_skopeo {
        let their = median(&mut theirs);
        println!("  skopeo      {:.2} s, peak {:.0} MiB (median of {runs})", their.seconds, their.peak);
        println!("  skopeo / buildcache  {:.2}", their.seconds / our.seconds);
    } else {
        println!("  skopeo      skipped: it is not installed (`apt-get install skopeo`)");
    }
    Ok(())
}

/// A cache whose results are one layer each, in a directory that is an OCI layout too.
async fn make(folder: &Path, load: &Load) -> Outcome<()> {
    let mut random = Random::new(load.blobs as u64);
    let mut chains = CacheChains::new();
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    for number in 0..load.blobs {
        let path = folder.join("new");
        let digest = write(&path, load.size, &mut random)?;
        fs::rename(&path, blobs.join(digest.hex()))?;
        let layer = Descriptor::new(MediaType::OCI_LAYER, digest, load.size as u64)
            .with_annotation(cache_core::annotation::UNCOMPRESSED, digest.to_string());
        let key = CacheKey::content(Digest::sha256(&number.to_le_bytes()));
        chains.add(key, &[], vec![CacheResult::new(Timestamp::ZERO, vec![layer])])?;
    }
    let exporter = LocalExporter::new(LocalConfig::new(folder));
    exporter.commit(&chains.to_manifest(), Expect::Any).await?;
    Ok(())
}

fn write(path: &Path, size: usize, random: &mut Random) -> Outcome<Digest> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut digester = Digest::sha256(b"").digester();
    for start in (0..size).step_by(PIECE) {
        let words = PIECE.min(size - start) / 8;
        let piece: Vec<u8> = (0..words).flat_map(|_| random.number().to_le_bytes()).collect();
        digester.update(&piece);
        file.write_all(&piece)?;
    }
    file.flush()?;
    Ok(digester.finish())
}

fn copy(buildcache: &str, folder: &Path, host: &str) -> Outcome<Figure> {
    let source = format!("type=local,src={}", folder.display());
    run(Command::new(buildcache).args(["--quiet", "copy", &source, &format!("type=registry,ref={host}/bench:main")]))
}

fn skopeo(folder: &Path, host: &str) -> Outcome<Figure> {
    let source = format!("oci:{}:latest", folder.display());
    let target = format!("docker://{host}/bench:main");
    run(Command::new("skopeo").args(["copy", "--quiet", "--dest-tls-verify=false", &source, &target]))
}

fn run(command: &mut Command) -> Outcome<Figure> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut peak = 0.0;
    let status = loop {
        peak = peak_of(&child).unwrap_or(peak);
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    if status.success() { Ok(Figure { seconds, peak }) } else { Err(format!("{command:?} failed ({status})").into()) }
}

/// The most memory that a process has had so far, in MiB; it is gone when the process has ended.
fn peak_of(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

fn median(figures: &mut [Figure]) -> &Figure {
    figures.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    &figures[figures.len() / 2]
}
