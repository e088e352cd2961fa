#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod age;
mod attributes;
mod backend;
mod client;
mod conditional;
mod conditions;
mod config;
mod contributions;
mod copy_limits;
mod endpoint;
mod error;
mod exporter;
mod importer;
mod keys;
mod listing;
mod names;
mod parts;
mod probe;
mod reader;
mod refresh;
mod store;
mod uploads;

pub use self::attributes::KIND;
pub use self::backend::S3;
pub use self::config::{Credential, Environment, S3Config};
pub use self::exporter::S3Exporter;
pub use self::importer::S3Importer;
pub use self::probe::S3Probe;
pub use self::store::S3Store;

#[cfg(test)]
mod tests;
