#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod backend;
mod cache;
mod exporter;
mod image;
mod importer;
mod store;

pub use self::cache::MemoryCache;
