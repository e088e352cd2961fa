//! `explain` of a build that BuildKit ran twice: what it prints, and what it refuses.

use std::fs;
use std::path::Path;

use crate::sandbox::{Sandbox, copy_dir};

/// A rebuild of `tests/fixtures/explain`.
fn rebuild(name: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/explain").join(name);
    copy_dir(&fixture, &sandbox.path("."));
    sandbox
}

const BOTH: [&str; 5] = ["explain", "type=local,src=old", "type=local,src=new", "--log", "new.rawjson"];

#[test]
fn the_cause_its_followers_and_the_time_are_in_both_forms() {
    let sandbox = rebuild("source-file-changed");
    let run = sandbox.run(&BOTH);
    assert_eq!(run.code, 0, "{}", run.stderr);
    for line in [
        "5 of 12 steps ran, 7 hit",
        "COPY src src  <- files changed: src",
        "4 steps ran because of it, 2.5s",
        "because of [build 1/2]",
        "2.6s  [build 1/2] 5 steps: files changed: src",
    ] {
        assert!(run.stdout.contains(line), "{line:?} is not in\n{}", run.stdout);
    }
    let found = sandbox.json(&BOTH);
    assert_eq!((&found["schema"], &found["isAllCached"]), (&"buildcache.explain/v1".into(), &false.into()));
    assert_eq!(found["causes"][0]["cause"], "files-changed");
    assert_eq!(found["causes"][0]["followers"].as_array().unwrap().len(), 4);
    let steps = found["steps"].as_array().unwrap();
    let first = usize::try_from(found["causes"][0]["step"].as_u64().unwrap()).unwrap();
    assert_eq!(steps[first]["name"], "[build 1/2] COPY src src");
    assert_eq!(steps[first]["miss"]["evidence"].as_array().unwrap().len(), 2);
}

#[test]
fn times_are_unknown_without_a_log() {
    let sandbox = rebuild("source-file-changed");
    let run = sandbox.run(&BOTH[..3]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!run.stdout.contains("0ms") && run.stdout.contains("4 steps ran because of it\n"), "{}", run.stdout);
    assert!(run.stdout.contains("\ncauses\n"), "{}", run.stdout);
    let found = sandbox.json(&BOTH[..3]);
    for seconds in [&found["times"]["wall"], &found["steps"][0]["seconds"], &found["causes"][0]["seconds"]] {
        assert!(seconds.is_null(), "{found}");
    }
}

#[test]
fn a_build_that_hit_everything_says_so() {
    let run = rebuild("nothing-changed").run(&BOTH);
    assert!(run.stdout.starts_with("every step hit: 12 steps"), "{}", run.stdout);
}

/// The fixtures have no layers, so that results are lost, which is then the cause.
#[test]
fn results_that_were_not_used_are_looked_for_in_the_store() {
    let found = rebuild("no-cache").json(&BOTH);
    assert_eq!(found["causes"][0]["cause"], "stored-but-lost");
    assert!(found["steps"][0]["miss"]["evidence"].as_array().unwrap().iter().all(|one| one["what"] == "lost blob"));
}

#[test]
fn a_build_that_wrote_no_cache_is_explained_from_its_log() {
    let sandbox = rebuild("lost-blob");
    let run = sandbox.run(&BOTH);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("causes are guessed from the log"), "{}", run.stderr);
    assert!(run.stdout.contains("<- its result is in the cache, and"), "{}", run.stdout);
}

#[test]
fn a_single_cache_beside_from_is_the_export_if_the_build_made_it() {
    let sandbox = rebuild("source-file-changed");
    let args = ["explain", "--from", "type=local,src=old", "type=local,src=new", "--log", "new.rawjson"];
    assert_eq!(sandbox.json(&args)["causes"][0]["cause"], "files-changed");
}

#[test]
fn a_store_is_searched_for_a_cache_that_has_it() {
    let sandbox = rebuild("source-file-changed");
    copy_dir(&sandbox.path("new"), &sandbox.path("store"));
    // The same cache with another digest, since the export itself is not searched.
    let args = [&BOTH[..], &["--search", "type=local,src=store"]].concat();
    assert_eq!(sandbox.json(&args)["causes"][0]["cause"], "files-changed");
    let args = ["explain", "type=local,src=old", "--log", "new.rawjson", "--search", "type=local,src=store"];
    assert_eq!(sandbox.run(&args).code, 0);
}

#[test]
fn what_cannot_be_explained_is_refused_with_what_to_do() {
    let sandbox = rebuild("nothing-changed");
    fs::write(sandbox.path("plain.log"), "#1 [internal] load build definition\n#1 DONE 0.0s\n").unwrap();
    let run = sandbox.run(&["explain", "type=local,src=old", "type=local,src=new", "--log", "plain.log"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("plain text") && run.stderr.contains("--progress=rawjson"), "{}", run.stderr);
    let run = sandbox.run(&["explain", "type=local,src=old"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("neither NEW nor --log"), "{}", run.stderr);
    assert_eq!(sandbox.run(&["explain", "type=local,src=old", "--log", "nowhere"]).code, 1);
}
