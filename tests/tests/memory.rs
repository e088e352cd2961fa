//! The conformance suite on the reference backend.

cache_tests::conformance!(memory, cache_tests::places::Memory::new());
