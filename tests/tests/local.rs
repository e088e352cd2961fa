//! The conformance suite on a directory.

#![cfg(feature = "local")]

cache_tests::conformance!(local, cache_tests::places::Local::new());
