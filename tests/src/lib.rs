#![doc = include_str!("../README.md")]

#[cfg(feature = "local")]
pub mod bench;
pub mod cases;
pub mod counting;
pub mod estargz;
pub mod faulty;
pub mod fixtures;
pub mod fuzz;
pub mod graphs;
pub mod harness;
pub mod malformed;
pub mod places;
pub mod random;
pub mod schema;
pub mod servers;
pub mod tars;
