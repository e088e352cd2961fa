//! Old present blobs.

use std::time::Duration;

use cache_azblob::AzblobStore;
use cache_core::{BlobProvider, CacheExporter, CacheStore, ErrorKind, Pushed};
use cache_tests::places::Azblob;
use cache_tests::servers::azblob::{Fault, Plan};
use futures_util::stream::TryStreamExt;

use crate::{Method, blob, exporter, importer, shorts};

#[tokio::test(start_paused = true)]
async fn an_old_blob_is_refreshed_and_keeps_its_metadata() {
    let place = Azblob::new();
    let (desc, source) = blob("layer");
    exporter(place.config()).push(&desc, &source).await.unwrap();
    let name = format!("blobs/{}", desc.digest);
    place.server().stored(|stored| {
        stored.age(&name, Duration::from_secs(40 * 60));
        let blob = stored.containers.get_mut("buildkit-cache").unwrap().blobs.get_mut(&name).unwrap();
        blob.metadata.insert("owner".to_owned(), "team".to_owned());
    });
    let before = importer(place.config()).stat(&desc).await.unwrap().unwrap().modified;
    let listed = AzblobStore::new(place.config()).unwrap();
    let stale = listed.blobs().try_collect::<Vec<_>>().await.unwrap().remove(0);
    let _ = shorts(place.server());
    assert_eq!(exporter(place.config()).push(&desc, &source).await.unwrap(), Pushed::Refreshed);
    assert_eq!(shorts(place.server()), ["GET container 200", "HEAD blob 200", "PUT metadata 200"]);
    assert!(importer(place.config()).stat(&desc).await.unwrap().unwrap().modified > before);
    assert_eq!(listed.delete_blob(&stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    let kept = place.server().stored(|stored| stored.containers["buildkit-cache"].blobs[&name].metadata.clone());
    assert_eq!(kept.get("owner").map(String::as_str), Some("team"));
    // An export succeeds even if it is not allowed to refresh.
    place.server().stored(|stored| stored.age(&name, Duration::from_secs(40 * 60)));
    place.server().plan(Plan::new(Method::PUT, "comp=metadata", Fault::Answer(403, None, "")));
    assert_eq!(exporter(place.config()).push(&desc, &source).await.unwrap(), Pushed::Present);
}
