//! The limits of a process: open files, file size and memory.

use std::path::Path;
use std::process::{Command, Stdio};

use cache_core::{CacheChains, CacheKey, CacheResult, Descriptor, MediaType, Timestamp, annotation};
use cache_memory::MemoryCache;
use cache_ops::{ExportSettings, export};
use cache_tests::bench::peak;
use cache_tests::graphs::tar_of;
use cache_tests::random::Random;

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
    write(&sandbox.path("a"), [tar_of("zeros", &vec![0; ZEROS])]);
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
fn no_conversion_takes_more_memory_than_150_mib() {
    /// With a whole layer in memory it would be more than that: the program itself takes 30 MiB.
    const LAYER: usize = 128 << 20;
    const MIB: f64 = 150.0;
    const KINDS: [&str; 4] = ["uncompressed", "gzip", "zstd", "estargz"];
    for (what, content) in [("zeros", vec![0; LAYER]), ("noise", noise(LAYER))] {
        let sandbox = Sandbox::empty();
        write(&sandbox.path(KINDS[0]), [tar_of(what, &content)]);
        drop(content);
        for (from, to) in
            KINDS.iter().flat_map(|from| KINDS.iter().filter(move |to| *to != from).map(move |to| (*from, *to)))
        {
            // The first three write the sources of the others.
            let name = if from == KINDS[0] { to } else { "other" };
            let (source, target) = (format!("type=local,src={from}"), format!("type=local,dest={name}"));
            let copy = ["copy", "-q", "--compression", to, "--force-compression", &source, &target];
            let peak = peak(&mut sandbox.command(&copy)).unwrap();
            assert!((1.0..MIB).contains(&peak), "{what}, {from} to {to}: {peak:.0} MiB");
            let _ = std::fs::remove_dir_all(sandbox.path("other"));
        }
    }
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let (mut noise, mut random) = (vec![0; len], Random::new(1));
    noise.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&random.number().to_le_bytes()));
    noise
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
