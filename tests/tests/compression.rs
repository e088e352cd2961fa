//! Layers in every compression: those of BuildKit, and ours read by other programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use cache_core::seams::stream_of;
use cache_core::{
    BlobStream, Compression, CompressionKind, Descriptor, Digest, MediaType, Result, annotation, read_verified,
};
use cache_layers::{CodecPool, Encoded, decode, detect_encoding, encode, recompress};
use cache_tests::fixtures::{self, Fixture};
use cache_tests::graphs;
use cache_tests::random::Random;
use futures_util::{Stream, TryStreamExt};
use serde_json::json;

/// The kinds that do not depend on the content of the tar.
const KINDS: [CompressionKind; 3] = [CompressionKind::Uncompressed, CompressionKind::Gzip, CompressionKind::Zstd];

async fn collect(stream: impl Stream<Item = Result<Bytes>> + Unpin) -> Bytes {
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    pieces.concat().into()
}

/// Every layer in the fixtures, once, with its fixture.
async fn layers() -> Vec<(Descriptor, Fixture)> {
    let mut layers = BTreeMap::new();
    for fixture in fixtures::all() {
        for document in fixture.manifests().into_values() {
            for blob in fixture.load(document).await.blobs() {
                layers.entry(blob.digest).or_insert_with(|| (Descriptor::clone(blob), fixture.clone()));
            }
        }
    }
    assert!(layers.len() > 100, "the fixtures have layers");
    layers.into_values().collect()
}

#[tokio::test]
async fn layers_of_buildkit_decompress_to_their_diff_ids() {
    let pool = CodecPool::new(2);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for (layer, fixture) in layers().await {
        let encoding = layer.media_type.layer_encoding().expect("a layer");
        let bytes = fixture.document(&layer.digest);
        assert_eq!(detect_encoding(&bytes), encoding, "{}: {}", fixture.name, layer.digest);
        let tar = collect(decode(encoding, stream_of(bytes), &pool).unwrap()).await;
        assert_eq!(Some(Digest::sha256(&tar)), layer.diff_id().map(|diff_id| diff_id.0), "{}", fixture.name);
        *found.entry(format!("{encoding:?}")).or_default() += 1;
    }
    assert_eq!(found.len(), KINDS.len(), "the fixtures have layers of each encoding: {found:?}");
}

#[tokio::test]
async fn layers_of_buildkit_keep_their_diff_ids_in_every_compression() {
    let pool = CodecPool::new(2);
    for (layer, fixture) in layers().await {
        // Its diff ID includes the table of contents.
        if layer.annotations.contains_key(annotation::ESTARGZ_TOC) {
            continue;
        }
        for kind in KINDS {
            let bytes = read_verified(&fixture, &layer).await.unwrap();
            let mut encoding = recompress(&layer, bytes, &Compression::new(kind), &pool).unwrap();
            let bytes = collect(&mut encoding).await;
            let new = encoding.finish().unwrap();
            assert_eq!(Some(new.diff_id), layer.diff_id(), "{}: {} to {kind}", fixture.name, layer.digest);
            assert_eq!(new.descriptor.diff_id(), layer.diff_id());
            assert_eq!(new.descriptor.created_at(), layer.created_at());
            let family = layer.media_type.with_layer_encoding(kind.encoding());
            assert_eq!(new.descriptor, Descriptor { media_type: family, ..new.descriptor.clone() });
            let tar = collect(decode(kind.encoding(), stream_of(bytes), &pool).unwrap()).await;
            assert_eq!(Digest::sha256(&tar), new.diff_id.0);
        }
    }
}

/// A tar for several members, with files for other programs.
struct Made {
    folder: tempfile::TempDir,
    tar: Bytes,
}

impl Made {
    fn new() -> Self {
        let mut random = Random::new(6);
        // More than twice the longest member, and partly incompressible.
        let noise = random.bytes(700_000);
        let text: Vec<u8> = (0..400_000).flat_map(|n: u32| format!("{} ", n % 977).into_bytes()).collect();
        let tar = graphs::tar_of("file", &[noise, text].concat());
        Self { folder: tempfile::tempdir().unwrap(), tar: tar.into() }
    }

    /// Writes the layer to a file.
    async fn write(&self, compression: Compression, name: &str) -> Encoded {
        let (encoded, bytes) = layer(stream_of(self.tar.clone()), compression).await;
        fs::write(self.folder.path().join(name), bytes).unwrap();
        encoded
    }

    /// Runs a program in the folder and returns its output; `None` if it is not installed.
    fn run(&self, program: &str, args: &[&str]) -> Option<Vec<u8>> {
        let output = match Command::new(program).args(args).current_dir(self.folder.path()).output() {
            Ok(output) => output,
            Err(_) => {
                println!("skipped: {program} is not installed");
                return None;
            }
        };
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    }
}

async fn layer(tar: BlobStream, compression: Compression) -> (Encoded, Bytes) {
    let mut encoding = encode(tar, &compression, &CodecPool::new(2)).unwrap();
    let bytes = collect(&mut encoding).await;
    (encoding.finish().unwrap(), bytes)
}

/// Levels that are fast enough, including the lowest and the highest.
fn levels(kind: CompressionKind) -> &'static [i32] {
    if kind == CompressionKind::Gzip { &[-2, -1, 0, 1, 6, 9] } else { &[-7, 0, 1, 3, 22] }
}

#[tokio::test]
async fn gzip_is_accepted_by_gzip_pigz_python_and_node() {
    let made = Made::new();
    for &level in levels(CompressionKind::Gzip) {
        made.write(Compression::new(CompressionKind::Gzip).with_level(level).unwrap(), "layer.gz").await;
        for program in ["gzip", "pigz"] {
            made.run(program, &["-t", "layer.gz"]);
            let found = made.run(program, &["-d", "-c", "layer.gz"]);
            assert!(found.is_none_or(|found| found == made.tar), "{program}, level {level}");
        }
        let python = "import gzip, sys; sys.stdout.buffer.write(gzip.open('layer.gz').read())";
        assert!(made.run("python3", &["-c", python]).is_none_or(|found| found == made.tar), "level {level}");
        let node = "process.stdout.write(require('zlib').gunzipSync(require('fs').readFileSync('layer.gz')))";
        assert!(made.run("node", &["-e", node]).is_none_or(|found| found == made.tar), "level {level}");
    }
}

#[tokio::test]
async fn an_empty_layer_is_a_valid_file() {
    let made = Made { folder: tempfile::tempdir().unwrap(), tar: Bytes::new() };
    made.write(Compression::new(CompressionKind::Gzip), "layer.gz").await;
    made.write(Compression::new(CompressionKind::Zstd), "layer.zst").await;
    for (program, file) in [("gzip", "layer.gz"), ("pigz", "layer.gz"), ("zstd", "layer.zst")] {
        made.run(program, &["-t", file]);
    }
}

#[tokio::test]
async fn zstd_is_accepted_by_zstd() {
    let made = Made::new();
    for &level in levels(CompressionKind::Zstd) {
        made.write(Compression::new(CompressionKind::Zstd).with_level(level).unwrap(), "layer.zst").await;
        made.run("zstd", &["-q", "-t", "layer.zst"]);
        let found = made.run("zstd", &["-q", "-d", "-c", "layer.zst"]);
        assert!(found.is_none_or(|found| found == made.tar), "level {level}");
    }
}

/// Writes an image with one layer as an OCI layout.
async fn image(made: &Made, kind: CompressionKind) {
    let blobs = made.folder.path().join("layout/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let write = |media_type: MediaType, bytes: &[u8]| {
        let descriptor = Descriptor::of(media_type, bytes);
        fs::write(blobs.join(descriptor.digest.hex()), bytes).unwrap();
        descriptor
    };
    let (encoded, bytes) = layer(stream_of(made.tar.clone()), Compression::new(kind)).await;
    let layer = write(encoded.descriptor.media_type.clone(), &bytes);
    let config = json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [encoded.diff_id] } });
    let config = write(MediaType::OCI_CONFIG, config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config,
        "layers": [layer] });
    let manifest =
        write(MediaType::OCI_MANIFEST, manifest.to_string().as_bytes()).with_annotation(annotation::REF_NAME, "main");
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    let root = made.folder.path().join("layout");
    fs::write(root.join("index.json"), index.to_string()).unwrap();
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[tokio::test]
async fn layers_are_unpacked_by_skopeo_and_umoci() {
    // Docker's archives do not support zstd, and neither does Debian's umoci.
    for kind in [CompressionKind::Uncompressed, CompressionKind::Gzip] {
        let made = Made::new();
        image(&made, kind).await;
        // skopeo decompresses every layer and compares its diff ID.
        made.run("skopeo", &["copy", "--quiet", "oci:layout:main", "docker-archive:archive.tar:a/b:main"]);
        let unpacked = made.run("umoci", &["unpack", "--rootless", "--image", "layout:main", "bundle"]);
        assert!(unpacked.is_none() || is_in(&made.tar, &made.folder.path().join("bundle/rootfs/file")), "{kind}");
    }
}

/// Whether the file has the bytes of the only file in the tar.
fn is_in(tar: &Bytes, file: &Path) -> bool {
    fs::read(file).is_ok_and(|found| tar[512..].starts_with(&found) && !found.is_empty())
}
