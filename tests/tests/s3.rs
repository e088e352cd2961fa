//! The conformance suite on an S3 store.

#![cfg(feature = "s3")]

cache_tests::conformance!(s3, cache_tests::places::S3::new());
