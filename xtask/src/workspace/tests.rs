//! Reads a made-up answer of `cargo metadata`; other tests use it as their workspace.

use serde_json::json;

use super::Workspace;

/// Core, two backends, the command line and the conformance tests.
pub(crate) fn sample() -> Workspace {
    let package = |name: &str, dir: &str, dependencies: &[&str]| {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|name| json!({"name": name, "kind": null, "req": "^0.1.0", "path": format!("/w/{name}")}))
            .collect();
        json!({
            "name": name, "manifest_path": format!("/w/{dir}/Cargo.toml"), "publish": null,
            "targets": [{"kind": ["lib"]}], "features": {"default": ["gzip"], "gzip": []}, "dependencies": dependencies,
        })
    };
    Workspace::from_metadata(&json!({
        "workspace_root": "/w", "target_directory": "/w/target",
        "packages": [
            package("cache-core", "cache-core", &[]),
            package("cache-local", "cache-local", &["cache-core"]),
            package("cache-s3", "cache-s3", &["cache-core"]),
            package("cache-cli", "cache-cli", &["cache-core", "cache-local", "cache-s3"]),
            package("cache-tests", "tests", &["cache-core", "cache-local", "cache-s3"]),
            package("xtask", "xtask", &[]),
        ],
    }))
}

#[test]
fn members_are_read_from_metadata() {
    let workspace = sample();
    let local = workspace.member("cache-local").unwrap();
    assert_eq!(local.dir.to_str(), Some("cache-local"));
    assert!(local.has_library && local.is_published);
    assert_eq!(local.features, ["default", "gzip"]);
    let core = &local.dependencies[0];
    assert!(core.name == "cache-core" && core.has_path && core.has_version && !core.is_dev);
}

#[test]
fn backends_are_the_crates_without_core_and_tools() {
    let names: Vec<_> = sample().backends().map(|member| member.backend().unwrap().to_owned()).collect();
    assert_eq!(names, ["local", "s3"]);
}

#[test]
fn an_unknown_crate_is_a_usage_failure_that_lists_the_members() {
    let failure = sample().scope(Some("cache-what")).err().unwrap();
    assert_eq!(failure.status(), crate::failure::USAGE);
    assert!(failure.to_string().contains("cache-core, cache-local"));
}
