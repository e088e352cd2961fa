#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod attributes;
mod auth;
mod backend;
mod body;
mod client;
mod config;
mod connection;
mod contributions;
mod error;
mod exporter;
mod image;
mod importer;
mod logins;
mod presence;
mod probe;
mod proxy;
mod reader;
mod redirect;
mod reference;
mod refusal;
mod single_post;
mod store;
mod tags;
mod upload;

pub use self::attributes::KIND;
pub use self::auth::Credential;
pub use self::backend::Registry;
pub use self::config::{Environment, RegistryConfig};
pub use self::exporter::RegistryExporter;
pub use self::image::RegistryImage;
pub use self::importer::RegistryImporter;
pub use self::logins::{ForgottenLogin, KeptLogin, Logins};
pub use self::probe::RegistryProbe;
pub use self::proxy::Proxies;
pub use self::store::RegistryStore;

#[cfg(test)]
mod tests;
