//! The conformance suite on a registry, and on one that takes a blob in one request.

#![cfg(feature = "registry")]

cache_tests::conformance!(registry, cache_tests::places::Registry::new());
cache_tests::conformance!(
    posting,
    cache_tests::places::Registry::with(cache_tests::servers::registry::Options {
        takes_posts: true,
        ..Default::default()
    })
);
