//! The conformance suite on the cache service of GitHub Actions, by both of its interfaces.

#![cfg(feature = "gha")]

cache_tests::conformance!(v2, cache_tests::places::Gha::v2());
cache_tests::conformance!(v1, cache_tests::places::Gha::v1());
