//! Lists.

use bytes::Bytes;
use cache_core::{CacheStore, Digest, ErrorKind};
use cache_gha::GhaStore;
use cache_tests::places::Gha;
use cache_tests::places::gha::{MAIN, VERSION};
use futures_util::stream::TryStreamExt;

use crate::main_token;

#[tokio::test(start_paused = true)]
async fn a_store_without_the_rest_api_says_what_it_needs() {
    let place = Gha::v2();
    let error = GhaStore::new(place.config_of(&main_token())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("repository") && error.hint().unwrap().contains("ghtoken"));
}

#[tokio::test(start_paused = true)]
async fn lists_are_read_to_their_last_page() {
    let place = Gha::v2();
    place.server().entries(|entries| {
        for n in 0..250_u32 {
            let key = format!("buildkit-blob-1-{}", Digest::sha256(&n.to_le_bytes()));
            entries.insert(MAIN, &key, VERSION, Bytes::from(n.to_string()));
        }
    });
    let store = GhaStore::new(place.config()).unwrap();
    assert_eq!(store.blobs().try_collect::<Vec<_>>().await.unwrap().len(), 250);
    assert_eq!(place.server().take_log().len(), 3);
}
