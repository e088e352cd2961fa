//! The limits of a process: files that are open, and how large one may become.

use std::path::Path;
use std::process::{Command, Stdio};

use cache_core::{
    CacheChains, CacheKey, CacheResult, Descriptor, Digest, MediaType, MemoryCache, Timestamp, annotation,
};
use cache_ops::{ExportSettings, export};

use crate::sandbox::{Run, Sandbox};

/// Writes a cache of so many layers.
fn write(dir: &Path, layers: usize) {
    let (blobs, mut chains) = (MemoryCache::new(), CacheChains::new());
    for n in 0..layers {
        let content = format!("layer {n}");
        let digest = blobs.insert(content.clone());
        let layer =
            Descriptor::of(MediaType::OCI_LAYER, content.as_bytes()).with_annotation(annotation::UNCOMPRESSED, digest);
        let result = CacheResult::new(Timestamp::ZERO, vec![layer]);
        chains.add(CacheKey::content(Digest::sha256(content.as_bytes())), &[], vec![result]).unwrap();
    }
    let exporter = cache_local::LocalExporter::new(cache_local::LocalConfig::new(dir));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(export(&chains.to_manifest(), &blobs, &exporter, &ExportSettings::default())).unwrap();
}

/// Runs the program with a limit of the shell's.
fn limited(sandbox: &Sandbox, limit: &str, args: &[&str]) -> Run {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_buildcache")]);
    command.args(args).current_dir(sandbox.path("")).stdin(Stdio::null());
    Run::from(command.output().unwrap())
}

#[test]
fn more_layers_are_converted_than_files_may_be_open() {
    let sandbox = Sandbox::empty();
    write(&sandbox.path("a"), 300);
    let to_zstd = ["copy", "--compression", "zstd", "--force-compression", "type=local,src=a", "type=local,dest=b"];
    let run = limited(&sandbox, "-n 64", &to_zstd);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.run(&["verify", "-q", "type=local,src=b"]).code, 0);
}

#[test]
fn a_file_that_may_not_become_so_large_is_an_error_that_says_so() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = limited(&sandbox, "-f 1", &["copy", "type=local,src=a", "type=local,dest=b"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("hint: raise the limit on the size of a file (ulimit -f)"), "{}", run.stderr);
}

#[test]
fn present_blobs_are_looked_at_when_that_is_asked_for() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let copy = ["copy", "-q", "type=local,src=a", "type=local,dest=b"];
    assert_eq!(sandbox.run(&copy).code, 0);
    let blob = sandbox.json(&["inspect", "type=local,src=b"])["layers"][0]["blob"].as_str().unwrap().to_owned();
    let path = sandbox.blob("b", &blob);
    let size = std::fs::metadata(&path).unwrap().len();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
    assert_eq!(sandbox.run(&copy).code, 0);
    assert_eq!(sandbox.run(&["verify", "-q", "type=local,src=b"]).code, 3, "its name and size are right");
    assert_eq!(sandbox.run(&[&copy[..], &["--check-present"]].concat()).code, 0);
    assert_eq!(sandbox.run(&["verify", "-q", "type=local,src=b"]).code, 0);
    let run = sandbox.run(&["copy", "--check-present", "type=local,src=a", "127.0.0.1:1/x"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
}
