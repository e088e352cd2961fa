//! Makes caches of a given size in directories.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use cache_core::{CacheChains, CacheExporter, CacheKey, CacheResult, Descriptor, Digest, Expect, MediaType, Timestamp};
use cache_local::{LocalConfig, LocalExporter};

use super::{Load, Outcome};
use crate::random::Random;

/// Bytes that are written at once.
const PIECE: usize = 1 << 20;

/// Makes a cache in a directory. Each result is one layer of seeded bytes.
///
/// # Errors
/// If the directory cannot be written.
pub async fn make(folder: &Path, load: Load) -> Outcome<()> {
    make_of(folder, load, load.blobs as u64).await
}

/// As [`make`], with this seed. Of two caches with one seed, the smaller one is a part of the other.
///
/// # Errors
/// As [`make`].
pub async fn make_of(folder: &Path, load: Load, seed: u64) -> Outcome<()> {
    let mut random = Random::new(seed);
    let mut chains = CacheChains::new();
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    for number in 0..load.blobs {
        let path = folder.join("new");
        let digest = write(&path, load.size, &mut random)?;
        fs::rename(&path, blobs.join(digest.hex()))?;
        let layer = Descriptor::new(MediaType::OCI_LAYER, digest, load.size as u64)
            .with_annotation(cache_core::annotation::UNCOMPRESSED, digest.to_string());
        let key = CacheKey::content(Digest::sha256(&number.to_le_bytes()));
        chains.add(key, &[], vec![CacheResult::new(Timestamp::ZERO, vec![layer])])?;
    }
    let exporter = LocalExporter::new(LocalConfig::new(folder));
    exporter.commit(&chains.to_manifest(), Expect::Any).await?;
    Ok(())
}

fn write(path: &Path, size: usize, random: &mut Random) -> Outcome<Digest> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut digester = Digest::sha256(b"").digester();
    for start in (0..size).step_by(PIECE) {
        let words = PIECE.min(size - start) / 8;
        let piece: Vec<u8> = (0..words).flat_map(|_| random.number().to_le_bytes()).collect();
        digester.update(&piece);
        file.write_all(&piece)?;
    }
    file.flush()?;
    Ok(digester.finish())
}
