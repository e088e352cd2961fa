//! The peak memory of converting a layer of 4 GiB, each conversion in its own process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use cache_core::{BlobStream, Compression, CompressionKind, Descriptor, Digest, MediaType};
use cache_layers::{CodecPool, encode, recompress};
use futures_util::{StreamExt, TryStreamExt};

use crate::Outcome;
use crate::data::Data;
use crate::ours::{Ours, file};

/// The mode of this program as its own child: `convert FROM TO FILE TIMES`.
pub(crate) const CHILD: &str = "convert";

const LAYER: u64 = 4 << 30;
/// The highest peak that is allowed, in MiB.
const MOST: f64 = 150.0;

/// Converts from each kind whose files can be concatenated to each other kind, and prints the peaks: for real files,
/// and for zeros, which compress to almost nothing.
pub(crate) fn measure(ours: &Ours, data: &Data, folder: &Path) -> Outcome<()> {
    let zeros = folder.join("zeros.tar");
    write_zeros(&zeros)?;
    for (what, tar) in [("real files", &data.path), ("zeros", &zeros)] {
        let tar = without_end(tar, folder)?;
        let size = fs::metadata(&tar)?.len();
        let times = LAYER.div_ceil(size);
        println!("\npeak memory of converting {} MiB of {what}, {} threads", (size * times) >> 20, ours.threads());
        measure_tar(&tar, times, folder)?;
    }
    Ok(())
}

fn measure_tar(tar: &Path, times: u64, folder: &Path) -> Outcome<()> {
    for from in CompressionKind::ALL.into_iter().filter(|kind| *kind != CompressionKind::Estargz) {
        let layer = folder.join(from.name());
        write(tar, from, &layer)?;
        for to in CompressionKind::ALL.into_iter().filter(|to| *to != from) {
            let mut child = Command::new(std::env::current_exe()?);
            child.args([CHILD, from.name(), to.name()]).arg(&layer).arg(times.to_string());
            let output = child.output()?;
            let peak: f64 = String::from_utf8(output.stdout)?.trim().parse().map_err(|_| "the child failed")?;
            let verdict = if peak < MOST { "reached" } else { "missed" };
            println!("  {:<28} {peak:>6.0} MiB; under {MOST:.0} {verdict}", format!("{from} to {to}"));
        }
        fs::remove_file(layer)?;
    }
    Ok(())
}

/// A tar of one file of 64 MiB of zeros.
fn write_zeros(path: &Path) -> Outcome<()> {
    let mut tar = tar::Builder::new(File::create(path)?);
    let mut header = tar::Header::new_ustar();
    header.set_size(64 << 20);
    header.set_mode(0o644);
    tar.append_data(&mut header, "zeros", std::io::Read::take(std::io::repeat(0), 64 << 20))?;
    tar.into_inner()?.sync_all()?;
    Ok(())
}

/// A copy of a tar without the end blocks, so that another one can follow.
fn without_end(tar: &Path, folder: &Path) -> Outcome<PathBuf> {
    let mut end = 0;
    for entry in tar::Archive::new(File::open(tar)?).entries_with_seek()? {
        let entry = entry?;
        end = entry.raw_file_position() + entry.size().next_multiple_of(512);
    }
    let path = folder.join("open.tar");
    fs::copy(tar, &path)?;
    File::options().write(true).open(&path)?.set_len(end)?;
    Ok(path)
}

/// Converts one layer, which is the file repeated, and prints the peak in MiB.
pub(crate) fn convert(words: &[String]) -> Outcome<()> {
    let [from, to, path, times] = words else { return Err("it is not to be called by hand".into()) };
    let (from, to): (CompressionKind, CompressionKind) = (from.parse()?, to.parse()?);
    let media_type = MediaType::OCI_LAYER.with_layer_encoding(from.encoding());
    // Without a diff ID, since that of the repeated tar is unknown.
    let layer = Descriptor::new(media_type, Digest::sha256(b""), 0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let bytes = repeated(Path::new(path), times.parse()?)?;
        let mut layer = recompress(&layer, bytes, &Compression::new(to), &CodecPool::default())?;
        while layer.try_next().await?.is_some() {}
        layer.finish()?;
        println!("{}", peak()?);
        Ok(())
    })
}

fn repeated(path: &Path, times: usize) -> Outcome<BlobStream> {
    let streams: Vec<BlobStream> = (0..times).map(|_| file(path)).collect::<Outcome<_>>()?;
    Ok(Box::pin(futures_util::stream::iter(streams).flatten()))
}

fn write(tar: &Path, kind: CompressionKind, to: &Path) -> Outcome<()> {
    use std::io::Write;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut layer = encode(file(tar)?, &Compression::new(kind), &CodecPool::default())?;
    let mut out = File::create(to)?;
    runtime.block_on(async {
        while let Some(piece) = layer.try_next().await? {
            out.write_all(&piece)?;
        }
        Ok(())
    })
}

/// The peak memory of this process, in MiB.
fn peak() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("Linux says it")?;
    let kib: f64 = line.split_whitespace().next().ok_or("it is a number")?.parse()?;
    Ok(kib / 1024.0)
}
