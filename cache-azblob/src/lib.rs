#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod account;
mod attributes;
mod backend;
mod blocks;
mod client;
mod config;
mod credential;
mod error;
mod exporter;
mod importer;
mod keys;
mod listing;
mod probe;
mod reader;
mod store;

pub use self::attributes::KIND;
pub use self::backend::Azblob;
pub use self::config::{AzblobConfig, Environment};
pub use self::exporter::AzblobExporter;
pub use self::importer::AzblobImporter;
pub use self::keys::Keys;
pub use self::probe::AzblobProbe;
pub use self::store::AzblobStore;

#[cfg(test)]
mod tests;
