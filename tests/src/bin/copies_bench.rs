//! Copies a cache of small blobs to every kind of store and back, with three latencies: `copies_bench BUILDCACHE
//! [OTHER] [--store NAME] [--delay MS]`.
//!
//! There is a first copy, a second one, one with a hundredth of new blobs, and one back. The stores are those of the
//! tests, in this process, and delay each answer by the latency. It prints the requests and the median time of each copy.
//! With another build of the program, which takes turns with the first on stores of its own, it also prints the factors
//! between the two. The data is seeded and removed at the end.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cache_core::CacheExporter;
use cache_gha::GhaExporter;
use cache_local::{LocalConfig, LocalImporter};
use cache_ops::{CopyOptions, ExportSettings, copy};
use cache_tests::base64::base64;
use cache_tests::bench::{Args, Figure, Load, Outcome, make_of, measure, median};
use cache_tests::harness::Harness;
use cache_tests::places::{Azblob, Gha, S3};
use cache_tests::servers::s3::{ACCESS_KEY, BUCKET, Options, SECRET_KEY};
use cache_tests::servers::{azblob, registry};

/// The number of blobs, unless `BLOBS` sets another one. A hundredth of that is new in the third copy.
const BLOBS: usize = 2_000;
const SIZE: usize = 16 << 10;
/// The latency of a request, and the number of measured rounds: the shorter a copy, the more rounds.
const DELAYS: [(Duration, usize); 3] =
    [(Duration::ZERO, 5), (Duration::from_millis(5), 3), (Duration::from_millis(20), 1)];
/// The rounds with another latency.
const ROUNDS: usize = 3;

/// A store in this process.
enum Store {
    Registry(registry::Server),
    S3(Box<S3>),
    Azblob(Azblob),
    Gha(Gha),
}

/// A registry with `posts` takes a blob in one request.
const KINDS: [&str; 5] = ["registry", "registry-posts", "s3", "azblob", "gha"];

impl Store {
    fn start(kind: &str, delay: Duration) -> Self {
        match kind {
            "registry" | "registry-posts" => {
                let options = registry::Options { takes_posts: kind != "registry", ..registry::Options::default() };
                let server = registry::Server::start(registry::Access::Open, options);
                server.delay(delay);
                Self::Registry(server)
            }
            "s3" => {
                let store = S3::with(Options { page: 1_000, ..Options::default() });
                store.server().http().delay(delay);
                Self::S3(Box::new(store))
            }
            "azblob" => {
                let store = Azblob::new();
                store.server().delay(delay);
                Self::Azblob(store)
            }
            _ => {
                let store = Gha::v2();
                store.server().delay(delay);
                Self::Gha(store)
            }
        }
    }

    fn requests(&self) -> usize {
        match self {
            Self::Registry(server) => server.take_log().len(),
            Self::S3(store) => store.requests().unwrap_or(0),
            Self::Azblob(store) => store.requests().unwrap_or(0),
            Self::Gha(store) => store.requests().unwrap_or(0),
        }
    }

    fn spec(&self) -> String {
        match self {
            Self::Registry(server) => format!("type=registry,ref={}/bench:main", server.host()),
            Self::S3(store) => format!(
                "type=s3,bucket={BUCKET},region=us-east-1,endpoint_url={},use_path_style=true,access_key_id={ACCESS_KEY},\
                 secret_access_key=env:BENCH_KEY",
                store.server().endpoint()
            ),
            Self::Azblob(store) => format!(
                "type=azblob,account_url={},account_name={},secret_access_key=env:BENCH_KEY",
                store.server().url(),
                azblob::ACCOUNT
            ),
            Self::Gha(store) => format!("type=gha,url_v2={},token=env:BENCH_KEY", store.server().url()),
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Registry(_) => String::new(),
            Self::S3(_) => SECRET_KEY.to_owned(),
            Self::Azblob(_) => base64(azblob::KEY),
            Self::Gha(store) => store.token().to_owned(),
        }
    }

    fn copy(&self, buildcache: &str, what: &'static str, from: &str, to: &str) -> Outcome<Copied> {
        let _ = self.requests();
        let mut command = Command::new(buildcache);
        let figure = measure(command.args(["--quiet", "copy", from, to]).env("BENCH_KEY", self.key()))?;
        Ok(Copied { what, requests: self.requests(), figure })
    }
}

/// The figures of one copy.
#[derive(Clone)]
struct Copied {
    what: &'static str,
    requests: usize,
    figure: Figure,
}

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Args { builds, stores, delay } = Args::parse("copies_bench", std::env::args().skip(1), &KINDS)?;
    let count = std::env::var("BLOBS").map_or(Ok(BLOBS), |text| text.parse())?;
    let new = count.div_ceil(100);
    let folder = tempfile::tempdir()?;
    for (name, blobs) in [("cache", count), ("more", count + new)] {
        let load = Load { name: "small", blobs, size: SIZE };
        runtime.block_on(make_of(&folder.path().join(name), load, count as u64))?;
    }
    println!("{count} blobs of {} KiB, then {new} more", SIZE >> 10);
    let delays = delay.map_or(DELAYS.to_vec(), |ms| vec![(Duration::from_millis(ms), ROUNDS)]);
    for (delay, rounds) in delays {
        for kind in &stores {
            println!("{kind}, {} ms a request, median of {rounds}", delay.as_millis());
            let mut runs = vec![Vec::new(); builds.len()];
            for at in (0..rounds).flat_map(|round| (0..builds.len()).map(move |at| round + at)) {
                let at = at % builds.len();
                runs[at].push(runtime.block_on(copies(&builds[at], kind, folder.path(), delay))?);
            }
            print(&runs);
        }
    }
    Ok(())
}

/// Prints the median of each kind of copy: `runs` has the rounds of each build.
fn print(runs: &[Vec<Vec<Copied>>]) {
    let [ours, others @ ..] = runs else { return };
    let seconds =
        |rounds: &[Vec<Copied>], at: usize| median(rounds.iter().map(|copies| copies[at].figure.seconds).collect());
    for (at, Copied { what, requests, .. }) in ours[0].iter().enumerate() {
        let took = seconds(ours, at);
        print!("  {what:<8} {requests} requests, {took:.3} s");
        for other in others {
            let theirs = seconds(other, at);
            let times = theirs / took;
            print!("; the other {} requests, {theirs:.3} s: {times:.1} times", other[0][at].requests);
        }
        println!();
    }
}

/// Runs all copies with one build.
async fn copies(buildcache: &str, kind: &str, folder: &Path, delay: Duration) -> Outcome<Vec<Copied>> {
    let source = |name: &str| format!("type=local,src={}", folder.join(name).display());
    let store = Store::start(kind, delay);
    let mut runs = Vec::new();
    match &store {
        // The program would stay below GitHub's limit of uploads, which would take ten minutes.
        Store::Gha(store) => {
            let exporter = GhaExporter::new(store.config_of(store.token()))?;
            let importer = LocalImporter::new(LocalConfig::new(folder.join("cache")));
            copy(&importer, &exporter as &dyn CacheExporter, CopyOptions::default(), &ExportSettings::default())
                .await?;
        }
        _ => runs.push(store.copy(buildcache, "first", &source("cache"), &store.spec())?),
    }
    runs.push(store.copy(buildcache, "second", &source("cache"), &store.spec())?);
    runs.push(store.copy(buildcache, "1 % new", &source("more"), &store.spec())?);
    let back = tempfile::tempdir_in(folder)?;
    let target = format!("type=local,dest={}", back.path().join("back").display());
    runs.push(store.copy(buildcache, "down", &store.spec(), &target)?);
    Ok(runs)
}
