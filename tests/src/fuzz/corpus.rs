//! Inputs to start from: documents and layers of BuildKit, and documents that it refuses.

use bytes::Bytes;
use cache_core::CacheManifest;
use cache_core::model::LayerEncoding;
use cache_layers::detect_encoding;

use crate::malformed::{self, Malformed};
use crate::random::Random;
use crate::{fixtures, graphs, tars};

/// The documents in all fixtures that contain this text, each once.
fn documents(text: &str) -> Vec<Vec<u8>> {
    let blobs: std::collections::BTreeMap<_, _> = fixtures::all().iter().flat_map(fixtures::Fixture::blobs).collect();
    let documents = blobs.into_values().filter(|bytes| bytes.starts_with(b"{"));
    documents.filter(|bytes| String::from_utf8_lossy(bytes).contains(text)).map(|bytes| bytes.to_vec()).collect()
}

/// The small layers in all fixtures with this encoding; those of gzip include eStargz layers.
fn layers(encoding: LayerEncoding) -> Vec<Vec<u8>> {
    let blobs: std::collections::BTreeMap<_, _> = fixtures::all().iter().flat_map(fixtures::Fixture::blobs).collect();
    let is_seed = |bytes: &Bytes| detect_encoding(bytes) == encoding && bytes.len() < 64 << 10;
    let layers = blobs.into_values().filter(|bytes| is_seed(bytes) && !bytes.starts_with(b"{"));
    layers.map(|bytes| bytes.to_vec()).collect()
}

pub(super) fn tars() -> Vec<Vec<u8>> {
    let mut seeds = layers(LayerEncoding::Uncompressed);
    seeds.extend([Vec::new(), vec![0; 10_240]]);
    seeds
}

pub(super) fn gzip_layers() -> Vec<Vec<u8>> {
    let mut seeds = layers(LayerEncoding::Gzip);
    // `printf low | gzip -n`
    seeds.push(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\xc9\x2f\x07\0\xa1\x78\x88\x92\x03\0\0\0".to_vec());
    seeds
}

pub(super) fn zstd_layers() -> Vec<Vec<u8>> {
    let mut seeds = layers(LayerEncoding::Zstd);
    // An empty skippable frame.
    seeds.push(b"\x50\x2a\x4d\x18\0\0\0\0".to_vec());
    seeds
}

/// Answers of token servers: those of Docker and Harbor, and some with invalid numbers.
#[cfg(all(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub(super) fn tokens() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"token":"t","access_token":"","expires_in":1800,"issued_at":"2026-03-01T10:00:00Z"}"#,
        r#"{"access_token":"t","expires_in":18446744073709551615}"#,
        r#"{"token":"t","expires_in":-1,"issued_at":"9999-12-31T23:59:59Z"}"#,
        r#"{"token":"t","expires_in":"300","issued_at":""}"#,
        r#"{"Token":"t","Expires_In":1e400}"#,
    ])
}

/// Tokens of jobs, and their payloads.
#[cfg(all(feature = "azblob", feature = "gha"))]
pub(super) fn job_tokens() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]","exp":1900000000,"nbf":0}"#,
        r#"{"ac":"[{\"Scope\":\"\",\"Permission\":2}]","exp":18446744073709551615}"#,
        r#"{"ac":null,"exp":-9223372036854775808}"#,
        "x.eyJhYyI6IltdIn0.y",
    ])
}

/// Answers of stores: manifests, lists, lookups.
#[cfg(all(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
pub(super) fn answers() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        r#"{"name":"a/b","tags":["t","../../y/manifests/z","\u202e"]}"#,
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>manifests/main</Key>\
         <LastModified>2026-03-01T10:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>18446744073709551615</Size>\
         </Contents></ListBucketResult>",
        "<EnumerationResults><Blobs><Blob><Name>manifests/main</Name><Properties><Content-Length>-1</Content-Length>\
         <Last-Modified>Sun, 01 Mar 2026 10:00:00 GMT</Last-Modified><Etag>e</Etag></Properties></Blob></Blobs>\
         <NextMarker></NextMarker></EnumerationResults>",
        r#"{"ok":true,"signed_download_url":"http://127.0.0.1:1/","matched_key":"index-buildkit#1"}"#,
        r#"{"total_count":1,"actions_caches":[{"id":1,"key":"k","ref":"r","size_in_bytes":9223372036854775807}]}"#,
    ]);
    seeds.extend(manifests());
    seeds.extend(flat());
    seeds
}

fn bytes(documents: Vec<Malformed>) -> impl Iterator<Item = Vec<u8>> {
    documents.into_iter().map(|document| document.bytes.to_vec())
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn configs() -> Vec<Vec<u8>> {
    let mut seeds = documents("\"records\":[");
    seeds.extend(flat());
    seeds.extend((0..8).map(|seed| graphs::cache(seed).manifest.config().encode()));
    seeds.extend((0..8).map(|seed| graphs::tangle(seed).to_manifest().config().encode()));
    seeds.extend(bytes(malformed::graphs()));
    seeds.extend(bytes(malformed::layer_indices()));
    seeds
}

pub(super) fn flat() -> Vec<Vec<u8>> {
    let index = fixtures::root().join("objects/v0.32/s3-manifests-main.json");
    let mut seeds = vec![std::fs::read(index).expect("the fixture is there")];
    let encode = |manifest: CacheManifest| manifest.encode_flat().expect("a generated cache is described").to_vec();
    seeds.extend((0..8).map(|seed| encode(graphs::cache(seed).manifest)));
    seeds.extend(bytes(malformed::configs()));
    seeds
}

pub(super) fn manifests() -> Vec<Vec<u8>> {
    let mut seeds = documents("\"schemaVersion\":");
    seeds.extend(bytes(malformed::manifests()));
    seeds
}

pub(super) fn image_configs() -> Vec<Vec<u8>> {
    let mut seeds = documents("moby.buildkit.cache.v0");
    seeds.extend(bytes(malformed::image_configs()));
    seeds
}

/// eStargz layers of BuildKit.
pub(super) fn estargz() -> Vec<Vec<u8>> {
    let blobs = fixtures::named("v0.32/max-estargz").blobs();
    blobs.into_values().filter(|bytes| bytes.starts_with(b"\x1f\x8b")).map(|bytes| bytes.to_vec()).collect()
}

/// Uncompressed layers of BuildKit, and archives of every dialect.
pub(super) fn archives() -> Vec<Vec<u8>> {
    let blobs = fixtures::named("v0.32/max-uncompressed").blobs();
    let layers = blobs
        .into_values()
        .filter(|bytes| bytes.get(257..).is_some_and(|header| header.starts_with(b"ustar")))
        .map(|bytes| bytes.to_vec());
    let random = (0..40).map(|seed| tars::random(&mut Random::new(seed)));
    layers.chain(random.filter(|tar| tar.len() < super::MAX_INPUT)).collect()
}

#[cfg(feature = "local")]
pub(super) fn layouts() -> Vec<Vec<u8>> {
    let index = |fixture: fixtures::Fixture| std::fs::read(fixture.path.join("index.json")).expect("it has an index");
    let mut seeds: Vec<_> = fixtures::all().into_iter().map(index).collect();
    seeds.extend(bytes(malformed::manifests()));
    seeds.extend(texts(&[
        r#"{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}"#,
        r#"{"schemaVersion":2,"manifests":null,"annotations":{"a":"b"}}"#,
        "null",
    ]));
    seeds
}

/// Logs of real builds, whole and line by line.
pub(super) fn logs() -> Vec<Vec<u8>> {
    let of = |name: &str| std::fs::read(fixtures::root().join("explain").join(name).join("new.rawjson"));
    let names = ["source-file-changed", "min-lost-stages", "lost-blob", "multi-platform", "absent"];
    let whole: Vec<Vec<u8>> = names.iter().map(|name| of(name).expect("the fixture is there")).collect();
    let lines = whole.iter().flat_map(|log| log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec)).take(60);
    let mut seeds: Vec<Vec<u8>> = lines.collect();
    seeds.extend(whole);
    seeds.extend(texts(&["#1 [internal] load\n#1 DONE 0.0s\n", "{}", "{\"vertexes\":[{}]}", "\n\n"]));
    seeds
}

/// Caches and logs, and names that are markup, end an attribute or a script, or change the direction of text.
pub(super) fn pages() -> Vec<Vec<u8>> {
    let mut seeds = flat();
    seeds.extend(logs());
    seeds.extend(texts(&[
        "<script>alert(1)</script><!-- --><![CDATA[ ]]></body></html>",
        "\"><img src=x onerror=alert(1)>' onmouseover='alert(1)",
        "</title></style></script></svg></table></details><plaintext>",
        "a\0b\u{1b}[31m\u{202e}\u{fffe}\u{d}c",
        "&lt;&#0;&amp&notit;\u{2028}",
    ]));
    seeds
}

pub(super) fn specs() -> Vec<Vec<u8>> {
    texts(&[
        "type=local,src=/tmp/cache,tag=main",
        "type=local,dest=cache,mode=max,ignore-error=true,compression=zstd",
        "type=local,\"dest=a,b \"\"c\"\"\",digest=sha256:00",
        "type=s3,region=eu-west-1,bucket=b,secret_access_key=s,use_path_style=true,touch_refresh=24h",
        "type=gha,scope=main,url=https://a/b?c=d,token=t",
        "type=registry,ref=ghcr.io/a/b:c,image-manifest=true,oci-mediatypes=false",
        "ghcr.io/a/b:c,docker.io/d",
        "TYPE=local, src=x",
        "type=local,src=\"a,b\"",
        "type=local,\"src=a\"b",
        "type=local,",
        ",",
        "=",
        "type=a\n",
    ])
}

pub(super) fn digests() -> Vec<Vec<u8>> {
    let hex = "0123456789abcdef".repeat(8);
    let mut seeds = texts(&["sha256:", "", ":", "sha256:g", "md5:00"]);
    seeds.extend(
        [64, 96, 128]
            .into_iter()
            .zip(["sha256", "sha384", "sha512"])
            .map(|(len, name)| format!("{name}:{}", &hex[..len]).into_bytes()),
    );
    seeds
}

pub(super) fn timestamps() -> Vec<Vec<u8>> {
    texts(&[
        "0001-01-01T00:00:00Z",
        "2026-11-23T12:44:08.569712334+05:30",
        "2026-11-23T07:40:36,5Z",
        "9999-12-31T23:59:59.999999999-23:59",
        "0000-01-01T00:00:00+23:59",
        "2026-02-29T24:00:00Z",
        "2026-11-23T07:40:60Z",
        "2026-11-23t07:40:36z",
    ])
}

pub(super) fn durations() -> Vec<Vec<u8>> {
    texts(&["24h", "1h30m", "1.5s", ".5s", "1.s", "+5s", "-1h", "1us1ns", "2µs", "0", "9999999h", "1e3s", "1..5s", ""])
}
