//! What the tests share: cases, faults, fixtures.

pub mod fixtures;
