//! The conformance suite on a registry.

#![cfg(feature = "registry")]

cache_tests::conformance!(registry, cache_tests::places::Registry::new());
