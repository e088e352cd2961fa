//! Reads: parts, and URLs that expire.

use bytes::Bytes;
use cache_core::{BlobProvider, CacheExporter, Descriptor, ErrorKind};
use cache_gha::{ApiVersion, GhaExporter, GhaImporter};
use cache_kit::ReadAhead;
use cache_tests::places::Gha;
use cache_tests::random::Random;
use cache_tests::servers::actions::{Fault, Options, Plan};
use futures_util::stream::{StreamExt, TryStreamExt};

use crate::{Method, blob, main_token};

#[tokio::test(start_paused = true)]
async fn a_url_that_expires_while_a_blob_is_read_is_looked_up_again() {
    for place in [Gha::v2(), Gha::v1()] {
        let bytes = Random::new(7).bytes(300_000);
        let (desc, source) = blob(bytes.clone());
        GhaExporter::new(place.config_of(&main_token())).unwrap().push(&desc, &source).await.unwrap();
        let importer = GhaImporter::new(place.config_of(&main_token())).unwrap();
        for path in ["actions-cache", "artifact/"] {
            place.server().plan(Plan::new(Method::GET, path, Fault::DropAfter(100_000)));
        }
        let mut stream = importer.read(&desc, None).await.unwrap();
        let first = stream.next().await.unwrap().unwrap();
        place.server().expire_urls();
        let rest: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert!([first.as_ref(), &rest.concat()].concat() == bytes);
        let log = place.server().take_log();
        assert_eq!(log.iter().filter(|logged| logged.status == 403).count(), 1);
    }
}

/// A service without ranges gets one request.
#[tokio::test(start_paused = true)]
async fn a_large_blob_is_read_in_parts_that_are_resumed() {
    for (api, kind) in [(ApiVersion::V2, "actions-cache/"), (ApiVersion::V1, "artifactcache/artifact/")] {
        for (ranges, requests) in [(true, vec![206; 11]), (false, vec![200])] {
            let place = Gha::with(api, Options { ranges, ..Options::default() });
            let bytes = Random::new(5).bytes(950);
            let (desc, source) = blob(bytes.clone());
            let environment = place.environment().tune(|tuning| tuning.with_read_ahead(ReadAhead::new(100, 3)));
            let config = place.config_in(&main_token(), environment);
            GhaExporter::new(config.clone()).unwrap().push(&desc, &source).await.unwrap();
            let _ = place.server().take_log();
            place.server().plan(Plan::new(Method::GET, kind, Fault::DropAfter(60)).after(1));
            let stream = GhaImporter::new(config).unwrap().read(&desc, None).await.unwrap();
            assert!(stream.try_collect::<Vec<Bytes>>().await.unwrap().concat() == bytes, "{api:?}");
            let log = place.server().take_log();
            let reads = log.iter().filter(|logged| logged.path.contains(kind)).map(|logged| logged.status);
            assert_eq!(reads.collect::<Vec<_>>(), requests, "{api:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_another_length_is_refused_in_parts_too() {
    let place = Gha::v2();
    let (desc, source) = blob(Random::new(5).bytes(950));
    let environment = place.environment().tune(|tuning| tuning.with_read_ahead(ReadAhead::new(100, 3)));
    let config = place.config_in(&main_token(), environment);
    GhaExporter::new(config.clone()).unwrap().push(&desc, &source).await.unwrap();
    let shorter = Descriptor { size: 940, ..desc };
    let error = GhaImporter::new(config).unwrap().read(&shorter, None).await.err().unwrap();
    assert_eq!((error.kind(), error.context("got")), (ErrorKind::DigestMismatch, Some("950")), "{error:?}");
}
