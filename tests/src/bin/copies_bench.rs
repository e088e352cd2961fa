//! Copies a cache of small blobs to every kind of store and back, with three latencies: `copies_bench BUILDCACHE
//! [OTHER]`.
//!
//! There is a first copy, a second one, one with a hundredth of new blobs, and one back. The stores are those of the
//! tests, in this process, and delay each answer by the latency. It prints the requests and the time of each copy. With
//! another build of the program, which runs in turn on its own stores, it also prints the factors between the two. The
//! data is seeded and removed at the end.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cache_core::CacheExporter;
use cache_gha::GhaExporter;
use cache_local::{LocalConfig, LocalImporter};
use cache_ops::{CopyOptions, ExportSettings, copy};
use cache_tests::base64::base64;
use cache_tests::bench::{Figure, Load, Outcome, make_of, measure};
use cache_tests::harness::Harness;
use cache_tests::places::{Azblob, Gha, S3};
use cache_tests::servers::s3::{ACCESS_KEY, BUCKET, Options, SECRET_KEY};
use cache_tests::servers::{azblob, registry};

/// The number of blobs, unless `BLOBS` sets another one. A hundredth of that is new in the third copy.
const BLOBS: usize = 2_000;
const SIZE: usize = 16 << 10;
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(20)];

/// A store in this process.
enum Store {
    Registry(registry::Server),
    S3(Box<S3>),
    Azblob(Azblob),
    Gha(Gha),
}

const KINDS: [&str; 4] = ["registry", "s3", "azblob", "gha"];

impl Store {
    fn start(kind: &str, delay: Duration) -> Self {
        match kind {
            "registry" => {
                let server = registry::Server::start(registry::Access::Open, registry::Options::default());
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

    fn copy(&self, buildcache: &str, from: &str, to: &str) -> Outcome<Run> {
        let _ = self.requests();
        let mut command = Command::new(buildcache);
        let figure = measure(command.args(["--quiet", "copy", from, to]).env("BENCH_KEY", self.key()))?;
        Ok(Run { requests: self.requests(), figure })
    }
}

/// The figures of one copy.
struct Run {
    requests: usize,
    figure: Figure,
}

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut args = std::env::args().skip(1);
    let ours = args.next().ok_or("usage: copies_bench BUILDCACHE [OTHER]")?;
    let other = args.next();
    let count = std::env::var("BLOBS").map_or(Ok(BLOBS), |text| text.parse())?;
    let new = count.div_ceil(100);
    let folder = tempfile::tempdir()?;
    for (name, blobs) in [("cache", count), ("more", count + new)] {
        let load = Load { name: "small", blobs, size: SIZE };
        runtime.block_on(make_of(&folder.path().join(name), load, count as u64))?;
    }
    println!("{count} blobs of {} KiB, then {new} more", SIZE >> 10);
    for delay in DELAYS {
        for kind in KINDS {
            println!("{kind}, {} ms a request", delay.as_millis());
            let mine = runtime.block_on(copies(&ours, kind, (folder.path(), delay)))?;
            let theirs = match &other {
                Some(other) => runtime.block_on(copies(other, kind, (folder.path(), delay)))?,
                None => Vec::new(),
            };
            for (at, (what, run)) in mine.iter().enumerate() {
                let beside = theirs.get(at).map_or_else(String::new, |(_, theirs)| {
                    let times = theirs.figure.seconds / run.figure.seconds;
                    format!(
                        "; the other {} requests, {:.2} s: {times:.1} times",
                        theirs.requests, theirs.figure.seconds
                    )
                });
                println!("  {what:<8} {} requests, {:.2} s{beside}", run.requests, run.figure.seconds);
            }
        }
    }
    Ok(())
}

/// Runs all copies with one build.
async fn copies(buildcache: &str, kind: &str, (folder, delay): (&Path, Duration)) -> Outcome<Vec<(&'static str, Run)>> {
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
        _ => runs.push(("first", store.copy(buildcache, &source("cache"), &store.spec())?)),
    }
    runs.push(("second", store.copy(buildcache, &source("cache"), &store.spec())?));
    runs.push(("1 % new", store.copy(buildcache, &source("more"), &store.spec())?));
    let back = tempfile::tempdir_in(folder)?;
    let target = format!("type=local,dest={}", back.path().join("back").display());
    runs.push(("down", store.copy(buildcache, &store.spec(), &target)?));
    Ok(runs)
}
