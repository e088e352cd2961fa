//! `repair --findings`: reads the output of `verify -o json`, of one run or of all shards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cache_core::graph::FindingCode;
use cache_core::{CacheManifest, Digest};
use cache_kit::read_file;
use cache_ops::Shard;
use serde::Deserialize;

use crate::exit::{Exit, Failure};
use crate::report::config_digest;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 << 20;
/// The findings about a blob.
const OF_BLOBS: [FindingCode; 8] = [
    FindingCode::BlobMissing,
    FindingCode::BlobArchived,
    FindingCode::BlobSizeWrong,
    FindingCode::BlobCorrupt,
    FindingCode::LayerUnreadable,
    FindingCode::DiffIdWrong,
    FindingCode::DiffIdUnchecked,
    FindingCode::MediaTypeMismatch,
];

/// The fields of a `buildcache.verify/v1` that are used here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    schema: String,
    config_digest: Option<Digest>,
    shard: String,
    findings: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Found {
    code: String,
    object: String,
}

/// Reads the findings of all files about the blobs of a cache.
///
/// # Errors
/// If a file is not written by `verify`, or is about another cache, and if shards are missing.
pub(super) fn read(files: &[PathBuf], manifest: &CacheManifest) -> Result<BTreeMap<Digest, FindingCode>, Failure> {
    let config = config_digest(manifest);
    let (mut parts, mut found) = (BTreeMap::<u16, BTreeSet<u16>>::new(), BTreeMap::new());
    for file in files {
        let verified = read_one(file)?;
        if verified.config_digest != Some(config) {
            let failure = refused(file, "it is about another cache, or about an earlier state of this one");
            return Err(failure.with_hint("verify the cache as it is now"));
        }
        let shard: Shard = verified.shard.parse().map_err(|_| refused(file, "its shard is invalid"))?;
        parts.entry(shard.of()).or_default().insert(shard.number());
        let of_blobs = verified.findings.iter().filter_map(|found| {
            let digest = found.object.strip_prefix("blob ")?.parse::<Digest>().ok()?;
            let code = OF_BLOBS.into_iter().find(|code| code.as_str() == found.code)?;
            Some((digest, code))
        });
        of_blobs.for_each(|(digest, code)| add(&mut found, digest, code));
    }
    check_whole(&parts)?;
    Ok(found)
}

/// Adds a finding. Of several about one blob, an error takes precedence.
fn add(found: &mut BTreeMap<Digest, FindingCode>, blob: Digest, code: FindingCode) {
    let known = found.entry(blob).or_insert(code);
    if code.is_error() {
        *known = code;
    }
}

fn read_one(file: &Path) -> Result<Verified, Failure> {
    let bytes = read_file(file, LARGEST).map_err(|error| refused(file, &error.to_string()))?;
    let verified: Verified = serde_json::from_slice(&bytes)
        .map_err(|error| refused(file, &format!("it is not what verify -o json writes: {error}")))?;
    match verified.schema.as_str() {
        "buildcache.verify/v1" => Ok(verified),
        schema => Err(refused(file, &format!("its schema is {schema}, and not buildcache.verify/v1"))),
    }
}

/// Checks that all shards of one division are present.
fn check_whole(parts: &BTreeMap<u16, BTreeSet<u16>>) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for (of, numbers) in parts {
        let absent: Vec<String> =
            (1..=*of).filter(|number| !numbers.contains(number)).map(|number| format!("{number}/{of}")).collect();
        if absent.is_empty() {
            return Ok(());
        }
        missing.extend(absent);
    }
    let failure =
        Failure::new(Exit::Failed, format!("the findings of these shards are missing: {}", missing.join(", ")));
    Err(failure.with_hint("buildcache verify --shard K/N -o json writes them"))
}

fn refused(file: &Path, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("cannot use {}: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(parts: &[(u16, &[u16])]) -> Option<String> {
        let parts = parts.iter().map(|(of, numbers)| (*of, numbers.iter().copied().collect())).collect();
        check_whole(&parts).err().map(|failure| failure.message)
    }

    #[test]
    fn shards_that_are_missing_are_named() {
        assert_eq!(missing(&[(3, &[1, 2, 3])]), None);
        assert_eq!(missing(&[(2, &[1]), (1, &[1])]), None, "one look at all of it does");
        assert_eq!(missing(&[(3, &[2])]).unwrap(), "the findings of these shards are missing: 1/3, 3/3");
        assert!(missing(&[(2, &[1]), (3, &[2, 3])]).unwrap().ends_with(": 2/2, 1/3"));
    }

    #[test]
    fn an_error_about_a_blob_takes_precedence_over_a_warning() {
        let (mut found, blob) = (BTreeMap::new(), Digest::sha256(b"blob"));
        for code in [FindingCode::BlobMissing, FindingCode::MediaTypeMismatch] {
            add(&mut found, blob, code);
        }
        assert_eq!(found[&blob], FindingCode::BlobMissing);
    }
}
