//! Measures verbs on stores of a million blobs and 20,000 caches:
//! `million_bench BUILDCACHE [OTHER] [--store NAME] [--delay MS]`.
//!
//! `ls`, `du`, `prune --dry-run` and a prune of unreachable blobs are compared with the bare listing, which does not process
//! what it reads. It prints the requests, the time and the memory of each, and those of another build of the program, if there
//! is one. By default it measures all stores with a delay of 0 and of 20 ms for each request. `BLOBS` and `CACHES` set other
//! sizes.
//!
//! * `s3`, `azblob`: a made-up store. The bare listing reads all pages, one after the other on one connection.
//! * `registry`: a made-up repository. A registry does not list blobs, so the bare listing reads the pages of tags and then
//!   every manifest, on 16 connections. `du` does not weigh a registry, and a prune deletes no blobs from it.
//! * `local`: a temporary directory with a sparse file for each blob (about 700 MB, made in a minute). The bare listing reads
//!   the directory and the metadata of each file.

mod bare;
mod directory;
mod store;

use std::time::Duration;

use cache_tests::bench::{Figure, Outcome};
use cache_tests::servers::made_up::{Asked, LAYERS};

use self::store::{Place, Store};

const DELAYS: [u64; 2] = [0, 20];
/// How many times the time of the bare listing a verb may take, and its highest peak of memory in MiB.
const TIMES: f64 = 1.3;
const MEMORY: f64 = 300.0;
const USAGE: &str = "usage: million_bench BUILDCACHE [OTHER] [--store NAME] [--delay MS]";

/// The command line.
#[derive(Default)]
struct Args {
    builds: Vec<String>,
    store: Option<String>,
    delay: Option<u64>,
}

impl Args {
    fn parse(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut args = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--store" => args.store = Some(words.next().ok_or(USAGE)?),
                "--delay" => args.delay = Some(words.next().ok_or(USAGE)?.parse()?),
                _ => args.builds.push(word),
            }
        }
        let is_known = |name: &String| Store::ALL.iter().any(|store| store.name() == name);
        let is_valid = (1..=2).contains(&args.builds.len()) && args.store.as_ref().is_none_or(is_known);
        if is_valid { Ok(args) } else { Err(USAGE.into()) }
    }
}

fn main() -> Outcome<()> {
    let args = Args::parse(std::env::args().skip(1))?;
    let blobs = number("BLOBS", 1_000_000)?;
    let caches = number("CACHES", blobs * 8 / 10 / LAYERS)?;
    println!("{blobs} blobs, {caches} caches of {LAYERS} blobs each");
    let delays = args.delay.map_or(DELAYS.to_vec(), |delay| vec![delay]);
    for store in Store::ALL.into_iter().filter(|store| args.store.as_ref().is_none_or(|name| store.name() == name)) {
        for delay in delays.iter().map(|ms| Duration::from_millis(*ms)).filter(|delay| store.has(*delay)) {
            println!("{}, {} ms a request", store.name(), delay.as_millis());
            let mut place = Place::make(store, (blobs, caches), delay)?;
            let (requests, bare) = place.bare()?;
            println!("  {:<16} {requests} requests, {bare:.2} s", "bare listing");
            for build in &args.builds {
                if args.builds.len() > 1 {
                    println!("  {build}");
                }
                place.fill()?;
                for (what, words) in store.verbs() {
                    let (figure, asked) = place.run(build, words)?;
                    report(what, asked, figure, bare);
                }
                println!("  {} blobs are deleted", place.deleted()?);
            }
        }
    }
    Ok(())
}

fn number(name: &str, default: usize) -> Outcome<usize> {
    std::env::var(name).map_or(Ok(default), |text| Ok(text.parse()?))
}

fn report(what: &str, asked: Option<Asked>, figure: Figure, bare: f64) {
    let (times, seconds, peak) = (figure.seconds / bare, figure.seconds, figure.peak);
    let slow = if what != "prune" && times > TIMES { format!(" (more than {TIMES})") } else { String::new() };
    let large = if peak > MEMORY { format!(" (more than {MEMORY})") } else { String::new() };
    let requests = asked.map_or_else(String::new, |Asked { lists, indexes, deletions, others, most }| {
        let all = lists + indexes + deletions + others;
        format!("{all} requests ({lists} lists, {indexes} documents, {deletions} deletions), {most} at once, ")
    });
    println!("  {what:<16} {requests}{seconds:.2} s, {times:.2} times the listing{slow}, {peak:.0} MiB{large}");
}
