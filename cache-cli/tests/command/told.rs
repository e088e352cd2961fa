//! Messages that users see first: results on stdout, failures that name what exists, and progress of everything slow.

use std::fs;

use cache_tests::base64::base64;
use cache_tests::servers::http::{Fault, Method, Plan};
use cache_tests::servers::registry::{Access, Options, Server};
use serde_json::Value;

use crate::sandbox::{Sandbox, files};

#[test]
fn a_copy_prints_its_result_on_stdout() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["copy", "--progress", "quiet", "type=local,src=a", "type=local,dest=b"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.starts_with("copied sha256:") && run.stdout.lines().count() == 1, "{}", run.stdout);
}

#[test]
fn with_several_destinations_every_line_names_one() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run =
        sandbox.run(&["copy", "--progress", "plain", "type=local,src=a", "type=local,dest=b", "type=local,dest=c"]);
    for place in ["type=local,dest=b: [10/20] ", "type=local,dest=c: ["] {
        assert!(run.stderr.contains(&place[..18]), "{}", run.stderr);
    }
    let blobs = run.stderr.lines().filter(|line| line.contains("uploaded"));
    assert!(blobs.into_iter().all(|line| line.starts_with("type=local,dest=")), "{}", run.stderr);
}

#[test]
fn the_error_for_a_missing_cache_names_the_existing_ones() {
    let sandbox = Sandbox::with("v0.12/generations");
    for args in [
        &["inspect", "type=local,src=a,tag=nope"][..],
        &["verify", "type=local,src=a,tag=nope"],
        &["copy", "type=local,src=a,tag=nope", "type=local,dest=b"],
        &["rm", "-f", "type=local,src=a,tag=nope"],
        &["repair", "type=local,src=a,tag=nope"],
    ] {
        let run = sandbox.run(args);
        assert_eq!(run.code, 4, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("there: ") && run.stderr.contains("release"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn stores_are_listed_and_measured_by_name() {
    let sandbox = Sandbox::with("v0.12/generations");
    let names = sandbox.run(&["ls", "-q", "type=local,src=a"]).stdout;
    assert!(names.lines().any(|name| name == "release"), "{names}");
    let copied = sandbox.run(&["copy", "-q", "--all", "type=local,src=a", "type=local,dest=b"]).stdout;
    assert!(copied.lines().all(|name| names.lines().any(|listed| listed == name)) && !copied.is_empty(), "{copied}");
    fs::create_dir(sandbox.path("empty")).unwrap();
    let empty = sandbox.json(&["ls", "type=local,src=empty"]);
    assert_eq!(empty["caches"], Value::Array(Vec::new()));
    assert_eq!(sandbox.run(&["ls", "type=local,src=empty"]).code, 0);
    let nowhere = sandbox.run(&["ls", "type=local,src=nowhere"]);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (4, ""));
    // Without a cache of the default name, only the store is measured.
    assert_eq!(sandbox.run(&["rm", "-f", "type=local,src=b"]).code, 0);
    let usage = sandbox.json(&["du", "type=local,src=b"]);
    assert_eq!(usage["caches"], Value::Array(Vec::new()));
    assert!(usage["stores"][0]["caches"].as_u64() > Some(0), "{usage}");
    assert_eq!(sandbox.run(&["du", "type=local,src=nowhere"]).code, 4);
}

#[test]
fn a_dry_run_reads_the_destination() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let dry = ["copy", "--dry-run", "type=local,src=a", "type=local,dest=b"];
    assert!(sandbox.run(&dry).stdout.contains("which has 0 blobs already"));
    assert_eq!(sandbox.run(&["copy", "type=local,src=a", "type=local,dest=b"]).code, 0);
    let found = sandbox.json(&dry);
    assert_eq!(
        (&found["copies"][0]["wouldPush"], &found["copies"][0]["alreadyThere"]),
        (&Value::Array(vec![]), &10.into())
    );
}

#[test]
fn a_metadata_file_that_cannot_be_written_stops_the_copy_before_it_begins() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["copy", "--metadata-file", "nowhere/m.json", "type=local,src=a", "type=local,dest=b"]);
    assert_eq!((run.code, sandbox.path("b").exists()), (1, false), "{}", run.stderr);
    let run = sandbox.run(&["copy", "--metadata-file", "m.json", "type=local,src=x", "type=local,dest=b"]);
    assert_eq!((run.code, sandbox.path("m.json").exists()), (4, false), "{}", run.stderr);
}

#[test]
fn repair_of_a_sound_cache_says_what_it_wrote() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["repair", "type=local,src=a", "--to", "type=local,dest=b"]);
    assert!(run.stdout.starts_with("sound: written sha256:"), "{}", run.stdout);
    assert!(run.stdout.contains("to type=local,dest=b as it is"), "{}", run.stdout);
    assert_eq!(sandbox.run(&["repair", "type=local,src=a"]).stdout, "sound: nothing to repair\n");
}

#[test]
fn failures_are_json_with_o_json() {
    let sandbox = Sandbox::with("v0.12/generations");
    for (code, args) in [
        (4, &["inspect", "-o", "json", "type=local,src=a,tag=nope"][..]),
        (2, &["inspect", "-o", "json", "./a"]),
        (2, &["inspect", "-o", "json", "--no-such-flag", "type=local,src=a"]),
        (2, &["lss", "--output=json"]),
    ] {
        let run = sandbox.run(args);
        let told: Value =
            serde_json::from_str(run.stderr.trim_end()).unwrap_or_else(|_| panic!("{args:?}: {}", run.stderr));
        assert_eq!((run.code, &told["exitCode"]), (code, &code.into()), "{told}");
        assert_eq!(told["schema"], "buildcache.error/v1");
        assert!(told["error"].as_str().is_some_and(|error| !error.is_empty()), "{told}");
    }
}

#[test]
fn prune_says_what_it_did_and_what_it_left() {
    let sandbox = Sandbox::with("v0.12/generations");
    let plan = sandbox.run(&["prune", "--dry-run", "-o", "json", "--keep-latest", "0", "type=local,src=a"]).stdout;
    fs::write(sandbox.path("plan.json"), plan).unwrap();
    assert_eq!(sandbox.run(&["rm", "-f", "type=local,src=a,tag=release"]).code, 0);
    let run = sandbox.run(&["prune", "-f", "--apply", "plan.json", "type=local,src=a"]);
    assert!(run.stdout.contains("cache release was gone\n"), "{}", run.stdout);
    assert!(!run.stderr.contains("deleted cache release"), "{}", run.stderr);
    let run = sandbox.run(&["prune", "-f", "type=local,src=a"]);
    assert!(run.stdout.contains("that no cache reaches: younger than 1h0m"), "{}", run.stdout);
    let run = sandbox.run(&["prune", "-f", "--grace", "0", "type=local,src=a"]);
    assert!(run.stderr.contains("warning: --grace 0"), "{}", run.stderr);
    assert!(files(&sandbox.path("a/blobs")).is_empty());
    let run = sandbox.run(&["prune", "-f", "type=local,src=nowhere"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
}

#[test]
fn prune_warns_about_names_to_keep_that_match_no_cache() {
    let sandbox = Sandbox::with("v0.12/generations");
    let run = sandbox.run(&["prune", "--dry-run", "--keep", "relase", "--keep", "rel*", "type=local,src=a"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("warning: --keep relase matches no cache"), "{}", run.stderr);
    assert!(!run.stderr.contains("rel*"), "{}", run.stderr);
}

#[cfg(all(feature = "azblob", feature = "s3"))]
#[test]
fn objects_are_listed_with_size_and_age() {
    use cache_tests::servers::{azblob, s3};
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let (s3, azblob) = (s3::Server::start(s3::Options::default()), azblob::Server::start(azblob::Options::default()));
    for spec in [
        format!(
            "type=s3,bucket={},region=eu-test-1,name=main,endpoint_url={},use_path_style=true,access_key_id={},\
             secret_access_key={}",
            s3::BUCKET,
            s3.endpoint(),
            s3::ACCESS_KEY,
            s3::SECRET_KEY
        ),
        format!(
            "type=azblob,account_url={},account_name={},secret_access_key={},name=main",
            azblob.url(),
            azblob::ACCOUNT,
            base64(azblob::KEY)
        ),
    ] {
        assert_eq!(sandbox.run(&["copy", "type=local,src=a", &spec]).code, 0);
        let listed = &sandbox.json(&["ls", &spec])["caches"][0];
        assert!(listed["size"].as_u64() > Some(0) && listed["modified"].is_string(), "{listed}");
    }
}

/// A registry that answers 503 to the first `times` requests for tags and manifests.
fn busy(times: usize) -> Server {
    let server = Server::start(Access::Open, Options::default());
    server.plan(Plan::new(Method::GET, "/v2/", Fault::Answer(503, None, "busy")).times(times));
    server.plan(Plan::new(Method::HEAD, "/v2/", Fault::Answer(503, None, "busy")).times(times));
    server
}

#[test]
fn retries_are_reported() {
    let sandbox = Sandbox::empty();
    for verb in ["ls", "inspect", "verify"] {
        let server = busy(1);
        let run = sandbox.run(&[verb, &format!("type=registry,ref={}/team/cache:main", server.host())]);
        assert!(run.stderr.contains("trying again in "), "{verb}: {}", run.stderr);
    }
}

#[test]
fn a_timeout_names_the_last_failure() {
    let sandbox = Sandbox::empty();
    let server = busy(1_000);
    let spec = format!("type=registry,ref={}/team/cache:main", server.host());
    let run = sandbox.run(&["inspect", "--timeout", "500ms", &spec]);
    assert!(run.stderr.contains("not done after 0.5s; what failed last: "), "{}", run.stderr);
    assert!(run.stderr.contains("503"), "{}", run.stderr);
}
