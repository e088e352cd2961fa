//! The recipes for GitHub Actions.

use std::collections::BTreeMap;
use std::fs;

use cache_tests::servers::registry::Options;
use serde_json::{Value, json};

use super::places::Places;
use super::runner::Runner;
use super::{recipe, yaml};
use crate::sandbox::Sandbox;

/// Whether a real BuildKit builds, and not the stand-in.
fn is_buildkit_real() -> bool {
    std::env::var_os("BUILDKIT_HOST").is_some()
}

/// A runner with these places instead of those in the recipe.
fn runner(places: &[(&str, String)]) -> Runner {
    let mut runner = Runner::new();
    runner.places = places.iter().map(|(name, place)| ((*name).to_owned(), place.clone())).collect();
    super::action::install(&mut runner);
    runner
}

/// The number of records of a cache that another one lacks.
fn lacking(sandbox: &Sandbox, spec: &str, of: &str) -> u64 {
    sandbox.json(&["diff", spec, of])["a"]["onlyHere"]["records"].as_u64().unwrap()
}

/// A sandbox with the caches that the stand-in for docker writes.
fn builds() -> Sandbox {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    sandbox.add("v0.20/max-manifest", "b");
    sandbox.add("v0.12/max-index", "c");
    sandbox
}

fn is_sound(sandbox: &Sandbox, spec: &str) {
    let run = sandbox.run(&["verify", spec]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
}

#[test]
fn the_jobs_of_a_matrix_lose_nothing_of_each_other() {
    let (places, sandbox) = (Places::new(), builds());
    runner(&[("CACHE", places.registry())]).workflow(&yaml(&recipe("matrix.yml")));
    is_sound(&sandbox, &places.registry());
    if !is_buildkit_real() {
        for leg in ["a", "b", "c"] {
            assert_eq!(lacking(&sandbox, &format!("type=local,src={leg}"), &places.registry()), 0, "{leg}");
        }
    }
}

#[test]
fn a_cache_that_has_lost_a_blob_is_repaired_before_a_build() {
    let sandbox = Sandbox::empty();
    let runner = runner(&[("CACHE", format!("type=local,src={}", sandbox.path("cache").display()))]);
    let mut workflow = yaml(&recipe("verify-before-build.yml"));
    runner.workflow(&workflow);
    is_sound(&sandbox, "type=local,src=cache");

    // A layer without a child: without the lowest one nothing would be left.
    let layers = sandbox.json(&["inspect", "type=local,src=cache"])["layers"].as_array().unwrap().clone();
    let is_top = |layer: &&Value| layers.iter().all(|other| other["parent"] != layer["index"]);
    let layer = layers.iter().find(is_top).unwrap()["blob"].as_str().unwrap();
    fs::remove_file(sandbox.blob("cache", layer)).unwrap();
    assert_eq!(sandbox.run(&["verify", "--fast", "type=local,src=cache"]).code, 3);
    // The build would write the blob again.
    let steps = workflow["jobs"]["build"]["steps"].as_array_mut().unwrap();
    steps.retain(|step| step["name"] != "Build");
    runner.workflow(&workflow);
    is_sound(&sandbox, "type=local,src=cache");

    // If nothing is left to repair, the build continues without a cache.
    for layer in sandbox.json(&["inspect", "type=local,src=cache"])["layers"].as_array().unwrap() {
        fs::remove_file(sandbox.blob("cache", layer["blob"].as_str().unwrap())).unwrap();
    }
    runner.workflow(&workflow);
    assert_eq!(sandbox.run(&["verify", "type=local,src=cache"]).code, 4);
}

#[test]
fn a_cache_that_has_lost_its_manifest_is_removed_before_a_build() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let listed = sandbox.json(&["ls", "type=local,src=a"]);
    fs::remove_file(sandbox.blob("a", listed["caches"][0]["digest"].as_str().unwrap())).unwrap();
    mend(&sandbox);
    assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 4);
}

#[test]
fn an_image_in_place_of_the_cache_is_never_removed() {
    let sandbox = Sandbox::with("v0.32/inline-image");
    let image = sandbox.json(&["inspect", "type=local,src=a"]);
    fs::remove_file(sandbox.blob("a", image["layers"][0]["blob"].as_str().unwrap())).unwrap();
    assert_eq!(sandbox.run(&["verify", "--fast", "type=local,src=a"]).code, 3);
    mend(&sandbox);
    assert_eq!(sandbox.run(&["verify", "--fast", "type=local,src=a"]).code, 3);
}

/// Runs the recipe on the directory `a`, without its build, which would write the cache again.
fn mend(sandbox: &Sandbox) {
    let mut workflow = yaml(&recipe("verify-before-build.yml"));
    let steps = workflow["jobs"]["build"]["steps"].as_array_mut().unwrap();
    steps.retain(|step| step["name"] != "Build");
    runner(&[("CACHE", format!("type=local,src={}", sandbox.path("a").display()))]).workflow(&workflow);
}

#[test]
fn a_nightly_prune_keeps_what_it_is_told_to_keep() {
    let (places, sandbox) = (Places::new(), builds());
    let main = format!("{},name=main", places.bucket());
    assert_eq!(sandbox.run(&["copy", "type=local,src=a", &main]).code, 0);
    let runner = runner(&[("STORE", places.bucket())]);
    runner.workflow(&yaml(&recipe("prune.yml")));
    let plan: Value = serde_json::from_slice(&fs::read(runner.path("work/plan.json")).unwrap()).unwrap();
    assert_eq!(plan["schema"], "buildcache.prune-plan/v1");
    is_sound(&sandbox, &main);
    assert!(fs::read_to_string(runner.path("summary")).unwrap().contains("main"));
}

#[test]
fn the_cache_of_a_merged_branch_is_added_to_main_and_deleted() {
    let (places, sandbox) = (Places::new(), builds());
    promote(&places);
    is_sound(&sandbox, &places.registry());
    assert_eq!(sandbox.run(&["inspect", &format!("{}:pr-7", places.repository())]).code, 4);
}

#[test]
fn the_tag_of_a_merged_branch_stays_where_it_would_take_main_with_it() {
    let (places, sandbox) = (Places::with(Options { deletes_tags: false, ..Options::default() }), builds());
    promote(&places);
    is_sound(&sandbox, &places.registry());
    assert_eq!(sandbox.run(&["inspect", &format!("{}:pr-7", places.repository())]).code, 0);
}

/// Opens a pull request, and merges it.
fn promote(places: &Places) {
    let mut runner = runner(&[("REPOSITORY", places.repository())]);
    let workflow = yaml(&recipe("promote.yml"));
    for (action, is_merged) in [("opened", false), ("closed", true)] {
        runner.contexts["github"]["event"] =
            json!({ "action": action, "number": 7, "pull_request": { "merged": is_merged } });
        runner.workflow(&workflow);
    }
}

#[test]
fn a_cache_of_github_actions_moves_into_a_bucket() {
    let (places, sandbox) = (Places::new(), builds());
    let variables: BTreeMap<&str, String> = places.runtime().into();
    let mut copy = sandbox.command(&["copy", "type=local,src=a", "type=gha,scope=app"]);
    assert!(copy.envs(&variables).output().unwrap().status.success());

    let destination = format!("{},name=main", places.bucket());
    let mut runner = runner(&[("DESTINATION", destination.clone())]);
    runner.runtime = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    runner.workflow(&yaml(&recipe("gha-to-s3.yml")));
    is_sound(&sandbox, &destination);
    assert_eq!(lacking(&sandbox, "type=local,src=a", &destination), 0);
}

#[test]
fn a_config_is_kept_below_what_buildkit_imports() {
    let (places, sandbox) = (Places::new(), builds());
    assert_eq!(sandbox.run(&["copy", "type=local,src=a", &places.registry()]).code, 0);
    runner(&[("CACHE", places.registry())]).workflow(&yaml(&recipe("shrink.yml")));
    is_sound(&sandbox, &places.registry());
}

#[test]
fn platforms_share_one_cache_without_several_leaves() {
    let (places, sandbox) = (Places::new(), builds());
    runner(&[("CACHE", places.registry())]).workflow(&yaml(&recipe("multi-platform.yml")));
    let verified = sandbox.json(&["verify", &places.registry()]);
    assert_eq!((&verified["sound"], &verified["warnings"]), (&json!(true), &json!(0)), "{verified}");
}

#[test]
fn a_runner_without_a_network_gets_its_cache_as_an_artifact() {
    let (places, sandbox) = (Places::new(), builds());
    assert_eq!(sandbox.run(&["copy", "type=local,src=b", &places.registry()]).code, 0);
    runner(&[("CACHE", places.registry())]).workflow(&yaml(&recipe("offline.yml")));
    is_sound(&sandbox, &places.registry());
    if !is_buildkit_real() {
        assert_eq!(lacking(&sandbox, "type=local,src=a", &places.registry()), 0);
    }
    assert_eq!(lacking(&sandbox, "type=local,src=b", &places.registry()), 0);
}
