//! Two writers of one name in a store with conditional writes: which one gets a conflict, and what is left.

use std::process::Stdio;
use std::rc::Rc;

use cache_tests::base64::base64;
use cache_tests::servers::http::{Fault, Logged, Method, Plan};
use cache_tests::servers::{azblob, s3};

use crate::sandbox::{Run, Sandbox};

/// A store with the cache of job `a`.
struct Store {
    spec: String,
    /// The path of its index.
    index: &'static str,
    plan: Box<dyn Fn(Plan)>,
    take_log: Box<dyn Fn() -> Vec<Logged>>,
}

fn stores() -> Vec<Store> {
    let s3 = Rc::new(s3::Server::start(s3::Options::default()));
    let azblob = Rc::new(azblob::Server::start(azblob::Options::default()));
    let s3_spec = format!(
        "type=s3,bucket={},region=eu-test-1,name=main,endpoint_url={},use_path_style=true,access_key_id={},\
         secret_access_key={}",
        s3::BUCKET,
        s3.endpoint(),
        s3::ACCESS_KEY,
        s3::SECRET_KEY
    );
    let azblob_spec = format!(
        "type=azblob,account_url={},account_name={},secret_access_key={},name=main",
        azblob.url(),
        azblob::ACCOUNT,
        base64(azblob::KEY)
    );
    let (s3_plans, azblob_plans) = (Rc::clone(&s3), Rc::clone(&azblob));
    vec![
        Store {
            spec: s3_spec,
            index: "manifests/main",
            plan: Box::new(move |plan| s3_plans.plan(plan)),
            take_log: Box::new(move || s3.take_log()),
        },
        Store {
            spec: azblob_spec,
            index: "manifests%2Fmain",
            plan: Box::new(move |plan| azblob_plans.plan(plan)),
            take_log: Box::new(move || azblob.take_log()),
        },
    ]
}

/// Runs the first writer up to its commit, lets job `c` write, and returns the outcome of the first one.
fn overtaken(sandbox: &Sandbox, store: &Store, args: &[&str]) -> Run {
    assert_eq!(sandbox.run(&["copy", "type=local,src=a", &store.spec]).code, 0);
    (store.take_log)();
    // The first commit is delayed by a second, which is enough for the other writer.
    (store.plan)(Plan::new(Method::PUT, store.index, Fault::Answer(503, Some(1), "")));
    let mut first = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let is_commit = |logged: &Logged| logged.method == Method::PUT && logged.path.contains(store.index);
    while !(store.take_log)().iter().any(is_commit) && first.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let second = sandbox.run(&["copy", "type=local,src=c", &store.spec]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    Run::from(first.wait_with_output().unwrap())
}

fn jobs() -> Sandbox {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    sandbox.add("v0.20/max-manifest", "b");
    sandbox.add("v0.12/max-docker", "c");
    sandbox
}

/// The number of records of a job that the store lacks.
fn lost(sandbox: &Sandbox, store: &Store, job: &str) -> u64 {
    let diff = sandbox.json(&["diff", &format!("type=local,src={job}"), &store.spec]);
    diff["a"]["onlyHere"]["records"].as_u64().unwrap()
}

#[test]
fn an_overtaken_conditional_writer_exits_6_and_changes_nothing() {
    for store in stores() {
        let sandbox = jobs();
        for args in [
            ["copy", "--if-unchanged", "type=local,src=b", &store.spec].as_slice(),
            &["merge", "type=local,src=b", "--to", &store.spec],
        ] {
            let run = overtaken(&sandbox, &store, args);
            assert_eq!(run.code, 6, "{args:?}: {}", run.stderr);
            assert_eq!(sandbox.run(&["diff", "type=local,src=c", &store.spec]).code, 0, "{args:?}");
        }
    }
}

#[test]
fn a_plain_copy_replaces_the_other_cache() {
    for store in stores() {
        let sandbox = jobs();
        let run = overtaken(&sandbox, &store, &["copy", "type=local,src=b", &store.spec]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(sandbox.run(&["diff", "type=local,src=b", &store.spec]).code, 0);
    }
}

#[test]
fn a_merge_that_publishes_keeps_both_caches() {
    for store in stores() {
        let sandbox = jobs();
        let run = overtaken(&sandbox, &store, &["merge", "type=local,src=b", "--to", &store.spec, "--publish"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!((lost(&sandbox, &store, "b"), lost(&sandbox, &store, "c")), (0, 0));
        assert_eq!(sandbox.run(&["verify", &store.spec]).code, 0);
    }
}
