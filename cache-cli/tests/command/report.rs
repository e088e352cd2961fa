//! `report`: the page it writes, and what it refuses.

use std::path::Path;

use crate::sandbox::{Sandbox, copy_dir};

#[test]
fn a_page_of_a_rebuild_has_its_causes() {
    let sandbox = Sandbox::empty();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/explain/source-file-changed");
    copy_dir(&fixture, &sandbox.path("."));
    let args = ["report", "type=local,src=old", "type=local,src=new", "--log", "new.rawjson", "-o", "report.html"];
    let run = sandbox.run(&args);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    let page = std::fs::read_to_string(sandbox.path("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    for text in [
        "files changed: src",
        "4 steps ran because of it",
        "[build 2/2] RUN sleep 1 &amp;&amp; cat src/* &gt; /app/out",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn every_cache_of_a_store_is_on_one_page() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["report", "--all", "--store", "--verify", "type=local,src=a", "-o", "-"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("that no cache reaches"));
}

#[test]
fn a_page_needs_a_file_and_other_verbs_take_none() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["report", "type=local,src=a"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("-o report.html"), "{}", run.stderr);
    let run = sandbox.run(&["inspect", "type=local,src=a", "-o", "yaml"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("expected table or json"), "{}", run.stderr);
    let run = sandbox.run(&["inspect", "type=local,src=a"]);
    assert!(
        run.stdout.ends_with("to look at it: buildcache report type=local,src=a -o report.html\n"),
        "{}",
        run.stdout
    );
}
