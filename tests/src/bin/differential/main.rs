//! Compares our graph with BuildKit's own on random configs: both have to find the same.
//!
//! `differential PEER [COUNT [SEED]]`; `PEER` is a program that runs BuildKit's code, as `xtask/README.md` describes.
//! Both read each config. Then the peer reads what ours has written, three times:
//!
//! * both refuse the same configs;
//! * in the config as it is, ours finds everything that BuildKit finds;
//! * in what ours writes, without the record that joins leaves, BuildKit loses something only if that is a finding;
//! * in what ours writes, BuildKit finds the same as ours, each time.

mod answers;
mod configs;
mod peer;

use std::error::Error;
use std::path::PathBuf;

use cache_core::graph::FindingCode;
use cache_core::{CacheChains, CacheManifest, check};
use cache_tests::random::Random;

use self::answers::Answers;
use self::configs::Case;
use self::peer::Peer;

/// How often the peer reads one document, since what it finds may be random.
const TIMES: usize = 3;

/// The results for all configs.
#[derive(Default)]
struct Counts {
    refused: usize,
    read: usize,
    looping: usize,
    split: usize,
    lossy: usize,
    more: usize,
    joined: usize,
    lookups: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().map(PathBuf::from).ok_or("usage: differential PEER [COUNT [SEED]]")?;
    let mut number = |default: u64| match words.next() {
        Some(word) => word.to_string_lossy().parse().map_err(|_| "COUNT and SEED are numbers"),
        None => Ok(default),
    };
    let (count, first) = (number(10_000)?, number(0)?);
    let mut peer = Peer::start(&program)?;
    let mut counts = Counts::default();
    for seed in first..first + count {
        let case = Case::random(&mut Random::new(seed));
        counts.compare(&case, &mut peer).await.map_err(|error| format!("seed {seed}: {error}\n{}", case.document))?;
    }
    let Counts { refused, read, looping, split, lossy, more, joined, lookups } = counts;
    println!("{count} configs: {refused} refused by both, {read} read by both with {lookups} lookups");
    println!(
        "  {looping} with records that are the same and lead to each other, which BuildKit was not given as they are"
    );
    println!("  {more} as they are, of which BuildKit finds less");
    println!(
        "  {split} have several leaves that share records; unless they are joined, BuildKit loses lookups of {lossy}"
    );
    println!(
        "  {joined} written with a record that joins leaves; of all that ours wrote BuildKit found all, each time"
    );
    Ok(())
}

impl Counts {
    async fn compare(&mut self, case: &Case, peer: &mut Peer) -> Result<(), Box<dyn Error>> {
        let manifest = match case.read(&case.document).await {
            Ok(manifest) => manifest,
            Err(error) => return self.expect_refused(case, peer, &error),
        };
        let chains = match CacheChains::from_manifest(&manifest) {
            Ok(chains) => chains,
            Err(error) => return self.expect_refused(case, peer, &error),
        };
        self.read += 1;
        self.lookups += case.queries.len();
        let (ours, findings) = (Answers::of(&chains, &case.queries), check(&manifest));
        let has = |code| findings.iter().any(|finding| finding.code == code);
        if has(FindingCode::MergedLoop) {
            self.looping += 1;
        } else {
            self.compare_read(case, &ours, peer)?;
        }
        let written = chains.to_manifest();
        self.compare_unjoined(case, &written, peer).await?;
        let document = String::from_utf8(written.encode(None).config.bytes.to_vec())?;
        self.joined += usize::from(document.len() > written.config().encode().len());
        let best = Answers::of(&CacheChains::from_manifest(&written)?, &case.queries);
        for theirs in peer.ask(&document, case, TIMES)?.map_err(|error| format!("what ours wrote: {error}"))? {
            best.expect_equal(&theirs).map_err(|error| format!("what ours wrote: {error}\n{document}"))?;
        }
        Ok(())
    }

    /// Compares what ours would write without joining leaves. If BuildKit loses something of that, it has to be a
    /// finding.
    async fn compare_unjoined(
        &mut self,
        case: &Case,
        written: &CacheManifest,
        peer: &mut Peer,
    ) -> Result<(), Box<dyn Error>> {
        let document = String::from_utf8(written.config().encode())?;
        let manifest = case.read(&document).await?;
        let ours = Answers::of(&CacheChains::from_manifest(&manifest)?, &case.queries);
        let runs = peer.ask(&document, case, TIMES)?.map_err(|error| format!("what ours wrote: {error}"))?;
        let is_lossy = runs.iter().any(|theirs| theirs.expect_all_of(&ours).is_err());
        self.split += usize::from(manifest.split_leaves().is_some());
        self.lossy += usize::from(is_lossy);
        match is_lossy && manifest.split_leaves().is_none() {
            true => Err(format!("BuildKit finds a part only, and that is not a finding\n{document}").into()),
            false => Ok(()),
        }
    }

    fn expect_refused(
        &mut self,
        case: &Case,
        peer: &mut Peer,
        error: &cache_core::Error,
    ) -> Result<(), Box<dyn Error>> {
        self.refused += 1;
        match peer.ask(&case.document, case, 1)? {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("only ours refuses it: {error}").into()),
        }
    }

    /// Compares the config as it is. BuildKit finds less if it loses links, and if records are the same only because of
    /// records that were merged before.
    fn compare_read(&mut self, case: &Case, ours: &Answers, peer: &mut Peer) -> Result<(), Box<dyn Error>> {
        let asked = peer.ask(&case.document, case, TIMES)?;
        let runs = asked.map_err(|error| format!("only BuildKit refuses it: {error}"))?;
        for theirs in &runs {
            ours.expect_all_of(theirs)?;
        }
        self.more += usize::from(runs.iter().any(|theirs| theirs.expect_all_of(ours).is_err()));
        Ok(())
    }
}
