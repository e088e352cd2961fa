//! Every public future can be passed to `tokio::spawn`: the test is that this compiles.

#![expect(dead_code, reason = "what the compiler accepts need not run")]

use std::sync::Arc;

use cache_core::{BlobStream, Progress};
use cache_kit::{PartLimits, PartUpload, RetryPolicy, upload};

fn spawns<F: Future + Send + 'static>(_: F) {}

fn backends(stream: BlobStream, to: Arc<dyn PartUpload>, progress: Arc<dyn Progress>) {
    spawns(async move { upload(stream, 1, &*to, &PartLimits::default()).await });
    spawns(async move { RetryPolicy::default().run(&*progress, || async { Ok(()) }).await });
}
