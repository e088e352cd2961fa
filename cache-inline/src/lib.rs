#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod backend;
mod embed;
mod error;
mod exporter;
mod image;
mod records;
mod redirect;
mod strip;

pub use self::attributes::KIND;
pub use self::backend::Inline;
pub use self::embed::embed;
pub use self::exporter::InlineExporter;
pub use self::records::{ImageLayer, InlineRecords};
pub use self::strip::strip;

#[cfg(test)]
mod tests;
