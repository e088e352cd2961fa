//! The conformance suite on an S3 store, and on one that ignores conditions.

#![cfg(feature = "s3")]

cache_tests::conformance!(s3, cache_tests::places::S3::new());
cache_tests::conformance!(overwriting, cache_tests::places::S3::overwriting());
