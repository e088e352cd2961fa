//! A store whose CA is only in a file: every backend reads the variables that name the file.

use std::any::Any;
use std::fs;
use std::process::Command;
use std::time::Duration;

use cache_tests::base64::base64;
use cache_tests::servers::certificates::Certificates;
use cache_tests::servers::registry::{Access, Options};
use cache_tests::servers::relay::Relay;
use cache_tests::servers::tls::TlsFront;
use cache_tests::servers::{actions, azblob, registry, s3};

use crate::sandbox::{Run, Sandbox};

/// A name that never resolves (RFC 6761). The store is reached through a proxy.
const NAME: &str = "store.test";
/// Blobs of the cache; all may be under way when the first one fails.
const BLOBS: usize = 10;
const HOST: &str = "store.test:5000";

/// A store with TLS.
struct Store {
    /// Its spec with secrets, which are never shown.
    spec: String,
    sandbox: Sandbox,
    certificates: Certificates,
    relay: Relay,
    _running: (TlsFront, Box<dyn Any>),
}

impl Store {
    fn new(host: &str, spec: String, server: impl Any) -> Self {
        let certificates = Certificates::make(&[NAME]);
        let front = TlsFront::start(host, &certificates, NAME);
        let relay = Relay::start(front.host());
        let sandbox = Sandbox::with("v0.32/max-manifest");
        Self { spec, sandbox, certificates, relay, _running: (front, Box::new(server)) }
    }

    /// Copies a cache there, with these variables.
    fn copy(&self, variables: &[(&str, &str)]) -> Run {
        let copied = self.run(&["copy", "type=local,src=a", &self.spec], variables);
        if copied.code != 0 {
            return copied;
        }
        self.run(&["verify", &self.spec], variables)
    }

    fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command: Command = self.sandbox.command(words);
        command
            .env_clear()
            .env("HOME", self.sandbox.path(""))
            .env("HTTPS_PROXY", format!("http://{}", self.relay.host()));
        Run::from(command.envs(variables.iter().copied()).output().unwrap())
    }

    fn kind(&self) -> &str {
        self.spec.split(',').next().unwrap()
    }

    fn ca(&self) -> String {
        self.certificates.path("ca.crt").display().to_string()
    }
}

fn stores() -> [Store; 4] {
    let registry = registry::Server::start(Access::Open, Options::default());
    let origin = Some(format!("https://{HOST}"));
    let service = actions::Server::start(actions::Options { origin, ..Default::default() });
    let bucket = s3::Server::start(s3::Options::default());
    let account = azblob::Server::start(azblob::Options::default());
    let of_url = |url: String| url.split('/').nth(2).unwrap().to_owned();
    let [service_host, account_host] = [of_url(service.url()), of_url(account.url())];
    let token = actions::mint(&[("refs/heads/main", 3)], Duration::from_secs(3600));
    let (name, key) = (azblob::ACCOUNT, base64(azblob::KEY));
    [
        Store::new(&registry.host(), format!("type=registry,ref={HOST}/team/cache:main"), registry),
        Store::new(&service_host, format!("type=gha,url_v2=https://{HOST}/,token={token},version=2"), service),
        s3_store(&of_url(bucket.endpoint()), bucket),
        Store::new(
            &account_host,
            format!(
                "type=azblob,account_url=https://{HOST}/{name},account_name={name},secret_access_key={key},name=main"
            ),
            account,
        ),
    ]
}

fn s3_store(host: &str, bucket: s3::Server) -> Store {
    let spec = format!(
        "type=s3,bucket={},region=eu-test-1,name=main,endpoint_url=https://{HOST},use_path_style=true,access_key_id={},\
         secret_access_key={}",
        s3::BUCKET,
        s3::ACCESS_KEY,
        s3::SECRET_KEY
    );
    Store::new(host, spec, bucket)
}

#[test]
fn a_ca_that_a_variable_names_is_trusted_by_every_backend() {
    for store in stores() {
        let folder = store.sandbox.path("cas");
        fs::create_dir(&folder).unwrap();
        fs::copy(store.ca(), folder.join("a.pem")).unwrap();
        let folder = folder.display().to_string();
        for variable in [("SSL_CERT_FILE", &*store.ca()), ("SSL_CERT_DIR", &folder)] {
            let run = store.copy(&[variable]);
            assert_eq!(run.code, 0, "{} {variable:?}: {}", store.kind(), run.stderr);
        }
    }
}

#[test]
fn an_untrusted_ca_is_an_error_at_once() {
    for store in stores() {
        for variables in [&[][..], &[("SSL_CERT_FILE", "/nowhere/ca.pem")], &[("SSL_CERT_DIR", "/nowhere")]] {
            let run = store.copy(variables);
            assert_eq!(run.code, 1, "{} {variables:?}: {}", store.kind(), run.stderr);
            assert!(run.stderr.contains("hint: "), "{} {variables:?}: {}", store.kind(), run.stderr);
            let tunnels = store.relay.take_tunnels().len();
            assert!(tunnels <= 2 * BLOBS, "{}: it was tried again, {tunnels} times in all", store.kind());
        }
    }
}

#[test]
fn the_bundle_of_aws_is_trusted_in_place_of_the_systems_cas() {
    let bucket = s3::Server::start(s3::Options::default());
    let store = s3_store(bucket.endpoint().trim_start_matches("http://"), bucket);
    let (ca, strange) = (store.ca(), Certificates::make(&[]));
    for variables in [&[("AWS_CA_BUNDLE", &*ca)][..], &[("AWS_CA_BUNDLE", &ca), ("SSL_CERT_FILE", "/nowhere/ca.pem")]] {
        let run = store.copy(variables);
        assert_eq!(run.code, 0, "{variables:?}: {}", run.stderr);
    }
    fs::write(store.sandbox.path("none.pem"), "no certificate").unwrap();
    let strange = strange.path("ca.crt").display().to_string();
    let run = store.copy(&[("AWS_CA_BUNDLE", &strange), ("SSL_CERT_FILE", &ca)]);
    assert_eq!(run.code, 1, "no other CA counts: {}", run.stderr);
    for bundle in ["none.pem", "/nowhere/ca.pem", "."] {
        let run = store.copy(&[("AWS_CA_BUNDLE", bundle), ("SSL_CERT_FILE", &ca)]);
        assert_eq!(run.code, 2, "{bundle}: {}", run.stderr);
        assert!(run.stderr.contains(bundle) && run.stderr.contains("AWS_CA_BUNDLE"), "{}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
}

/// As in other programs of AWS, a profile names a bundle, and the variable takes precedence.
#[test]
fn the_bundle_of_the_profile_is_trusted() {
    let bucket = s3::Server::start(s3::Options::default());
    let store = s3_store(bucket.endpoint().trim_start_matches("http://"), bucket);
    fs::copy(store.ca(), store.sandbox.path("ca.pem")).unwrap();
    let (ca, strange) = (store.ca(), Certificates::make(&[]));
    let strange = strange.path("ca.crt").display().to_string();
    let config = store.sandbox.path("aws").display().to_string();
    fs::write(&config, format!("[default]\nca_bundle = {ca}\n[profile other]\nca_bundle = {strange}\n")).unwrap();
    let default = ("AWS_CONFIG_FILE", &*config);
    let run = store.copy(&[default]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = store.copy(&[default, ("AWS_PROFILE", "other"), ("SSL_CERT_FILE", &ca)]);
    assert_eq!(run.code, 1, "no other CA counts: {}", run.stderr);
    let run = store.copy(&[default, ("AWS_PROFILE", "other"), ("AWS_CA_BUNDLE", &ca)]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    fs::create_dir(store.sandbox.path(".aws")).unwrap();
    fs::write(store.sandbox.path(".aws/config"), "[default]\nca_bundle = ~/ca.pem\n").unwrap();
    let run = store.copy(&[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    fs::write(&config, "[default]\nca_bundle = /nowhere/ca.pem\n").unwrap();
    let run = store.copy(&[default]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("/nowhere/ca.pem") && run.stderr.contains("profile"), "{}", run.stderr);
}
