//! What the tests share: cases, faults, fixtures.
