//! A cache of any number of records in a directory, and how long it takes to read it.

use std::path::Path;
use std::process::Command;

use cache_core::{
    CacheChains, CacheExporter, CacheKey, CacheLink, CacheResult, Descriptor, Digest, Expect, MediaType, Timestamp,
    annotation,
};
use cache_local::{LocalConfig, LocalExporter};
use cache_tests::bench::{Figure, Outcome, measure_to};

/// The layers that the results share.
const LAYERS: usize = 1_000;
/// The records of each chain; the first has no inputs and no result.
const DEPTH: usize = 40;
const ROUNDS: usize = 3;
/// The verbs and their exit codes: a config of more than 1 MiB is a finding.
const VERBS: [(&str, &[&str], i32); 2] = [("inspect", &["inspect"], 0), ("verify --fast", &["verify", "--fast"], 3)];

/// Prints the median time and memory of each verb, and of each compared with the other build.
pub(crate) fn run(builds: &[String], records: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(make(folder.path(), records))?;
    println!("{records} records in one cache, median of {ROUNDS}");
    let spec = format!("type=local,src={}", folder.path().display());
    for (what, words, code) in VERBS {
        let mut figures = vec![Vec::new(); builds.len()];
        for at in (0..ROUNDS).flat_map(|round| (0..builds.len()).map(move |at| (round + at) % builds.len())) {
            let mut command = Command::new(&builds[at]);
            figures[at].push(measure_to(command.arg("--quiet").args(words).arg(&spec), code)?);
        }
        let medians: Vec<Figure> = figures.iter().map(|figures| Figure::median(figures)).collect();
        for (build, Figure { seconds, peak, .. }) in builds.iter().zip(&medians) {
            println!("  {what:<16} {seconds:.2} s, {peak:.0} MiB ({build})");
        }
        if let [ours, other] = medians[..] {
            let (time, memory) = (ours.seconds / other.seconds, ours.peak / other.peak);
            println!("  {what:<16} {time:.2} of the other's time, {memory:.2} of its memory");
        }
    }
    Ok(())
}

async fn make(folder: &Path, records: usize) -> Outcome<()> {
    let exporter = LocalExporter::new(LocalConfig::new(folder));
    let source = cache_memory::MemoryCache::new();
    let mut layers = Vec::new();
    for number in 0..LAYERS {
        let bytes = format!("layer {number}");
        let layer = Descriptor::of(MediaType::OCI_LAYER, bytes.as_bytes());
        let diff_id = source.insert(bytes);
        exporter.push(&layer, &source).await?;
        layers.push(layer.with_annotation(annotation::UNCOMPRESSED, diff_id));
    }
    let (mut chains, mut below) = (CacheChains::new(), None);
    for number in 0..records {
        let key = CacheKey::content(Digest::sha256(&number.to_le_bytes()));
        let inputs: Vec<Vec<CacheLink>> = below.iter().map(|record| vec![CacheLink::new(*record)]).collect();
        let layer = layers[number % LAYERS].clone();
        let results = below.map(|_| CacheResult::new(Timestamp::ZERO, vec![layer])).into_iter().collect();
        below = chains.add(key, &inputs, results)?.filter(|_| (number + 1) % DEPTH != 0);
    }
    exporter.commit(&chains.to_manifest(), Expect::Any).await?;
    Ok(())
}
