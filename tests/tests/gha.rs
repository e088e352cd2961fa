//! The conformance suite on the cache service of GitHub Actions, with both versions of its API, and on compatible
//! services.

#![cfg(feature = "gha")]

cache_tests::conformance!(v2, cache_tests::places::Gha::v2());
cache_tests::conformance!(v1, cache_tests::places::Gha::v1());
cache_tests::conformance!(act, cache_tests::places::Gha::act());
cache_tests::conformance!(numbered, cache_tests::places::Gha::numbered());
