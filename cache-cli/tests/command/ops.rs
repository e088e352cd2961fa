//! The verbs that change or compare whole caches: what they write, their output and their exit codes.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use cache_local::{LocalConfig, LocalExporter};
use cache_ops::{ExportSettings, export};
use cache_tests::graphs;
use serde_json::Value;

use crate::sandbox::{Run, Sandbox};

/// Deletes the blob of the first result's top layer; returns its digest.
fn lose_a_layer(sandbox: &Sandbox, cache: &str) -> String {
    let inspection = sandbox.json(&["inspect", &format!("type=local,src={cache}")]);
    let records = inspection["records"].as_array().unwrap();
    let result = records.iter().find_map(|record| record["results"][0]["layer"].as_u64()).unwrap();
    let blob = inspection["layers"][usize::try_from(result).unwrap()]["blob"].as_str().unwrap().to_owned();
    fs::remove_file(sandbox.blob(cache, &blob)).unwrap();
    blob
}

/// The digest of the config of a cache.
fn config(sandbox: &Sandbox, cache: &str) -> String {
    let inspection = sandbox.json(&["inspect", &format!("type=local,src={cache}")]);
    inspection["config"]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn every_verb_has_a_versioned_document() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    sandbox.add("v0.32/max-zstd", "b");
    let verbs: [(&str, &[&str]); 5] = [
        ("repair", &["repair", "type=local,src=a"]),
        ("optimize", &["optimize", "type=local,src=a"]),
        ("merge", &["merge", "type=local,src=a", "type=local,src=b", "--to", "type=local,dest=c"]),
        ("diff", &["diff", "type=local,src=a", "type=local,src=b"]),
        ("graph", &["graph", "type=local,src=a"]),
    ];
    for (verb, args) in verbs {
        assert_eq!(sandbox.json(args)["schema"], format!("buildcache.{verb}/v1"));
    }
}

#[test]
fn a_lost_blob_is_repaired_in_place() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let lost = lose_a_layer(&sandbox, "a");
    assert_eq!(sandbox.run(&["verify", "--fast", "type=local,src=a"]).code, 3);
    let dry = sandbox.json(&["repair", "--dry-run", "type=local,src=a"]);
    assert_eq!((&dry["status"], &dry["findings"][0]["code"]), (&"dry-run".into(), &"blob-missing".into()));
    assert_eq!(sandbox.run(&["verify", "--fast", "type=local,src=a"]).code, 3);
    let run = sandbox.run(&["repair", "type=local,src=a"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains(&lost) && run.stdout.contains("dropped  result of sha256:"), "{}", run.stdout);
    assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 0);
    let again = sandbox.run(&["repair", "type=local,src=a"]);
    assert_eq!((again.code, &*again.stdout), (0, "sound: nothing to repair\n"));
}

#[test]
fn the_findings_of_all_shards_repair_a_cache_without_reading_it() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let lost = lose_a_layer(&sandbox, "a");
    let mut codes = Vec::new();
    for shard in ["1/2", "2/2"] {
        let run = sandbox.run(&["verify", "--shard", shard, "-o", "json", "type=local,src=a"]);
        let verified: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(verified["shard"], shard);
        codes.push((run.code, verified["blobs"].as_u64().unwrap()));
        fs::write(sandbox.path(&format!("{}.json", &shard[..1])), &run.stdout).unwrap();
    }
    // The lost blob is in one shard, and no blob is in both.
    let all = sandbox.json(&["verify", "type=local,src=a"])["blobs"].as_u64().unwrap();
    assert_eq!((codes.iter().filter(|(code, _)| *code == 3).count(), codes.iter().map(|(_, n)| n).sum()), (1, all));

    let one = sandbox.run(&["repair", "type=local,src=a", "--findings", "2.json"]);
    assert_eq!(one.code, 1);
    assert!(one.stderr.contains("these shards are missing: 1/2"), "{}", one.stderr);
    // The blob is not read, whatever its content now.
    fs::write(sandbox.blob("a", &lost), "back again, and wrong").unwrap();
    let dry = sandbox.run(&["repair", "--dry-run", "--findings", "1.json", "2.json", "type=local,src=a"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    let both = sandbox.json(&["repair", "type=local,src=a", "--findings", "1.json", "2.json"]);
    assert_eq!((&both["status"], &both["findings"][0]["code"]), (&"repaired".into(), &"blob-missing".into()));
    assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 0);
    let again = sandbox.run(&["repair", "type=local,src=a", "--findings", "1.json", "2.json"]);
    assert!(again.code == 1 && again.stderr.contains("about another cache"), "{}", again.stderr);
}

#[test]
fn repair_to_another_place_leaves_the_original_alone() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    lose_a_layer(&sandbox, "a");
    let before = fs::read(sandbox.path("a/index.json")).unwrap();
    assert_eq!(sandbox.run(&["repair", "--fast", "type=local,src=a", "--to", "type=local,dest=b"]).code, 0);
    assert_eq!(fs::read(sandbox.path("a/index.json")).unwrap(), before);
    assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 3);
    assert_eq!(sandbox.run(&["verify", "type=local,src=b"]).code, 0);
}

#[test]
fn a_truncated_config_is_unreadable_and_repair_names_rm() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let config = sandbox.blob("a", &config(&sandbox, "a"));
    let bytes = fs::read(&config).unwrap();
    fs::write(&config, &bytes[..bytes.len() / 2]).unwrap();
    let verification = sandbox.json(&["verify", "type=local,src=a"]);
    let codes: Vec<&Value> = verification["findings"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert_eq!(codes, ["blob-size-wrong", "config-unreadable"]);
    let run = sandbox.run(&["repair", "type=local,src=a"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("blob-size-wrong, config-unreadable: "), "{}", run.stderr);
    assert!(run.stderr.contains("buildcache rm --force type=local,src=a"), "{}", run.stderr);
    assert_eq!(sandbox.run(&["rm", "--force", "type=local,src=a"]).code, 0);
}

#[test]
fn repair_names_the_rm_that_deletes_a_cache_whose_manifest_is_lost_or_corrupt() {
    for (content, code) in [(None, "blob-missing: "), (Some("{"), "blob-corrupt: ")] {
        let sandbox = Sandbox::with("v0.32/max-manifest");
        let listed = sandbox.json(&["ls", "type=local,src=a"]);
        let manifest = sandbox.blob("a", listed["caches"][0]["digest"].as_str().unwrap());
        fs::remove_file(&manifest).unwrap();
        if let Some(content) = content {
            fs::write(&manifest, content).unwrap();
        }
        let run = sandbox.run(&["repair", "--fast", "type=local,src=a"]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains(code), "{}", run.stderr);
        let advice = run.stderr.lines().find_map(|line| line.split_once("buildcache ")).unwrap().1;
        let removed = sandbox.run(&advice.split(' ').collect::<Vec<_>>());
        assert_eq!(removed.code, 0, "{advice}: {}", removed.stderr);
        assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 4);
    }
}

#[test]
fn repair_advises_no_rm_of_an_image() {
    let sandbox = Sandbox::with("v0.32/inline-image");
    let listed = sandbox.json(&["ls", "type=local,src=a"]);
    let manifest = fs::read(sandbox.blob("a", listed["caches"][0]["digest"].as_str().unwrap())).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    fs::remove_file(sandbox.blob("a", manifest["config"]["digest"].as_str().unwrap())).unwrap();
    let run = sandbox.run(&["repair", "type=local,src=a", "--to", "type=local,dest=b"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("blob-missing: ") && !run.stderr.contains("buildcache rm"), "{}", run.stderr);
}

#[test]
fn an_image_is_not_changed_in_place() {
    let sandbox = Sandbox::with("v0.32/inline-image");
    let before = fs::read(sandbox.path("a/index.json")).unwrap();
    for verb in ["repair", "optimize"] {
        let run = sandbox.run(&[verb, "type=local,src=a"]);
        assert_eq!(run.code, 2, "{verb}: {}", run.stderr);
        assert!(run.stderr.contains("hint: --to writes an ordinary cache somewhere else"), "{verb}: {}", run.stderr);
    }
    assert_eq!(fs::read(sandbox.path("a/index.json")).unwrap(), before);
    assert_eq!(sandbox.run(&["repair", "type=local,src=a", "--to", "type=local,dest=b"]).code, 0);
    assert_eq!(sandbox.run(&["verify", "type=local,src=b"]).code, 0);
}

#[test]
fn a_merge_does_not_depend_on_the_order_of_its_sources() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    sandbox.add("v0.20/max-manifest", "b");
    let merge = |first: &str, second: &str, to: &str| {
        let (first, second) = (format!("type=local,src={first}"), format!("type=local,src={second}"));
        let run = sandbox.run(&["merge", "-q", &first, &second, "--to", &format!("type=local,dest={to}")]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout
    };
    assert_eq!(merge("a", "b", "c"), merge("b", "a", "d"));
    assert_eq!(sandbox.run(&["verify", "type=local,src=c"]).code, 0);
    for part in ["a", "b"] {
        let diff = sandbox.json(&["diff", &format!("type=local,src={part}"), "type=local,src=c"]);
        assert_eq!(diff["a"]["onlyHere"]["records"], 0, "{part}");
    }
}

#[test]
fn jobs_that_publish_at_once_lose_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let fixtures = ["v0.32/max-manifest", "v0.20/max-manifest", "v0.12/max-docker", "v0.8/max-index"];
    for (n, fixture) in fixtures.iter().enumerate() {
        sandbox.add(fixture, &format!("job{n}"));
    }
    let publish = |n: usize| {
        let args = ["merge", &format!("type=local,src=job{n}"), "--to", "type=local,dest=shared", "--publish"];
        sandbox.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let jobs: Vec<_> = (0..fixtures.len()).map(publish).collect();
    for job in jobs {
        let run = Run::from(job.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    assert_eq!(sandbox.run(&["verify", "type=local,src=shared"]).code, 0);
    for n in 0..fixtures.len() {
        let diff = sandbox.json(&["diff", &format!("type=local,src=job{n}"), "type=local,src=shared"]);
        assert_eq!(diff["a"]["onlyHere"]["records"], 0, "{n}");
    }
}

/// Makes a cache whose config has two thirds of the size that BuildKit imports.
fn insert_large(sandbox: &Sandbox, name: &str, seed: u64) {
    let shape = graphs::Shape { records: 5_000, depth: 6, results: 4, layer_bytes: 100 };
    let cache = graphs::cache_of(seed, shape);
    let exporter = LocalExporter::new(LocalConfig::new(sandbox.path(name)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = ExportSettings::default();
    runtime.block_on(export(&cache.manifest, &cache.blobs, &exporter, &settings)).unwrap();
}

#[test]
fn a_merge_that_buildkit_cannot_import_is_refused_without_a_size_limit() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    insert_large(&sandbox, "b", 1);
    insert_large(&sandbox, "c", 2);
    let before = fs::read(sandbox.path("b/index.json")).unwrap();
    let publish = ["merge", "type=local,src=c", "--to", "type=local,dest=b", "--publish"];
    let merge = ["merge", "type=local,src=b", "type=local,src=c", "--to", "type=local,dest=d"];
    for args in [&merge[..], &publish] {
        let run = sandbox.run(args);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains("--max-config-size") && run.stderr.contains("optimize"), "{}", run.stderr);
    }
    assert_eq!(fs::read(sandbox.path("b/index.json")).unwrap(), before);
    assert!(!sandbox.path("d").join("index.json").exists());
    let told = [&publish[..], &["--max-config-size", "900KiB"]].concat();
    let run = sandbox.run(&told);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.run(&["verify", "--fast", "type=local,src=b"]).code, 0);
}

#[test]
#[cfg(unix)]
fn a_merge_that_was_overtaken_exits_6_and_publish_does_not() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    sandbox.add("v0.32/max-manifest", "b");
    sandbox.add("v0.20/max-manifest", "c");
    let lock = fs::File::create(sandbox.path("b/index.json.lock")).unwrap();
    lock.lock().unwrap();
    let merge = ["merge", "type=local,src=c", "--to", "type=local,dest=b"];
    let mut child = sandbox.command(&merge).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let blobs = |cache: &str| fs::read_dir(sandbox.path(cache).join("blobs/sha256")).map_or(0, Iterator::count);
    let before = blobs("b");
    while blobs("b") == before && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let theirs = fs::read_to_string(sandbox.path("b/index.json")).unwrap().replace("sha256:5", "sha256:6");
    fs::write(sandbox.path("b/index.json"), &theirs).unwrap();
    lock.unlock().unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 6, "{}", run.stderr);
    assert!(run.stderr.contains("hint: --publish merges with what is there and tries again"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(sandbox.path("b/index.json")).unwrap(), theirs);
}

#[test]
fn a_config_is_made_as_small_as_asked_for() {
    let sandbox = Sandbox::with("v0.32/generations");
    let run = sandbox.json(&["optimize", "--dry-run", "--max-config-size", "3KiB", "type=local,src=a"]);
    assert_eq!(run["status"], "dry-run");
    assert!(run["after"]["configSize"].as_u64().unwrap() <= 3072);
    assert!(!run["dropped"].as_array().unwrap().is_empty());
    let run = sandbox.run(&["optimize", "--max-config-size", "3KiB", "type=local,src=a", "--to", "type=local,dest=b"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(fs::metadata(sandbox.blob("b", &config(&sandbox, "b"))).unwrap().len() <= 3072);
    assert_eq!(sandbox.run(&["verify", "type=local,src=b"]).code, 0);
    let run = sandbox.run(&["optimize", "--max-config-size", "9", "type=local,src=a"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
}

#[test]
fn what_cannot_be_made_smaller_stays_as_it_is() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let before = fs::read(sandbox.path("a/index.json")).unwrap();
    let run = sandbox.run(&["optimize", "type=local,src=a"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.ends_with("unchanged: it cannot be made smaller\n"), "{}", run.stdout);
    assert_eq!(fs::read(sandbox.path("a/index.json")).unwrap(), before);
}

#[test]
fn optimize_recompresses_on_request() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let before = fs::read(sandbox.path("a/index.json")).unwrap();
    let zstd = &["--compression", "zstd", "--force-compression", "type=local,src=a"];
    let dry = sandbox.json(&[&["optimize", "--dry-run"], &zstd[..]].concat());
    assert!(dry["status"] == "dry-run" && dry["converted"].as_u64().unwrap() > 0, "{dry}");
    assert_eq!(fs::read(sandbox.path("a/index.json")).unwrap(), before);
    let run = sandbox.json(&[&["optimize"], &zstd[..]].concat());
    assert!(run["status"] == "optimized" && run["converted"] == dry["converted"], "{run}");
    let inspection = sandbox.json(&["inspect", "type=local,src=a"]);
    let layers = inspection["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["mediaType"].as_str().unwrap().ends_with("+zstd")), "{inspection}");
    let blobs: BTreeMap<_, _> =
        layers.iter().map(|layer| (layer["blob"].as_str(), layer["size"].as_u64().unwrap())).collect();
    assert_eq!(run["after"]["bytes"].as_u64(), Some(blobs.values().sum()));
    assert_eq!(sandbox.run(&["verify", "type=local,src=a"]).code, 0);
    let again = sandbox.json(&[&["optimize"], &zstd[..]].concat());
    assert!(again["status"] == "unchanged" && again["manifest"].is_null(), "{again}");
}

#[test]
fn diff_exits_3_when_the_caches_differ() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    sandbox.add("v0.32/min-manifest", "b");
    let same = sandbox.run(&["diff", "type=local,src=a", "type=local,src=a"]);
    assert_eq!((same.code, &*same.stdout), (0, "the caches are the same\n"));
    let run = sandbox.run(&["diff", "type=local,src=a", "type=local,src=b"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stdout.starts_with("ONLY IN"), "{}", run.stdout);
}

#[test]
fn a_graph_is_drawn_in_every_form() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let inspection = sandbox.json(&["inspect", "type=local,src=a"]);
    let (records, layers) = (inspection["records"].as_array().unwrap(), inspection["layers"].as_array().unwrap());
    let tree = sandbox.run(&["graph", "type=local,src=a"]);
    assert_eq!(tree.stdout.lines().filter(|line| line.contains("* layer ")).count(), layers.len(), "{}", tree.stdout);
    let drawn = tree.stdout.lines().filter(|line| line.contains("- ") && !line.contains("(above)")).count();
    assert_eq!(drawn, records.len(), "{}", tree.stdout);
    let dot = sandbox.run(&["graph", "-o", "dot", "type=local,src=a"]);
    assert!(dot.stdout.starts_with("digraph cache {\n") && dot.stdout.ends_with("}\n"), "{}", dot.stdout);
    let json = sandbox.json(&["graph", "type=local,src=a"]);
    assert_eq!(json["records"].as_array().unwrap().len(), records.len());
    let other = sandbox.run(&["inspect", "-o", "dot", "type=local,src=a"]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("-o dot is for graph"), "{}", other.stderr);
}

#[test]
fn usage_errors_of_writing_verbs_exit_2_and_write_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let cases = [
        (&["merge", "type=local,src=a"][..], "--to"),
        (&["merge", "type=local,src=a", "--to", "type=inline,image=a"], "takes no merged cache"),
        (&["merge", "type=local,src=a", "--to", "type=local,dest=b,ignore-error=true"], "ignore-error"),
        (&["merge", "type=local,src=a", "--to", "type=local,dest=b,mode=all"], "expected min or max"),
        (&["merge", "type=local,src=a", "--to", "type=local,dest=b,compression=zstd"], "for copy and optimize"),
        (&["repair", "type=local,src=a", "--to", "type=local,dest=b,compression=zstd"], "for copy and optimize"),
        (&["optimize", "--max-config-size", "big", "type=local,src=a"], "like 2GB or 512MiB"),
        (
            &["optimize", "--compression", "gzip", "type=local,src=a", "--to", "type=local,dest=b,compression=zstd"],
            "contradicts",
        ),
        (&["repair", "--findings", "1.json", "2.json"], "hint: SPEC goes before --findings"),
        (&["diff", "type=local,src=a"], "<B>"),
    ];
    for (args, expected) in cases {
        let run = sandbox.run(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
    }
    assert!(!sandbox.path("b").exists());
}

#[test]
fn no_cache_exits_4() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let cases = [
        &["repair", "type=local,src=x"][..],
        &["optimize", "type=local,src=x"],
        &["merge", "type=local,src=a", "type=local,src=x", "--to", "type=local,dest=b"],
        &["diff", "type=local,src=a", "type=local,src=x"],
        &["graph", "type=local,src=x"],
    ];
    for args in cases {
        assert_eq!(sandbox.run(args).code, 4, "{args:?}");
    }
    assert!(!sandbox.path("x").exists());
}

#[test]
fn a_copy_of_a_cache_with_several_leaves_names_optimize_which_joins_them() {
    let sandbox = Sandbox::with("v0.32/two-platforms");
    let warning = "optimize makes all of it findable";
    let copy = sandbox.run(&["copy", "type=local,src=a", "type=local,dest=b"]);
    assert!(copy.code == 0 && copy.stderr.contains(warning), "{}", copy.stderr);
    assert_eq!(config(&sandbox, "b"), config(&sandbox, "a"));
    let verification = sandbox.json(&["verify", "type=local,src=b"]);
    assert_eq!(verification["findings"][0]["code"], "several-leaves");
    assert_eq!(sandbox.run(&["verify", "type=local,src=b"]).code, 0);

    assert_eq!(sandbox.run(&["optimize", "type=local,src=b"]).code, 0);
    let mended = sandbox.run(&["copy", "type=local,src=b", "type=local,dest=c"]);
    assert!(mended.code == 0 && !mended.stderr.contains(warning), "{}", mended.stderr);
    let all = sandbox.run(&["inspect", "type=local,src=c"]);
    assert!(all.stdout.contains("one more record joins the leaves"), "{}", all.stdout);
    let totals = |cache: &str| sandbox.json(&["inspect", &format!("type=local,src={cache}")])["totals"].clone();
    assert_eq!(totals("c"), totals("a"));
    let same = sandbox.run(&["diff", "type=local,src=a", "type=local,src=c"]);
    assert_eq!(same.code, 0, "{}", same.stdout);
}
