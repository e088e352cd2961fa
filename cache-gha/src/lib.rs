#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod backend;
mod budget;
mod client;
mod config;
mod error;
mod exporter;
mod fields;
mod importer;
mod index;
mod keys;
mod known;
mod probe;
mod rest;
mod saving;
mod service;
mod session;
mod signed;
mod store;
mod token;

pub use self::attributes::KIND;
pub use self::backend::Gha;
pub use self::config::{ApiVersion, Environment, GhaConfig};
pub use self::exporter::GhaExporter;
pub use self::importer::GhaImporter;
pub use self::probe::GhaProbe;
pub use self::store::GhaStore;

#[cfg(test)]
mod tests;
