//! Exports: requests and blocks.

use bytes::Bytes;
use cache_azblob::AzblobConfig;
use cache_core::{BlobProvider, CacheExporter, CacheImporter, Expect, Pushed};
use cache_kit::PartLimits;
use cache_tests::faulty::{self, Faulty};
use cache_tests::graphs;
use cache_tests::harness::Harness;
use cache_tests::places::Azblob;
use cache_tests::random::Random;
use futures_util::future::join_all;
use futures_util::stream::TryStreamExt;

use crate::{blob, bytes_of, exporter, importer, shorts, write};

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_number_of_requests() {
    let place = Azblob::new();
    let (desc, source) = blob("layer");
    let to = exporter(place.config());
    assert_eq!(to.push(&desc, &source).await.unwrap(), Pushed::Uploaded);
    let first = ["GET container 404", "PUT container 201", "HEAD blob 404", "PUT blob 201"];
    assert_eq!(shorts(place.server()), first);
    let (other, source) = blob("other");
    assert_eq!(to.push(&other, &source).await.unwrap(), Pushed::Uploaded);
    assert_eq!(shorts(place.server()), ["HEAD blob 404", "PUT blob 201"]);
    assert_eq!(to.push(&other, &source).await.unwrap(), Pushed::Present);
    assert_eq!(shorts(place.server()), ["HEAD blob 200"]);

    let cache = graphs::cache(1);
    let names = place.spec().with("name", "a;b");
    let to = exporter(place.config_of(&names));
    for blob in cache.manifest.blobs() {
        to.push(blob, &cache.blobs).await.unwrap();
    }
    let _ = shorts(place.server());
    to.commit(&cache.manifest, Expect::Any).await.unwrap();
    assert_eq!(shorts(place.server()), ["PUT index 201", "PUT index 201"]);
    importer(place.config_of(&names)).resolve().await.unwrap().unwrap();
    assert_eq!(shorts(place.server()), ["GET index 206", "GET index 206"]);
    importer(place.config()).resolve().await.unwrap();
    assert_eq!(shorts(place.server()), ["GET index 404"]);

    let (desc, _) = blob("layer");
    bytes_of(&importer(place.config()), &desc).await.unwrap();
    assert_eq!(shorts(place.server()), ["GET blob 206"]);
}

/// A second copy looks up every blob twice, and writes only the index.
#[tokio::test(start_paused = true)]
async fn a_second_copy_uploads_no_blob() {
    let place = Azblob::new();
    let cache = graphs::cache(1);
    write(place.config(), &cache).await.unwrap();
    let _ = shorts(place.server());
    write(place.config(), &cache).await.unwrap();
    let log = shorts(place.server());
    let count = |short: &str| log.iter().filter(|logged| *logged == short).count();
    assert_eq!(count("HEAD blob 200"), 2 * cache.manifest.blobs().len());
    assert_eq!(
        (count("GET container 200"), count("PUT index 201"), log.len() - count("HEAD blob 200")),
        (1, 1, 2),
        "{log:?}"
    );
}

/// After 16 missing blobs, small ones are sent without a lookup, until one exists after all. That one is kept; one with
/// another size is replaced.
#[tokio::test(start_paused = true)]
async fn small_blobs_of_a_new_cache_take_one_request_each() {
    let place = Azblob::new();
    let to = exporter(place.config());
    let push = async |seed: u64, size: usize| {
        let (desc, source) = blob(Random::new(seed).bytes(size));
        let pushed = to.push(&desc, &source).await.unwrap();
        (pushed, shorts(place.server()).join(", "))
    };
    let look = || (Pushed::Uploaded, "HEAD blob 404, PUT blob 201".to_owned());
    let guess = || (Pushed::Uploaded, "PUT blob 201".to_owned());
    push(0, 1_000).await;
    for seed in 1..16 {
        assert_eq!(push(seed, 1_000).await, look());
    }
    assert_eq!(push(16, 256 << 10).await, guess());
    assert_eq!(push(17, (256 << 10) + 1).await, look());
    assert_eq!(push(18, 1_000).await, guess());
    assert_eq!(push(18, 1_000).await, (Pushed::Present, "PUT blob 409, HEAD blob 200".to_owned()));
    for seed in 19..35 {
        assert_eq!(push(seed, 1_000).await, look());
    }

    let (half, _) = blob(Random::new(35).bytes(1_000));
    place
        .server()
        .stored(|stored| stored.put("buildkit-cache", &format!("blobs/{}", half.digest), Bytes::from("half")));
    assert_eq!(push(35, 1_000).await.1, "PUT blob 409, HEAD blob 200, PUT blob 201");
    for seed in 36..52 {
        push(seed, 1_000).await;
    }
    assert_eq!(push(52, 1_000).await, guess());
    to.commit(&graphs::cache(1).manifest, Expect::Any).await.unwrap();
    assert_eq!(shorts(place.server()), ["PUT index 201"]);
    assert_eq!(push(52, 1_000).await, (Pushed::Present, "HEAD blob 200".to_owned()));
}

/// Blocks are sent in parallel, with one bound for all uploads.
#[tokio::test(start_paused = true)]
async fn large_blobs_are_sent_in_blocks() {
    let place = Azblob::new();
    let environment = Azblob::environment().tune(|tuning| tuning.with_parts(PartLimits::new(10_000, 4)));
    let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
    let blobs: Vec<_> = (0..3).map(|seed| blob(Random::new(seed).bytes(95_001))).collect();
    let to = exporter(config.clone());
    for pushed in join_all(blobs.iter().map(|(desc, source)| to.push(desc, source))).await {
        assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    }
    let log = shorts(place.server());
    let count = |short: &str| log.iter().filter(|logged| *logged == short).count();
    assert_eq!((count("PUT block 201"), count("PUT blocklist 201"), count("PUT blob 201")), (30, 3, 0), "{log:?}");
    for (desc, source) in &blobs {
        let read = source.read(desc, None).await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat();
        assert!(bytes_of(&importer(config.clone()), desc).await.unwrap() == read);
    }
    assert!(place.server().stored(|stored| stored.containers["buildkit-cache"].blocks.is_empty()));
}

/// Another writer may write a blob between our lookup and our write, in one request or while we send blocks.
#[tokio::test(start_paused = true)]
async fn a_blob_that_another_writer_sends_first_is_present() {
    for part_size in [1_000, 100_000] {
        let place = Azblob::new();
        let environment = Azblob::environment().tune(|tuning| tuning.with_parts(PartLimits::new(part_size, 4)));
        let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
        let (desc, source) = blob(Random::new(1).bytes(10_000));
        let slow = Faulty::new(&source).with_everywhere(faulty::Fault::Trickle(100));
        let (one, two) = (exporter(config.clone()), exporter(config.clone()));
        for round in 0..5 {
            let pushes = join_all([one.push(&desc, &slow), two.push(&desc, &slow)]).await;
            let pushed: Vec<Pushed> = pushes.into_iter().map(|pushed| pushed.unwrap()).collect();
            assert!(round > 0 || pushed.contains(&Pushed::Uploaded), "{pushed:?}");
        }
        let stored =
            place.server().stored(|stored| stored.blobs().map(|(_, _, blob)| blob.bytes.len()).collect::<Vec<_>>());
        assert_eq!(stored, [10_000]);
    }
}

/// The service drops the blocks of a failed upload when the blob is written.
#[tokio::test(start_paused = true)]
async fn blocks_of_an_upload_that_failed_are_dropped_by_the_next() {
    let place = Azblob::new();
    let environment = Azblob::environment().tune(|tuning| tuning.with_parts(PartLimits::new(1_000, 4)));
    let config = AzblobConfig::from_spec(&place.spec(), environment).unwrap();
    let (desc, source) = blob(Random::new(1).bytes(10_000));
    let broken = Faulty::new(&source).with_everywhere(faulty::Fault::Truncate(9_000));
    exporter(config.clone()).push(&desc, &broken).await.unwrap_err();
    let waiting = |place: &Azblob| place.server().stored(|stored| stored.containers["buildkit-cache"].blocks.len());
    assert_eq!((waiting(&place), importer(config.clone()).stat(&desc).await.unwrap()), (1, None));
    exporter(config).push(&desc, &source).await.unwrap();
    assert_eq!(waiting(&place), 0);
}
