//! From a tar stream to an eStargz blob, on the pool.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cache_core::model::{Digest, Digester};
use cache_core::seams::BlobStream;
use cache_core::{Error, Result};
use cache_kit::{Buffers, User};
use futures_util::stream::{FuturesOrdered, StreamExt, try_unfold};
use libdeflater::CompressionLvl;

use super::pack::{Packed, Placer, pack};
use super::split::Splitter;
use crate::CodecPool;
use crate::gzip::libdeflate_level;
use crate::hashing::Hashed;
use crate::pool::Job;

/// The least bytes that a job scans, so that small pieces are as cheap as large ones.
const STEP: usize = 1 << 20;

/// What is known of an eStargz blob once it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) toc_digest: Digest,
    /// What the blob decompresses to, table of contents included.
    pub(crate) stream: Hashed,
}

/// Compresses a tar stream into an eStargz blob. `made` is set before the stream ends.
///
/// `check` may fail the stream by the tar alone, without the table of contents.
pub(crate) fn encode(
    tar: BlobStream,
    level: Option<i32>,
    pool: &CodecPool,
    made: Arc<OnceLock<Made>>,
    check: impl FnOnce(Hashed) -> Result<Hashed> + Send + 'static,
) -> BlobStream {
    let buffers = Arc::<Buffers>::default();
    let encoder = Encoder {
        tar: Some(tar),
        splitter: Some(Splitter::new(Arc::clone(&buffers))),
        packing: FuturesOrdered::new(),
        placer: Some(Placer::new()),
        end: None,
        _user: buffers.use_them(),
        buffers,
        level: libdeflate_level(level),
        pool: pool.clone(),
        made,
        check: Some(Box::new(check)),
    };
    Box::pin(try_unfold(encoder, |mut encoder| async move { Ok(encoder.next().await?.map(|bytes| (bytes, encoder))) }))
}

/// It holds a step of input, and the batches in flight, of which there is one more than threads.
struct Encoder {
    /// `None` once it has ended.
    tar: Option<BlobStream>,
    /// `None` once the stream has been split.
    splitter: Option<Splitter>,
    packing: FuturesOrdered<Job<Result<Packed>>>,
    /// `None` once the end has been written.
    placer: Option<Placer>,
    /// The digester of the stream, and the stream's size.
    end: Option<(Digester, u64)>,
    buffers: Arc<Buffers>,
    _user: User,
    level: CompressionLvl,
    pool: CodecPool,
    made: Arc<OnceLock<Made>>,
    check: Option<Box<dyn FnOnce(Hashed) -> Result<Hashed> + Send>>,
}

impl Encoder {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            while self.splitter.is_some() && self.packing.len() < self.pool.threads() + 1 {
                self.split().await?;
            }
            let Some(packed) = self.packing.next().await else { return self.finish().await };
            let mut packed = packed??;
            if let Some(placer) = &mut self.placer {
                placer.place(&mut packed)?;
            }
            if !packed.bytes.is_empty() {
                return Ok(Some(self.buffers.lend(packed.bytes)));
            }
        }
    }

    /// Reads the next bytes of the stream and starts to compress the batches that they complete.
    async fn split(&mut self) -> Result<()> {
        let pieces = self.read().await?;
        let Some(mut splitter) = self.splitter.take() else { return Ok(()) };
        let is_last = self.tar.is_none();
        let job = self.pool.run(move || {
            let mut batches = Vec::new();
            for piece in &pieces {
                batches.append(&mut splitter.write(piece)?);
            }
            Ok::<_, Error>((splitter, batches))
        });
        let (splitter, mut batches) = job.await??;
        if is_last {
            let (batch, digester, size) = splitter.finish()?;
            if let Some(check) = self.check.take() {
                check(Hashed { digest: digester.clone().finish(), size })?;
            }
            batches.push(batch);
            self.end = Some((digester, size));
        } else {
            self.splitter = Some(splitter);
        }
        for batch in batches {
            let (level, buffers) = (self.level, Arc::clone(&self.buffers));
            self.packing.push_back(self.pool.run(move || pack(batch, level, &buffers)));
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<Bytes>> {
        let (mut pieces, mut size) = (Vec::new(), 0);
        while size < STEP {
            let Some(tar) = &mut self.tar else { break };
            match tar.next().await {
                Some(piece) => {
                    let piece = piece?;
                    size += piece.len();
                    pieces.push(piece);
                }
                None => self.tar = None,
            }
        }
        Ok(pieces)
    }

    async fn finish(&mut self) -> Result<Option<Bytes>> {
        let (Some(placer), Some((digester, size))) = (self.placer.take(), self.end.take()) else { return Ok(None) };
        let end = self.pool.run(move || placer.finish(digester, size)).await??;
        let _ = self.made.set(Made { toc_digest: end.toc_digest, stream: end.stream });
        Ok(Some(end.bytes.into()))
    }
}
