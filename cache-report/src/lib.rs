#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod age;
mod build;
mod caches;
mod layers;
mod page;
mod readers;
mod report;
mod sharing;
mod squares;
mod steps;
mod text;
mod timeline;
mod tree;
pub mod words;

pub use self::page::render;
pub use self::report::{Dead, Report, ReportedCache};
