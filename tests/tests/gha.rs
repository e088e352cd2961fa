//! The conformance suite on the cache service of GitHub Actions, by both of its interfaces, and on
//! services that take its place.

#![cfg(feature = "gha")]

cache_tests::conformance!(v2, cache_tests::places::Gha::v2());
cache_tests::conformance!(v1, cache_tests::places::Gha::v1());
cache_tests::conformance!(act, cache_tests::places::Gha::act());
cache_tests::conformance!(numbered, cache_tests::places::Gha::numbered());
