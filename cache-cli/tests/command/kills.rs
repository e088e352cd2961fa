//! Copies that are killed at any moment, to every kind of place: no existing cache is lost, and the next copy succeeds.
//!
//! `KILLS` sets how many are killed at each place.

#![expect(clippy::print_stdout, reason = "how many were killed is what a long run is for")]

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cache_local::{LocalConfig, LocalExporter};
use cache_ops::{ExportSettings, export};
use cache_tests::base64::base64;
use cache_tests::graphs::{MANY_BLOBS, Shape, cache_of};
use cache_tests::places::temporary_files;
use cache_tests::random::Random;
use cache_tests::servers::registry::Access;
use cache_tests::servers::{actions, azblob, registry, s3};

use crate::sandbox::Sandbox;

/// The default number of copies that are killed at each place.
const KILLS: usize = 5;
/// Layers that are sent in several pieces.
const SHAPE: Shape = Shape { layer_bytes: 20_000, ..MANY_BLOBS };
/// The longest time of a copy, for slow disks.
const LONGEST: Duration = Duration::from_secs(2);

/// A place to which copies are killed and repeated.
struct Place<'a> {
    name: &'static str,
    sandbox: &'a Sandbox,
    /// The spec of a cache with this name.
    spec: Box<dyn Fn(&str) -> String + 'a>,
    /// Removes what a killed copy leaves for good.
    forget: Box<dyn Fn() + 'a>,
}

fn write_source(sandbox: &Sandbox, seed: u64) {
    let _ = std::fs::remove_dir_all(sandbox.path("new"));
    let cache = cache_of(seed, SHAPE);
    let exporter = LocalExporter::new(LocalConfig::new(sandbox.path("new")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(export(&cache.manifest, &cache.blobs, &exporter, &ExportSettings::default())).unwrap();
}

impl Place<'_> {
    fn copy(&self, source: &str, name: &str) -> Command {
        let mut command = self.sandbox.command(&["copy", "-q", source, &(self.spec)(name)]);
        command.env("DOCKER_CONFIG", self.sandbox.path("")).stderr(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn check(&self, name: &str) {
        let run = self.sandbox.run(&["verify", "-q", &(self.spec)(name)]);
        assert_eq!(run.code, 0, "{} {name}: {}", self.name, run.stderr);
    }

    fn kill_copies(&self) {
        let wanted = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
        assert!(self.copy("type=local,src=a", "old").status().unwrap().success(), "{}", self.name);
        let mut random = Random::new(7);
        let (mut killed, mut tries, mut longest) = (0, 0, Duration::from_millis(200));
        while killed < wanted {
            tries += 1;
            write_source(self.sandbox, tries);
            let mut copy = self.copy("type=local,src=new", "new").spawn().unwrap();
            thread::sleep(longest.mul_f64(random.below(1_000) as f64 / 1_000.0));
            copy.kill().unwrap();
            killed += usize::from(copy.wait().unwrap().code().is_none());
            (self.forget)();
            self.check("old");
            let start = Instant::now();
            let run = self.sandbox.run(&["copy", "-q", "type=local,src=new", &(self.spec)("new")]);
            longest = start.elapsed().clamp(Duration::from_millis(20), LONGEST);
            assert_eq!(run.code, 0, "{}: {}", self.name, run.stderr);
            self.check("new");
        }
        self.check("old");
        println!("{}: {killed} of {tries} copies were killed", self.name);
    }
}

#[test]
fn a_copy_to_a_directory_that_is_killed_loses_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let spec = |name: &str| format!("type=local,dest=b,tag={name}");
    Place { name: "local", sandbox: &sandbox, spec: Box::new(spec), forget: Box::new(|| ()) }.kill_copies();
    assert_eq!(temporary_files(&sandbox.path("b")), [""; 0]);
}

#[test]
fn a_copy_to_a_registry_that_is_killed_loses_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = registry::Server::start(Access::Open, registry::Options::default());
    let spec = |name: &str| format!("type=registry,ref={}/team/cache:{name}", server.host());
    Place { name: "registry", sandbox: &sandbox, spec: Box::new(spec), forget: Box::new(|| ()) }.kill_copies();
}

#[test]
fn a_copy_to_a_bucket_that_is_killed_loses_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = s3::Server::start(s3::Options::default());
    let spec = |name: &str| {
        format!(
            "type=s3,bucket={},region=eu-test-1,name={name},endpoint_url={},use_path_style=true,access_key_id={},\
             secret_access_key={}",
            s3::BUCKET,
            server.endpoint(),
            s3::ACCESS_KEY,
            s3::SECRET_KEY
        )
    };
    Place { name: "s3", sandbox: &sandbox, spec: Box::new(spec), forget: Box::new(|| ()) }.kill_copies();
}

#[test]
fn a_copy_to_an_account_that_is_killed_loses_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = azblob::Server::start(azblob::Options::default());
    let spec = |name: &str| {
        let (url, account, key) = (server.url(), azblob::ACCOUNT, base64(azblob::KEY));
        format!("type=azblob,account_url={url},account_name={account},secret_access_key={key},name={name}")
    };
    Place { name: "azblob", sandbox: &sandbox, spec: Box::new(spec), forget: Box::new(|| ()) }.kill_copies();
}

#[test]
fn a_copy_to_the_cache_service_that_is_killed_loses_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = actions::Server::start(actions::Options::default());
    let token = actions::mint(&[("refs/heads/main", 3)], Duration::from_secs(36_000));
    let spec = |name: &str| format!("type=gha,url_v2={},token={token},scope={name}", server.url());
    // The service releases a key when its writer has been silent for a long time.
    let forget = || server.entries(|entries| entries.remove(|entry| !entry.is_ready));
    Place { name: "gha", sandbox: &sandbox, spec: Box::new(spec), forget: Box::new(forget) }.kill_copies();
}
