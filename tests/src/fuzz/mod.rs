//! Fuzz targets, one for each parser, and seeded mutations for them on stable Rust.
//!
//! Each target is `pub fn target(data: &[u8])`, which is what `cargo fuzz` calls; `src/bin/fuzz.rs` calls them too.

mod corpus;
mod mutate;

#[cfg(all(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub mod answers;
pub mod codec;
pub mod config;
pub mod digest;
pub mod duration;
pub mod estargz;
pub mod flat;
pub mod inline;
#[cfg(all(feature = "azblob", feature = "gha"))]
pub mod job_token;
#[cfg(feature = "local")]
pub mod layout;
pub mod log;
pub mod manifest;
pub mod report;
pub mod spec;
pub mod tar;
pub mod timestamp;

use self::mutate::mutate;
use crate::random::Random;

/// The longest input, in bytes.
pub const MAX_INPUT: usize = 1 << 20;

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name on the command line.
    pub name: &'static str,
    /// Panics if the parser breaks a promise. Any input is allowed.
    pub run: fn(&[u8]),
    /// Inputs to start from, valid and malformed.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets, in the order of their names.
pub const TARGETS: &[Target] = &[
    #[cfg(all(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
    Target { name: "answers", run: answers::target, seeds: corpus::answers },
    Target { name: "config", run: config::target, seeds: corpus::configs },
    Target { name: "decode-gzip", run: codec::gzip, seeds: corpus::gzip_layers },
    Target { name: "decode-zstd", run: codec::zstd, seeds: corpus::zstd_layers },
    Target { name: "digest", run: digest::target, seeds: corpus::digests },
    Target { name: "duration", run: duration::target, seeds: corpus::durations },
    Target { name: "encode", run: codec::encoders, seeds: corpus::tars },
    Target { name: "estargz", run: estargz::target, seeds: corpus::estargz },
    Target { name: "flat", run: flat::target, seeds: corpus::flat },
    Target { name: "inline", run: inline::target, seeds: corpus::image_configs },
    #[cfg(all(feature = "azblob", feature = "gha"))]
    Target { name: "job-token", run: job_token::target, seeds: corpus::job_tokens },
    #[cfg(feature = "local")]
    Target { name: "layout", run: layout::target, seeds: corpus::layouts },
    Target { name: "log", run: log::target, seeds: corpus::logs },
    Target { name: "manifest", run: manifest::target, seeds: corpus::manifests },
    Target { name: "report", run: report::target, seeds: corpus::pages },
    Target { name: "spec", run: spec::target, seeds: corpus::specs },
    Target { name: "tar", run: tar::target, seeds: corpus::archives },
    Target { name: "timestamp", run: timestamp::target, seeds: corpus::timestamps },
    #[cfg(all(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
    Target { name: "token", run: answers::token, seeds: corpus::tokens },
];

/// Endless inputs for a target: first its seeds, then mutations of them.
///
/// The same seed gives the same inputs.
pub fn mutations(target: &Target, seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let seeds = (target.seeds)();
    let mut random = Random::new(seed);
    (0_usize..).map(move |n| match seeds.get(n) {
        Some(input) => input.clone(),
        None => mutate(&mut random, &seeds),
    })
}
