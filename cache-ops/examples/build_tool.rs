//! A build tool in about a hundred lines: it keys steps by what goes into them, skips those whose results are in the
//! cache, and exports what it did.
//!
//! Run `cargo run -p cache-ops --example build_tool -- DIR [min|max] [SOURCE]` twice: the second run
//! skips every step that the first one exported a result for. `max` exports all of them, `min` (the default) those that
//! the last step needs.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::graph::LazyLayers;
use cache_core::seams::BlobInfo;
use cache_core::{
    BlobProvider, BlobStream, CacheChains, CacheImporter, CacheKey, CacheLink, CacheResult, Descriptor, Digest, Error,
    Mode, Result, Timestamp,
};
use cache_layers::{LayerDir, TreeOptions, tar_tree};
use cache_local::{LocalConfig, LocalExporter, LocalImporter};
use cache_ops::{ExportSettings, export};
use tokio::sync::OnceCell;

/// Each step's name and the steps whose results go into it; 0 is the source, and a result lies on top of its first
/// input's.
const STEPS: [(&str, &[usize]); 4] = [("deps", &[0]), ("lint", &[0]), ("compile", &[1, 0]), ("package", &[3, 2])];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let config = LocalConfig::new(args.next().unwrap_or_else(|| "build-cache".to_owned()));
    let mode: Mode = args.next().as_deref().unwrap_or("min").parse()?;
    let source = args.next().unwrap_or_else(|| "fn main() {}".to_owned());

    // 1. Import: the graph of the last run, if there was one.
    let imported = LocalImporter::new(config.clone());
    let known = match imported.resolve().await? {
        Some(resolved) => CacheChains::from_manifest(&resolved.manifest)?,
        None => CacheChains::new(),
    };

    // 2. Build: look every step up, run the missing ones, and record the same graph for the next run.
    let scratch = std::env::temp_dir().join(format!("build-tool-{}", std::process::id()));
    let made = LayerDir::new(scratch.join("layers"));
    let mut graph = CacheChains::new();
    let content = CacheKey::content(Digest::sha256(source.as_bytes()));
    let mut found = vec![known.root(&content)];
    let mut noted = vec![graph.add_root(content)?];
    let mut results: Vec<Arc<dyn LazyLayers>> = vec![Arc::new(Ready(Vec::new()))];
    for (name, inputs) in STEPS {
        let key = CacheKey::output(Digest::sha256(name.as_bytes()), 0);
        let links = |records: &[Option<_>]| -> Option<Vec<Vec<CacheLink>>> {
            inputs.iter().map(|&input| Some(vec![CacheLink::new(records[input]?)])).collect()
        };
        let step = links(&found).and_then(|inputs| known.lookup(&key, &inputs).first().copied());
        let (result, layers): (CacheResult, Arc<dyn LazyLayers>) = match step.and_then(|step| known.hit(step)) {
            Some(hit) => {
                println!("{name}: CACHED");
                (CacheResult::new(hit.created_at, hit.layers.clone()), Arc::new(Ready(hit.layers)))
            }
            None => {
                println!("{name}: run");
                let output = scratch.join(name);
                let written = fs::create_dir_all(&output).and_then(|()| fs::write(output.join(name), &source));
                written.map_err(|error| Error::from_io(error, "cannot write the output"))?;
                let step = Arc::new(Step::new(output, &results[inputs[0]], &made));
                (CacheResult::lazy(Timestamp::now(), Arc::clone(&step) as _), step)
            }
        };
        found.push(step);
        let inputs = links(&noted).unwrap_or_default();
        noted.push(graph.add(key, &inputs, vec![result])?);
        results.push(layers);
    }

    // 3. Export: the mode decides which layers are made at all; blobs go first, the manifest last.
    graph.select(mode).await?;
    let manifest = graph.to_manifest();
    let blobs = Blobs { made, imported };
    let report = export(&manifest, &blobs, &LocalExporter::new(config), &ExportSettings::default()).await?;
    println!("exported {} layers of {} records, mode {mode}: {:?}", manifest.blobs().len(), graph.len(), report.pushed);
    let _ = fs::remove_dir_all(&scratch);
    Ok(())
}

/// Layers that exist.
struct Ready(Vec<Descriptor>);

#[async_trait]
impl LazyLayers for Ready {
    async fn existing(&self) -> Result<Option<Vec<Descriptor>>> {
        Ok(Some(self.0.clone()))
    }

    async fn make(&self) -> Result<Vec<Descriptor>> {
        Ok(self.0.clone())
    }
}

/// A step that ran, and the layer it can make of its output.
struct Step {
    output: PathBuf,
    below: Arc<dyn LazyLayers>,
    made: LayerDir,
    layer: OnceCell<Descriptor>,
}

impl Step {
    fn new(output: PathBuf, below: &Arc<dyn LazyLayers>, made: &LayerDir) -> Self {
        Self { output, below: Arc::clone(below), made: made.clone(), layer: OnceCell::new() }
    }
}

#[async_trait]
impl LazyLayers for Step {
    async fn existing(&self) -> Result<Option<Vec<Descriptor>>> {
        let below = self.below.existing().await?;
        Ok(below.zip(self.layer.get()).map(|(layers, layer)| [layers, vec![layer.clone()]].concat()))
    }

    async fn make(&self) -> Result<Vec<Descriptor>> {
        let below = self.below.make().await?;
        let options = TreeOptions::default().with_source_date_epoch(0).with_owner(0, 0);
        let layer = self.layer.get_or_try_init(|| self.made.add(tar_tree(&self.output, &options))).await?;
        Ok([below, vec![layer.clone()]].concat())
    }
}

/// Layers made in this run, else those of the cache that was imported.
struct Blobs {
    made: LayerDir,
    imported: LocalImporter,
}

#[async_trait]
impl BlobProvider for Blobs {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        match self.made.stat(blob).await? {
            Some(info) => Ok(Some(info)),
            None => self.imported.stat(blob).await,
        }
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        match self.made.stat(blob).await? {
            Some(_) => self.made.read(blob, range).await,
            None => self.imported.read(blob, range).await,
        }
    }
}
