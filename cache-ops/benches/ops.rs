//! How long the verbs on whole caches take for a big one, and how much memory.
//!
//! `cargo bench -p cache-ops --bench ops` prints medians for two caches of 100,000 records each that have half of them
//! in common, in branches of up to 40 layers, and the peak of the process's memory so far. Named alone, a verb has a
//! process and a peak of its own: `cargo bench -p cache-ops --bench ops -- merge`.
//!
//! With `-- --write DIR` it writes the two to `DIR/a` and `DIR/b` instead, blobs and all, for the command line to read:
//! `/usr/bin/time -v buildcache merge --to type=local,dest=DIR/c type=local,src=DIR/a type=local,src=DIR/b`. There
//! only every eighth record has a layer, because a manifest may not have more than 4 MiB.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use cache_core::manifest::{CacheLayer, CacheRecord, LayerResult, RecordLink};
use cache_core::{
    CacheChains, CacheConfig, CacheKey, CacheManifest, Descriptor, Digest, MediaType, Timestamp, annotation,
};
use cache_ops::{OptimizeOptions, diff, graph, optimize};

const RECORDS: usize = 100_000;
const DEPTH: usize = 40;
const ROUNDS: usize = 3;
/// Every how many records have a layer in the caches that are written.
const WRITTEN: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [option, directory] = named.as_slice()
        && option == "--write"
    {
        write(0, &Path::new(directory).join("a"))?;
        return write(RECORDS / 2, &Path::new(directory).join("b"));
    }
    println!("{RECORDS} records in each of two caches, half of them in both");
    let both = || (cache(0, 1), cache(RECORDS / 2, 1));
    measure(&named, "merge", both, |(a, b)| {
        let mut union = CacheChains::new();
        union.merge_all([a, b].into_iter().filter_map(|cache| CacheChains::from_manifest(cache).ok()))?;
        expect(union.to_manifest().config().records.len(), RECORDS + RECORDS / 2)
    })?;
    measure(
        &named,
        "merge-looping",
        || (looping(0), looping(1)),
        |(a, b)| {
            let mut union = CacheChains::new();
            union.merge_all([a, b])?;
            black_box(union.to_manifest());
            Ok(())
        },
    )?;
    measure(&named, "diff", both, |(a, b)| {
        let differences = diff(a, b)?;
        expect(differences.only_a.records, RECORDS / 2)?;
        expect(differences.only_b.records, RECORDS / 2)
    })?;
    let one = || cache(0, 1);
    measure(&named, "optimize", one, |cache| {
        black_box(optimize(cache, &OptimizeOptions::default())?);
        Ok(())
    })?;
    measure(&named, "optimize-to-1-mib", one, |cache| {
        black_box(optimize(cache, &OptimizeOptions::importable())?);
        Ok(())
    })?;
    measure(&named, "graph", one, |cache| {
        black_box(graph(cache)?.to_dot());
        Ok(())
    })
}

fn expect(found: usize, expected: usize) -> Result<(), Box<dyn Error>> {
    if found == expected { Ok(()) } else { Err(format!("{found} records instead of {expected}").into()) }
}

/// Writes a cache and its blobs as an OCI layout.
fn write(from: usize, root: &Path) -> Result<(), Box<dyn Error>> {
    let cache = cache(from, WRITTEN);
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    for name in (from..from + RECORDS).map(|n| layer(n).1) {
        let blob = Digest::sha256(name.as_bytes());
        if cache.descriptor(&blob).is_some() {
            fs::write(blobs.join(blob.hex()), name)?;
        }
    }
    let encoded = cache.encode(None);
    for document in [&encoded.config, &encoded.manifest] {
        fs::write(blobs.join(document.descriptor.digest.hex()), &document.bytes)?;
    }
    let manifest = encoded.manifest.descriptor.with_annotation(annotation::REF_NAME, "latest");
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(root.join("index.json"), index.to_string())?;
    Ok(fs::write(root.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}")?)
}

/// The blob of a record's layer, and its bytes.
fn layer(name: usize) -> (Digest, String) {
    let bytes = format!("layer {name}");
    (Digest::sha256(bytes.as_bytes()), bytes)
}

/// Branches of records, each the input of the next; every `every`th has a result, with one more layer than the one
/// before.
fn cache(from: usize, every: usize) -> CacheManifest {
    let mut config = CacheConfig::default();
    let mut described = Vec::with_capacity(RECORDS);
    let mut parent = -1;
    for n in 0..RECORDS {
        let name = from + n;
        let at = n % DEPTH;
        let mut record = CacheRecord { key: digest("record", name).into(), ..CacheRecord::default() };
        if at > 0 {
            record.inputs = vec![vec![RecordLink { selector: String::new(), link: index(n) - 1 }]];
        }
        if at == 0 {
            parent = -1;
        } else if at.is_multiple_of(every) {
            let (blob, bytes) = layer(name);
            config.layers.push(CacheLayer { blob, parent, annotations: None });
            parent = index(config.layers.len()) - 1;
            record.results = vec![LayerResult { layer: parent, created_at: time(name) }];
            described.push(
                Descriptor::of(MediaType::OCI_LAYER, bytes.as_bytes()).with_annotation(annotation::UNCOMPRESSED, blob),
            );
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

/// Measures a verb unless others are named.
fn measure<T>(
    named: &[String],
    name: &str,
    prepare: impl FnOnce() -> T,
    run: impl Fn(&T) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    if !named.is_empty() && !named.iter().any(|named| named == name) {
        return Ok(());
    }
    let caches = prepare();
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (start, busy) = (Instant::now(), busy());
        run(&caches)?;
        times.push((self::busy().saturating_sub(busy), start.elapsed()));
    }
    times.sort();
    let (busy, elapsed) = times[ROUNDS / 2];
    println!("  {name:<18} {busy:>8.1?} of processor time, {elapsed:>8.1?} in all, peak {}", peak());
    Ok(())
}

/// The CPU time of the process, if the system tells it, which a busy machine does not change.
fn busy() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

/// The most memory that the process has had, if the system tells it.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
