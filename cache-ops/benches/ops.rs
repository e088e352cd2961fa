//! How long the verbs on whole caches take for a big one, and how much memory.
//!
//! `cargo bench -p cache-ops --bench ops` prints medians for two caches of 100,000 records each that have half of them in
//! common, in branches of up to 40 layers, and the peak of the process's memory after each.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cache_core::{
    CacheChains, CacheConfig, CacheKey, CacheLayer, CacheManifest, CacheRecord, Descriptor, Digest, LayerResult,
    MediaType, RecordLink, Timestamp, annotation,
};
use cache_ops::{OptimizeOptions, diff, graph, optimize};

const RECORDS: usize = 100_000;
const DEPTH: usize = 40;
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let (a, b) = (cache(0), cache(RECORDS / 2));
    println!("{RECORDS} records in each of two caches, half of them in both: {}", peak());
    measure("merge", || {
        let mut union = CacheChains::new();
        union.merge_all([&a, &b].into_iter().filter_map(|cache| CacheChains::from_manifest(cache).ok()))?;
        let merged = union.to_manifest();
        let expected = RECORDS + RECORDS / 2;
        let found = merged.config().records.len();
        if found == expected { Ok(()) } else { Err(format!("{found} records instead of {expected}").into()) }
    })?;
    measure("merge, looping", || {
        let (a, b) = (looping(0), looping(1));
        let mut union = CacheChains::new();
        union.merge_all([&a, &b])?;
        black_box(union.to_manifest());
        Ok(())
    })?;
    measure("diff", || {
        let differences = diff(&a, &b)?;
        let found = (differences.only_a.records, differences.only_b.records);
        let expected = (RECORDS / 2, RECORDS / 2);
        if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}").into()) }
    })?;
    measure("optimize", || {
        black_box(optimize(&a, &OptimizeOptions::default())?);
        Ok(())
    })?;
    measure("optimize to 1 MiB", || {
        black_box(optimize(&a, &OptimizeOptions::importable())?);
        Ok(())
    })?;
    measure("graph", || {
        black_box(graph(&a)?.to_dot());
        Ok(())
    })
}

/// Branches of records, each the input of the next, whose results grow by a layer from record to record.
fn cache(from: usize) -> CacheManifest {
    let mut config = CacheConfig::default();
    let mut described = Vec::with_capacity(RECORDS);
    for n in 0..RECORDS {
        let name = from + n;
        let at = n % DEPTH;
        let mut record = CacheRecord { key: digest("record", name).into(), ..CacheRecord::default() };
        if at > 0 {
            record.inputs = vec![vec![RecordLink { selector: String::new(), link: index(n) - 1 }]];
            let created_at = time(name);
            record.results = vec![LayerResult { layer: index(config.layers.len()), created_at }];
            let parent = if at == 1 { -1 } else { index(config.layers.len()) - 1 };
            let blob = digest("layer", name);
            config.layers.push(CacheLayer { blob, parent, annotations: None });
            let diff_id = digest("diff", name);
            let layer = Descriptor::new(MediaType::OCI_LAYER_GZIP, blob, 1);
            described.push(layer.with_annotation(annotation::UNCOMPRESSED, diff_id));
        }
        config.records.push(record);
    }
    CacheManifest::new(config, described)
}

/// Pairs of steps that hang on each other, the other way round in the other cache.
fn looping(turn: usize) -> CacheChains {
    let mut chains = CacheChains::new();
    for n in 0..RECORDS / 40 {
        let root = chains.add_root(digest("root", n).into());
        let Ok(Some(root)) = root else { continue };
        let key = |step: usize| CacheKey::from(digest(["even", "odd"][step % 2], n));
        let link = |record| vec![cache_core::CacheLink::new(record)];
        let Ok(Some(first)) = chains.add(key(turn), &[link(root)], Vec::new()) else { continue };
        let both = [[link(root), link(first)].concat()];
        black_box(chains.add(key(turn + 1), &both, Vec::new()).is_ok());
    }
    chains
}

fn digest(kind: &str, n: usize) -> Digest {
    Digest::sha256(format!("{kind} {n}").as_bytes())
}

fn time(n: usize) -> Timestamp {
    let seconds = u64::try_from(n).unwrap_or(0);
    Timestamp::from(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn index(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn measure(name: &str, mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (start, busy) = (Instant::now(), busy());
        run()?;
        times.push((self::busy().saturating_sub(busy), start.elapsed()));
    }
    times.sort();
    let (busy, elapsed) = times[ROUNDS / 2];
    println!("  {name:<18} {busy:>8.1?} of processor time, {elapsed:>8.1?} in all, peak {}", peak());
    Ok(())
}

/// How long the process has had a processor, where the system tells: what a busy machine does not change.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

/// The most memory that the process has had, where the system tells.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
