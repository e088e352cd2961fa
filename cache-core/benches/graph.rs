//! How long a big config takes to become a graph and a config again, and how long a huge one takes to be checked.
//!
//! `cargo bench -p cache-core --bench graph` prints medians for 50,000 and 100,000 records whose results are chains of
//! up to 40 layers, and then what `inspect` and `verify --fast` do with a million records. `$CACHEBENCH` may name a peer that is run on the same document in the same run: a program called
//! with an input and an output path, which prints its own times.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult, RecordLink};
use cache_core::{
    CacheChains, CacheConfig, CacheKey, CacheManifest, Descriptor, Digest, MediaType, Timestamp, annotation, check,
};

const DEPTH: usize = 40;
const ROUNDS: usize = 7;
const HUGE: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut totals = Vec::new();
    for count in [50_000, 100_000] {
        let descriptors = descriptors(count);
        let manifest = CacheManifest::new(branches(count), descriptors.iter().cloned());
        let document = CacheChains::from_manifest(&manifest)?.to_manifest().config().encode();
        println!("{count} records, chains of up to {DEPTH} layers, {} bytes", document.len());
        let rounds = (0..ROUNDS).map(|_| round(&document, &descriptors)).collect::<Result<Vec<_>, _>>()?;
        for (n, name) in ["parse", "index", "encode"].into_iter().enumerate() {
            println!("  {name:<8} {:>8.1?}", median(rounds.iter().map(|round| round[n]).collect()));
        }
        let total = median(rounds.iter().map(|round| round.iter().sum()).collect());
        println!("  {:<8} {total:>8.1?}", "total");
        totals.push(total);
        if let Some(peer) = std::env::var_os("CACHEBENCH") {
            run_peer(Path::new(&peer), &document)?;
        }
    }
    println!("100,000 take {:.2} times as long as 50,000", totals[1].as_secs_f64() / totals[0].as_secs_f64());
    check_huge()
}

/// Bytes to config, config to findings.
fn check_huge() -> Result<(), Box<dyn Error>> {
    let document = branches(HUGE).encode();
    println!("{HUGE} records, {} bytes", document.len());
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let descriptors = descriptors(HUGE);
        let start = Instant::now();
        let config = CacheConfig::decode(&document)?;
        let parsed = start.elapsed();
        let manifest = CacheManifest::new(config, descriptors);
        let joined = start.elapsed();
        let findings = check(&manifest);
        let checked = start.elapsed();
        if !findings.is_empty() {
            return Err("a sound config has findings".into());
        }
        rounds.push([parsed, joined - parsed, checked - joined]);
    }
    for (n, name) in ["parse", "join", "check"].into_iter().enumerate() {
        println!("  {name:<8} {:>8.1?}", median(rounds.iter().map(|round| round[n]).collect()));
    }
    Ok(())
}

/// Bytes to config, config to graph, graph to bytes.
fn round(document: &[u8], descriptors: &[Descriptor]) -> Result<[Duration; 3], Box<dyn Error>> {
    let start = Instant::now();
    let config = CacheConfig::decode(document)?;
    let parsed = start.elapsed();
    let manifest = CacheManifest::new(config, descriptors.iter().cloned());
    let start = Instant::now();
    let chains = CacheChains::from_manifest(&manifest)?;
    let indexed = start.elapsed();
    let start = Instant::now();
    let encoded = chains.to_manifest().config().encode();
    let took = start.elapsed();
    if encoded != document {
        return Err("the document did not come back as it was".into());
    }
    Ok([parsed, indexed, took])
}

/// Branches of records, each the input of the next, whose results grow by a layer from record to record.
fn branches(count: usize) -> CacheConfig {
    let start: Timestamp = "2026-11-23T12:44:08.569712334Z".parse().unwrap_or_default();
    let mut config = CacheConfig::default();
    for n in 0..count {
        let at = n % DEPTH;
        let parent = if at <= 1 { -1 } else { index(config.layers.len()) - 1 };
        let mut record =
            CacheRecord { key: CacheKey::from(Digest::sha256(format!("r{n}").as_bytes())), ..Default::default() };
        if at > 0 {
            record.inputs = vec![vec![RecordLink { selector: String::new(), link: index(n) - 1 }]];
            record.results = vec![LayerResult { layer: index(config.layers.len()), created_at: start }];
            config.layers.push(CacheLayer { blob: blob(n), parent, annotations: None });
        }
        config.records.push(record);
    }
    config
}

fn descriptors(count: usize) -> Vec<Descriptor> {
    let describe = |n| {
        let diff_id = Digest::sha256(format!("d{n}").as_bytes());
        Descriptor::new(MediaType::OCI_LAYER_GZIP, blob(n), 1).with_annotation(annotation::UNCOMPRESSED, diff_id)
    };
    (0..count).map(describe).collect()
}

fn blob(n: usize) -> Digest {
    Digest::sha256(format!("l{n}").as_bytes())
}

fn index(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn run_peer(peer: &Path, document: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir();
    let (input, output) = (folder.join("graph-bench-in.json"), folder.join("graph-bench-out.json"));
    std::fs::write(&input, document)?;
    let ran = Command::new(peer).args([&input, &output]).output()?;
    print!("  peer: {}", String::from_utf8_lossy(&ran.stdout));
    std::fs::remove_file(input)?;
    std::fs::remove_file(output)?;
    Ok(())
}
