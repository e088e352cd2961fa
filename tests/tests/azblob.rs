//! The conformance suite on Azure Blob Storage.

#![cfg(feature = "azblob")]

cache_tests::conformance!(azblob, cache_tests::places::Azblob::new());
