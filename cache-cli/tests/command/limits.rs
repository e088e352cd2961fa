//! The limits of a process: open files, file size and memory.

use std::path::Path;
use std::process::{Command, Stdio};

use cache_core::{CacheChains, CacheKey, CacheResult, Descriptor, MediaType, Timestamp, annotation};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use cache_tests::graphs::tar_of;

use crate::sandbox::{Run, Sandbox};

/// Writes a cache of these layers, which are plain archives or no archives.
fn write(dir: &Path, layers: impl IntoIterator<Item = Vec<u8>>) {
    let (blobs, mut chains) = (MemoryCache::new(), CacheChains::new());
    for content in layers {
        let layer = Descriptor::of(MediaType::OCI_LAYER, &content);
        let digest = blobs.insert(content);
        let layer = layer.with_annotation(annotation::UNCOMPRESSED, digest);
        let result = CacheResult::new(Timestamp::ZERO, vec![layer]);
        chains.add(CacheKey::content(digest), &[], vec![result]).unwrap();
    }
    let exporter = cache_local::LocalExporter::new(cache_local::LocalConfig::new(dir));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(export(&chains.to_manifest(), &blobs, &exporter, &ExportSettings::default())).unwrap();
}

/// Runs the program with a limit set by the shell.
fn limited(sandbox: &Sandbox, limit: &str, args: &[&str]) -> Run {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_buildcache")]);
    command.args(args).current_dir(sandbox.path("")).stdin(Stdio::null());
    Run::from(command.output().unwrap())
}

#[test]
fn more_layers_than_open_files_can_be_converted() {
    for (layers, files) in [(300, "-n 64"), (1_100, "-n 1024")] {
        let sandbox = Sandbox::empty();
        write(&sandbox.path("a"), (0..layers).map(|n| format!("layer {n}").into_bytes()));
        let to_zstd = ["copy", "--compression", "zstd", "--force-compression", "type=local,src=a", "type=local,dest=b"];
        let run = limited(&sandbox, files, &to_zstd);
        assert_eq!(run.code, 0, "{layers}: {}", run.stderr);
        assert_eq!(sandbox.run(&["verify", "-q", "type=local,src=b"]).code, 0);
    }
}

/// A layer that compresses to almost nothing is read in many small pieces, which must not keep large buffers alive.
#[test]
fn a_layer_of_zeros_takes_no_more_memory_than_another() {
    const ZEROS: usize = 512 << 20;
    /// The limit of the data segment, in KiB.
    const MEMORY: &str = "-d 262144";
    let sandbox = Sandbox::empty();
    let (mut tar, header) = (vec![0; 512 + ZEROS + 1024], tar_of("zeros", &[]));
    tar[..512].copy_from_slice(&header[..512]);
    // The size of the file, and the checksum of the header.
    tar[124..136].copy_from_slice(format!("{ZEROS:011o}\0").as_bytes());
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    write(&sandbox.path("a"), [tar]);
    for kind in ["estargz", "gzip", "zstd"] {
        let to = format!("type=local,dest={kind}");
        let copy = ["copy", "--compression", kind, "--force-compression", "type=local,src=a", &to];
        let run = limited(&sandbox, MEMORY, &copy);
        assert_eq!(run.code, 0, "{kind}: {}", run.stderr);
        let run = limited(&sandbox, MEMORY, &["verify", "-q", &format!("type=local,src={kind}")]);
        assert_eq!(run.code, 0, "{kind}: {}", run.stderr);
    }
}

#[test]
fn the_file_size_limit_is_an_error_with_a_hint() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let run = limited(&sandbox, "-f 1", &["copy", "type=local,src=a", "type=local,dest=b"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("hint: raise the limit on the size of a file (ulimit -f)"), "{}", run.stderr);
}

#[test]
fn present_blobs_are_verified_with_check_present() {
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
