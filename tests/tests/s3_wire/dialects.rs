//! Real stores: each test is a way in which some store answers.

use std::collections::BTreeSet;
use std::sync::Mutex;

use cache_core::graph::FindingCode;
use cache_core::seams::{CacheProbe, Deleted};
use cache_core::{BlobProvider, CacheExporter, CacheImporter, CacheStore, Descriptor, ErrorKind, Pushed, Timestamp};
use cache_ops::{Depth, PrunePolicy, PruneSettings, RepairOptions, plan_prune, prune, repair, verify};
use cache_s3::{S3Exporter, S3Importer, S3Probe, S3Store};
use cache_tests::graphs;
use cache_tests::random::Random;
use cache_tests::servers::http::{Answer, empty, fields, full};
use cache_tests::servers::s3::{Logged, Options, Server, short};
use futures_util::stream::TryStreamExt;

use crate::{HOUR, LARGE, Method, blob, bytes_of, config, key, write};

pub(crate) fn xml(status: u16, text: impl Into<String>) -> Answer {
    full(status, "application/xml", text.into().into())
}

pub(crate) fn value(asked: &Logged, name: &str) -> Option<String> {
    let query = fields(asked.path.split_once('?')?.1);
    query.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A list of these keys, followed by `rest`.
pub(crate) fn list(keys: &[&str], rest: &str) -> Answer {
    let rows: String =
        keys.iter().map(|key| format!("<Contents><Key>{key}</Key><ETag>x</ETag><Size>2</Size></Contents>")).collect();
    xml(200, format!("<ListBucketResult><KeyCount>{}</KeyCount>{rest}{rows}</ListBucketResult>", keys.len()))
}

pub(crate) async fn names(server: &Server) -> Result<Vec<String>, ErrorKind> {
    let caches = S3Store::new(config(server)).caches().await.map_err(|error| error.kind())?;
    Ok(caches.into_iter().filter_map(|cache| cache.name).collect())
}

const MORE: &str = "<IsTruncated>true</IsTruncated>";

#[tokio::test(start_paused = true)]
async fn an_empty_page_that_is_truncated_is_followed() {
    let server = Server::start(Options::default());
    write(config(&server), &graphs::cache(1)).await.unwrap();
    server.http().script(|asked| {
        let is_first = value(asked, "list-type").is_some() && value(asked, "continuation-token").is_none();
        is_first.then(|| list(&[], &format!("{MORE}<NextContinuationToken>go on</NextContinuationToken>")))
    });
    assert_eq!(names(&server).await.unwrap(), ["main"]);
    server.http().script(|asked| match value(asked, "continuation-token").as_deref() {
        Some(_) => Some(list(&["manifests/a", "manifests/b"], "<IsTruncated>false</IsTruncated>")),
        None => Some(list(&[], &format!("{MORE}<NextContinuationToken>a+/=&amp;?x</NextContinuationToken>"))),
    });
    assert_eq!(names(&server).await.unwrap(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_without_a_token_is_continued_after_its_last_key() {
    let server = Server::start(Options::default());
    server.http().script(|asked| match value(asked, "start-after").as_deref() {
        None => Some(list(&["manifests/a", "manifests/b"], MORE)),
        // Some stores begin with the key itself.
        Some("manifests/b") => Some(list(&["manifests/b", "manifests/c"], "")),
        Some(_) => Some(xml(500, "")),
    });
    assert_eq!(names(&server).await.unwrap(), ["a", "b", "c"]);
    // A store that ignores it sends the same page again.
    server.http().script(|_| Some(list(&["manifests/a", "manifests/b"], MORE)));
    assert_eq!(names(&server).await, Err(ErrorKind::Unavailable));
    server.http().script(|_| Some(list(&[], MORE)));
    assert_eq!(names(&server).await, Err(ErrorKind::Unavailable));
}

/// Lists are not always in order, and do not always begin at the requested key.
#[tokio::test(start_paused = true)]
async fn blobs_are_found_in_whatever_order_they_are_listed() {
    let server = Server::start(Options::default());
    let exporter = S3Exporter::new(config(&server));
    let blobs: Vec<_> = (0..20_u8).map(|number| blob(vec![number])).collect();
    for (blob, source) in &blobs {
        exporter.push(blob, source).await.unwrap();
    }
    let listed: Vec<_> = S3Store::new(config(&server)).blobs().try_collect().await.unwrap();
    let keys: Vec<String> = blobs.iter().map(|(blob, _)| key(blob)).collect();
    server.http().script(move |asked| {
        value(asked, "list-type")?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (first, second) = keys.split_at(10);
        Some(match value(asked, "continuation-token") {
            None => list(first, &format!("{MORE}<NextContinuationToken>2</NextContinuationToken>")),
            Some(_) => list(second, "<IsTruncated>false</IsTruncated>"),
        })
    });
    // Their ETags have changed, and none counts as deleted.
    for outcome in S3Store::new(config(&server)).delete_blobs(&listed).await {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Conflict);
    }
    // A commit checks present blobs again.
    let cache = graphs::cache(1);
    server.http().calm();
    write(config(&server), &cache).await.unwrap();
    let keys: BTreeSet<String> = cache.manifest.blobs().iter().map(|blob| key(blob)).collect();
    server.http().script(move |asked| {
        value(asked, "list-type")?;
        let backwards: Vec<&str> = keys.iter().rev().map(String::as_str).collect();
        Some(list(&backwards, ""))
    });
    write(config(&server), &cache).await.unwrap();
}

/// If the start does not begin with the prefix, the list is empty in MinIO, and refused by its gateways.
#[tokio::test(start_paused = true)]
async fn a_list_starts_within_its_prefix() {
    let answers: [fn() -> Answer; 2] =
        [|| list(&[], "<IsTruncated>false</IsTruncated>"), || xml(501, "<Error><Code>NotImplemented</Code></Error>")];
    for answer in answers {
        let server = Server::start(Options { deletes_batches: false, ..Options::default() });
        server.http().script(move |asked| {
            let (start, prefix) = (value(asked, "start-after")?, value(asked, "prefix")?);
            (!start.starts_with(&prefix)).then(answer)
        });
        let (stray, source) = blob("stray");
        S3Exporter::new(config(&server)).push(&stray, &source).await.unwrap();
        let store = S3Store::new(config(&server));
        let listed: Vec<_> = store.blobs().try_collect().await.unwrap();
        assert_eq!(store.delete_blob(&listed[0]).await.unwrap(), Deleted::Removed);
        assert!(server.keys().is_empty());
        let found = S3Probe::new(config(&server)).diagnose().await.unwrap();
        assert!(found.works("list"), "{found:?}");
    }
}

/// Archives a blob: HEAD returns the storage class, and GET is refused. A restored blob keeps its class and can be
/// read.
fn archive(server: &Server, frozen: &Descriptor, is_restored: bool) {
    let (key, size) = (key(frozen), frozen.size);
    let is_sent_again = Mutex::new(false);
    server.http().script(move |asked| {
        let mut is_sent_again = is_sent_again.lock().unwrap();
        let is_it = asked.path.contains(&key.replace(':', "%3A")) || asked.path.contains(&key);
        if !is_it || *is_sent_again {
            return None;
        }
        match asked.method {
            Method::HEAD => {
                let mut head = empty(200);
                for (name, value) in [("x-amz-storage-class", "GLACIER"), ("etag", "\"x\"")] {
                    head.headers_mut().insert(name, value.parse().unwrap());
                }
                head.headers_mut().insert("content-length", size.into());
                Some(head)
            }
            Method::GET if !is_restored => {
                Some(xml(403, "<Error><Code>InvalidObjectState</Code><Message>It is archived</Message></Error>"))
            }
            Method::PUT => {
                *is_sent_again = true;
                None
            }
            _ => None,
        }
    });
}

#[tokio::test(start_paused = true)]
async fn an_archived_blob_is_a_finding_is_repaired_and_is_sent_again() {
    let server = Server::start(Options::default());
    let cache = graphs::cache(1);
    write(config(&server), &cache).await.unwrap();
    let frozen = cache.manifest.blobs()[0].as_ref();
    archive(&server, frozen, false);
    let importer = S3Importer::new(config(&server));
    let manifest = importer.resolve().await.unwrap().unwrap().manifest;
    for depth in [Depth::Fast, Depth::Deep] {
        let report = verify(&manifest, &importer, depth, 4).await.unwrap();
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [FindingCode::BlobArchived], "{depth:?}");
        let repaired = repair(&manifest, &importer, RepairOptions::default().with_depth(depth)).await.unwrap();
        assert!(repaired.findings.iter().any(|finding| finding.code == FindingCode::BlobArchived));
        assert!(!repaired.dropped.is_empty() && repaired.manifest.descriptor(&frozen.digest).is_none());
    }
    let error = importer.read(frozen, None).await.err().unwrap();
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Archived, true));
    assert_eq!(S3Exporter::new(config(&server)).push(frozen, &cache.blobs).await.unwrap(), Pushed::Uploaded);
    assert!(verify(&manifest, &importer, Depth::Deep, 4).await.unwrap().is_sound());
    archive(&server, frozen, true);
    assert!(verify(&manifest, &importer, Depth::Deep, 4).await.unwrap().is_sound());
}

/// `rclone serve s3` answers with a wrong root element; other stores do not support the request.
#[tokio::test(start_paused = true)]
async fn without_multipart_uploads_a_blob_is_sent_in_one_request() {
    let answers: [fn() -> Answer; 4] = [
        || xml(200, "<InitiateMultipartUpload><UploadId>1</UploadId></InitiateMultipartUpload>"),
        || xml(501, "<Error><Code>NotImplemented</Code></Error>"),
        || xml(405, ""),
        || xml(404, "<html>no such page</html>"),
    ];
    for answer in answers {
        let server = Server::start(Options::default());
        server
            .http()
            .script(move |asked| (asked.method == Method::POST && asked.path.contains("uploads")).then(answer));
        let (large, source) = blob(Random::new(1).bytes(LARGE));
        let exporter = S3Exporter::new(config(&server));
        assert_eq!(exporter.push(&large, &source).await.unwrap(), Pushed::Uploaded);
        assert!(server.take_log().iter().any(|logged| short(logged) == "PUT blobs 200"));
        assert_eq!(bytes_of(&S3Importer::new(config(&server)), &large).await.unwrap().len(), LARGE);
        let (other, source) = blob(Random::new(2).bytes(LARGE));
        let _ = server.take_log();
        exporter.push(&other, &source).await.unwrap();
        assert!(!server.take_log().iter().any(|logged| logged.method == Method::POST), "it has learnt");
        let found = S3Probe::new(config(&server)).diagnose().await.unwrap();
        assert!(!found.works("multipart") && found.works("single-upload"), "{found:?}");
        assert!(found.recommended.is_some() && !found.is_denied() && found.leftovers.is_empty(), "{found:?}");
    }
}

/// A source that fails leaves no object, also with a single request.
#[tokio::test(start_paused = true)]
async fn a_single_request_fails_with_its_source() {
    let server = Server::start(Options::default());
    server.http().script(|asked| (asked.method == Method::POST).then(|| xml(501, "")));
    let (large, source) = blob(Random::new(1).bytes(LARGE));
    let broken = cache_tests::faulty::Faulty::new(&source)
        .with_everywhere(cache_tests::faulty::Fault::Corrupt(LARGE as u64 - 1));
    let pushed = S3Exporter::new(config(&server)).push(&large, &Checked(&broken)).await;
    assert_eq!(pushed.unwrap_err().kind(), ErrorKind::DigestMismatch);
    assert!(!server.keys().contains(&key(&large)));
}

/// The verification that an export puts between a source and a store.
struct Checked<'a>(&'a dyn BlobProvider);

#[async_trait::async_trait]
impl BlobProvider for Checked<'_> {
    async fn stat(&self, blob: &Descriptor) -> cache_core::Result<Option<cache_core::seams::BlobInfo>> {
        self.0.stat(blob).await
    }

    async fn read(
        &self,
        blob: &Descriptor,
        _: Option<std::ops::Range<u64>>,
    ) -> cache_core::Result<cache_core::BlobStream> {
        cache_core::read_verified(self.0, blob).await
    }
}

/// A proxy sets `Content-Length: 0` for a body that it does not send.
#[tokio::test(start_paused = true)]
async fn a_length_of_zero_in_a_head_is_ignored() {
    let server = Server::start(Options::default());
    let cache = graphs::cache(1);
    write(config(&server), &cache).await.unwrap();
    server.http().script(|asked| {
        let is_there = asked.method == Method::HEAD && asked.path.contains("/blobs/");
        is_there.then(|| {
            let mut head = empty(200);
            head.headers_mut().insert("content-length", 0.into());
            head
        })
    });
    let importer = S3Importer::new(config(&server));
    for blob in cache.manifest.blobs() {
        assert_eq!(importer.stat(blob).await.unwrap().map(|info| info.size), Some(blob.size));
    }
    assert_eq!(
        S3Exporter::new(config(&server)).push(&cache.manifest.blobs()[0], &cache.blobs).await.unwrap(),
        Pushed::Present
    );
}

/// Some stores cannot list uploads: they refuse, or answer with a list of objects. The rest is pruned.
#[tokio::test]
async fn a_prune_succeeds_without_a_list_of_open_uploads() {
    let answers: [fn() -> Answer; 3] = [
        || xml(501, "<Error><Code>NotImplemented</Code></Error>"),
        || list(&["blobs/x"], "<IsTruncated>false</IsTruncated>"),
        || xml(403, "<Error><Code>AccessDenied</Code></Error>"),
    ];
    for answer in answers {
        let server = Server::start(Options::default());
        let (stray, source) = blob("stray");
        S3Exporter::new(config(&server)).push(&stray, &source).await.unwrap();
        server.age(&key(&stray), HOUR * 26);
        server.http().script(move |asked| asked.path.contains("uploads").then(answer));
        let store = S3Store::new(config(&server));
        let plan = plan_prune(&store, &PrunePolicy::new(HOUR * 25), Timestamp::now(), &PruneSettings::default())
            .await
            .unwrap();
        let report = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
        assert_eq!((report.blobs, report.uploads, report.note.is_some()), (1, 0, true), "{report:?}");
        assert!(server.keys().is_empty());
    }
}

/// A proxy compresses bodies, with the right header.
#[tokio::test(start_paused = true)]
async fn gzip_of_a_proxy_is_decompressed() {
    let server = Server::start(Options::default());
    let cache = graphs::cache(1);
    write(config(&server), &cache).await.unwrap();
    let _ = server.take_log();
    let stored: Vec<(String, bytes::Bytes)> = server
        .keys()
        .into_iter()
        .map(|key| {
            let compressed = compress(&std::fs::read(server.path(&key)).unwrap());
            (key.replace(':', "%3A"), compressed)
        })
        .collect();
    server.http().script(move |asked| {
        let path = asked.path.replace(':', "%3A");
        let (_, bytes) = stored.iter().find(|(key, _)| path.contains(key)).filter(|_| asked.method == Method::GET)?;
        let mut answer = full(200, "application/octet-stream", bytes.clone());
        answer.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        Some(answer)
    });
    let importer = S3Importer::new(config(&server));
    let manifest = importer.resolve().await.unwrap().unwrap().manifest;
    for blob in manifest.blobs() {
        assert_eq!(cache_core::Digest::sha256(&bytes_of(&importer, blob).await.unwrap()), blob.digest);
    }
}

fn compress(bytes: &[u8]) -> bytes::Bytes {
    use futures_util::FutureExt as _;
    use tokio::io::AsyncReadExt as _;
    let mut out = Vec::new();
    let mut encoder = async_compression::tokio::bufread::GzipEncoder::new(bytes);
    encoder.read_to_end(&mut out).now_or_never().expect("memory is never pending").unwrap();
    out.into()
}

/// A store that keeps objects as files refuses a cache beside a folder of its name, without a reason.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_a_folder_is_reported_in_one_line() {
    let server = Server::start(Options::default());
    let cache = graphs::cache(1);
    write(config(&server).with_name("a/b"), &cache).await.unwrap();
    write(config(&server).with_name("c"), &cache).await.unwrap();
    let refusals = [(500, "InternalError"), (400, "XMinioParentIsObject"), (409, "XMinioObjectExistsAsDirectory")];
    for (status, code) in refusals {
        server.http().script(move |asked| {
            let is_index = asked.method == Method::PUT && asked.path.contains("manifests/");
            is_index.then(|| xml(status, format!("<Error><Code>{code}</Code></Error>")))
        });
        for (name, other) in [("a", Some("a/b")), ("c/d", Some("c")), ("e", None)] {
            let error = write(config(&server).with_name(name), &cache).await.unwrap_err();
            assert_eq!(error.context("other"), other, "{error:?}");
            assert_eq!(error.hint().is_some_and(|hint| hint.contains("take another name")), other.is_some());
        }
    }
}

/// Some stores fold several slashes into one, so that lists below the prefix are empty.
#[tokio::test(start_paused = true)]
async fn a_folded_prefix_is_an_error_and_no_empty_store() {
    let server = Server::start(Options::default());
    write(config(&server).with_prefix("a/b/"), &graphs::cache(1)).await.unwrap();
    let store = S3Store::new(config(&server).with_prefix("a//b/"));
    // In other stores these are two prefixes, and one is empty.
    server.http().script(|asked| {
        let is_odd = asked.path.contains("a//b/manifests/") && asked.method == Method::HEAD;
        is_odd.then(|| empty(404))
    });
    assert!(store.caches().await.is_ok_and(|caches| caches.is_empty()));
    server.http().script(|asked| {
        let is_odd = value(asked, "prefix").is_some_and(|prefix| prefix.contains("//"));
        if is_odd {
            return Some(list(&[], "<IsTruncated>false</IsTruncated>"));
        }
        let is_there = asked.path.contains("a//b/manifests/main") && asked.method == Method::HEAD;
        is_there.then(|| {
            let mut head = empty(200);
            head.headers_mut().insert("content-length", 9.into());
            head
        })
    });
    let error = store.caches().await.unwrap_err();
    assert!(error.hint().unwrap().contains("prefix without"), "{error:?}");
}
