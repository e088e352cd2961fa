//! Directories that BuildKit has left torn: an entry for a missing manifest, and a whole cache without an entry.

use std::fs;

use crate::sandbox::{Sandbox, files};

/// The manifest in the directory that `index.json` does not name.
const UNNAMED: &str = "sha256:66e18032a5d3dbd995bec8154495a407b6e521ba4302cdeac48499a5713ab294";

fn torn() -> Sandbox {
    Sandbox::with("../torn/max")
}

#[test]
fn verify_says_that_something_can_be_saved() {
    let run = torn().run(&["verify", "type=local,src=a"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("repair") && !run.stderr.contains("rm "), "{}", run.stderr);
}

#[test]
fn nothing_is_pruned_while_an_entry_names_an_absent_manifest() {
    let sandbox = torn();
    let before = files(&sandbox.path("a"));
    for args in [&["prune", "-f", "--grace", "1ns"][..], &["prune", "--dry-run", "--grace", "1ns"]] {
        let run = sandbox.run(&[args, &["type=local,src=a"]].concat());
        assert_eq!(run.code, 1, "{}", run.stdout);
        assert!(run.stderr.contains("does not exist") && run.stderr.contains("hint: repair"), "{}", run.stderr);
    }
    assert_eq!(files(&sandbox.path("a")), before);
}

#[test]
fn repair_points_the_name_to_the_unnamed_manifest() {
    let sandbox = torn();
    let before = files(&sandbox.path("a"));
    let offered = sandbox.json(&["repair", "--dry-run", "type=local,src=a"]);
    assert_eq!((offered["status"].as_str(), offered["instead"]["digest"].as_str()), (Some("dry-run"), Some(UNNAMED)));
    assert_eq!(files(&sandbox.path("a")), before);
    let repaired = sandbox.json(&["repair", "type=local,src=a"]);
    assert_eq!(
        (repaired["status"].as_str(), repaired["manifest"]["digest"].as_str()),
        (Some("repaired"), Some(UNNAMED))
    );
    assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 0);
    assert_eq!(sandbox.run(&["prune", "-f", "type=local,src=a"]).code, 0);
    let blobs =
        |files: &[(std::path::PathBuf, Vec<u8>)]| files.iter().filter(|file| file.0.starts_with("blobs")).count();
    assert_eq!(blobs(&files(&sandbox.path("a"))), blobs(&before));
}

#[test]
fn a_repair_to_another_place_leaves_the_directory_as_it_is() {
    let sandbox = torn();
    let before = files(&sandbox.path("a"));
    assert_eq!(sandbox.run(&["repair", "type=local,src=a", "--to", "type=local,dest=b"]).code, 0);
    assert_eq!(files(&sandbox.path("a")), before);
    assert_eq!(sandbox.run(&["verify", "type=local,src=b"]).code, 0);
}

#[test]
fn no_verb_advises_rm_while_something_can_be_saved() {
    let sandbox = torn();
    for args in [
        &["copy", "type=local,src=a", "type=local,dest=b"][..],
        &["inspect", "type=local,src=a"],
        &["optimize", "type=local,src=a"],
        &["du", "type=local,src=a"],
        &["rm", "-f", "type=local,src=a"],
        &["rm", "-f", "--blobs", "type=local,src=a"],
    ] {
        let run = sandbox.run(args);
        assert!(!run.stderr.contains("buildcache rm") && !run.stderr.contains("with rm"), "{args:?}: {}", run.stderr);
    }
    let index = fs::read_to_string(sandbox.path("a/index.json")).unwrap();
    assert!(index.contains("latest"), "rm deletes no name that leads to nothing unless that is asked for");
}

#[test]
fn a_directory_with_an_entry_of_its_own_manifest_is_sound() {
    let sandbox = Sandbox::with("../torn/min");
    assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 0);
}
