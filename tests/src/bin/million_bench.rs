//! Measures verbs on a made-up bucket of a million blobs and 20,000 caches: `million_bench BUILDCACHE [OTHER]`.
//!
//! `ls`, `du`, `prune --dry-run` and a prune of unreachable blobs are compared with the bare listing: every page of
//! blobs and names, one after the other on one connection, without processing. It prints the requests, the time and the
//! memory of each, and those of another build of the program, if there is one. `BLOBS` and `CACHES` set other sizes.

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_tests::bench::{Figure, Outcome, measure};
use cache_tests::servers::made_up::{Asked, BUCKET, LAYERS, Server, Size};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const PAGE: usize = 1_000;
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(20)];
/// How many times the time of the bare listing a verb may take, and its highest peak of memory in MiB.
const TIMES: f64 = 1.3;
const MEMORY: f64 = 300.0;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut args = std::env::args().skip(1);
    let ours = args.next().ok_or("usage: million_bench BUILDCACHE [OTHER]")?;
    let other = args.next();
    let blobs = number("BLOBS", 1_000_000)?;
    let caches = number("CACHES", blobs * 8 / 10 / LAYERS)?;
    println!("{blobs} blobs, {caches} caches of {LAYERS} blobs each, {PAGE} on a page");
    for delay in DELAYS {
        let size = Size { blobs, caches, page: PAGE, delay };
        println!("{} ms a request", delay.as_millis());
        let (pages, bare) = runtime.block_on(bare(&Server::start(size)))?;
        println!("  {:<16} {pages} requests, {bare:.2} s", "bare listing");
        for build in [Some(&ours), other.as_ref()].into_iter().flatten() {
            if other.is_some() {
                println!("  {build}");
            }
            let server = Server::start(size);
            for (what, words) in VERBS {
                let figure = run(build, &server, words)?;
                report(what, server.take_asked(), figure, bare);
            }
            println!("  {} blobs are deleted", server.deleted());
        }
    }
    Ok(())
}

const VERBS: [(&str, &[&str]); 4] =
    [("ls", &["ls"]), ("du", &["du"]), ("prune --dry-run", &["prune", "--dry-run"]), ("prune", &["prune", "--force"])];

fn number(name: &str, default: usize) -> Outcome<usize> {
    std::env::var(name).map_or(Ok(default), |text| Ok(text.parse()?))
}

fn run(buildcache: &str, server: &Server, words: &[&str]) -> Outcome<Figure> {
    let spec = format!(
        "type=s3,bucket={BUCKET},region=us-east-1,endpoint_url={},use_path_style=true,access_key_id=nobody,\
         secret_access_key=env:BENCH_KEY",
        server.endpoint()
    );
    let _ = server.take_asked();
    measure(Command::new(buildcache).arg("--quiet").args(words).arg(spec).env("BENCH_KEY", "nothing"))
}

fn report(what: &str, asked: Asked, figure: Figure, bare: f64) {
    let Asked { lists, indexes, deletions, others, most } = asked;
    let (times, seconds, peak) = (figure.seconds / bare, figure.seconds, figure.peak);
    let is_look = deletions == 0;
    let slow = if is_look && times > TIMES { format!(" (more than {TIMES})") } else { String::new() };
    let large = if peak > MEMORY { format!(" (more than {MEMORY})") } else { String::new() };
    println!(
        "  {what:<16} {} requests ({lists} lists, {indexes} indexes, {deletions} deletions), {most} at once, {seconds:.2} s, \
         {times:.2} times the listing{slow}, {peak:.0} MiB{large}",
        lists + indexes + deletions + others
    );
}

/// The number of pages, and the seconds that it takes to read them.
async fn bare(server: &Server) -> Outcome<(usize, f64)> {
    let host = server.endpoint().replace("http://", "");
    let (mut sender, connection) = handshake(TokioIo::new(TcpStream::connect(&host).await?)).await?;
    tokio::spawn(connection);
    let (start, mut pages) = (Instant::now(), 0);
    for prefix in ["manifests/", "blobs/"] {
        let mut token = String::new();
        loop {
            let page = page(&mut sender, &host, prefix, &token).await?;
            pages += 1;
            let next = page.split_once("<NextContinuationToken>").and_then(|(_, rest)| rest.split_once("</"));
            match next {
                Some((next, _)) => next.clone_into(&mut token),
                None => break,
            }
        }
    }
    Ok((pages, start.elapsed().as_secs_f64()))
}

async fn page(sender: &mut SendRequest<Empty<Bytes>>, host: &str, prefix: &str, token: &str) -> Outcome<String> {
    let path = format!("/{BUCKET}?list-type=2&prefix={prefix}&continuation-token={token}");
    let request = Request::get(path).header("host", host).body(Empty::new())?;
    let answer = sender.send_request(request).await?;
    Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?)
}
