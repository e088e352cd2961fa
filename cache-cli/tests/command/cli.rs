//! The contract of the command line: exit codes, messages, and what goes to which stream.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::sandbox::{Run, Sandbox, copy_dir, files};

/// Damages a file.
type Damage = fn(&Path);

/// The digest of the first layer of `a`.
fn layer(sandbox: &Sandbox) -> String {
    let inspection = sandbox.json(&["inspect", "type=local,src=a"]);
    inspection["layers"][0]["blob"].as_str().unwrap().to_owned()
}

#[test]
fn a_copy_has_the_same_bytes() {
    for fixture in ["v0.8/max-index", "v0.12/max-docker", "v0.32/max-manifest"] {
        let sandbox = Sandbox::with(fixture);
        assert_eq!(sandbox.run(&["copy", "type=local,src=a", "type=local,dest=b"]).code, 0, "{fixture}");
        assert_eq!(files(&sandbox.path("a/blobs")), files(&sandbox.path("b/blobs")), "{fixture}");
    }
}

#[test]
fn copying_onto_itself_changes_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let before = files(&sandbox.path("a"));
    assert_eq!(sandbox.run(&["cp", "type=local,src=a", "type=local,dest=a"]).code, 0);
    assert_eq!(files(&sandbox.path("a")), before);
}

#[test]
fn quiet_prints_one_digest_and_nothing_else() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    for args in [&["copy", "-q", "type=local,src=a", "type=local,dest=b"][..], &["verify", "-q", "type=local,src=b"]] {
        let run = sandbox.run(args);
        assert_eq!((run.code, &*run.stderr), (0, ""));
        assert!(run.stdout.starts_with("sha256:") && run.stdout.len() == 72, "{}", run.stdout);
    }
}

#[test]
fn every_verb_has_a_versioned_document() {
    let sandbox = Sandbox::with("v0.32/generations");
    let verbs: [(&str, &[&str]); 8] = [
        ("inspect", &["inspect", "type=local,src=a"]),
        ("ls", &["ls", "type=local,src=a"]),
        ("du", &["du", "type=local,src=a", "type=local,src=a,tag=release"]),
        ("verify", &["verify", "type=local,src=a"]),
        ("copy", &["copy", "type=local,src=a", "type=local,dest=b"]),
        ("prune-plan", &["prune", "--dry-run", "type=local,src=b"]),
        ("prune", &["prune", "-f", "type=local,src=b"]),
        ("rm", &["rm", "-f", "--blobs", "type=local,src=b"]),
    ];
    for (verb, args) in verbs {
        assert_eq!(sandbox.json(args)["schema"], format!("buildcache.{verb}/v1"));
    }
}

#[test]
fn no_escape_sequence_reaches_a_pipe() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    for args in [&["--help"][..], &["inspct"], &["copy", "type=local,src=a", "type=local,dest=b"], &["rm", "x=y"]] {
        let run = sandbox.run(args);
        assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{args:?}");
    }
}

#[test]
fn usage_errors_exit_2_and_say_what_is_known() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let copy = |destination: &'static str| ["copy", "type=local,src=a", destination];
    let cases = [
        (&["inspct", "type=local,src=a"][..], "'inspect'"),
        (&["inspect", "type=local,src=a,digets=x"], "hint: did you mean digest?"),
        (&["inspect", "type=ftp,host=x"], "built-in="),
        (&["inspect", "type=LOCAL,src=a"], "hint: did you mean type=local?"),
        (&["inspect", "type=local src=a"], "hint: commas divide the attributes"),
        (&["inspect", "a/index.json"], "hint: did you mean type=local,src=a?"),
        (&["ls", "127.0.0.1:5000"], "hint: name a repository of it: 127.0.0.1:5000/REPOSITORY:TAG"),
        (&["ls", "src=a"], "error: type required for \"src=a\""),
        (&copy("type=local,dest=b,mode=MAX"), "expected min or max"),
        (&copy("type=inline"), "type=inline requires image"),
        (&["copy", "--dry-run", "type=local,src=a", "type=inline,image=a"], "another tag of the registry"),
        (
            &["inspect", "type=inline,image=a"],
            "type=inline is export-only; use type=registry or type=local with the image",
        ),
        (&copy("type=local,dest=b,compression=lz4"), "error: destination: unsupported compression type lz4"),
        (&copy("type=local,dest=b,compression=zstd,compression-level=99"), "hint: use -7 to 22"),
        (&["copy", "--compression", "lz4", "type=local,src=a", "type=local,dest=b"], "possible values"),
        (&["copy", "--compression", "zstd", "type=local,src=a", "type=local,dest=b,compression=gzip"], "contradicts"),
        (&["copy", "--all", "type=local,src=a", "type=inline,image=b"], "one of azblob, gha, local, registry, s3"),
        (&["copy", "--mode", "max", "type=local,src=a", "type=local,dest=b,mode=min"], "contradicts"),
        (&["rm", "type=local,src=a"], "hint: -f deletes without asking"),
        (&["ls", "--timeout", "5", "type=local,src=a"], "like 90s, 1h30m or 7d"),
    ];
    for (args, expected) in cases {
        let run = sandbox.run(args);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
    }
    assert!(!sandbox.path("b").exists());
}

#[test]
fn an_unknown_attribute_is_a_warning_when_asked() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["ls", "--ignore-unknown", "type=local,src=a,digets=x"]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("warning: attribute digets is ignored"), "{}", run.stderr);
}

#[test]
fn no_cache_exits_4_and_creates_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let cases = [
        &["inspect", "type=local,src=x"][..],
        &["verify", "type=local,src=a,tag=x"],
        &["copy", "type=local,src=x", "type=local,dest=b"],
        &["ls", "type=local,src=x"],
        &["du", "type=local,src=a", "type=local,src=x"],
        &["rm", "-f", "type=local,src=a,tag=x"],
    ];
    for args in cases {
        let run = sandbox.run(args);
        assert_eq!(run.code, 4, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("no cache at type=local,src="), "{args:?}: {}", run.stderr);
    }
    assert!(!sandbox.path("x").exists() && !sandbox.path("b").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_refusal_of_the_file_system_exits_5() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["copy", "type=local,src=a", "type=local,dest=/sys/buildcache"]);
    assert_eq!(run.code, 5, "{}", run.stderr);
    assert!(run.stderr.contains("error: destination: "), "{}", run.stderr);
}

/// Holds the lock of `b`, so that no other writer can commit there.
#[cfg(unix)]
fn lock(sandbox: &Sandbox) -> fs::File {
    fs::create_dir(sandbox.path("b")).unwrap();
    let lock = fs::File::create(sandbox.path("b/index.json.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

/// A writer that has pushed every blob to `b` and waits for the lock.
#[cfg(unix)]
fn waiting(sandbox: &Sandbox, args: &[&str]) -> std::process::Child {
    let mut child = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let blobs = fs::read_dir(sandbox.path("a/blobs/sha256")).unwrap().count();
    let pushed = || fs::read_dir(sandbox.path("b/blobs/sha256")).map_or(0, Iterator::count);
    while pushed() < blobs && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child
}

#[test]
#[cfg(unix)]
fn a_conflict_exits_6_and_keeps_the_other_cache() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let lock = lock(&sandbox);
    let child = waiting(&sandbox, &["copy", "--if-unchanged", "type=local,src=a", "type=local,dest=b"]);
    let theirs = fs::read_to_string(sandbox.path("a/index.json")).unwrap().replace("sha256:5", "sha256:6");
    fs::write(sandbox.path("b/index.json"), &theirs).unwrap();
    lock.unlock().unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 6, "{}", run.stderr);
    assert_eq!(fs::read_to_string(sandbox.path("b/index.json")).unwrap(), theirs);
}

#[test]
#[cfg(unix)]
fn an_interrupt_exits_130_and_leaves_no_cache() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let _lock = lock(&sandbox);
    let child = waiting(&sandbox, &["copy", "type=local,src=a", "type=local,dest=b"]);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130, "{}", run.stderr);
    assert!(!sandbox.path("b/index.json").exists());
}

#[test]
#[cfg(unix)]
fn a_command_that_takes_too_long_exits_1() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let _lock = lock(&sandbox);
    let run = sandbox.run(&["copy", "--timeout", "300ms", "type=local,src=a", "type=local,dest=b"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("error: not done after 0.3s"), "{}", run.stderr);
}

#[test]
fn the_other_destinations_finish_when_one_fails() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    fs::write(sandbox.path("file"), "").unwrap();
    let copy = ["copy", "type=local,src=a", "type=local,dest=file/b", "type=local,dest=c"];
    let run = sandbox.run(&copy);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(sandbox.run(&["verify", "type=local,src=c"]).code, 0);
    let ignored = sandbox.run(&["copy", "type=local,src=a", "type=local,dest=file/b,ignore-error=true"]);
    assert_eq!(ignored.code, 0);
    assert!(ignored.stderr.contains("warning: destination: "), "{}", ignored.stderr);
}

#[test]
fn every_cache_of_a_store_is_copied_under_its_name() {
    let sandbox = Sandbox::with("v0.20/generations");
    assert_eq!(sandbox.run(&["copy", "--all", "type=local,src=a", "type=local,dest=b"]).code, 0);
    let list = |dir: &str| {
        let listing = sandbox.json(&["ls", &format!("type=local,src={dir}")]);
        let caches = listing["caches"].as_array().unwrap().clone();
        caches.into_iter().map(|cache| (cache["name"].clone(), cache["digest"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(list("b"), list("a"));
    assert_eq!(sandbox.run(&["copy", "--all", "type=local,src=a", "type=local,dest=c,tag=x"]).code, 2);
}

#[test]
fn layers_are_converted_with_force_compression() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let force = ["--compression", "zstd", "--force-compression", "--tmp-dir", "tmp"];
    let places = ["copy", "type=local,src=a", "type=local,dest=b"];
    assert_eq!(sandbox.run(&[&places[..], &force].concat()).code, 2);
    fs::create_dir(sandbox.path("tmp")).unwrap();
    let copied = sandbox.json(&[&places[..], &force].concat());
    assert_eq!(
        (&copied["copies"][0]["converted"], &copied["copies"][0]["blobs"]["uploaded"]),
        (&10.into(), &10.into())
    );
    assert_eq!(files(&sandbox.path("tmp")), []);
    let inspection = sandbox.json(&["inspect", "type=local,src=b"]);
    let layers = inspection["layers"].as_array().unwrap();
    assert!(
        layers.iter().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+zstd"),
        "{layers:?}"
    );
    assert_eq!(sandbox.run(&["verify", "type=local,src=b"]).code, 0);
    let unforced = sandbox.run(&["copy", "type=local,src=a", "type=local,dest=c,compression=zstd"]);
    assert_eq!(unforced.code, 0);
    assert!(unforced.stderr.contains("warning: compression zstd is for new layers"), "{}", unforced.stderr);
    assert_eq!(files(&sandbox.path("a/blobs")), files(&sandbox.path("c/blobs")));
}

#[test]
fn several_destinations_are_reported_one_by_one() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let copied = sandbox.json(&[
        "copy",
        "type=local,src=a",
        "type=local,dest=b",
        "type=local,dest=c",
        "type=local,dest=b,tag=x",
    ]);
    let blobs: Vec<_> = copied["copies"].as_array().unwrap().iter().map(|copy| copy["blobs"].clone()).collect();
    assert_eq!((&blobs[0]["uploaded"], &blobs[1]["uploaded"]), (&10.into(), &10.into()));
    // The second cache of one store is written after the first.
    assert_eq!(blobs[2]["present"], 10);
    assert_eq!(files(&sandbox.path("b/blobs")), files(&sandbox.path("c/blobs")));
}

#[test]
fn an_image_takes_only_a_cache_of_its_own_build() {
    let sandbox = Sandbox::with("../embedded/single/plain");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    copy_dir(&fixtures.join("embedded/single/cache"), &sandbox.path("cache"));
    copy_dir(&fixtures.join("local/v0.20/max-manifest"), &sandbox.path("other"));
    let copied = sandbox.json(&["copy", "type=local,src=cache", "type=inline,image=a"]);
    assert_eq!(copied["copies"][0]["coverage"], serde_json::json!({"covered": 4, "layers": 4}));
    assert_eq!(copied["copies"][0]["blobs"]["present"], 4);
    let again = sandbox.run(&["copy", "--if-unchanged", "type=local,src=a", "type=inline,image=a"]);
    assert!(again.stdout.contains("the records cover 4 of 4 layers of the image"), "{}", again.stdout);
    let other = sandbox.run(&["copy", "type=local,src=other", "type=inline,image=a"]);
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("failed to match any cache with layers"), "{}", other.stderr);
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["copy", "--dry-run", "type=local,src=a", "type=local,dest=b"]);
    assert_eq!(run.code, 0);
    assert!(run.stdout.starts_with("would push 10 blobs, "), "{}", run.stdout);
    assert!(!sandbox.path("b").exists());
    let before = files(&sandbox.path("a"));
    assert_eq!(sandbox.run(&["rm", "--dry-run", "--blobs", "type=local,src=a"]).code, 0);
    assert_eq!(files(&sandbox.path("a")), before);
}

#[test]
fn the_metadata_file_holds_what_was_committed() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let copy = ["copy", "-q", "--metadata-file", "m.json", "type=local,src=a", "type=local,dest=b"];
    let digest = sandbox.run(&copy).stdout;
    let metadata: Value = serde_json::from_slice(&fs::read(sandbox.path("m.json")).unwrap()).unwrap();
    assert_eq!(metadata["cache.manifest"]["digest"], digest.trim());
}

#[test]
fn raw_prints_the_bytes_of_the_config() {
    let sandbox = Sandbox::with("v0.12/max-index");
    let inspection = sandbox.json(&["inspect", "type=local,src=a"]);
    let config = sandbox.blob("a", inspection["config"]["digest"].as_str().unwrap());
    let raw = sandbox.command(&["inspect", "--raw", "type=local,src=a"]).output().unwrap().stdout;
    assert_eq!(raw, fs::read(config).unwrap());
}

#[test]
fn damage_exits_3_with_a_finding_that_names_it() {
    let damages: [(&str, &str, Damage); 3] = [
        ("blob-corrupt", "sha256", |path| {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("blob-size-wrong", "bytes are stored", |path| fs::write(path, "x").unwrap()),
        ("blob-missing", "does not have it", |path| fs::remove_file(path).unwrap()),
    ];
    for (code, message, damage) in damages {
        let sandbox = Sandbox::with("v0.32/max-manifest");
        let layer = layer(&sandbox);
        damage(&sandbox.blob("a", &layer));
        let run = sandbox.run(&["verify", "type=local,src=a"]);
        assert_eq!(run.code, 3, "{code}: {}", run.stderr);
        for part in [&format!("error  {code}  blob {layer}"), message, "cannot be used: sha256:"] {
            assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
        }
    }
}

#[test]
fn documents_that_cannot_be_read_are_findings() {
    let damages: [(&str, &str, Damage); 4] = [
        ("manifest", "blob-corrupt", |path| fs::write(path, "{}").unwrap()),
        ("manifest", "blob-missing", |path| fs::remove_file(path).unwrap()),
        ("config", "blob-size-wrong", |path| fs::write(path, "{}").unwrap()),
        ("config", "blob-missing", |path| fs::remove_file(path).unwrap()),
    ];
    for (document, code, damage) in damages {
        let sandbox = Sandbox::with("v0.32/max-manifest");
        let inspection = sandbox.json(&["inspect", "type=local,src=a"]);
        damage(&sandbox.blob("a", inspection[document]["digest"].as_str().unwrap()));
        let run = sandbox.run(&["verify", "--fast", "-o", "json", "type=local,src=a"]);
        let verification: Value = serde_json::from_str(&run.stdout).unwrap();
        let finding = &verification["findings"][0];
        assert_eq!((run.code, &finding["code"], &finding["breaks"]), (3, &code.into(), &"cache".into()));
    }
}

#[test]
fn rm_takes_the_blobs_that_only_the_cache_reached() {
    let sandbox = Sandbox::with("v0.12/generations");
    assert_eq!(sandbox.run(&["rm", "-f", "--blobs", "type=local,src=a"]).code, 0);
    assert_eq!(sandbox.run(&["inspect", "type=local,src=a"]).code, 4);
    assert_eq!(sandbox.run(&["verify", "type=local,src=a,tag=release"]).code, 0);
    assert_eq!(sandbox.run(&["rm", "-f", "type=local,src=a"]).code, 4);
}

#[test]
fn prune_carries_out_what_its_dry_run_printed() {
    let sandbox = Sandbox::with("v0.12/generations");
    let run = sandbox.run(&["prune", "type=local,src=a"]);
    assert_eq!((run.code, run.stderr.contains("-f deletes without asking")), (2, true), "{}", run.stderr);
    let spec = ["type=local,src=a"];
    let plan = sandbox
        .run(&[&["prune", "--dry-run", "-o", "json", "--keep-latest", "0", "--keep", "release"], &spec[..]].concat());
    fs::write(sandbox.path("plan.json"), &plan.stdout).unwrap();
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert!(!plan["caches"].as_array().unwrap().is_empty());
    // A fixture that was just copied is younger than the grace.
    assert_eq!((plan["blobs"].as_array().unwrap().len(), plan["youngBlobs"].as_u64() > Some(0)), (0, true));
    let pruned = sandbox.json(&["prune", "-f", "--apply", "plan.json", "type=local,src=a"]);
    assert_eq!(pruned["caches"].as_array().unwrap().len(), plan["caches"].as_array().unwrap().len());
    assert_eq!(sandbox.run(&["inspect", "type=local,src=a"]).code, 4);
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7_200);
    for (path, _) in files(&sandbox.path("a/blobs")) {
        let file = fs::File::open(sandbox.path("a/blobs").join(path)).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let pruned = sandbox.json(&["prune", "-f", "type=local,src=a"]);
    assert!(pruned["blobs"].as_u64() > Some(0), "{pruned}");
    assert_eq!(sandbox.run(&["verify", "type=local,src=a,tag=release"]).code, 0);
    assert_eq!(sandbox.json(&["du", "type=local,src=a,tag=release"])["stores"][0]["unreachableBlobs"], 0);
}

#[test]
fn du_counts_what_rm_leaves_unreachable() {
    let sandbox = Sandbox::with("v0.12/generations");
    let unreachable = || {
        let usage = sandbox.json(&["du", "type=local,src=a,tag=release"]);
        usage["stores"][0]["unreachableBytes"].as_u64().unwrap()
    };
    let before = unreachable();
    let plan = sandbox.json(&["rm", "--dry-run", "--blobs", "type=local,src=a"]);
    sandbox.run(&["rm", "-f", "type=local,src=a"]);
    assert_eq!(unreachable(), before + plan["bytes"].as_u64().unwrap());
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let mut child =
        sandbox.command(&["inspect", "-o", "json", "type=local,src=a"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn progress_as_json_is_one_object_per_line() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = sandbox.run(&["copy", "--progress", "rawjson", "type=local,src=a", "type=local,dest=b"]);
    let events: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "started");
    assert_eq!(events.iter().filter(|event| event["event"] == "blob-done").count(), 10);
}

#[test]
fn every_shell_has_completions() {
    let sandbox = Sandbox::empty();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = sandbox.run(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("verify"), "{shell}");
    }
}

#[test]
fn doctor_tells_what_to_use_and_leaves_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let report = sandbox.json(&["doctor", "type=local,dest=new"]);
    assert_eq!(report["schema"], "buildcache.doctor/v1");
    assert_eq!(report["cacheTo"], "type=local,dest=new,mode=max");
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["outcome"] == "works"), "{report}");
    assert!(!sandbox.path("new").exists());
    let run = sandbox.run(&["doctor", "type=local,dest=a,mode=min,image-manifest=false"]);
    assert!(
        run.stdout.ends_with("use: --cache-to type=local,dest=a,image-manifest=false,mode=min\n"),
        "{}",
        run.stdout
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn doctor_fails_if_the_store_cannot_be_written_or_tested() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    fs::write(sandbox.path("file"), "").unwrap();
    let run = sandbox.run(&["doctor", "type=local,dest=file"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, "error: no cache can be written to type=local,dest=file\n"));
    assert!(run.stdout.contains("directory  refused"), "{}", run.stdout);
    assert_eq!(sandbox.run(&["doctor", "type=local,dset=a"]).code, 2);
}
