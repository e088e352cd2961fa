//! Stores that refuse: one line with their message, an exit code, and no secret in any output.

use std::fs;
use std::process::Command;
use std::time::Duration;

use cache_tests::base64::base64;
use cache_tests::servers::http::{Fault, Method, Plan};
use cache_tests::servers::registry::{Access, Account};
use cache_tests::servers::{actions, azblob, registry, s3};

use crate::sandbox::{Run, Sandbox};

/// The expected outcome of a command that is refused.
struct Refused<'a> {
    code: i32,
    /// Texts that the only error line has to contain.
    says: &'a [&'a str],
    secrets: &'a [&'a str],
}

impl Refused<'_> {
    fn check(&self, mut command: Command) {
        let run = Run::from(command.arg("-vv").output().unwrap());
        assert_eq!(run.code, self.code, "{}", run.stderr);
        let errors: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", run.stderr);
        for said in self.says {
            assert!(errors[0].contains(said), "{said}: {}", run.stderr);
        }
        check_keeps(&run, self.secrets);
    }
}

fn check_keeps(run: &Run, secrets: &[&str]) {
    for secret in secrets {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{}{}", run.stdout, run.stderr);
    }
}

/// Stores a login with this password, as Docker does.
fn log_in(sandbox: &Sandbox, host: &str, password: &str) {
    let auth = base64(format!("tester:{password}").as_bytes());
    fs::write(sandbox.path("config.json"), format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
}

fn with_login(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    command.env("DOCKER_CONFIG", sandbox.path("")).env_remove("REGISTRY_AUTH_FILE");
    command
}

#[test]
fn a_registry_does_not_take_a_wrong_password_and_has_no_such_tag() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    for access in [Access::Basic, Access::Token] {
        let server =
            registry::Server::start(access(Account::new("tester", "right-horse-7")), registry::Options::default());
        let spec = format!("type=registry,ref={}/team/cache:main", server.host());
        log_in(&sandbox, &server.host(), "wrong-horse-8");
        let refused = Refused { code: 5, says: &["UNAUTHORIZED"], secrets: &["wrong-horse-8"] };
        refused.check(with_login(&sandbox, &["copy", "type=local,src=a", &spec]));
        refused.check(with_login(&sandbox, &["verify", &spec]));
        log_in(&sandbox, &server.host(), "right-horse-7");
        let absent = Refused { code: 4, says: &["no cache at", "team/cache:main"], secrets: &["right-horse-7"] };
        absent.check(with_login(&sandbox, &["verify", &spec]));
        let copied = Run::from(with_login(&sandbox, &["copy", "-vv", "type=local,src=a", &spec]).output().unwrap());
        assert_eq!(copied.code, 0, "{}", copied.stderr);
        let requests = copied.stderr.lines().filter(|line| line.contains("buildcache::request: backend=\"registry\""));
        assert!(requests.filter(|line| line.contains("status=201")).count() > 1, "{}", copied.stderr);
        for span in ["push{digest=sha256:", "commit:"] {
            assert!(copied.stderr.lines().any(|line| line.contains(span) && line.contains("method=\"PUT\"")), "{span}");
        }
        let tokens = server.tokens();
        check_keeps(&copied, &tokens.iter().map(String::as_str).chain(["right-horse-7"]).collect::<Vec<_>>());
    }
}

fn s3_command(sandbox: &Sandbox, server: &s3::Server, bucket: &str, id: &str, key: &str) -> Command {
    let spec = format!(
        "type=s3,bucket={bucket},region=eu-test-1,name=main,endpoint_url={},use_path_style=true,access_key_id={id},\
         secret_access_key={key},session_token=hush-session-5",
        server.endpoint()
    );
    sandbox.command(&["copy", "type=local,src=a", &spec])
}

#[test]
fn a_bucket_refuses_wrong_keys_and_those_who_may_not() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = s3::Server::start(s3::Options::default());
    let wrong = "not-the-key-9";
    let secrets = &[s3::SECRET_KEY, wrong, "hush-session-5"];
    let check = |code, says, command| Refused { code, says, secrets }.check(command);
    check(5, &["SignatureDoesNotMatch"], s3_command(&sandbox, &server, s3::BUCKET, s3::ACCESS_KEY, wrong));
    check(1, &["NoSuchBucket"], s3_command(&sandbox, &server, "nobody", s3::ACCESS_KEY, s3::SECRET_KEY));
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    server.plan(Plan::new(Method::PUT, "/blobs/", Fault::Answer(403, None, denied)).times(100));
    check(5, &["AccessDenied"], s3_command(&sandbox, &server, s3::BUCKET, s3::ACCESS_KEY, s3::SECRET_KEY));
    let server = s3::Server::start(s3::Options::default());
    let expired = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
    server.plan(Plan::new(Method::PUT, "/blobs/", Fault::Answer(400, None, expired)).times(100));
    check(5, &["ExpiredToken"], s3_command(&sandbox, &server, s3::BUCKET, s3::ACCESS_KEY, s3::SECRET_KEY));
    assert!(!server.keys().iter().any(|key| key.starts_with("manifests/")));
}

#[test]
fn an_account_refuses_wrong_keys_and_those_who_may_not() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = azblob::Server::start(azblob::Options::default());
    let (good, wrong) = (base64(azblob::KEY), base64(b"not-the-key-9"));
    let secrets = &[&*good, &*wrong, azblob::SIGNATURE];
    let spec = |key: &str| {
        let (url, account) = (server.url(), azblob::ACCOUNT);
        format!("type=azblob,account_url={url},account_name={account},secret_access_key={key},name=main")
    };
    let check = |code, says, args: &[&str]| Refused { code, says, secrets }.check(sandbox.command(args));
    check(5, &["AuthenticationFailed"], &["copy", "type=local,src=a", &spec(&wrong)]);
    check(4, &["no cache at"], &["verify", &spec(&good)]);
    let denied = "<Error><Code>AuthorizationPermissionMismatch</Code><Message>Not permitted.</Message></Error>";
    server.plan(Plan::new(Method::PUT, "/blobs%2F", Fault::Answer(403, None, denied)).times(100));
    check(5, &["AuthorizationPermissionMismatch"], &["copy", "type=local,src=a", &spec(&good)]);
}

/// A command in a job, with the runner's variables.
fn gha_command(sandbox: &Sandbox, server: &actions::Server, token: &str, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    for name in ["ACTIONS_CACHE_URL", "GITHUB_TOKEN", "GITHUB_REPOSITORY"] {
        command.env_remove(name);
    }
    command.env("ACTIONS_RESULTS_URL", server.url()).env("ACTIONS_RUNTIME_TOKEN", token);
    command.env("ACTIONS_CACHE_SERVICE_V2", "true");
    command
}

#[test]
fn a_job_that_may_only_read_is_told_before_anything_is_sent() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = actions::Server::start(actions::Options::default());
    let token = actions::mint(&[("refs/heads/main", 1)], Duration::from_secs(3600));
    let refused = Refused { code: 5, says: &["can only read"], secrets: &[&token] };
    refused.check(gha_command(&sandbox, &server, &token, &["copy", "type=local,src=a", "type=gha"]));
    assert!(server.take_log().is_empty());
    let mut command =
        gha_command(&sandbox, &server, &token, &["copy", "type=local,src=a", "type=gha,ignore-error=true"]);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[test]
fn an_index_that_cannot_be_uploaded_fails_the_export() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = actions::Server::start(actions::Options::default());
    let token = actions::mint(&[("refs/heads/main", 3)], Duration::from_secs(3600));
    let copy = ["copy", "type=local,src=a", "type=gha"];
    // The first ten uploads are the blobs.
    server.plan(Plan::new(Method::PUT, "actions-cache/", Fault::Answer(400, None, "no more")).after(10).times(100));
    let refused = Refused { code: 1, says: &["400"], secrets: &[&token, "sig="] };
    refused.check(gha_command(&sandbox, &server, &token, &copy));
    let verify = ["verify", "type=gha"];
    assert_eq!(gha_command(&sandbox, &server, &token, &verify).output().unwrap().status.code(), Some(4));
}

#[test]
fn a_service_that_throttles_is_waited_for_and_named() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = actions::Server::start(actions::Options::default());
    let token = actions::mint(&[("refs/heads/main", 3)], Duration::from_secs(3600));
    server.plan(Plan::new(Method::POST, "CreateCacheEntry", Fault::Answer(429, Some(1), "slow down")).after(3));
    let copy = ["copy", "-vv", "type=local,src=a", "type=gha"];
    let run = Run::from(gha_command(&sandbox, &server, &token, &copy).output().unwrap());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("throttl"), "{}", run.stderr);
    let signatures = server.signatures();
    check_keeps(&run, &signatures.iter().map(String::as_str).chain([&*token]).collect::<Vec<_>>());
}
