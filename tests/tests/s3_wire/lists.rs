//! Lists of stores other than AWS: with encoded keys, without sizes, and only in the first version.

use std::fs;

use cache_core::seams::BlobEntry;
use cache_core::{BlobProvider, CacheExporter, CacheImporter, CacheStore, Pushed, Timestamp};
use cache_ops::{PrunePolicy, PruneSettings, plan_prune, prune};
use cache_s3::{S3Exporter, S3Importer, S3Store};
use cache_tests::graphs;
use cache_tests::servers::http::Answer;
use cache_tests::servers::s3::{BUCKET, Logged, Options, Server};
use futures_util::stream::TryStreamExt;

use crate::dialects::{list, names, value, xml};
use crate::{HOUR, Method, blob, config, key, write};

const WHOLE: &str = "<IsTruncated>false</IsTruncated>";

#[tokio::test(start_paused = true)]
async fn keys_are_decoded_if_the_list_says_so() {
    let server = Server::start(Options::default());
    let keys = ["manifests%2Fa+b", "manifests/c%2Bd%25", "manifests/%E2%82%AC"];
    server.http().script(move |_| Some(list(&keys, &format!("{WHOLE}<EncodingType>url</EncodingType>"))));
    assert_eq!(names(&server).await.unwrap(), ["a b", "c+d%", "€"]);
    server.http().script(|_| Some(list(&["manifests/a+b", "manifests/c%2Bd"], WHOLE)));
    assert_eq!(names(&server).await.unwrap(), ["a+b", "c%2Bd"]);
}

/// An object, for lists with fewer fields.
#[derive(Clone)]
struct Row {
    key: String,
    size: u64,
}

fn rows(server: &Server) -> Vec<Row> {
    let size = |key: &String| fs::metadata(server.path(key)).unwrap().len();
    server.keys().into_iter().map(|key| Row { size: size(&key), key }).collect()
}

/// Whether the request is for the bucket, like a list.
fn is_list(asked: &Logged) -> bool {
    let path = asked.path.split('?').next().unwrap_or_default();
    asked.method == Method::GET && path.trim_matches('/') == BUCKET && value(asked, "uploads").is_none()
}

async fn blobs(server: &Server) -> Vec<BlobEntry> {
    S3Store::new(config(server)).blobs().try_collect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn sizes_missing_in_a_list_are_requested() {
    let server = Server::start(Options::default());
    let cache = graphs::cache(1);
    write(config(&server), &cache).await.unwrap();
    let (stray, source) = blob("stray");
    S3Exporter::new(config(&server)).push(&stray, &source).await.unwrap();
    let rows = rows(&server);
    server.http().script(move |asked| {
        let prefix = value(asked, "prefix").filter(|_| is_list(asked))?;
        let rows = rows.iter().filter(|row| row.key.starts_with(&prefix));
        let rows: String = rows.map(|row| format!("<Contents><Key>{}</Key></Contents>", row.key)).collect();
        Some(xml(200, format!("<ListBucketResult><KeyCount>1</KeyCount>{WHOLE}{rows}</ListBucketResult>")))
    });
    let caches = S3Store::new(config(&server)).caches().await.unwrap();
    assert_eq!(caches[0].size, Some(fs::metadata(server.path("manifests/main")).unwrap().len()));
    let listed = blobs(&server).await;
    assert_eq!(listed.len(), cache.manifest.blobs().len() + 1);
    for blob in cache.manifest.blobs() {
        assert!(listed.iter().any(|entry| entry.digest == blob.digest && entry.size == blob.size));
    }
    let _ = server.take_log();
    write(config(&server), &cache).await.unwrap();
    assert!(!server.take_shorts().iter().any(|short| short.starts_with("PUT blobs")));
    server.age(&key(&stray), HOUR * 26);
    let store = S3Store::new(config(&server));
    let plan =
        plan_prune(&store, &PrunePolicy::new(HOUR * 25), Timestamp::now(), &PruneSettings::default()).await.unwrap();
    assert_eq!(plan.blobs.as_ref().map(Vec::len), Some(1));
}

/// Answers like a store without `list-type=2`: it ignores it, or refuses it with this status.
fn first_version(
    rows: Vec<Row>,
    refuses: Option<u16>,
    (encoding, mark): (&str, bool),
) -> impl Fn(&Logged) -> Option<Answer> {
    let encoding = encoding.to_owned();
    move |asked| {
        let prefix = value(asked, "prefix").filter(|_| is_list(asked))?;
        if let Some(status) = refuses.filter(|_| value(asked, "list-type").is_some()) {
            return Some(xml(status, "<Error><Code>InvalidArgument</Code><Message>list-type</Message></Error>"));
        }
        let marker = value(asked, "marker").unwrap_or_default();
        let left: Vec<&Row> = rows.iter().filter(|row| row.key.starts_with(&prefix) && row.key > marker).collect();
        let page = &left[..left.len().min(3)];
        let is_truncated = left.len() > page.len();
        let spell =
            |key: &str| if encoding.is_empty() { key.to_owned() } else { key.replace('/', "%2F").replace(':', "%3A") };
        let next = page
            .last()
            .filter(|_| mark && is_truncated)
            .map(|row| format!("<NextMarker>{}</NextMarker>", spell(&row.key)));
        let contents: String = page
            .iter()
            .map(|row| {
                format!(
                    "<Contents><Key>{}</Key><ETag>\"x\"</ETag><Size>{}</Size></Contents>",
                    spell(&row.key),
                    row.size
                )
            })
            .collect();
        Some(xml(
            200,
            format!(
                "<ListBucketResult><Name>{BUCKET}</Name><Marker>{}</Marker>{}{encoding}<IsTruncated>{is_truncated}</IsTruncated>\
                 {contents}</ListBucketResult>",
                spell(&marker),
                next.unwrap_or_default(),
            ),
        ))
    }
}

#[tokio::test]
async fn a_store_with_only_the_first_version_of_lists_is_listed_whole() {
    let encoded = "<EncodingType>url</EncodingType>";
    for (refuses, says) in [
        (None, ("", false)),
        (None, ("", true)),
        (None, (encoded, true)),
        (Some(501), ("", false)),
        (Some(400), (encoded, true)),
    ] {
        let server = Server::start(Options::default());
        let cache = graphs::cache(1);
        for name in ["main", "b", "c", "d", "e"] {
            write(config(&server).with_name(name), &cache).await.unwrap();
        }
        let (stray, source) = blob("stray");
        S3Exporter::new(config(&server)).push(&stray, &source).await.unwrap();
        server.http().script(first_version(rows(&server), refuses, says));
        assert_eq!(names(&server).await.unwrap(), ["b", "c", "d", "e", "main"], "{refuses:?} {says:?}");
        assert_eq!(blobs(&server).await.len(), cache.manifest.blobs().len() + 1, "{refuses:?} {says:?}");
        write(config(&server), &cache).await.unwrap();
        server.age(&key(&stray), HOUR * 26);
        let manifest = S3Importer::new(config(&server)).resolve().await.unwrap().unwrap().manifest;
        let store = S3Store::new(config(&server));
        let plan = plan_prune(&store, &PrunePolicy::new(HOUR * 25), Timestamp::now(), &PruneSettings::default())
            .await
            .unwrap();
        let _ = prune(&store, &plan, &PruneSettings::default()).await.unwrap();
        for blob in manifest.blobs() {
            assert!(S3Importer::new(config(&server)).stat(blob).await.unwrap().is_some());
        }
        assert_eq!(
            S3Exporter::new(config(&server)).push(&manifest.blobs()[0], &cache.blobs).await.unwrap(),
            Pushed::Present
        );
    }
}
