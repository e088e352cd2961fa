//! Exports a generated cache to a directory, for the tests that kill it: `exporter DIR TAG SEED [--hold]`.
//!
//! With `--hold` it stops in the middle of a blob, prints a line, and continues after a line on stdin.

use std::io::stdin;
use std::ops::Range;
use std::process::ExitCode;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::seams::BlobInfo;
use cache_core::{BlobProvider, BlobStream, Descriptor, Result};
use cache_local::{LocalConfig, LocalExporter};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use cache_tests::graphs::{MANY_BLOBS, cache_of};
use futures_util::stream::{self, StreamExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [directory, tag, seed, hold @ ..] = &args[..] else {
        eprintln!("usage: exporter DIR TAG SEED [--hold]");
        return ExitCode::from(2);
    };
    let cache = cache_of(seed.parse().expect("the seed is a number"), MANY_BLOBS);
    let source = Source { blobs: cache.blobs, holds: !hold.is_empty() };
    let exporter = LocalExporter::new(LocalConfig::new(directory).with_tag(tag));
    match export(&cache.manifest, &source, &exporter, &ExportSettings::default()).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// A source that can stop in the middle of a blob.
struct Source {
    blobs: MemoryCache,
    holds: bool,
}

#[async_trait]
impl BlobProvider for Source {
    async fn stat(&self, blob: &Descriptor) -> Result<Option<BlobInfo>> {
        self.blobs.stat(blob).await
    }

    async fn read(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobStream> {
        let stream = self.blobs.read(blob, range).await?;
        if !self.holds {
            return Ok(stream);
        }
        let halves = stream.flat_map(|piece| {
            let whole = piece.unwrap_or_default();
            let (first, second) = (whole.slice(..whole.len() / 2), whole.slice(whole.len() / 2..));
            stream::iter([first]).chain(stream::once(async { hold(second) }))
        });
        Ok(Box::pin(halves.map(Ok)))
    }
}

/// Stops the whole process, like a debugger.
fn hold(bytes: Bytes) -> Bytes {
    println!("holding");
    stdin().read_line(&mut String::new()).expect("standard input can be read");
    bytes
}
