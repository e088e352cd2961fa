//! The time and memory of `explain` for big caches and a long log.
//!
//! `cargo bench -p cache-ops --bench explain` explains a build of 5,000 steps from two caches of 100,000 records each:
//! reads the log, joins it to the records, and finds the causes. It fails when the promise is broken: under 3 s, under
//! 500 MiB. Before that it reads a log of 100 MB, which takes no more memory than a short one.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufReader, Read};
use std::time::{Duration, Instant, SystemTime};

use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult, RecordLink};
use cache_core::{CacheConfig, CacheManifest, Descriptor, Digest, MediaType, Timestamp, annotation};
use cache_ops::{BuildLog, ConsultedCache, Content, LogLimits, explain};

const RECORDS: usize = 100_000;
/// How many steps a stage has.
const DEPTH: usize = 40;
const STEPS: usize = 5_000;
/// The step of every other stage from which on the build differs.
const CHANGED: usize = 20;
const LIMIT: Duration = Duration::from_secs(3);
const MEMORY: u64 = 500 << 20;
/// A log that goes on and on, and how much memory reading it may take, the steps included.
const LONG_LOG: usize = 100_000_000;
const MEMORY_OF_LOG: u64 = 64 << 20;

/// Which of the two builds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Build {
    Old,
    New,
}

fn main() -> Result<(), Box<dyn Error>> {
    let log = log();
    read_long(log.as_bytes())?;
    let (old, new) = (cache(Build::Old), cache(Build::New));
    println!("{RECORDS} records in each of two caches, {STEPS} steps, {} KiB of log", log.len() >> 10);
    let start = Instant::now();
    let read = BuildLog::read(log.as_bytes(), &LogLimits::default())?;
    let elapsed_of_log = start.elapsed();
    let found = explain(&[ConsultedCache::imported("old", Content::Cache(&old))], Some(&new), Some(&read))?;
    let elapsed = start.elapsed();
    let missed = found.steps.iter().filter(|step| step.miss.is_some()).count();
    println!("  {missed} misses with {} causes", found.causes.len());
    println!("  log {elapsed_of_log:.1?}, in all {elapsed:.1?}, peak {} MiB with both caches", peak() >> 20);
    let stages = STEPS.div_ceil(DEPTH).div_ceil(2);
    if (missed, found.causes.len()) != (stages * (DEPTH - CHANGED), stages) {
        return Err("these are not the causes that were made".into());
    }
    if elapsed > LIMIT || peak() > MEMORY {
        return Err("slower or larger than promised".into());
    }
    Ok(())
}

fn read_long(log: &[u8]) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let read = BuildLog::read(BufReader::new(Again { log, at: 0, left: LONG_LOG }), &LogLimits::default())?;
    let (steps, elapsed, peak) = (read.vertices.len(), start.elapsed(), peak());
    println!("a log of {} MB: {steps} steps in {elapsed:.1?}, peak {} MiB", LONG_LOG / 1_000_000, peak >> 20);
    if steps != STEPS || peak > MEMORY_OF_LOG {
        return Err("a long log takes more than a short one".into());
    }
    Ok(())
}

/// A log again and again, up to a length.
struct Again<'a> {
    log: &'a [u8],
    at: usize,
    left: usize,
}

impl Read for Again<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.log[self.at..];
        let length = rest.len().min(buffer.len()).min(self.left);
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at = (self.at + length) % self.log.len();
        self.left -= length;
        Ok(length)
    }
}

/// Whether a step of the new build is another one.
fn is_changed(stage: usize) -> bool {
    stage.is_multiple_of(2) && stage * DEPTH < STEPS
}

/// Stages of steps, each the input of the next, each with one more layer.
fn cache(build: Build) -> CacheManifest {
    let mut config = CacheConfig::default();
    let mut described = Vec::with_capacity(RECORDS);
    for n in 0..RECORDS {
        let (stage, at) = (n / DEPTH, n % DEPTH);
        let differs = build == Build::New && is_changed(stage) && at >= CHANGED;
        let kind = if differs && at == CHANGED { "new step" } else { "step" };
        let mut record =
            CacheRecord { key: Digest::sha256(format!("{kind} {n}").as_bytes()).into(), ..CacheRecord::default() };
        if at > 0 {
            record.inputs = vec![vec![RecordLink { selector: String::new(), link: index(n) - 1 }]];
            let bytes = format!("layer {n} {differs}");
            let layer = Descriptor::of(MediaType::OCI_LAYER, bytes.as_bytes());
            let parent = if at == 1 { -1 } else { index(config.layers.len()) - 1 };
            config.layers.push(CacheLayer { blob: layer.digest, parent, annotations: None });
            let created_at = time(if differs { 1_000_000_000 + millis(n) } else { millis(n) });
            record.results = vec![LayerResult { layer: index(config.layers.len()) - 1, created_at }];
            let diff_id = layer.digest;
            described.push(layer.with_annotation(annotation::UNCOMPRESSED, diff_id));
        }
        config.records.push(record);
    }
    CacheManifest::new(config, described)
}

/// The log of the new build, of the stages that come first.
fn log() -> String {
    let mut log = String::new();
    for n in 0..STEPS {
        let (stage, at) = (n / DEPTH, n % DEPTH);
        let vertex = |n: usize| Digest::sha256(format!("vertex {n}").as_bytes());
        let inputs = if at == 0 { String::new() } else { format!(r#""inputs":["{}"],"#, vertex(n - 1)) };
        let name = if at == 0 {
            "[internal] load build context".to_owned()
        } else {
            format!("[stage-{stage} {at}/{DEPTH}] RUN make {n}")
        };
        let ran = at == 0 || (is_changed(stage) && at >= CHANGED);
        let end = 1_000_000_000 + millis(n);
        let (start, end, cached) = if ran {
            (time(end - 1), time(end), "")
        } else {
            (time(1_000_000_000), time(1_000_000_000), r#","cached":true"#)
        };
        let _ = writeln!(log, r#"{{"vertexes":[{{"digest":"{}",{inputs}"name":"{name}"}}]}}"#, vertex(n));
        let _ = writeln!(
            log,
            r#"{{"vertexes":[{{"digest":"{}",{inputs}"name":"{name}","started":"{start}","completed":"{end}"{cached}}}]}}"#,
            vertex(n)
        );
    }
    log
}

/// Steps end 10 ms after one another.
fn millis(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(0) * 10
}

fn time(millis: u64) -> Timestamp {
    Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_000 + millis))
}

fn index(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The most memory that the process has had, if the system tells it.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
