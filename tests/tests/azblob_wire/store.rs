//! Lists.

use cache_azblob::AzblobStore;
use cache_core::{CacheExporter, CacheStore};
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use cache_tests::servers::azblob::{Fault, Options, Plan};
use futures_util::stream::TryStreamExt;

use crate::{Method, blob, exporter, write};

#[tokio::test(start_paused = true)]
async fn a_store_is_listed_page_by_page() {
    let place = Azblob::with(Options { page: 2, ..Options::default() });
    let to = exporter(place.config());
    let blobs: Vec<_> = (0..5_u8).map(|at| blob(vec![at])).collect();
    for (desc, source) in &blobs {
        to.push(desc, source).await.unwrap();
    }
    for name in ["c", "a", "b"] {
        write(place.config_of(&place.spec().with("name", name)), &graphs::cache(1)).await.unwrap();
    }
    place.server().plan(Plan::new(Method::GET, "comp=list", Fault::Drop).after(1));
    let store = AzblobStore::new(place.config()).unwrap();
    let caches = store.caches().await.unwrap();
    assert_eq!(caches.iter().filter_map(|cache| cache.name.as_deref()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let listed: Vec<_> = store.blobs().try_collect::<Vec<_>>().await.unwrap();
    for (desc, _) in &blobs {
        let entry = listed.iter().find(|entry| entry.digest == desc.digest).unwrap();
        assert!(entry.size == desc.size && entry.modified.is_some());
    }
}
