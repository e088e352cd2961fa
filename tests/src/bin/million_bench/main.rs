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
//! * `records`: a directory with one cache of as many records as the stores have blobs. `inspect` and `verify --fast` take
//!   turns with those of the other build.

mod bare;
mod directory;
mod records;
mod store;

use std::time::Duration;

use cache_tests::bench::{Args, Figure, Outcome};
use cache_tests::servers::made_up::{Asked, LAYERS};

use self::store::{Place, Store};

const DELAYS: [u64; 2] = [0, 20];
/// How many times the time of the bare listing a verb may take, and its highest peak of memory in MiB.
const TIMES: f64 = 1.3;
const MEMORY: f64 = 300.0;
/// The name of the cache of a million records, beside those of the stores.
const RECORDS: &str = "records";

fn main() -> Outcome<()> {
    let names: Vec<&str> = Store::ALL.iter().map(|store| store.name()).chain([RECORDS]).collect();
    let args = Args::parse("million_bench", std::env::args().skip(1), &names)?;
    let blobs = number("BLOBS", 1_000_000)?;
    let caches = number("CACHES", blobs * 8 / 10 / LAYERS)?;
    for name in &args.stores {
        match Store::ALL.into_iter().find(|store| store.name() == name) {
            Some(store) => of_store(store, &args, (blobs, caches))?,
            None => records::run(&args.builds, blobs)?,
        }
    }
    Ok(())
}

fn of_store(store: Store, args: &Args, (blobs, caches): (usize, usize)) -> Outcome<()> {
    let delays = args.delay.map_or(DELAYS.to_vec(), |delay| vec![delay]);
    for delay in delays.into_iter().map(Duration::from_millis).filter(|delay| store.has(*delay)) {
        println!("{}, {blobs} blobs, {caches} caches of {LAYERS}, {} ms a request", store.name(), delay.as_millis());
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
