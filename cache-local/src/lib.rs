#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod backend;
mod beneath;
mod config;
mod deletions;
mod error;
mod exporter;
mod image;
mod importer;
mod index;
mod ingest;
mod layout;
mod lock;
mod probe;
mod reader;
mod receive;
mod reset;
mod store;
mod task;
mod unnamed;
mod update;
mod walk;

pub use self::attributes::KIND;
pub use self::backend::Local;
pub use self::config::LocalConfig;
pub use self::exporter::LocalExporter;
pub use self::image::LocalImage;
pub use self::importer::LocalImporter;
pub use self::probe::LocalProbe;
pub use self::store::LocalStore;

#[cfg(test)]
mod tests;
